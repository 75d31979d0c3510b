//! What a caller may do.

use super::action::{Action, ActionError, Actions};
use std::fmt;

/// What everybody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    anonymous: Actions,
}

impl Access {
    /// Everything is allowed: right where only this machine can call.
    #[must_use]
    pub fn everything() -> Self {
        Self { anonymous: Actions::ALL }
    }

    /// Reads a list such as `pull,push,delete`.
    pub fn parse(list: &str) -> Result<Self, ActionError> {
        Actions::parse(list).map(|anonymous| Self { anonymous })
    }

    /// Whether a caller without credentials may do it.
    #[must_use]
    pub fn allows(&self, action: Action) -> bool {
        self.anonymous.has(action)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.anonymous.fmt(f)
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
