//! Where a blob's file stands.

use crate::oci::{Digest, SessionId};
use std::path::PathBuf;

/// The place of one stored file. The digest lets a person check it with `sha256sum`; the session makes the
/// name one that was never used before and never will be again, so unlinking it can never hit other bytes
/// (I6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// What the bytes hash to.
    pub digest: Digest,
    /// The upload they came by.
    pub session: SessionId,
}

impl Location {
    /// The directory below blobs/: `<algorithm>/<first two hexadecimal digits>`.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        let hex = self.digest.hex();
        PathBuf::from(self.digest.algorithm().as_str()).join(&hex[..2])
    }

    /// The path below blobs/: `<algorithm>/<2 hex>/<hex>.<session>`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory().join(self.file_name())
    }

    /// The last part of the path.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.digest.hex(), self.session)
    }

    /// Reads a file name back, given the algorithm that its directory says.
    #[must_use]
    pub fn parse(algorithm: &str, file_name: &str) -> Option<Self> {
        let (hex, session) = file_name.split_once('.')?;
        let digest = Digest::parse(&format!("{algorithm}:{hex}")).ok()?;
        Some(Self { digest, session: SessionId::parse(session)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_name_says_what_it_holds() {
        let location =
            Location { digest: Digest::of(Algorithm::Sha256, b""), session: SessionId::from_bytes([7; 16]) };
        assert_eq!(location.path().iter().count(), 3);
        assert!(location.path().starts_with("sha256/e3"));
        assert_eq!(Location::parse("sha256", &location.file_name()), Some(location));
        assert_eq!(Location::parse("sha512", &location.file_name()), None);
        assert_eq!(Location::parse("sha256", "e3b0.07"), None);
    }
}
