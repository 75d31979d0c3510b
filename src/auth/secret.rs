//! The secrets of robots: `wfr_<16 hexadecimal digits>_<43 characters of base64url>`.
//!
//! The digits are the token's id, by which it is found without trying any other; the rest are 32 random
//! bytes. The ledger has their SHA-256: of something random that is as good as a slow hash, and costs
//! nothing at each request. The beginning is there for those who look for secrets in what is published.

use crate::random;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// What every secret begins with.
pub const PREFIX: &str = "wfr_";

/// How many hexadecimal digits an id has.
const ID_DIGITS: usize = 16;

/// The random part of a secret. It is not shown.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// What the ledger has of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Whether it is the one with this hash. It takes as long for any other.
    #[must_use]
    pub fn matches(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Draws an id and a secret.
#[must_use]
pub fn generate() -> (u64, Secret) {
    (random::number(), Secret(random::bytes()))
}

/// The text that a robot logs in with, in place of a password. It must not be logged.
#[must_use]
pub fn text(id: u64, secret: &Secret) -> String {
    format!("{PREFIX}{id:016x}_{}", URL_SAFE_NO_PAD.encode(secret.0))
}

/// Reads what [`text`] writes; anything else is none.
#[must_use]
pub fn parse(text: &str) -> Option<(u64, Secret)> {
    let (digits, encoded) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != ID_DIGITS || !digits.bytes().all(is_digit) {
        return None;
    }
    let id = u64::from_str_radix(digits, 16).ok()?;
    let mut bytes = [0; 32];
    // A slice of the right size: text that decodes to more bytes is refused, and so is a second way to write
    // the same ones.
    let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()?;
    (length == bytes.len()).then_some((id, Secret(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_written() {
        let (id, secret) = generate();
        let written = text(id, &secret);
        assert_eq!(written.len(), 4 + 16 + 1 + 43);
        let (read_id, read) = parse(&written).unwrap();
        assert_eq!((read_id, read.0), (id, secret.0));
        assert!(read.matches(&secret.hash()));
        assert!(!read.matches(&generate().1.hash()));
        assert!(!format!("{secret:?}").contains(&written[21..]));
    }

    #[test]
    fn no_two_are_the_same() {
        let ((one, first), (two, second)) = (generate(), generate());
        assert!(one != two && first.0 != second.0);
    }

    #[test]
    fn nothing_else_is_read() {
        let written = text(0xab, &Secret([0; 32]));
        assert!(parse(&written).is_some());
        for other in [
            "",
            "wfr_",
            "wfr__",
            &written[1..],
            &written[..written.len() - 1],
            &format!("{written}A"),
            &format!("{written}="),
            &format!(" {written}"),
            &written.replace("ab_", "AB_"),
            &written.replace("00ab_", "+0ab_"),
            &written.replace("wfr_", "wfs_"),
            // The last character has two bits that stand for nothing.
            &format!("{}B", &written[..written.len() - 1]),
        ] {
            assert!(parse(other).is_none(), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_the_only_one_of_its_secret_or_none(
            text in "(wfr_[0-9a-f]{16}_[A-Za-z0-9_-]{42,44}|.{0,80})"
        ) {
            if let Some((id, secret)) = parse(&text) {
                proptest::prop_assert_eq!(super::text(id, &secret), text);
            }
        }
    }
}
