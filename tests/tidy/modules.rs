//! Which files are modules of which: dead files, and files that only tests compile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::repository;
use super::scan::{Source, Token, behind_bracket, follows, is_cfg_test, tokens};

/// A module that a file declares to be in a file of its own.
#[derive(Debug, PartialEq, Eq)]
struct Declared {
    /// Where its file may be.
    candidates: Vec<String>,
    /// Whether it stands under `#[cfg(test)]`.
    is_test: bool,
}

/// Sets [`Source::is_test`] of the files below src that no other module than one of tests declares.
pub fn mark_tests(sources: &mut [Source]) {
    let roots = ["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    let reached = reach(sources, &roots, false);
    for source in sources.iter_mut().filter(|source| !reached.contains(&source.path)) {
        source.is_test = true;
    }
}

/// The files reached from the roots by declarations, with or without those of tests.
fn reach(sources: &[Source], roots: &[String], with_tests: bool) -> BTreeSet<String> {
    let by_path: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut reached = BTreeSet::new();
    let mut waiting = roots.to_vec();
    while let Some(path) = waiting.pop() {
        let Some(source) = by_path.get(path.as_str()).filter(|_| !reached.contains(&path)) else { continue };
        let declared = declarations(source, roots.contains(&path)).into_iter();
        let wanted = declared.filter(|declared| with_tests || !declared.is_test);
        waiting.extend(wanted.flat_map(|declared| declared.candidates));
        reached.insert(path);
    }
    reached
}

/// The modules that a file declares to be in other files.
fn declarations(source: &Source, is_root: bool) -> Vec<Declared> {
    let (directory, name) = source.path.rsplit_once('/').expect("sources stand in directories");
    let is_directory_module = is_root || name == "mod.rs";
    let below = if is_directory_module { directory } else { source.path.trim_end_matches(".rs") };
    let tokens = tokens(&source.code);
    let mut found = Vec::new();
    declarations_in(source, &tokens, (directory, below), false, &mut found);
    found
}

/// Collects the declarations among `tokens`. A module inside braces moves the directory of those within it.
fn declarations_in(
    source: &Source,
    tokens: &[Token<'_>],
    (directory, below): (&str, &str),
    is_test: bool,
    found: &mut Vec<Declared>,
) {
    let mut i = 0;
    let (mut given, mut under_test) = (None, false);
    while i < tokens.len() {
        if is_cfg_test(tokens, i) {
            (i, under_test) = (i + 7, true);
        } else if follows(tokens, i, &["#", "["]) {
            if follows(tokens, i + 2, &["path", "="]) {
                given = literal_behind(source, tokens[i + 3].at);
            }
            i = behind_bracket(tokens, i + 1);
        } else if tokens[i].text == "mod" && follows(tokens, i + 2, &[";"]) {
            let name = tokens[i + 1].text;
            let candidates = match given.take() {
                Some(given) => vec![joined(directory, given)],
                None => vec![format!("{below}/{name}.rs"), format!("{below}/{name}/mod.rs")],
            };
            found.push(Declared { candidates, is_test: is_test || under_test });
            (i, under_test) = (i + 3, false);
        } else if tokens[i].text == "mod" && follows(tokens, i + 2, &["{"]) {
            let end = behind_bracket(tokens, i + 2);
            let inside = format!("{below}/{}", tokens[i + 1].text);
            declarations_in(source, &tokens[i + 3..end], (&inside, &inside), is_test || under_test, found);
            (i, under_test) = (end, false);
        } else {
            // An attribute belongs to the next item, whose first words may be `pub (in a)`.
            let keeps = matches!(tokens[i].text, "pub" | "(" | ")" | "crate" | "super" | "in");
            (given, under_test) = if keeps { (given, under_test) } else { (None, false) };
            i += 1;
        }
    }
}

/// The contents of the string that follows in the text.
fn literal_behind(source: &Source, at: usize) -> Option<&str> {
    source.text[at..].split('"').nth(1)
}

/// A path from a directory, with its `..` resolved.
fn joined(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The files that Cargo compiles by themselves: the library, the program, and those of tests and benches, by
/// their places and by the paths in Cargo.toml.
fn roots(sources: &[Source], cargo_toml: &str) -> Vec<String> {
    let by_place = sources.iter().map(|source| source.path.as_str()).filter(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        matches!(
            parts[..],
            ["src", "lib.rs" | "main.rs"] | ["tests" | "benches", _] | ["tests" | "benches", _, "main.rs"]
        )
    });
    let named = cargo_toml.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    by_place.chain(named).map(str::to_owned).collect()
}

/// The files that no root reaches.
fn dead(sources: &[Source], roots: &[String]) -> Vec<String> {
    let reached = reach(sources, roots, true);
    sources.iter().map(|source| source.path.clone()).filter(|path| !reached.contains(path)).collect()
}

#[test]
fn every_file_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo_toml = fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml");
    let sources = repository();
    let dead = dead(&sources, &roots(&sources, &cargo_toml));
    assert!(dead.is_empty(), "\nno `mod` leads to:\n{}\n", dead.join("\n"));
}

/// A small crate with one dead file of each sort.
fn sample() -> Vec<Source> {
    [
        (
            "src/lib.rs",
            "pub mod a;\n#[path = \"../migrations/mod.rs\"]\npub(crate) mod migrations;\nmod e { mod f; }\n",
        ),
        ("src/main.rs", "fn main() {}\n"),
        ("src/a/mod.rs", "mod b;\n// mod dead;\n#[cfg(test)]\nmod tests;\n#[derive(A)]\nstruct B;\nmod c;\n"),
        ("src/a/b.rs", "#[cfg(test)]\npub mod tests;\n"),
        ("src/a/b/tests.rs", "mod deep;\n"),
        ("src/a/b/tests/deep.rs", ""),
        ("src/a/c.rs", "#[cfg(test)]\nfn a() {}\nmod d;\n"),
        ("src/a/c/d.rs", ""),
        ("src/a/dead.rs", ""),
        ("src/a/tests.rs", ""),
        ("src/dead/mod.rs", "mod also_dead;\n"),
        ("src/dead/also_dead.rs", ""),
        ("src/e/f.rs", ""),
        ("migrations/mod.rs", "mod m0001;\n"),
        ("migrations/m0001.rs", ""),
        ("migrations/m0002.rs", ""),
        ("tests/api/main.rs", "#[path = \"../support/mod.rs\"]\nmod support;\nmod blobs;\n"),
        ("tests/api/blobs.rs", ""),
        ("tests/api/dead.rs", ""),
        ("tests/support/mod.rs", ""),
        ("tests/odd/root.rs", ""),
    ]
    .map(|(path, text)| Source::new(path, text))
    .into()
}

#[test]
fn dead_files_are_found() {
    let sources = sample();
    let roots = roots(&sources, "[[test]]\nname = \"odd\"\npath = \"tests/odd/root.rs\"\n");
    let expected = [
        "src/a/dead.rs",
        "src/dead/mod.rs",
        "src/dead/also_dead.rs",
        "migrations/m0002.rs",
        "tests/api/dead.rs",
    ];
    assert_eq!(dead(&sources, &roots), expected);
}

#[test]
fn test_files_are_marked() {
    let mut sources: Vec<Source> = sample()
        .into_iter()
        .filter(|source| !source.path.contains("dead") && source.path.starts_with("src"))
        .collect();
    mark_tests(&mut sources);
    let tests: Vec<&str> =
        sources.iter().filter(|source| source.is_test).map(|source| source.path.as_str()).collect();
    assert_eq!(tests, ["src/a/b/tests.rs", "src/a/b/tests/deep.rs", "src/a/tests.rs"]);
}
