//! Passwords: what is stored in their place, and how they are checked.
//!
//! New ones are hashed by argon2id with the parameters that OWASP's cheat sheet on password storage begins
//! with; those of an htpasswd file are bcrypt's. A check takes tens of milliseconds of a processor, on
//! purpose: whoever calls it bounds how many run at a time.

mod decoy;

pub use decoy::Decoys;

use crate::random;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

/// The fewest characters that a new password may have (NIST SP 800-63B, section 5.1.1.1).
pub const PASSWORD_MIN_CHARACTERS: usize = 8;

/// The most bytes that a new password may have.
pub const PASSWORD_MAX_BYTES: usize = 256;

/// The greatest cost of bcrypt that is accepted: at 14 a check takes about a second, and each step doubles
/// it.
pub const BCRYPT_COST_MAX: u32 = 14;

/// The least cost that bcrypt has.
const BCRYPT_COST_MIN: u32 = 4;

/// The memory of a hash in KiB.
const MEMORY_KIB: u32 = 19_456;

/// How often it is gone through.
const PASSES: u32 = 2;

/// The most memory in KiB, and the most passes, of a hash that was made elsewhere.
const FOREIGN_MAX: (u32, u32) = (256 * 1024, 16);

/// Why a password is refused as a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("a password has at least {PASSWORD_MIN_CHARACTERS} characters: choose a longer one")]
    Short,
    /// Too long.
    #[error("a password has at most {PASSWORD_MAX_BYTES} bytes: choose a shorter one")]
    Long,
    /// A character that HTTP's Basic authentication does not carry (RFC 7617, section 2).
    #[error("a password has no control characters, such as tabs: choose another one")]
    Control,
    /// It would be taken for something else.
    #[error(
        "what begins with {} is taken for a robot's secret: choose another password",
        super::secret::PREFIX
    )]
    Secret,
}

/// Whether a password may be a new one.
pub fn check(password: &str) -> Result<(), PasswordError> {
    if password.chars().any(char::is_control) {
        return Err(PasswordError::Control);
    }
    if password.len() > PASSWORD_MAX_BYTES {
        return Err(PasswordError::Long);
    }
    if password.starts_with(super::secret::PREFIX) {
        return Err(PasswordError::Secret);
    }
    if password.chars().count() < PASSWORD_MIN_CHARACTERS {
        return Err(PasswordError::Short);
    }
    Ok(())
}

/// What is stored in the place of a password: a PHC string of argon2id, with a salt of its own.
#[must_use]
pub fn hash(password: &str) -> String {
    let salt: [u8; argon2::RECOMMENDED_SALT_LEN] = random::bytes();
    let hash = hasher().hash_password_with_salt(password.as_bytes(), &salt);
    hash.expect("the parameters are fixed and right, and no password is too long for it").to_string()
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Whether `stored` is a hash of argon2id that can be checked at a bounded cost. The ledger has no others.
#[must_use]
pub fn is_argon2id(stored: &str) -> bool {
    let parsed = PasswordHash::new(stored).ok().filter(|hash| hash.algorithm == argon2::ARGON2ID_IDENT);
    let Some(hash) = parsed.filter(|hash| hash.salt.is_some() && hash.hash.is_some()) else { return false };
    let (memory_max_kib, passes_max) = FOREIGN_MAX;
    Params::try_from(&hash).is_ok_and(|params| {
        params.m_cost() <= memory_max_kib && params.t_cost() <= passes_max && params.p_cost() <= 16
    })
}

/// The cost of a hash of bcrypt (`$2y$`, `$2b$` or `$2a$`); none: it is no such hash.
#[must_use]
pub fn bcrypt_cost(stored: &str) -> Option<u32> {
    let rest = ["$2y$", "$2b$", "$2a$"].iter().find_map(|prefix| stored.strip_prefix(prefix))?;
    let digits = rest.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    stored.parse::<bcrypt::HashParts>().ok()?;
    digits.parse().ok().filter(|cost| *cost >= BCRYPT_COST_MIN)
}

/// Whether it is the password that `stored` was made of. What is no hash of argon2id or bcrypt matches none.
///
/// Of a password of more than 72 bytes bcrypt sees the first 72, here as in every htpasswd.
#[must_use]
pub fn verify(stored: &str, password: &[u8]) -> bool {
    // Both compare in constant time.
    if is_argon2id(stored) {
        let hash = PasswordHash::new(stored);
        return hash.is_ok_and(|hash| hasher().verify_password(password, &hash).is_ok());
    }
    bcrypt_cost(stored).is_some_and(|cost| cost <= BCRYPT_COST_MAX)
        && bcrypt::verify(password, stored).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_no_other_is() {
        let stored = hash("correct horse");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(is_argon2id(&stored));
        assert!(verify(&stored, b"correct horse"));
        for other in [&b"correct hors"[..], b"correct horse ", b"", b"correct horse\0"] {
            assert!(!verify(&stored, other));
        }
        assert_ne!(stored, hash("correct horse"), "each has a salt of its own");
    }

    #[test]
    fn what_htpasswd_writes_is_understood() {
        // `htpasswd -nbB -C 4 alice password`, and the same as others name it.
        let stored = bcrypt::hash_with_salt("password", 4, [7; 16]).unwrap();
        for version in [bcrypt::Version::TwoY, bcrypt::Version::TwoB, bcrypt::Version::TwoA] {
            let stored = stored.format_for_version(version);
            assert_eq!(bcrypt_cost(&stored), Some(4));
            assert!(verify(&stored, b"password") && !verify(&stored, b"passwore"), "{stored}");
        }
        assert!(!verify(&stored.format_for_version(bcrypt::Version::TwoX), b"password"));
        // From the documents of Distribution: `htpasswd -Bbn testuser testpassword`.
        let known = "$2y$05$WG1GXHNOI5mPaRw6xlZEYeIRs1zYtOGPTCYA/3JRgWH3qQQO5NQTC";
        assert_eq!(bcrypt_cost(known), Some(5));
    }

    #[test]
    fn bcrypt_sees_72_bytes() {
        let stored = bcrypt::hash("a".repeat(72), 4).unwrap();
        assert!(verify(&stored, "a".repeat(72).as_bytes()));
        assert!(verify(&stored, "a".repeat(100).as_bytes()));
        assert!(!verify(&stored, "a".repeat(71).as_bytes()));
    }

    #[test]
    fn what_costs_too_much_or_is_no_hash_matches_nothing() {
        let cheap = bcrypt::hash_with_salt("password", 4, [7; 16]).unwrap();
        let cheap = cheap.format_for_version(bcrypt::Version::TwoY);
        let dear = hash("password").replace("m=19456", "m=4194304");
        for stored in [
            "",
            "password",
            "$2y$",
            "$argon2id$",
            "$2y$15$WG1GXHNOI5mPaRw6xlZEYeIRs1zYtOGPTCYA/3JRgWH3qQQO5NQTC",
            "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
            "{SHA}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
            &dear,
            &hash("password").replace("argon2id", "argon2i"),
            &cheap.replace("$04$", "$03$"),
            &cheap.replace("$04$", "$+4$"),
            &cheap[..59],
        ] {
            assert!(!verify(stored, b"password"), "{stored}");
        }
    }

    #[test]
    fn a_new_password_is_neither_short_nor_long() {
        for (password, expected) in [
            ("1234567", Err(PasswordError::Short)),
            ("12345678", Ok(())),
            // Characters, not bytes.
            ("\u{e4}\u{e4}\u{e4}\u{e4}", Err(PasswordError::Short)),
            ("\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}", Ok(())),
            (&"a".repeat(256), Ok(())),
            (&"a".repeat(257), Err(PasswordError::Long)),
            ("1234567\t8", Err(PasswordError::Control)),
            ("wfr_12345", Err(PasswordError::Secret)),
        ] {
            assert_eq!(check(password), expected, "{password:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in "(\\$2[aby]\\$(0[4-6]|[0-9+]{2})\\$.{0,60}|\\$argon2id\\$.{0,60}|.{0,80})"
        ) {
            let _ = (is_argon2id(&text), bcrypt_cost(&text));
        }
    }
}
