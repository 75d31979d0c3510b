//! Checking that every invariant holds, from the rows and the files alone.
//!
//! Nothing is taken from the code that wrote them: references are read out of the manifests' bytes again and
//! compared with the rows, in both directions.

mod files;
mod lifecycle;
mod links;
mod manifests;

use super::Registry;
use super::error::Error;
use crate::store::tables::Table;
use crate::store::{Key, KeyRange, Limit, Read, Snapshot, Value};
use serde_json::json;

/// How much is read at once. Some rows are manifests of megabytes.
const PAGE: Limit = Limit { rows: 1024, bytes: 1024 * 1024 };

/// What stands in the place of an invariant where something could not be read, whatever depends on it.
pub const UNREADABLE: &str = "unreadable";

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, as `src/lib.rs` numbers them, or [`UNREADABLE`].
    pub invariant: &'static str,
    /// What is wrong, and with what.
    pub words: String,
}

/// What a check found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blob rows.
    pub blobs: u64,
    /// Manifest rows.
    pub manifests: u64,
    /// Tag rows.
    pub tags: u64,
    /// Open uploads.
    pub uploads: u64,
    /// Everything that is wrong.
    pub violations: Vec<Violation>,
}

impl VerifyReport {
    /// The report as JSON: the counts, and each violation with its invariant and words.
    #[must_use]
    pub fn to_json(&self) -> String {
        let violations: Vec<_> = self
            .violations
            .iter()
            .map(|violation| json!({"invariant": violation.invariant, "words": violation.words}))
            .collect();
        json!({
            "blobs": self.blobs,
            "manifests": self.manifests,
            "tags": self.tags,
            "uploads": self.uploads,
            "violations": violations,
        })
        .to_string()
    }

    fn expect(&mut self, holds: bool, invariant: &'static str, words: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(Violation { invariant, words: words() });
        }
    }

    /// Notes what could not be read and lets the check go on: one fault hides no other.
    fn absorb(&mut self, what: &str, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            let words = format!("{what} could not be checked: {error}");
            self.violations.push(Violation { invariant: UNREADABLE, words });
        }
    }
}

impl Registry {
    /// Checks a registry that nobody writes to. `deep`: also reads every file and compares its digest.
    pub fn verify(&self, deep: bool) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        let rows = self.store.snapshot()?;
        manifests::check(&rows, &mut report);
        links::check(&rows, &mut report);
        lifecycle::check(&rows, &mut report);
        files::check(&self.store, &rows, deep, &mut report);
        Ok(report)
    }
}

/// Hands every row of a table to `visit`, a page at a time. A row that cannot be read, or whose check cannot
/// be done, is noted.
fn scan<K, V>(
    rows: &Snapshot,
    table: &Table<K, V>,
    report: &mut VerifyReport,
    mut visit: impl FnMut(&mut VerifyReport, K, V) -> Result<(), Error>,
) where
    K: Key,
    V: Value,
{
    let mut range = KeyRange::all();
    loop {
        let page = match rows.scan(table, &range, PAGE) {
            Ok(page) => page,
            Err(error) => {
                let rest = format!("the rest of table {}", table.id().name());
                return report.absorb(&rest, Err(error.into()));
            }
        };
        let Some((last, _)) = page.last() else { return };
        range = range.after_bytes(last);
        for (key, row) in page {
            let outcome = match row {
                Ok((key, value)) => visit(report, key, value),
                Err(error) => Err(error.into()),
            };
            report.absorb(&format!("row {} of table {}", key.escape_ascii(), table.id().name()), outcome);
        }
    }
}
