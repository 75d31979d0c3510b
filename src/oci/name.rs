//! Repository names, tags, and the references of a manifest (distribution-spec, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::digest::{Digest, DigestError};

/// The longest repository name in bytes. The specification notes that many clients refuse a host name and a
/// repository name of more than 255 characters together.
pub const NAME_MAX_BYTES: usize = 255;

/// The longest tag in bytes (distribution-spec, "Pulling manifests").
pub const TAG_MAX_BYTES: usize = 128;

/// Why a string is not a repository name. It does not repeat the string, which may hold anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The empty string.
    #[error("empty repository name: expected segments of lower-case letters and digits, such as team/app")]
    Empty,
    /// More than [`NAME_MAX_BYTES`].
    #[error("repository name too long: expected at most {NAME_MAX_BYTES} bytes, found {bytes}")]
    TooLong {
        /// The length found.
        bytes: usize,
    },
    /// Against the grammar.
    #[error(
        "malformed repository name at byte {at}: expected segments joined by '/', each of lower-case letters \
         and digits that may be joined by '.', '_', '__' or any number of '-'"
    )]
    Malformed {
        /// Where the first byte stands that cannot be part of a name, or the end.
        at: usize,
    },
}

/// A repository name:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`
/// (distribution-spec, "Pulling manifests").
///
/// As each segment begins with a letter or digit, `..`, `_catalog` and `_oci` cannot be segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// Checks `name` against the grammar and the length limit.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > NAME_MAX_BYTES {
            return Err(NameError::TooLong { bytes: name.len() });
        }
        match first_fault(name.as_bytes()) {
            None => Ok(Self(name.to_owned())),
            Some(at) => Err(NameError::Malformed { at }),
        }
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::parse(name)
    }
}

/// Where `name` leaves the grammar, if it does. The grammar alternates runs of letters and digits with
/// separators, and neither begins nor ends with a separator.
fn first_fault(name: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let run = count(&name[at..], |b| b.is_ascii_lowercase() || b.is_ascii_digit());
        at += run;
        if run == 0 {
            return Some(at);
        }
        at += match &name[at..] {
            [] => return None,
            [b'_', b'_', ..] => 2,
            [b'/' | b'.' | b'_', ..] => 1,
            [b'-', rest @ ..] => 1 + count(rest, |b| b == b'-'),
            _ => return Some(at),
        };
    }
}

fn count(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| wanted(**b)).count()
}

/// The string is not a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "malformed tag: expected 1 to {TAG_MAX_BYTES} letters, digits, '_', '.' and '-', the first not '.' or '-'"
)]
pub struct TagError;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// Checks `tag` against the grammar.
    pub fn parse(tag: &str) -> Result<Self, TagError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        match tag.as_bytes() {
            [first, rest @ ..]
                if word(*first)
                    && rest.len() < TAG_MAX_BYTES
                    && rest.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')) =>
            {
                Ok(Self(tag.to_owned()))
            }
            _ => Err(TagError),
        }
    }

    /// The tag as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(tag: &str) -> Result<Self, TagError> {
        Self::parse(tag)
    }
}

/// Why a string is neither a tag nor a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// Without a colon, so it can only be a tag, and it is none.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// With a colon, so it can only be a digest, and it is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// How a request names a manifest (distribution-spec, "Pulling manifests": `<reference>`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// By a tag.
    Tag(Tag),
    /// By the digest of its bytes.
    Digest(Digest),
}

impl Reference {
    /// Reads a digest where there is a colon, which no tag can hold, and a tag elsewhere.
    pub fn parse(reference: &str) -> Result<Self, ReferenceError> {
        if reference.contains(':') {
            Ok(Self::Digest(Digest::parse(reference)?))
        } else {
            Ok(Self::Tag(Tag::parse(reference)?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(reference: &str) -> Result<Self, ReferenceError> {
        Self::parse(reference)
    }
}

#[cfg(test)]
mod tests;
