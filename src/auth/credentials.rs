//! What a request says of who makes it: the `Authorization` header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The longest header that is looked at. Tokens for a hundred repositories with long names stay below it.
pub const AUTHORIZATION_MAX_BYTES: usize = 64 * 1024;

/// What a caller presents.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, or a token in its place (RFC 7617).
    Basic {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// A token (RFC 6750).
    Bearer(String),
}

/// It shows that there are some, and never which.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(..)",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

/// A header that says nothing that could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Authorization: expected Basic with a name and a password, or Bearer with a token")]
pub struct Unreadable;

impl Credentials {
    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<Self, Unreadable> {
        if value.len() > AUTHORIZATION_MAX_BYTES {
            return Err(Unreadable);
        }
        let (scheme, rest) = value.trim().split_once(' ').ok_or(Unreadable)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("Bearer") && !rest.is_empty() {
            return Ok(Self::Bearer(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Err(Unreadable);
        }
        let bytes = STANDARD.decode(rest).map_err(|_| Unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| Unreadable)?;
        let (name, password) = text.split_once(':').ok_or(Unreadable)?;
        Ok(Self::Basic { name: name.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> Result<Credentials, Unreadable> {
        Credentials::parse(&format!("Basic {}", STANDARD.encode(text)))
    }

    #[test]
    fn both_schemes_are_read() {
        let (name, password) = ("alice".to_owned(), "a:b c".to_owned());
        assert_eq!(basic("alice:a:b c"), Ok(Credentials::Basic { name, password }));
        assert_eq!(Credentials::parse("bearer  x.y "), Ok(Credentials::Bearer("x.y".to_owned())));
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for value in ["", "Basic", "Basic ", "Basic !", "Bearer", "Bearer ", "Digest abc", "x y z"] {
            assert_eq!(Credentials::parse(value), Err(Unreadable), "{value:?}");
        }
        assert_eq!(basic("no colon"), Err(Unreadable));
        let long = format!("Bearer {}", "x".repeat(AUTHORIZATION_MAX_BYTES));
        assert_eq!(Credentials::parse(&long), Err(Unreadable));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?} {:?}", basic("alice:secret"), Credentials::parse("Bearer secret"));
        assert!(!shown.contains("secret") && !shown.contains("alice"), "{shown}");
    }
}
