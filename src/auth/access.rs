//! What a caller may do.

use std::fmt;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading: manifests, blobs, tags, referrers, the catalog.
    Pull,
    /// Writing: uploads, mounts, manifests, tags. Giving up one's own upload is part of it.
    Push,
    /// Deleting manifests, tags and blobs.
    Delete,
}

impl Action {
    const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// The word for it in `--anonymous`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// A word that is no action.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no action: expected a list such as pull or pull,push,delete")]
pub struct AccessError(String);

/// What everybody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    anonymous: Vec<Action>,
}

impl Access {
    /// Everything is allowed: right where only this machine can call.
    #[must_use]
    pub fn everything() -> Self {
        Self { anonymous: Action::ALL.to_vec() }
    }

    /// Reads a list such as `pull,push,delete`.
    pub fn parse(list: &str) -> Result<Self, AccessError> {
        let action = |word: &str| Action::ALL.into_iter().find(|action| action.word() == word.trim());
        let anonymous = list
            .split(',')
            .map(|word| action(word).ok_or_else(|| AccessError(word.trim().to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { anonymous })
    }

    /// Whether a caller without credentials may do it.
    #[must_use]
    pub fn allows(&self, action: Action) -> bool {
        self.anonymous.contains(&action)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.anonymous.iter().map(|action| action.word()).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names() {
        let access = Access::parse("pull, push").unwrap();
        assert!(access.allows(Action::Pull) && access.allows(Action::Push) && !access.allows(Action::Delete));
        assert_eq!(access.to_string(), "pull,push");
        for list in ["", "read", "pull,", "pull;push", "PULL"] {
            assert!(Access::parse(list).is_err(), "{list}");
        }
    }
}
