//! What a check is asked for, tells on its way, and finds.

use super::UNREADABLE;
use crate::oci::{Digest, SessionId};
use crate::registry::damage::Needing;
use crate::registry::error::Error;
use crate::store::Damage;
use crate::store::records::BlobRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How a registry is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Whether every file is read, too.
    pub deep: bool,
    /// Whether what is found about files is written down at once: damage, damage that is mended, and when a
    /// file was last good.
    pub settle: bool,
}

/// How far a check has come with the files. The totals grow while the rows are counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Files looked at.
    pub files: u64,
    /// Of so many.
    pub of_files: u64,
    /// Bytes of them, all read if the check is a deep one.
    pub bytes: u64,
    /// Of so many.
    pub of_bytes: u64,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, as `src/lib.rs` numbers them, or [`UNREADABLE`].
    pub invariant: &'static str,
    /// What is wrong, and with what.
    pub words: String,
    /// The manifests that cannot be pulled whole because of it.
    pub needed_by: Vec<Needing>,
}

/// How much was checked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Blob rows.
    pub blobs: u64,
    /// The bytes that these say.
    pub bytes: u64,
    /// Manifest rows.
    pub manifests: u64,
    /// Tag rows.
    pub tags: u64,
    /// Open uploads.
    pub uploads: u64,
}

/// What a check found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// How much was checked.
    pub counts: Counts,
    /// Files that are kept in damaged/.
    pub set_aside: u64,
    /// Everything that is wrong.
    pub violations: Vec<Violation>,
    /// Damaged blobs that are not marked so.
    pub found: Vec<(Digest, SessionId, Damage)>,
    /// Blobs that are marked as damaged and are not any more.
    pub mended: Vec<(Digest, BlobRecord)>,
    /// Whether the check ended before it was done.
    pub is_partial: bool,
}

impl VerifyReport {
    /// The report as JSON: the counts, and each violation with its invariant and words.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let violation = |violation: &Violation| {
            let Violation { invariant, words, needed_by } = violation;
            json!({"invariant": invariant, "words": words, "needed_by": needed_by})
        };
        let Counts { blobs, bytes, manifests, tags, uploads } = self.counts;
        json!({
            "blobs": blobs,
            "bytes": bytes,
            "manifests": manifests,
            "tags": tags,
            "uploads": uploads,
            "set_aside": self.set_aside,
            "violations": self.violations.iter().map(violation).collect::<Vec<_>>(),
        })
    }

    pub(super) fn expect(&mut self, holds: bool, invariant: &'static str, words: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(Violation { invariant, words: words(), needed_by: Vec::new() });
        }
    }

    /// Notes what could not be read and lets the check go on: one fault hides no other.
    pub(super) fn absorb(&mut self, what: &str, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.expect(false, UNREADABLE, || format!("{what} could not be checked: {error}"));
        }
    }

    /// How much there is so far.
    pub(super) fn bookmark(&self) -> (Counts, usize) {
        (self.counts, self.violations.len())
    }

    /// Forgets what came since.
    pub(super) fn go_back_to(&mut self, (counts, violations): (Counts, usize)) {
        self.counts = counts;
        self.violations.truncate(violations);
    }
}
