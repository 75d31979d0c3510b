//! Collecting: working off the queue, so that it costs what the garbage costs, not what the registry holds.
//!
//! Each step looks again, in the transaction that drops a row, at everything: what was queued may be needed
//! by now. Small steps share a transaction. A file's row goes together with the writing of its tombstone
//! (I9); the file is unlinked afterwards. A crash between any two transactions leaves rows that the next
//! round goes on with.

use super::Registry;
use super::actor::Actor;
use super::error::Error;
use super::figures::Meters;
use super::kept::{self, Deletion, End};
use super::{family, gone, links, pins, whole};
use crate::oci::Digest;
use crate::store::records::{Cause, Loss, TombstoneRecord};
use crate::store::tables::{BLOB, KEPT, LEASE, QUEUE, REPOSITORY, TOMBSTONE, UPLOAD_OF};
use crate::store::{DAMAGED_BLOBS, KeyRange, QueueKind, Read, RepoId, STORED_BYTES, Tx};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// How many rows of the queue are read at once.
const PAGE_ROWS: usize = 256;

/// How many small rows of the queue are worked off in one transaction: a commit costs more than one of them.
const TOGETHER_MAX: usize = 64;

/// Who deletes, by the history, what found no room in the transaction of its deletion.
const COLLECTOR: &str = "collector";

/// How long a lease that an open upload holds is left alone before it is looked at again.
const HELD_LEASE_MS: u64 = 60_000;

/// A row of the queue.
type Row = (u64, QueueKind, Digest, RepoId);

/// What a round of collecting did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Leases that ended.
    pub leases: u64,
    /// Deleted manifests that went for good.
    pub manifests: u64,
    /// Blobs whose row went, and whose file has a tombstone.
    pub blobs: u64,
    /// The bytes of these blobs.
    pub blob_bytes: u64,
    /// Files that were unlinked.
    pub files: u64,
    /// Manifests that were deleted by rules, and can be brought back.
    pub ruled: u64,
    /// Whether the round ended before the queue did.
    pub unfinished: bool,
    /// Whether a backup that is being made keeps the files. They are unlinked after it.
    #[serde(default)]
    pub files_held: bool,
}

/// How far a round of collecting goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Whether deleted manifests go before they are due.
    pub ends_keeping: bool,
    /// The most steps.
    pub steps: u64,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    Lease,
    Manifest,
    /// More of what lives with a deleted manifest was deleted.
    Family,
    Blob(u64),
}

impl Registry {
    /// Works off what is due in the queue.
    pub fn collect(&self, round: Round) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        let mut left = round.steps;
        // What a step queues may stand before what it was queued by.
        while self.pass(round, &mut left, &mut collected)? && !collected.unfinished {}
        Ok(collected)
    }

    /// Goes through the queue once; says whether that changed anything.
    fn pass(&self, round: Round, left: &mut u64, collected: &mut Collected) -> Result<bool, Error> {
        let mut range = KeyRange::all();
        let mut has_changed = false;
        loop {
            let page = self.store.read(|rows| Ok::<_, Error>(rows.page(&QUEUE, &range, PAGE_ROWS)?))?;
            let Some((last, ())) = page.last() else { return Ok(has_changed) };
            range = range.after(last);
            let (due, is_end) = self.due(page, round)?;
            let mut rest = &due[..];
            while !rest.is_empty() {
                if *left == 0 || self.is_stopping() {
                    collected.unfinished = true;
                    return Ok(has_changed);
                }
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                let (rows, others) = rest.split_at(how_many_together(&rest[..most]));
                rest = others;
                *left -= rows.len() as u64;
                let (steps, is_family) = (self.work_off(rows, round)?, rows[0].1 == QueueKind::Family);
                for &step in &steps {
                    has_changed |= step != Step::Nothing;
                    collected.count(step);
                    self.meters.count(step);
                }
                if is_family && steps == [Step::Family] {
                    // It may be there again, and goes before the end of what it belongs to.
                    return Ok(true);
                }
            }
            if is_end {
                return Ok(has_changed);
            }
        }
    }

    /// The rows of a page that can be worked off, and whether no later one can.
    fn due(&self, page: Vec<(Row, ())>, round: Round) -> Result<(Vec<Row>, bool), Error> {
        let (now_ms, mut due) = (self.clock.now_ms(), Vec::new());
        for (row, ()) in page {
            let is_due = row.0 <= now_ms;
            if !is_due && !round.ends_keeping {
                // The rows stand in the order of their times.
                return Ok((due, true));
            }
            let waits = row.1 == QueueKind::Repository && self.is_copying(row.3);
            if !waits && (is_due || self.may_be_early(row)?) {
                due.push(row);
            }
        }
        Ok((due, false))
    }

    /// Works off rows in one transaction, and says what each came to. Where that fails, each is tried by
    /// itself: one that cannot be worked off does not hold up those before it.
    fn work_off(&self, rows: &[Row], round: Round) -> Result<Vec<Step>, Error> {
        let together = self.work_off_together(rows, round);
        if together.is_ok() || rows.len() == 1 {
            return together;
        }
        let alone = |row: &Row| Ok(self.work_off_together(std::slice::from_ref(row), round)?[0]);
        rows.iter().map(alone).collect()
    }

    fn work_off_together(&self, rows: &[Row], round: Round) -> Result<Vec<Step>, Error> {
        let deletion = self.deletion(&Actor::from(COLLECTOR), Cause::Delete);
        let rows = rows.to_vec();
        self.store.write(move |tx| {
            rows.iter().map(|&row| work_off(tx, row, round.ends_keeping, &deletion)).collect()
        })
    }

    /// Whether a row of the queue that is not due can be worked off where the keeping of what is deleted
    /// ends. What cannot costs no step: there may be any number of it.
    fn may_be_early(&self, row: Row) -> Result<bool, Error> {
        let (_, kind, digest, repository) = row;
        match kind {
            QueueKind::KeptEnd => self.store.read(|rows| Ok(!pins::holds(rows, (repository, digest))?)),
            // It waits for what is kept of it.
            QueueKind::Repository => {
                self.store.read(|rows| Ok(rows.first(&KEPT, &KeyRange::prefix(&repository))?.is_none()))
            }
            QueueKind::Unreferenced | QueueKind::LeaseEnd | QueueKind::Family | QueueKind::Forget => {
                Ok(false)
            }
        }
    }

    /// Collects all that may go at once: ends the wait of deleted manifests and unlinks every file, unless a
    /// backup keeps the files: a backup of hours is not waited for, and they go when it ends. Leases,
    /// pins and references keep what they keep. Then the rules of the repositories are looked at; what they
    /// take is kept as long as what people delete.
    pub fn collect_now(&self) -> Result<Collected, Error> {
        let mut collected = self.collect(Round { ends_keeping: true, steps: u64::MAX })?;
        collected.files = self.sweep()? as u64;
        collected.files_held = self.store.holds_files();
        if collected.files_held {
            // The next round after it does what this one could not.
            self.unlinked_at_ms.store(0, Ordering::Relaxed);
        }
        (collected.ruled, _) = self.enforce_rules(u64::MAX)?;
        log::info!("collected at once, for a command: {collected:?}");
        Ok(collected)
    }
}

impl Collected {
    fn count(&mut self, step: Step) {
        match step {
            Step::Nothing | Step::Family => {}
            Step::Lease => self.leases += 1,
            Step::Manifest => self.manifests += 1,
            Step::Blob(bytes) => {
                self.blobs += 1;
                self.blob_bytes += bytes;
            }
        }
    }
}

impl Meters {
    fn count(&self, step: Step) {
        match step {
            Step::Nothing | Step::Family => {}
            Step::Lease => self.leases.add(1),
            Step::Manifest => self.manifests.add(1),
            Step::Blob(bytes) => {
                self.blobs.add(1);
                self.blob_bytes.add(bytes);
            }
        }
    }
}

/// How many of these rows, from the first on, share a transaction: those of which each changes a few rows.
fn how_many_together(rows: &[Row]) -> usize {
    let is_small =
        |row: &&Row| matches!(row.1, QueueKind::LeaseEnd | QueueKind::Unreferenced | QueueKind::Forget);
    rows.iter().take(TOGETHER_MAX).take_while(is_small).count().max(1)
}

/// Does what a row of the queue asks for, as the rows are now.
fn work_off(tx: &mut Tx<'_>, row: Row, ends_keeping: bool, deletion: &Deletion) -> Result<Step, Error> {
    let now_ms = deletion.change.now_ms;
    if !tx.contains(&QUEUE, &row)? {
        // Somebody else did it, or took it back.
        return Ok(Step::Nothing);
    }
    let (_, kind, digest, repository) = row;
    match kind {
        QueueKind::LeaseEnd => end_lease(tx, digest, repository, now_ms),
        QueueKind::KeptEnd => {
            Ok(match kept::drop_for_good(tx, (repository, digest), ends_keeping, deletion)? {
                End::Dropped => Step::Manifest,
                End::Held => Step::Nothing,
            })
        }
        QueueKind::Family => {
            tx.remove(&QUEUE, &row)?;
            let Some(record) = tx.get(&REPOSITORY, &repository)? else { return Ok(Step::Nothing) };
            let went = family::go_on(tx, &record.name, (repository, digest), row.0, deletion)?;
            Ok(if went { Step::Family } else { Step::Nothing })
        }
        QueueKind::Forget => {
            tx.remove(&QUEUE, &row)?;
            gone::forget(tx, digest, row.0)?;
            Ok(Step::Nothing)
        }
        QueueKind::Repository => {
            tx.remove(&QUEUE, &row)?;
            // Nobody makes this copy any more, if it is one.
            whole::abandon(tx, repository, now_ms, COLLECTOR)?;
            let went = whole::take_apart(tx, repository, deletion)?;
            Ok(if went { Step::Family } else { Step::Nothing })
        }
        QueueKind::Unreferenced => {
            tx.remove(&QUEUE, &row)?;
            drop_blob(tx, digest, deletion)
        }
    }
}

/// Ends a lease, unless its repository has an open upload: a push that takes long does not lose what it began
/// with.
fn end_lease(tx: &mut Tx<'_>, digest: Digest, repository: RepoId, now_ms: u64) -> Result<Step, Error> {
    let lease = tx.get(&LEASE, &(digest, repository))?.expect("a row of the queue stands for a lease");
    if lease.ends_at_ms > now_ms {
        // A clock was set back since it was looked for what is due.
        return Ok(Step::Nothing);
    }
    if tx.first(&UPLOAD_OF, &KeyRange::prefix(&repository))?.is_some() {
        links::put_lease(tx, repository, digest, now_ms + HELD_LEASE_MS)?;
        return Ok(Step::Nothing);
    }
    links::end_lease(tx, repository, digest)?;
    let record = tx.get(&REPOSITORY, &repository)?;
    let loss = Loss::Lease { repository: record.map(|record| record.name.to_string()).unwrap_or_default() };
    links::queue_if_unneeded(tx, digest, loss, now_ms)?;
    Ok(Step::Lease)
}

/// Takes a blob's row and writes its file's tombstone, unless something needs the blob again.
fn drop_blob(tx: &mut Tx<'_>, digest: Digest, deletion: &Deletion) -> Result<Step, Error> {
    let now_ms = deletion.change.now_ms;
    if links::is_needed(tx, digest)? {
        gone::stays(tx, digest)?;
        return Ok(Step::Nothing);
    }
    let Some(blob) = tx.remove(&BLOB, &digest)? else { return Ok(Step::Nothing) };
    tx.add(STORED_BYTES, -blob.size.cast_signed())?;
    if blob.is_damaged() {
        tx.add(DAMAGED_BLOBS, -1)?;
    }
    gone::is_gone(tx, digest, deletion)?;
    let tombstone = TombstoneRecord { size: blob.size, since_ms: now_ms };
    let first = tx.insert_if_absent(&TOMBSTONE, &(digest, blob.session), &tombstone)?;
    assert!(first, "a file is given up once");
    Ok(Step::Blob(blob.size))
}

#[cfg(test)]
mod tests;
