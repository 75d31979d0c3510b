//! Checking that every invariant holds, from the rows and the files alone.
//!
//! Nothing is taken from the code that wrote them: references are read out of the manifests' bytes again and
//! compared with the rows, in both directions.
//!
//! It may run while the registry serves. Rows are read in pages, each from a snapshot of its own, and what is
//! compared with a row is read from the same snapshot. Files are not part of any snapshot: what looks wrong
//! about one is called so only if the row still says the same afterwards, since a file stays as long as its
//! row, and a little longer.

mod accounts;
mod files;
mod lifecycle;
mod links;
mod manifests;
mod report;
mod uploads;

pub use report::{Checks, Counts, Progress, VerifyReport, Violation};

use super::Registry;
use super::damage::{Cursor, Good};
use super::error::Error;
use crate::store::tables::Table;
use crate::store::{Key, KeyRange, Limit, Read, ScannedRow, Snapshot, Value};
use std::ops::ControlFlow;

/// How much is read at once. Some rows are manifests of megabytes.
const PAGE: Limit = Limit { rows: 256, bytes: 1024 * 1024 };

/// How much is read at once of what takes long to be checked: a manifest may have thousands of references.
const SHORT_PAGE: Limit = Limit { rows: 16, bytes: 1024 * 1024 };

/// How often a page is read while the ledger, on a full disk, is opened again and again.
const READS_MAX: usize = 3;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 1024 * 1024;

/// What stands in the place of an invariant where something could not be read, whatever depends on it.
pub const UNREADABLE: &str = "unreadable";

/// Called again and again while a check runs. What it says decides whether the check goes on.
pub type Tell<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

impl Registry {
    /// Checks the registry and changes nothing. `deep`: also reads every file and compares its digest.
    pub fn verify(&self, deep: bool) -> Result<VerifyReport, Error> {
        self.verify_with(Checks { deep, settle: false }, &mut |_| ControlFlow::Continue(()))
    }

    /// Checks the registry, and tells again and again how far it has come.
    pub fn verify_with(&self, checks: Checks, tell: Tell<'_>) -> Result<VerifyReport, Error> {
        let mut check = Check {
            registry: self,
            checks,
            report: VerifyReport::default(),
            progress: Progress::default(),
            tell,
            good: Vec::new(),
            buffer: if checks.deep { vec![0; BUFFER_BYTES] } else { Vec::new() },
        };
        if checks.settle {
            self.store.set_aside();
        }
        match self.store.count_set_aside() {
            Ok(count) => check.report.set_aside = count,
            Err(error) => check.report.absorb("damaged", Err(error.into())),
        }
        manifests::check(&mut check);
        links::check(&mut check);
        lifecycle::check(&mut check);
        uploads::check(&mut check);
        accounts::check(&mut check);
        files::check(&mut check);
        check.note_good(0);
        Ok(check.report)
    }
}

/// A check that runs.
struct Check<'a> {
    registry: &'a Registry,
    checks: Checks,
    report: VerifyReport,
    progress: Progress,
    tell: Tell<'a>,
    /// Files that were read and found right, and whose rows do not say so yet.
    good: Vec<Good>,
    buffer: Vec<u8>,
}

impl Check<'_> {
    /// Tells how far the check has come; says whether it goes on.
    fn goes_on(&mut self) -> bool {
        if self.registry.is_stopping() || (self.tell)(&self.progress).is_break() {
            self.report.is_partial = true;
        }
        !self.report.is_partial
    }

    /// A fresh snapshot for a look at something that seems to be wrong. One that cannot be read to the end is
    /// followed by another.
    fn look<T>(&self, look: impl Fn(&Snapshot) -> Result<T, Error>) -> Result<T, Error> {
        self.registry.store.read(look)
    }

    /// Writes down which files were found right, once there are more than `waiting`.
    fn note_good(&mut self, waiting: usize) {
        if self.good.len() > waiting {
            let noted = self.registry.note_good(std::mem::take(&mut self.good), Cursor::Unmoved);
            self.report.absorb("when files were last good", noted);
        }
    }
}

/// Hands every row of a table to `visit`, with the snapshot it is from. A row that cannot be read, or whose
/// check cannot be done, is noted.
fn scan<K, V>(
    check: &mut Check<'_>,
    table: &Table<K, V>,
    limit: Limit,
    mut visit: impl FnMut(&Snapshot, &mut VerifyReport, K, V) -> Result<(), Error>,
) where
    K: Key,
    V: Value,
{
    pages(check, table, limit, |rows, report, page| {
        for (key, row) in page {
            let outcome = match row {
                Ok((key, value)) => visit(rows, report, key, value),
                Err(error) => Err(error.into()),
            };
            report.absorb(&format!("row {} of table {}", key.escape_ascii(), table.id().name()), outcome);
        }
    });
}

/// Hands every page of a table to `visit`, again where its snapshot could not be read to the end. What the
/// report has of such a page is forgotten.
fn pages<K, V>(
    check: &mut Check<'_>,
    table: &Table<K, V>,
    limit: Limit,
    mut visit: impl FnMut(&Snapshot, &mut VerifyReport, Vec<ScannedRow<K, V>>),
) where
    K: Key,
    V: Value,
{
    let mut range = KeyRange::all();
    let mut reads = 0;
    while check.goes_on() {
        let report = &mut check.report;
        let read = check
            .registry
            .store
            .snapshot()
            .map_err(Error::from)
            .map(|rows| (rows.scan(table, &range, limit), rows));
        let (page, rows) = match read {
            Ok(read) => read,
            Err(error) => return report.absorb(&rest_of(table), Err(error)),
        };
        let before = report.bookmark();
        let last = match page {
            Ok(page) => {
                let last = page.last().map(|(last, _)| last.clone());
                visit(&rows, report, page);
                last
            }
            Err(error) => {
                report.absorb(&rest_of(table), Err(error.into()));
                None
            }
        };
        reads += 1;
        if rows.is_lost() && reads < READS_MAX {
            report.go_back_to(before);
            continue;
        }
        reads = 0;
        let Some(last) = last else { return };
        range = range.after_bytes(&last);
    }
}

fn rest_of<K: Key, V: Value>(table: &Table<K, V>) -> String {
    format!("the rest of table {}", table.id().name())
}

/// Hands every row of a table that can be read to `visit`, without a snapshot: it may have changed since.
fn walk<K, V>(check: &mut Check<'_>, table: &Table<K, V>, mut visit: impl FnMut(&mut Check<'_>, K, V))
where
    K: Key,
    V: Value,
{
    let mut range = KeyRange::all();
    while check.goes_on() {
        let page = check.look(|rows| Ok(rows.scan(table, &range, PAGE)?));
        let page = match page {
            Ok(page) => page,
            Err(error) => return check.report.absorb(&rest_of(table), Err(error)),
        };
        let Some((last, _)) = page.last() else { return };
        range = range.after_bytes(last);
        for (key, value) in page.into_iter().filter_map(|(_, row)| row.ok()) {
            visit(check, key, value);
        }
    }
}

#[cfg(test)]
mod tests;
