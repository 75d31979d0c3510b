//! A source file, and the tokens of its code.

use super::Violation;

/// A source file in the forms that the rules read.
pub struct Source {
    /// The path from the root of the repository.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The same with comments and the contents of literals blanked: offsets and lines are those of `text`.
    pub code: String,
    /// Whether all of it is compiled for tests or benches only.
    pub is_test: bool,
}

/// A word, `::`, or a single character of punctuation, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub at: usize,
}

/// A path such as `a::b::c`, written out in full where it stands in a group of a `use`.
#[derive(Debug, PartialEq, Eq)]
pub struct PathUse<'a> {
    pub names: Vec<&'a str>,
    /// Where its own last part begins.
    pub at: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let is_test = path.starts_with("tests/") || path.starts_with("benches/");
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank_comments_and_literals(text),
            is_test,
        }
    }

    /// The code without what only tests compile: items under `#[cfg(test)]`, or all of a test file.
    pub fn production(&self) -> String {
        if self.is_test {
            return String::new();
        }
        let mut code = self.code.clone().into_bytes();
        for (start, end) in test_items(&self.code) {
            blank(&mut code[start..end]);
        }
        String::from_utf8(code).expect("blanking keeps UTF-8")
    }

    pub fn violation(&self, at: usize, rule: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line: self.line_of(at), rule: rule.into() }
    }

    /// The number of the line that holds the byte at `at`, from one.
    pub fn line_of(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }
}

/// Replaces every byte but line ends by a blank.
fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

/// Blanks comments and the contents of strings and characters; the quotes stay.
fn blank_comments_and_literals(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < code.len() {
        let rest = &text.as_bytes()[at..];
        let (length, quotes) = match rest {
            [b'/', b'/', ..] => (rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()), 0),
            [b'/', b'*', ..] => (block_comment_length(rest), 0),
            [b'"', ..] => (string_length(rest), 1),
            [b'\'', ..] => (character_length(rest).unwrap_or(0), 1),
            [first, ..] if is_word(*first) => {
                let word = rest.iter().take_while(|byte| is_word(**byte)).count();
                let raw =
                    matches!(&rest[..word], b"r" | b"br" | b"cr").then(|| raw_string_length(&rest[word..]));
                at += word;
                (raw.flatten().unwrap_or(0), 0)
            }
            _ => (0, 0),
        };
        if length == 0 {
            at += usize::from(!rest.first().is_some_and(|byte| is_word(*byte)));
        } else {
            blank(&mut code[at + quotes..(at + length).saturating_sub(quotes).max(at + quotes)]);
            at += length;
        }
    }
    String::from_utf8(code).expect("whole characters are blanked")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Block comments nest.
fn block_comment_length(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a string from its opening to its closing quote.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal, or `None` where the quote begins a lifetime.
fn character_length(rest: &[u8]) -> Option<usize> {
    match rest {
        // The byte behind the backslash is escaped, whatever it is.
        [_, b'\\', _, behind @ ..] => Some(behind.iter().position(|byte| *byte == b'\'')? + 4),
        [_, first, b'\'', ..] if *first != b'\'' => Some(3),
        [_, first, behind @ ..] if !first.is_ascii() => {
            Some(behind.iter().take(4).position(|byte| *byte == b'\'')? + 3)
        }
        _ => None,
    }
}

/// The length of what follows the `r` of a raw string, or `None` where it is none, as in `r#type`.
fn raw_string_length(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'#'; hashes + 1];
    close[0] = b'"';
    let behind = &rest[hashes + 1..];
    let length = behind.windows(close.len()).position(|window| window == close);
    Some(length.map_or(rest.len(), |length| hashes + 1 + length + close.len()))
}

/// The tokens of blanked code.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = match &bytes[at..] {
            [first, ..] if is_word(*first) => bytes[at..].iter().take_while(|byte| is_word(**byte)).count(),
            [b':', b':', ..] => 2,
            [first, ..] if first.is_ascii_whitespace() || !first.is_ascii() => 0,
            _ => 1,
        };
        if length > 0 {
            found.push(Token { text: &code[at..at + length], at });
        }
        at += length.max(1);
    }
    found
}

/// Whether the tokens at `i` are these.
pub fn follows(tokens: &[Token<'_>], i: usize, expected: &[&str]) -> bool {
    tokens.len() >= i + expected.len()
        && tokens[i..].iter().zip(expected).all(|(token, text)| token.text == *text)
}

/// The index behind the bracket that closes the one at `open`.
pub fn behind_bracket(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// The index behind the item that begins at `i`: behind its semicolon or its body.
pub fn behind_item(tokens: &[Token<'_>], mut i: usize) -> usize {
    while let Some(token) = tokens.get(i) {
        match token.text {
            ";" => return i + 1,
            "{" => {
                let behind = behind_bracket(tokens, i);
                return behind + usize::from(follows(tokens, behind, &[";"]));
            }
            "(" | "[" => i = behind_bracket(tokens, i),
            // The end of what encloses it: a field or a variant that no comma follows.
            ")" | "]" | "}" => return i,
            _ => i += 1,
        }
    }
    i
}

/// The spans of the items under `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let tokens = tokens(code);
    let mut spans = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        if is_cfg_test(&tokens, i) {
            let end = tokens.get(behind_item(&tokens, i + 7)).map_or(code.len(), |token| token.at);
            spans.push((token.at, end));
        }
    }
    spans
}

/// Whether `#[cfg(test)]` stands at `i`; it has seven tokens.
pub fn is_cfg_test(tokens: &[Token<'_>], i: usize) -> bool {
    follows(tokens, i, &["#", "[", "cfg", "(", "test", ")", "]"])
}

/// Every path in the code, a lone word being one too.
pub fn paths<'a>(tokens: &[Token<'a>]) -> Vec<PathUse<'a>> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        i = read_path(tokens, i, &[], &mut found);
    }
    found
}

/// Reads the path or group at `i` below `prefix` and returns the index behind it.
fn read_path<'a>(
    tokens: &[Token<'a>],
    mut i: usize,
    prefix: &[&'a str],
    found: &mut Vec<PathUse<'a>>,
) -> usize {
    if !prefix.is_empty() && follows(tokens, i, &["as"]) {
        // The new name is no path.
        return i + 2;
    }
    let is_name = |i: usize| tokens.get(i).is_some_and(|token| is_word(token.text.as_bytes()[0]));
    let mut names = prefix.to_vec();
    let mut last = None;
    while is_name(i) {
        names.push(tokens[i].text);
        last = Some(tokens[i].at);
        i += 1;
        // With a blank before it, as in `use ::a`, it begins a path of its own.
        if !follows(tokens, i, &["::"]) || tokens[i].at != tokens[i - 1].at + tokens[i - 1].text.len() {
            break;
        }
        i += 1;
    }
    let is_group = i > 0 && follows(tokens, i - 1, &["::", "{"]);
    if let (false, Some(at)) = (is_group, last) {
        found.push(PathUse { names, at });
        return i;
    }
    if !is_group {
        return i + 1;
    }
    let end = behind_bracket(tokens, i);
    i += 1;
    while i < end {
        i = read_path(&tokens[..end], i, &names, found);
    }
    end
}

#[test]
fn comments_and_literals_are_blanked() {
    let blanked = |text| blank_comments_and_literals(text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(blanked("a // b\nc /* d /* e */ f */ g"), "a c g");
    assert_eq!(
        blanked(r#"a("b\"c", b"d", 'e', '\'', '"', b'f') g"#),
        r#"a(" ", b" ", ' ', ' ', ' ', b' ') g"#
    );
    assert_eq!(blanked("fn a<'b>(c: &'b str) // '"), "fn a<'b>(c: &'b str)");
    assert_eq!(blanked("r#type + r#\"a\"b\"# + br\"\\\" + c"), "r#type + r + br + c");
    assert_eq!(blanked("'\\u{1f600}' + '\\\\' + '\u{e9}' + \"// a\" + b"), "' ' + ' ' + ' ' + \" \" + b");
    assert_eq!(blank_comments_and_literals("a /* \n */ b").lines().count(), 2);
}

#[test]
fn test_items_are_not_production() {
    let text = "fn a() {}\n#[cfg(test)]\nmod t {\n fn b() {c[1]}\n}\n#[cfg(test)]\nuse d::{e};\nfn f() {}\n\
                enum G {\n  #[cfg(test)]\n  H,\n}\nfn i() {}\n";
    let production = Source::new("src/a.rs", text).production();
    let words: Vec<&str> = production.split_whitespace().collect();
    assert_eq!(words.join(" "), "fn a() {} fn f() {} enum G { } fn i() {}");
    assert_eq!(production.len(), text.len());
    assert_eq!(Source::new("tests/a.rs", text).production(), "");
}

#[test]
fn paths_are_written_out() {
    let code = "use a::{b, c::{d, e as f}, self}; g::<h>(i::j::k); use ::l::m; crate::n!(); o.p()";
    let tokens = tokens(code);
    let found: Vec<String> = paths(&tokens).iter().map(|path| path.names.join("::")).collect();
    let expected = [
        "use", "a::b", "a::c::d", "a::c::e", "a::self", "g", "h", "i::j::k", "use", "l::m", "crate::n", "o",
        "p",
    ];
    assert_eq!(found, expected);
}
