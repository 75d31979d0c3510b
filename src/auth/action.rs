//! What can be done to a repository.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading: manifests, blobs, tags, referrers, history, and being listed in the catalog.
    Pull,
    /// Adding: uploads, mounts, manifests, tags that are not there yet. Giving up one's own upload is part of
    /// it.
    Create,
    /// Adding, and making tags name another manifest than before.
    Push,
    /// Deleting manifests, tags and blobs.
    Delete,
    /// All of it, and what only those do who run the registry.
    Admin,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 5] = [Self::Pull, Self::Create, Self::Push, Self::Delete, Self::Admin];

    /// The word for it in the configuration and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Create => "create",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }

    /// The action of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A word that is no action.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no action: expected a list of pull, create, push, delete and admin, such as pull,push")]
pub struct ActionError(pub String);

/// Some actions, with those that they imply: `push` has `create` in it, `admin` all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actions(u8);

impl Actions {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(
        Action::Pull.bit()
            | Action::Create.bit()
            | Action::Push.bit()
            | Action::Delete.bit()
            | Action::Admin.bit(),
    );

    /// These and what they imply.
    #[must_use]
    pub fn of(actions: &[Action]) -> Self {
        actions.iter().fold(Self::NONE, |all, &action| {
            all.and(match action {
                Action::Admin => Self::ALL,
                Action::Push => Self(Action::Push.bit() | Action::Create.bit()),
                action => Self(action.bit()),
            })
        })
    }

    /// Reads a list such as `pull,push`.
    pub fn parse(list: &str) -> Result<Self, ActionError> {
        let actions = list.split(',').map(str::trim);
        let actions = actions.map(|word| Action::parse(word).ok_or_else(|| ActionError(word.to_owned())));
        Ok(Self::of(&actions.collect::<Result<Vec<_>, _>>()?))
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that both have.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, without those that another of them implies.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let implied = move |action| match action {
            Action::Admin => false,
            Action::Create => self.has(Action::Push) || self.has(Action::Admin),
            _ => self.has(Action::Admin),
        };
        let said = Action::ALL.into_iter().filter(move |&action| self.has(action) && !implied(action));
        said.map(Action::word)
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names_and_what_that_implies() {
        let actions = Actions::parse("pull, push").unwrap();
        assert!(actions.has(Action::Pull) && actions.has(Action::Push) && actions.has(Action::Create));
        assert!(!actions.has(Action::Delete) && !actions.has(Action::Admin));
        assert_eq!(actions.to_string(), "pull,push");
        assert_eq!(Actions::parse("admin").unwrap(), Actions::ALL);
        assert_eq!(Actions::ALL.to_string(), "admin");
        assert_eq!(Actions::parse("create").unwrap().to_string(), "create");
        for list in ["", "read", "pull,", "pull;push", "PULL"] {
            assert!(Actions::parse(list).is_err(), "{list}");
        }
    }
}
