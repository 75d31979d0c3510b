//! Patterns of repository names.
//!
//! A pattern is read part by part, as a name is. `*` stands for any characters within a part, `**` as a whole
//! part for any number of parts: `team/*` is `team/app`, `team/**` also `team/app/cache` but not `team`
//! itself, `**/cache` is `cache` and `team/app/cache`, `**` is everything.

use std::cmp::Ordering;
use std::fmt;

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatternError {
    /// It or one of its parts is empty.
    #[error("a pattern has parts between its slashes, none of them empty")]
    EmptyPart,
    /// A character that no repository name can have.
    #[error("{0:?} cannot be part of a repository's name; a pattern has a-z 0-9 . _ - / and * or **")]
    Character(char),
    /// Two stars within a part.
    #[error("** has to be a whole part, as in team/**")]
    Stars,
}

/// A pattern of repository names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        for part in text.split('/') {
            if part.is_empty() {
                return Err(PatternError::EmptyPart);
            }
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_*".contains(c);
            if let Some(other) = part.chars().find(|&c| !allowed(c)) {
                return Err(PatternError::Character(other));
            }
            if part != "**" && part.contains("**") {
                return Err(PatternError::Stars);
            }
        }
        Ok(Self { text: text.to_owned() })
    }

    /// Whether the name is one of those the pattern stands for. Its cost is the product of the lengths,
    /// whatever the pattern is.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<&str> = name.split('/').collect();
        // Behind how many parts of the name the pattern's parts so far can end.
        let mut ends = vec![false; name.len() + 1];
        ends[0] = true;
        let mut parts = self.text.split('/').peekable();
        while let Some(part) = parts.next() {
            let mut next = vec![false; ends.len()];
            if part == "**" {
                // At the end it stands for at least one part: `team/**` is what is below team.
                let least = usize::from(parts.peek().is_none());
                for start in (0..ends.len()).filter(|&start| ends[start]) {
                    for end in next.iter_mut().skip(start + least) {
                        *end = true;
                    }
                }
            } else {
                for (index, &text) in name.iter().enumerate() {
                    next[index + 1] = ends[index] && part_matches(part, text);
                }
            }
            ends = next;
        }
        ends[name.len()]
    }

    /// Which of two patterns says more about a name that both match: part by part, a plain one more than one
    /// with `*`, that more than `**`; the first difference decides.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        self.weights().cmp(other.weights())
    }

    fn weights(&self) -> impl Iterator<Item = (u8, usize)> + '_ {
        self.text.split('/').map(|part| match part {
            "**" => (0, 0),
            part if part.contains('*') => (1, part.bytes().filter(|&byte| byte != b'*').count()),
            _ => (2, 0),
        })
    }
}

/// A pattern of tags: `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPattern(String);

impl TagPattern {
    /// Reads a pattern. None: no tag could be of its form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte);
        (!text.is_empty() && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// Whether the tag is one of those the pattern stands for.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        part_matches(&self.0, tag)
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a part of a name is what a part of a pattern says. A star takes as little as it can; when what is
/// behind it does not fit, it alone takes one more, since whatever an earlier star took, it could take, too.
fn part_matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().expect("splitting gives at least one piece");
    for piece in pieces {
        let Some(found) = text.find(piece) else { return false };
        text = &text[found + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn patterns_match_what_they_say() {
        for (text, matching, other) in [
            ("ci/**", &["ci/a", "ci/a/b"][..], &["ci", "cix/a", "a/ci/b"][..]),
            ("**", &["a", "a/b"], &[]),
            ("*", &["a", "a-b"], &["a/b"]),
            ("team/*", &["team/app"], &["team", "team/app/cache"]),
            ("**/cache", &["cache", "a/cache", "a/b/cache"], &["a/cache/b", "acache"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a", "b", "a/b/c"]),
            ("a*b*c/x", &["abc/x", "a1b2c/x", "abbcc/x"], &["acb/x", "abc", "ab/x"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("plain/name", &["plain/name"], &["plain/name2", "plain"]),
        ] {
            for name in matching {
                assert!(pattern(text).matches(name), "{text} {name}");
            }
            for name in other {
                assert!(!pattern(text).matches(name), "{text} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "/", "a//b", "a/", "A", "a b", "a**", "**a", "***", "a/{user}", "\u{e4}"] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_plainer_pattern_is_the_more_specific() {
        let ordered = ["**", "**/x", "*", "*/x", "ci*", "ci", "ci/**", "ci/**/b", "ci/*", "ci/a*", "ci/app"];
        for pair in ordered.windows(2) {
            assert_eq!(pattern(pair[0]).specificity(&pattern(pair[1])), Ordering::Less, "{pair:?}");
        }
    }

    /// The same question answered by trying everything.
    fn matches_by_search(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| matches_by_search(rest, &text[taken..])),
            Some((byte, rest)) => text.first() == Some(byte) && matches_by_search(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_part_matches_as_a_search_finds(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            let found = matches_by_search(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(part_matches(&pattern, &text), found);
        }

        #[test]
        fn any_text_is_a_pattern_or_refused(text in ".{0,40}", name in "[a-c/*]{0,20}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let _ = pattern.matches(&name);
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
