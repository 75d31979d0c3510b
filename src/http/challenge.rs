//! `WWW-Authenticate`: what a client is to do to be let in (RFC 7235, section 4.1; Distribution's "Token
//! Authentication Specification").

use super::origin::Origin;
use crate::auth::bearer::SERVICE;
use crate::config::{Challenge, Config};
use std::fmt::Write as _;

/// The header's value. Every value is quoted, and the realm is a URL that the client can reach: docker and
/// containerd read it so.
#[must_use]
pub fn challenge(origin: &Origin, config: &Config, scope: Option<&str>, error: Option<&str>) -> String {
    if config.challenge == Challenge::Basic {
        return password_challenge();
    }
    let mut value = format!("Bearer realm=\"{}/token\",service=\"{SERVICE}\"", origin.base_url(config));
    for (key, text) in [("scope", scope), ("error", error)] {
        if let Some(text) = text {
            write!(value, ",{key}=\"{text}\"").expect("a String takes every write");
        }
    }
    value
}

/// The value that asks for name and password themselves (RFC 7617).
#[must_use]
pub fn password_challenge() -> String {
    format!("Basic realm=\"{SERVICE}\"")
}
