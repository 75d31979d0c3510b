//! Words that do not belong in some or any of the sources.

use super::scan::{PathUse, Source, Token, behind_bracket, follows, paths, tokens};
use super::{Violation, bites, check};

/// The one place that may wait by the clock: it looks for a condition again and again, up to a deadline.
const WAITING_HELPER: &str = "tests/support/wait.rs";

/// Where text for people may be written to the terminal.
const PRINTERS: [&str; 2] = ["src/cli/", "src/main.rs"];

fn in_src(source: &Source) -> bool {
    source.path.starts_with("src/") || source.path.starts_with("migrations/")
}

fn panics(source: &Source) -> Vec<Violation> {
    let code = source.production();
    let found = tokens(&code).into_iter().filter(|token| matches!(token.text, "unwrap" | "unwrap_err"));
    found
        .map(|token| {
            source.violation(token.at, "unwrap outside tests: return an error, or `expect` an invariant")
        })
        .collect()
}

fn leftovers(source: &Source) -> Vec<Violation> {
    let may_print = !in_src(source) || PRINTERS.iter().any(|place| source.path.starts_with(place));
    macros(source, |name| match name {
        "todo" | "dbg" | "unimplemented" => Some("a leftover of writing"),
        "print" | "println" | "eprint" | "eprintln" if !may_print => {
            Some("printing outside src/cli and src/main.rs: use the log")
        }
        _ => None,
    })
}

/// The violations of the macros called, by name.
fn macros(source: &Source, rule: impl Fn(&str) -> Option<&'static str>) -> Vec<Violation> {
    let tokens = tokens(&source.code);
    let called = |i: usize| follows(&tokens, i + 1, &["!"]) && !follows(&tokens, i + 1, &["!", "="]);
    let names = tokens.iter().enumerate().filter(|(i, _)| called(*i));
    names.filter_map(|(_, token)| Some(source.violation(token.at, rule(token.text)?))).collect()
}

fn unsafe_code(source: &Source) -> Vec<Violation> {
    let tokens = tokens(&source.code);
    let found = tokens.iter().filter(|token| token.text == "unsafe");
    found.map(|token| source.violation(token.at, "unsafe code")).collect()
}

fn silenced_lints(source: &Source) -> Vec<Violation> {
    let tokens = tokens(&source.code);
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "#") {
        let open = i + 1 + usize::from(follows(&tokens, i + 1, &["!"]));
        if !follows(&tokens, open, &["["]) {
            continue;
        }
        let attribute = &tokens[open..behind_bracket(&tokens, open)];
        let calls = |name: &str| (0..attribute.len()).any(|i| follows(attribute, i, &[name, "("]));
        // What test binaries share is used by each in part, and `expect` would fail in the one that uses it
        // all.
        let shared = source.path.starts_with("tests/")
            && source.path.ends_with("/main.rs")
            && attribute.iter().any(|token| token.text == "dead_code")
            && attribute.iter().any(|token| token.text == "reason");
        if calls("allow") && !shared {
            found.push(
                source.violation(token.at, "#[allow]: use #[expect(.., reason = \"..\")] or Cargo.toml"),
            );
        }
        if calls("expect") && !attribute.iter().any(|token| token.text == "reason") {
            found.push(source.violation(token.at, "#[expect] without a reason"));
        }
    }
    found
}

fn sleeps(source: &Source) -> Vec<Violation> {
    // What a bench measures is time: it has nothing else to wait for.
    if source.path == WAITING_HELPER || source.path.starts_with("benches/") {
        return Vec::new();
    }
    let tokens: Vec<Token<'_>> = tokens(&source.code);
    let is_sleep = |path: &PathUse<'_>| path.names.windows(2).any(|pair| pair == ["thread", "sleep"]);
    let found = paths(&tokens).into_iter().filter(is_sleep);
    found
        .map(|path| {
            source.violation(path.at, "thread::sleep: wait for a condition, as tests/support/wait.rs does")
        })
        .collect()
}

#[test]
fn nothing_unwraps() {
    check(panics);
}

#[test]
fn nothing_is_left_over() {
    check(leftovers);
}

#[test]
fn nothing_is_unsafe() {
    check(unsafe_code);
}

#[test]
fn lints_are_silenced_with_reasons() {
    check(silenced_lints);
}

#[test]
fn nothing_sleeps() {
    check(sleeps);
}

#[test]
fn panics_bite() {
    let sample =
        "//! unwrap\nfn a() { b.unwrap_or(\"unwrap()\") }\n#[cfg(test)]\nmod c { fn d() { e.unwrap() } }\n";
    assert!(bites(panics, "src/a.rs", sample).is_empty());
    assert!(bites(panics, "tests/a.rs", "fn a() { b.unwrap() }").is_empty());
    assert_eq!(bites(panics, "src/a.rs", "fn a() {\n    b\n        .unwrap();\n}\n"), [3]);
    assert_eq!(bites(panics, "src/a.rs", "fn a() { b.map(Option::unwrap) }"), [1]);
    assert_eq!(bites(panics, "migrations/a.rs", "fn a() { b.unwrap_err() }"), [1]);
}

#[test]
fn leftovers_bite() {
    assert_eq!(bites(leftovers, "src/a.rs", "fn a() {\n    dbg!(b);\n    todo!()\n}"), [2, 3]);
    assert_eq!(bites(leftovers, "tests/a.rs", "fn a() { unimplemented!() }"), [1]);
    assert_eq!(bites(leftovers, "src/http/a.rs", "fn a() { std::println!(); eprintln!() }"), [1, 1]);
    for path in ["src/cli/serve.rs", "src/main.rs", "tests/a.rs", "benches/a.rs"] {
        assert!(bites(leftovers, path, "fn a() { println!(); eprint!() }").is_empty());
    }
    assert!(bites(leftovers, "src/a.rs", "// dbg!(a)\nfn a() { if todo != print {} \"dbg!\" }").is_empty());
}

#[test]
fn unsafe_code_bites() {
    assert_eq!(bites(unsafe_code, "src/a.rs", "fn a() {\n    unsafe { b() }\n}"), [2]);
    assert!(bites(unsafe_code, "src/a.rs", "// unsafe\nfn unsafe_a() {}").is_empty());
}

#[test]
fn silenced_lints_bite() {
    for text in [
        "#[allow(dead_code)]",
        "#![allow(dead_code)]",
        "#[cfg_attr(a, allow(b))]",
        "#[expect(dead_code)]",
        "#[\n    allow(\n        dead_code,\n        reason = \"a\"\n    )\n]",
    ] {
        assert_eq!(bites(silenced_lints, "tests/a.rs", text), [1], "{text}");
    }
    let fine =
        "#[expect(dead_code, reason = \"a\")]\n#[derive(A)]\nfn a() { b.allow(c).expect(d); e[allow(1)] }";
    assert!(bites(silenced_lints, "src/a.rs", fine).is_empty());
}

#[test]
fn sleeps_bite() {
    for text in [
        "std::thread::sleep(a)",
        "use std::thread::{self, sleep}",
        "use std::{thread::sleep}",
        "thread::sleep(a)",
    ] {
        assert_eq!(bites(sleeps, "tests/api/a.rs", text), [1], "{text}");
        assert!(bites(sleeps, WAITING_HELPER, text).is_empty());
    }
    assert!(bites(sleeps, "src/a.rs", "tokio::time::sleep(a); // thread::sleep").is_empty());
}
