//! What an unknown name is checked against.
//!
//! If a name that nobody has were refused at once, the time of the answer would say which names there are.
//! So it costs what a known one costs. Where users have hashes of several kinds (argon2id here, bcrypt of two
//! costs in an htpasswd file), a name has to be slow in the same way each time it is tried: which kind it
//! gets is drawn from the name and a key that only this process has. A kind that is added or goes changes
//! that for those names alone that get it or had it.

use super::{BCRYPT_COST_MAX, bcrypt_cost, hash, is_argon2id, verify};
use crate::random;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::OnceLock;

/// Salt and hash of the decoys of argon2id. Nobody knows a password for it, and it would not help.
const ARGON2ID_TAIL: &str = "$d2hhcmZpbmdlciBkZWNveQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Salt and hash of those of bcrypt.
const BCRYPT_TAIL: &str = "$WG1GXHNOI5mPaRw6xlZEYeIRs1zYtOGPTCYA/3JRgWH3qQQO5NQTC";

/// Makes a login under an unknown name take as long as one under a known name.
pub struct Decoys {
    key: [u8; 32],
    /// What new users get, for when there are none.
    usual: OnceLock<String>,
}

impl Default for Decoys {
    fn default() -> Self {
        Self { key: random::bytes(), usual: OnceLock::new() }
    }
}

impl Decoys {
    /// Does the work of checking a password of somebody who has a hash of one of these kinds, and says
    /// nothing of it: the name is unknown. The kinds are those that
    /// [`crate::auth::htpasswd::Htpasswd::hash_kinds`] and the ledger have, such as `$2y$10`, in any order
    /// and any number of times.
    pub fn waste<'a>(&self, name: &str, password: &[u8], kinds: impl IntoIterator<Item = &'a str>) {
        let decoy = self.pick(name, kinds).and_then(decoy_of);
        let decoy = decoy.as_deref().unwrap_or_else(|| self.usual.get_or_init(|| hash("")));
        // Whatever it says, and kept from being left out for that.
        std::hint::black_box(verify(decoy, password));
    }

    /// The kind of the name: that whose number, drawn from the key, the name and the kind, is the greatest.
    fn pick<'a>(&self, name: &str, kinds: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let draw = |kind: &str| -> [u8; 32] {
            // The key's length is fixed and the kind has no zero byte, so no two inputs are the same bytes.
            let parts = [&self.key, kind.as_bytes(), b"\0", name.as_bytes()];
            parts.into_iter().fold(Sha256::new(), sha2::Digest::chain_update).finalize().into()
        };
        kinds.into_iter().max_by_key(|kind| draw(kind))
    }
}

impl fmt::Debug for Decoys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoys")
    }
}

/// A hash of a kind; none where such a one could not be checked.
fn decoy_of(kind: &str) -> Option<String> {
    let tail = if kind.starts_with("$argon2id$") { ARGON2ID_TAIL } else { BCRYPT_TAIL };
    let decoy = format!("{kind}{tail}");
    let costs = is_argon2id(&decoy) || bcrypt_cost(&decoy).is_some_and(|cost| cost <= BCRYPT_COST_MAX);
    costs.then_some(decoy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const KINDS: [&str; 3] = ["$argon2id$v=19$m=19456,t=2,p=1", "$2y$10", "$2y$12"];

    #[test]
    fn a_name_gets_the_same_kind_each_time_and_names_get_all_kinds() {
        let decoys = Decoys::default();
        let mut counts = BTreeMap::new();
        for number in 0..600 {
            let name = format!("user{number}");
            let kind = decoys.pick(&name, KINDS).unwrap();
            let reversed = KINDS.iter().rev().copied().chain(KINDS);
            assert_eq!(decoys.pick(&name, reversed), Some(kind), "in any order");
            *counts.entry(kind).or_insert(0) += 1;
        }
        // Of 600 fair draws fewer than 100 for one of three come once in 10^20 runs.
        assert!(counts.len() == 3 && counts.values().all(|&count| count > 100), "{counts:?}");
    }

    #[test]
    fn a_new_kind_changes_only_the_names_that_get_it() {
        let decoys = Decoys::default();
        for number in 0..200 {
            let name = format!("user{number}");
            let (before, after) = (decoys.pick(&name, KINDS[..2].to_vec()), decoys.pick(&name, KINDS));
            assert!(after == before || after == Some(KINDS[2]), "{before:?} {after:?}");
        }
    }

    #[test]
    fn another_process_draws_otherwise() {
        let (one, two) = (Decoys::default(), Decoys::default());
        let names = (0..200).map(|number| format!("user{number}"));
        let differs = |name: &String| one.pick(name, KINDS) != two.pick(name, KINDS);
        assert!(names.filter(differs).count() > 0);
    }

    #[test]
    fn a_decoy_costs_what_its_kind_costs() {
        for kind in KINDS {
            let decoy = decoy_of(kind).unwrap();
            assert!(decoy.starts_with(kind) && (is_argon2id(&decoy) || bcrypt_cost(&decoy).is_some()));
        }
        assert!(is_argon2id(&decoy_of(KINDS[0]).unwrap()));
        assert_eq!(bcrypt_cost(&decoy_of(KINDS[2]).unwrap()), Some(12));
        for kind in ["", "$2y$15", "$1$", "$argon2id$v=19$m=4194304,t=2,p=1"] {
            assert_eq!(decoy_of(kind), None, "{kind}");
        }
    }

    /// Without anybody, and with a kind that cannot be checked, the time of a new user's hash is taken. That
    /// it is taken at all is what is measured: bcrypt at its least cost is some twenty times faster than
    /// argon2id here.
    #[test]
    fn an_unknown_name_takes_its_time() {
        let decoys = Decoys::default();
        let time = |kinds: &[&str]| {
            let least = (0..3).map(|_| {
                let begun = std::time::Instant::now();
                decoys.waste("nobody", b"password", kinds.iter().copied());
                begun.elapsed()
            });
            least.min().unwrap()
        };
        let (none, known, cheap) = (time(&[]), time(&KINDS[..1]), time(&["$2y$04"]));
        assert!(none > 2 * cheap && known > 2 * cheap, "{none:?} {known:?} {cheap:?}");
    }
}
