//! Where in the order of names the repositories are that a caller may pull, so that a list of a few among a
//! million goes to them at once.

use crate::config::Pattern;

/// The places in the order of names (that of their bytes) at which repositories can be that a caller may
/// pull. Not every name there is one: ask the policy for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeing {
    /// Sorted, and none overlaps another.
    places: Vec<Place>,
    is_everything: bool,
}

/// A name, or all names that begin alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    text: String,
    is_name: bool,
}

impl Place {
    fn holds(&self, name: &str) -> bool {
        if self.is_name { name == self.text } else { name.starts_with(&self.text) }
    }
}

impl Seeing {
    /// Every name that there can be.
    #[must_use]
    pub fn everything() -> Self {
        Self { places: vec![Place { text: String::new(), is_name: false }], is_everything: true }
    }

    /// What the patterns stand for.
    #[must_use]
    pub fn of(patterns: &[Pattern]) -> Self {
        if patterns.iter().any(Pattern::is_everything) {
            Self::everything()
        } else {
            Self::in_parts(patterns)
        }
    }

    /// The same where other rules take something back, so that even `**` is not everything.
    pub(super) fn in_parts(patterns: &[Pattern]) -> Self {
        let place =
            |pattern: &Pattern| Place { text: pattern.beginning().to_owned(), is_name: pattern.is_plain() };
        let mut places: Vec<_> = patterns.iter().map(place).collect();
        places.sort();
        // Names that begin alike follow each other, behind what they begin with.
        places.dedup_by(|next, before| before.holds(&next.text));
        Self { places, is_everything: false }
    }

    /// Whether the caller may pull every repository that there can be, so that no name has to be asked for.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// Whether there is nothing that the caller may pull.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.places.is_empty()
    }

    /// The least text from `from` on, that itself among them, at which such a name can be. None: there is no
    /// more.
    #[must_use]
    pub fn seek<'a>(&'a self, from: &'a str) -> Option<&'a str> {
        let behind = self.places.partition_point(|place| place.text.as_str() <= from);
        // Of those that begin before it only the last can reach it.
        let before = behind.checked_sub(1).map(|last| &self.places[last]);
        if before.is_some_and(|place| place.holds(from)) {
            return Some(from);
        }
        self.places.get(behind).map(|place| place.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seeing(patterns: &[&str]) -> Seeing {
        let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        Seeing::of(&patterns)
    }

    #[test]
    fn a_list_goes_to_where_names_can_be() {
        let seeing = seeing(&["team/**", "public/app", "team/a/*", "b*"]);
        assert_eq!(seeing.seek(""), Some("b"));
        assert_eq!(seeing.seek("bx/y"), Some("bx/y"));
        assert_eq!(seeing.seek("c"), Some("public/app"));
        assert_eq!(seeing.seek("public/app"), Some("public/app"));
        assert_eq!(seeing.seek("public/app2"), Some("team/"));
        assert_eq!(seeing.seek("team/z"), Some("team/z"));
        assert_eq!(seeing.seek("team0"), None);
        assert!(!seeing.is_everything() && !seeing.is_nothing());
        assert!(self::seeing(&[]).is_nothing() && self::seeing(&[]).seek("").is_none());
        assert!(self::seeing(&["a", "**"]).is_everything());
        assert_eq!(self::seeing(&["**"]).seek("x"), Some("x"));
    }

    proptest! {
        #[test]
        fn nothing_that_matches_is_passed_over(
            patterns in prop::collection::vec("(a|b|a\\*|\\*|\\*\\*)(/(a|b|b\\*|\\*\\*)){0,2}", 0..5),
            mut names in prop::collection::vec("(a|b|ab)(/(a|b|ab)){0,3}", 0..30),
            from in "[ab/]{0,5}",
        ) {
            let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
            let seeing = Seeing::of(&patterns);
            names.sort();
            names.dedup();
            let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
            let next = names.iter().find(|name| name.as_str() >= from.as_str() && matches(name));
            let place = seeing.seek(&from);
            prop_assert!(place.is_none_or(|place| place >= from.as_str()));
            if let Some(next) = next {
                prop_assert!(place.is_some_and(|place| place <= next.as_str()), "{next} behind {place:?}");
                prop_assert_eq!(seeing.seek(next), Some(next.as_str()));
            }
            // Nothing lies between it and where it leads: no text there begins as a pattern does.
            for name in names.iter().filter(|name| name.as_str() >= from.as_str()) {
                let could = patterns.iter().any(|pattern| {
                    let beginning = pattern.beginning();
                    if pattern.is_plain() { beginning == name } else { name.starts_with(beginning) }
                });
                prop_assert_eq!(seeing.seek(name) == Some(name.as_str()), could, "{}", name);
            }
        }
    }
}
