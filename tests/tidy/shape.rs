//! The shape of a file: its letters, its lines, and its functions.

use super::scan::{Source, behind_item, follows, tokens};
use super::{Violation, bites, check};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// `max_width` of rustfmt.toml, which leaves comments and strings alone.
const LINE_COLUMNS_MAX: usize = 110;

fn letters(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let rules = [
            (!content.is_ascii(), "a character outside ASCII: write it as an escape"),
            (content.contains('\t'), "a tab"),
            (content.ends_with([' ', '\t', '\r']), "a blank at the end of the line"),
            (content.chars().count() > LINE_COLUMNS_MAX, "more than 110 columns"),
        ];
        let broken = rules.into_iter().filter(|(broken, _)| *broken);
        found.extend(broken.map(|(_, rule)| source.violation(at, rule)));
        at += line.len();
    }
    if !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
        found.push(source.violation(at, "expected exactly one line end at the end of the file"));
    }
    found
}

fn file_length(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    let rule = format!("{lines} lines in one file: expected at most {FILE_LINES_MAX}");
    if lines > FILE_LINES_MAX { vec![source.violation(0, rule)] } else { Vec::new() }
}

fn file_comment(source: &Source) -> Vec<Violation> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.violation(0, "expected the file to begin with a comment on the module (`//! `)")]
}

fn function_length(source: &Source) -> Vec<Violation> {
    let tokens = tokens(&source.code);
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        // A type such as fn(u8) has no name.
        let is_item = token.text == "fn" && !follows(&tokens, i + 1, &["("]);
        let Some(last) = tokens.get(behind_item(&tokens, i) - 1).filter(|_| is_item) else { continue };
        let lines = source.line_of(last.at) - source.line_of(token.at) + 1;
        if lines > FUNCTION_LINES_MAX {
            let rule = format!("{lines} lines in one function: expected at most {FUNCTION_LINES_MAX}");
            found.push(source.violation(token.at, rule));
        }
    }
    found
}

#[test]
fn letters_and_lines_are_plain() {
    check(letters);
}

#[test]
fn files_are_short() {
    check(file_length);
}

#[test]
fn files_begin_with_a_comment_on_the_module() {
    check(file_comment);
}

#[test]
fn functions_are_short() {
    check(function_length);
}

#[test]
fn letters_bite() {
    let sample = |line: &str| bites(letters, "src/a.rs", &format!("//! A.\n{line}\n"));
    assert!(sample(&"x".repeat(110)).is_empty());
    assert_eq!(sample(&"x".repeat(111)), [2]);
    assert_eq!(sample("// caf\u{e9}"), [2]);
    assert_eq!(sample("\tx"), [2]);
    assert_eq!(sample("x "), [2]);
    assert_eq!(sample("x\r"), [2]);
    assert_eq!(bites(letters, "src/a.rs", "//! A."), [1]);
    assert_eq!(bites(letters, "src/a.rs", "//! A.\n\n"), [3]);
}

#[test]
fn file_length_bites() {
    assert!(bites(file_length, "src/a.rs", &"\n".repeat(500)).is_empty());
    assert_eq!(bites(file_length, "src/a.rs", &"\n".repeat(501)), [1]);
}

#[test]
fn file_comment_bites() {
    assert!(bites(file_comment, "src/a.rs", "//! A.\n").is_empty());
    for text in ["", "use a;\n", "// A.\n", "/// A.\n", "\n//! A.\n"] {
        assert_eq!(bites(file_comment, "src/a.rs", text), [1], "{text}");
    }
}

#[test]
fn function_length_bites() {
    let function = |lines: usize| {
        format!("impl A {{\n    fn b(c: fn(u8)) -> [u8; 2] {{{}}}\n}}\n", "\n".repeat(lines - 1))
    };
    assert!(bites(function_length, "src/a.rs", &function(70)).is_empty());
    assert_eq!(bites(function_length, "src/a.rs", &function(71)), [2]);
    let declared = format!("trait A {{ fn b();{} }}", "\n".repeat(100));
    assert!(bites(function_length, "src/a.rs", &declared).is_empty());
    let braces = format!("fn a() {{ \"}}\"; // }}{}}}", "\n".repeat(70));
    assert_eq!(bites(function_length, "src/a.rs", &braces), [1]);
}
