//! Patterns of repository names.
//!
//! A pattern is read part by part, as a name is. `*` stands for any characters within a part, `**` as a whole
//! part for any number of parts: `team/*` is `team/app`, `team/**` also `team/app/cache` but not `team`
//! itself, `**/cache` is `cache` and `team/app/cache`, `**` is everything. In rules of access `{user}` stands
//! for the caller's own name as well.

use std::cmp::Ordering;
use std::fmt;

/// What stands for the caller's own name in a pattern of an access rule.
const USER: &str = "{user}";

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
    /// whatever the pattern is, and nothing is allocated: every request asks it.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        names_match(&self.text, name, part_matches)
    }

    /// Which of two patterns says more about a name that both match: part by part, a plain one more than one
    /// with `*`, that more than `**`; the first difference decides.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        weights(&self.text).cmp(weights(&other.text))
    }

    /// What every name begins with that the pattern stands for.
    #[must_use]
    pub fn beginning(&self) -> &str {
        self.text.split('*').next().unwrap_or_default()
    }

    /// Whether it stands for one name alone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.text.contains('*')
    }

    /// Whether it stands for every name and is the least specific pattern there is: `**`.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.text == "**"
    }
}

/// A pattern of an access rule: one in which `{user}`, as a part or within one, is the caller's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPattern {
    text: String,
}

impl AccessPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Pattern::parse(&text.replace(USER, "user"))?;
        Ok(Self { text: text.to_owned() })
    }

    /// Whether the name is one of those the pattern stands for. `user` is the caller's name if it can be a
    /// part of a repository's name; without it a pattern with `{user}` stands for nothing.
    #[must_use]
    pub fn matches(&self, name: &str, user: Option<&str>) -> bool {
        names_match(&self.text, name, |part, text| match (part.contains(USER), user) {
            (false, _) => part_matches(part, text),
            (true, None) => false,
            (true, Some(user)) if part == USER => user == text,
            (true, Some(user)) => part_matches(&part.replace(USER, user), text),
        })
    }

    /// Which of two patterns says more about a name that both match, as [`Pattern::specificity`] has it.
    /// `{user}` is plain text and as long as it is written.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        weights(&self.text).cmp(weights(&other.text))
    }

    /// Whether it stands for every name and is the least specific pattern there is: `**`.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.text == "**"
    }

    /// Whether `{user}` is in it.
    #[must_use]
    pub fn names_the_caller(&self) -> bool {
        self.text.contains(USER)
    }

    /// What it is for one caller, whose name can be a part of a repository's name or is not said. None:
    /// nothing.
    #[must_use]
    pub fn of(&self, user: Option<&str>) -> Option<Pattern> {
        match user {
            Some(user) => Pattern::parse(&self.text.replace(USER, user)).ok(),
            None => Pattern::parse(&self.text).ok(),
        }
    }
}

/// How much each part of a pattern says.
fn weights(pattern: &str) -> impl Iterator<Item = (u8, usize)> + '_ {
    pattern.split('/').map(|part| match part {
        "**" => (0, 0),
        part if part.contains('*') => (1, part.bytes().filter(|&byte| byte != b'*').count()),
        _ => (2, 0),
    })
}

/// Whether a name is what a pattern says. A `**` takes as few parts as it can; when what is behind it does
/// not fit, the last one takes one more, since whatever an earlier one took, it could take, too.
fn names_match(pattern: &str, name: &str, part_matches: impl Fn(&str, &str) -> bool) -> bool {
    let (mut pattern, mut rest) = (pattern.split('/'), name.split('/'));
    // What is behind the last `**`, and the parts of the name from the first that it did not take.
    let mut behind = None;
    loop {
        let fits = match pattern.next() {
            // At the end it stands for at least one part: `team/**` is what is below team.
            Some("**") if pattern.clone().next().is_none() => return rest.next().is_some(),
            Some("**") => {
                behind = Some((pattern.clone(), rest.clone()));
                continue;
            }
            Some(part) => rest.next().is_some_and(|text| part_matches(part, text)),
            None if rest.next().is_none() => return true,
            None => false,
        };
        if !fits {
            let Some((after, from)) = &mut behind else { return false };
            if from.next().is_none() {
                return false;
            }
            (pattern, rest) = (after.clone(), from.clone());
        }
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

impl fmt::Display for AccessPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
    let Some((pieces, last)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    for piece in pieces.split('*') {
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

    #[test]
    fn the_callers_name_stands_in_the_pattern() {
        let matches = |text: &str, name: &str, user| AccessPattern::parse(text).unwrap().matches(name, user);
        assert!(matches("home/{user}/**", "home/ann/app", Some("ann")));
        assert!(!matches("home/{user}/**", "home/bob/app", Some("ann")));
        assert!(!matches("home/{user}/**", "home/ann", Some("ann")));
        assert!(matches("home-{user}*/x", "home-ann-2/x", Some("ann")));
        assert!(!matches("home-{user}/x", "home-anne/x", Some("ann")));
        assert!(matches("{user}/{user}", "ann/ann", Some("ann")) && !matches("{user}", "user", None));
        assert!(matches("**", "a/b", None), "a pattern without it needs no name");
        for text in ["{users}", "{user", "{}", "**{user}", "a//{user}", "{USER}", ""] {
            assert!(AccessPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_callers_name_is_as_specific_as_any_plain_part() {
        let order = |one: &str, other: &str| {
            AccessPattern::parse(one).unwrap().specificity(&AccessPattern::parse(other).unwrap())
        };
        assert_eq!(order("home/{user}/**", "home/ann/**"), Ordering::Equal);
        assert_eq!(order("home/x-{user}/**", "home/ann/**"), Ordering::Equal);
        assert_eq!(order("home/{user}/**", "home/a*/**"), Ordering::Greater);
        assert_eq!(order("home/{user}*/**", "home/ann/**"), Ordering::Less);
    }

    #[test]
    fn what_names_begin_with_is_said() {
        for (text, beginning, is_plain) in
            [("**", "", false), ("a/**", "a/", false), ("a/b*/c", "a/b", false), ("a/b", "a/b", true)]
        {
            let pattern = pattern(text);
            assert_eq!((pattern.beginning(), pattern.is_plain()), (beginning, is_plain), "{text}");
        }
        let home = AccessPattern::parse("home/{user}/**").unwrap();
        assert_eq!(home.of(Some("ann")).unwrap().to_string(), "home/ann/**");
        assert_eq!(home.of(None), None);
    }

    /// The same question answered by keeping all ends at once, with the parts of the name in a list.
    fn matches_by_table(pattern: &str, name: &str) -> bool {
        let name: Vec<&str> = name.split('/').collect();
        // Behind how many parts of the name the pattern's parts so far can end.
        let mut ends = vec![false; name.len() + 1];
        ends[0] = true;
        let mut parts = pattern.split('/').peekable();
        while let Some(part) = parts.next() {
            let mut next = vec![false; ends.len()];
            if part == "**" {
                let least = usize::from(parts.peek().is_none());
                for start in (0..ends.len()).filter(|&start| ends[start]) {
                    next.iter_mut().skip(start + least).for_each(|end| *end = true);
                }
            } else {
                for (index, &text) in name.iter().enumerate() {
                    next[index + 1] = ends[index] && matches_by_search(part.as_bytes(), text.as_bytes());
                }
            }
            ends = next;
        }
        ends[name.len()]
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
        fn a_name_matches_as_a_table_finds(
            pattern in "([ab]|a\\*|\\*|\\*\\*)(/([ab]|a\\*|\\*|\\*\\*)){0,5}",
            name in "(a|b|ab)(/(a|b|ab)){0,6}",
        ) {
            let found = matches_by_table(&pattern, &name);
            prop_assert_eq!(Pattern::parse(&pattern).unwrap().matches(&name), found);
            prop_assert_eq!(AccessPattern::parse(&pattern).unwrap().matches(&name, None), found);
        }

        #[test]
        fn the_callers_name_is_what_it_is_replaced_by(
            pattern in "([ab]|\\{user\\}|a\\{user\\}|\\*\\{user\\}|\\*\\*)\
                        (/([ab]|\\{user\\}|\\*|\\*\\*)){0,3}",
            name in "(a|b|ab)(/(a|b|ab)){0,4}",
            user in "(a|b|ab)",
        ) {
            let pattern = AccessPattern::parse(&pattern).unwrap();
            let of_user = pattern.of(Some(&user)).unwrap();
            prop_assert_eq!(pattern.matches(&name, Some(&user)), of_user.matches(&name));
            prop_assert!(!of_user.matches(&name) || name.starts_with(of_user.beginning()));
            prop_assert!(!pattern.names_the_caller() || !pattern.matches(&name, None));
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
