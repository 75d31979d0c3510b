//! docs/hostile-requests.md, made of what was observed.

use std::fmt::Write as _;

use super::case::{Case, Request};
use super::run::Observed;
use super::scene::Scene;

/// What is longer is cut in the table.
const SHOWN_CHARS: usize = 160;
/// A message is for people: it is cut only where it quotes a document.
const MESSAGE_CHARS: usize = 400;
/// As many lines of a head are shown.
const SHOWN_LINES: usize = 10;
/// As many letters of one kind are shown as a number.
const RUN_CHARS: usize = 24;

const HEAD: &str = "\
# Hostile requests and their answers

This table is made by `tests/api/hostile.rs` out of the answers that it got; the test fails where they
differ. To make it anew: `WHARFINGER_REGENERATE=1 cargo test --test api hostile::the_document`.

The registry holds an image `v1` in each of the repositories `team/app` (\"ours\"), `other` (\"theirs\") and
`a/manifests/b` (\"odd\"), and an open upload of five bytes in the first two. None of these requests changes
any of it: after each group every file of the data directory and every row of the ledger is what it was
before, but for two things that no client sees: the time at which an upload was last written to, and the
number that a repository's name gets at the first upload to it, which stays when that upload is refused.

Digests and upload ids stand here by name, such as `<layer ours>`; `x{300}` is an x three hundred times.
Headers that matter, and bodies, stand below the path. An answer without code and words is one to HEAD, or
one that actix-http gives before there is a request. What can be ignored is ignored and answered 200.
";

/// The document of all groups.
pub fn render(scene: &Scene, groups: &[(&str, Vec<(Case, Observed)>)]) -> String {
    let mut text = HEAD.to_owned();
    let count: usize = groups.iter().map(|(_, cases)| cases.len()).sum();
    writeln!(text, "\n{count} requests in {} groups.", groups.len()).expect("memory takes it");
    for (title, cases) in groups {
        write!(text, "\n## {title}\n\n| what is wrong | request | answer |\n| --- | --- | --- |\n")
            .expect("memory takes it");
        for (case, observed) in cases {
            let (request, answer) = (request(scene, &case.request), answer(scene, case, observed));
            writeln!(text, "| {} | {request} | {answer} |", cell(&case.title)).expect("memory takes it");
        }
    }
    text
}

fn request(scene: &Scene, request: &Request) -> String {
    // A raw request is all in one; what is only framing says nothing.
    let shown = request.shown.replace("\r\n", "\n");
    let mut parts: Vec<String> =
        shown.trim_end().split('\n').map(|line| code(&shortened(&scene.named(line), SHOWN_CHARS))).collect();
    if parts.len() > SHOWN_LINES {
        let count = parts.len() - SHOWN_LINES;
        parts.truncate(SHOWN_LINES);
        parts.push(format!("and {count} lines more"));
    }
    if !request.shown_body.is_empty() {
        parts.push(code(&shortened(&scene.named(&request.shown_body), SHOWN_CHARS)));
    }
    parts.join("<br>")
}

fn answer(scene: &Scene, case: &Case, observed: &Observed) -> String {
    let mut text = observed.status.to_string();
    // Of two answers that are both right the document shows one that does not depend on the moment.
    if case.answer.or_the_end {
        write!(text, " {}, or the connection's end", case.answer.code).expect("memory takes it");
        return text;
    }
    for (i, (code, message)) in observed.errors.iter().enumerate() {
        let separator = if i == 0 { " " } else { "<br>" };
        let message = cell(&shortened(&scene.named(message), MESSAGE_CHARS));
        write!(text, "{separator}{code}: {message}").expect("memory takes it");
    }
    text
}

/// Text as code, with everything visible and nothing that ends the cell.
fn code(text: &str) -> String {
    let visible = visible(text);
    if visible.is_empty() {
        return String::new();
    }
    let fence = if visible.contains('`') { "``" } else { "`" };
    format!("{fence}{}{fence}", visible.replace('|', "\\|"))
}

/// Text as it is, with what Markdown would read as its own made plain.
fn cell(text: &str) -> String {
    let mut plain = String::new();
    for c in visible(text).chars() {
        if matches!(c, '|' | '*' | '_' | '<' | '>' | '`' | '[' | ']' | '\\') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

/// Everything outside printable ASCII as an escape.
fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            visible.push(c);
        } else {
            visible.extend(c.escape_default());
        }
    }
    visible
}

/// Long runs of one letter as a number, and the middle of what is still long left out.
fn shortened(text: &str, chars_max: usize) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|&c| c == first).count();
        if run >= RUN_CHARS {
            write!(short, "{first}{{{run}}}").expect("memory takes it");
        } else {
            short.extend(std::iter::repeat_n(first, run));
        }
        rest = &rest[run * first.len_utf8()..];
    }
    let chars: Vec<char> = short.chars().collect();
    if chars.len() <= chars_max {
        return short;
    }
    let (front, back): (String, String) =
        (chars[..chars_max - 40].iter().collect(), chars[chars.len() - 30..].iter().collect());
    format!("{front} ... {back}")
}

#[test]
fn text_is_made_plain() {
    assert_eq!(shortened(&"a".repeat(300), SHOWN_CHARS), "a{300}");
    assert_eq!(shortened("aab", SHOWN_CHARS), "aab");
    assert_eq!(code("a|b\0"), "`a\\|b\\u{0}`");
    assert_eq!(code("a`b"), "``a`b``");
    assert_eq!(cell("<a_b>"), "\\<a\\_b\\>");
    let long = shortened(&"abc".repeat(200), SHOWN_CHARS);
    assert!(long.len() < SHOWN_CHARS && long.contains(" ... "), "{long}");
}
