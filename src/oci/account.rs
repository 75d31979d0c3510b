//! The names of users and robots, and secrets on their way.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name of a user or a robot in bytes.
const USER_NAME_MAX_BYTES: usize = 64;

/// Names that stand for something else in rules and histories.
pub const TAKEN_NAMES: [&str; 6] = ["anonymous", "users", "robot", "local", "rule", "collector"];

/// Whether a name stands for something else, also as histories write it: `anonymous@` and an address.
#[must_use]
pub fn is_taken(name: &str) -> bool {
    TAKEN_NAMES.contains(&name.split('@').next().unwrap_or(name))
}

/// The string is not a name. It is not repeated: it may hold anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// Against the grammar.
    #[error(
        "malformed name: expected 1 to {USER_NAME_MAX_BYTES} lower-case letters, digits, '.', '_', '-' and \
         '@', the first a letter or a digit"
    )]
    Malformed,
    /// A name that means something else.
    #[error("{} stand for something else in rules: choose another name", TAKEN_NAMES.join(", "))]
    Taken,
}

/// The name of a user or of a robot: `[a-z0-9][a-z0-9._@-]{0,63}`. It holds no colon, which ends the name in
/// HTTP's Basic authentication (RFC 7617, section 2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// Checks `name` against the grammar.
    pub fn parse(name: &str) -> Result<Self, UserNameError> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match name.as_bytes() {
            [first, rest @ ..]
                if word(*first)
                    && rest.len() < USER_NAME_MAX_BYTES
                    && rest.iter().all(|&byte| word(byte) || b"._@-".contains(&byte)) => {}
            _ => return Err(UserNameError::Malformed),
        }
        if is_taken(name) { Err(UserNameError::Taken) } else { Ok(Self(name.to_owned())) }
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that is not shown: what is printed for debugging, and so logged, says only that it is there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden<T>(T);

impl<T> Hidden<T> {
    /// Hides a value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. It must not be logged or put into an error.
    #[must_use]
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_what_rules_and_headers_can_hold() {
        for name in ["a", "0", "alice", "a.b-c_d@example.org", &"a".repeat(64)] {
            assert_eq!(UserName::parse(name).unwrap().as_str(), name);
        }
        for name in
            ["", "-a", ".a", "@a", "_", "Alice", "a b", "a:b", "a/b", "\u{e9}", "a\n", "a\0", &"a".repeat(65)]
        {
            assert_eq!(UserName::parse(name), Err(UserNameError::Malformed), "{name:?}");
        }
        for name in TAKEN_NAMES {
            assert_eq!(UserName::parse(name), Err(UserNameError::Taken), "{name}");
        }
    }

    #[test]
    fn what_is_hidden_is_not_shown() {
        let hidden = Hidden::new("secret".to_owned());
        assert!(!format!("{hidden:?} {:?}", Some(&hidden)).contains("secret"));
        assert_eq!(hidden.reveal(), "secret");
    }
}
