//! Backups: a consistent point of a registry, running or stopped.
//!
//! The point is a copy of the ledger inside the data directory and the promise that no collected file is
//! unlinked while it is used. Whoever has the registry open makes it; the command that asked for it takes
//! ledger and files to where they are to go. A server needs no right to write anywhere else for that, and
//! need not see the same places as the command.
//!
//! Rows go on as ever, also the collector's: what the point needs is read from its own ledger.

use super::Registry;
use super::actor::Actor;
use super::audit::note;
use super::error::Error;
use super::verify::Progress;
use crate::oci::Digest;
use crate::random;
use crate::store::records::{AuditAction, BlobRecord};
use crate::store::tables::BLOB;
use crate::store::{
    BackupDir, BackupRefusal, Damage, DataDir, Goods, KeyRange, LedgerCopy, Location, OpenError, Read, Store,
    StoreError, StoreOptions, Taken, TarBackup,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 512;

/// Why a backup was not made. What there was before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The place is refused.
    #[error(transparent)]
    Refused(#[from] BackupRefusal),
    /// The copy of the ledger cannot be read.
    #[error("the copy of the ledger cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The rows cannot be read.
    #[error(transparent)]
    Rows(#[from] StoreError),
    /// Something cannot be read or written.
    #[error("{0}; what was there before is as it was")]
    Io(#[from] io::Error),
    /// The server ended: nobody keeps the files any more.
    #[error("the server ended meanwhile; what was there before is as it was: run it again")]
    Ended,
}

/// A consistent point of a registry, for as long as this lives.
pub struct Point<'a>(LedgerCopy<'a>);

/// Where a point is and which it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointPlace {
    /// A directory that is laid out as a data directory and has only a ledger.
    pub root: PathBuf,
    /// The last commit in it.
    pub sequence: u64,
    /// When it was made, in milliseconds since the epoch.
    pub at_ms: u64,
    /// How many bytes the ledger has.
    pub ledger_bytes: u64,
}

impl Point<'_> {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> PointPlace {
        let copied = self.0.copied;
        let (sequence, at_ms, ledger_bytes) = (copied.sequence, copied.at_ms, copied.bytes);
        PointPlace { root: self.0.root().to_path_buf(), sequence, at_ms, ledger_bytes }
    }
}

impl Registry {
    /// Makes a point for a backup that goes `to` that place, as words for the audit.
    pub fn begin_backup(&self, who: impl Into<Actor>, to: &str) -> Result<Point<'_>, Error> {
        let entry = self.act(&who.into(), AuditAction::Backup).saying(to);
        match self.store.write(move |tx| Ok::<_, Error>(note(tx, &entry)?)) {
            // A full disk is no reason to have no backup.
            Err(Error::Store(StoreError::Full)) => log::warn!("the audit has no room for a backup"),
            noted => noted?,
        }
        let point = Point(self.store.copy_ledger_and_hold(random::number())?);
        let PointPlace { sequence, ledger_bytes, .. } = point.place();
        log::info!("a backup begins ({to}), as of commit {sequence}; its ledger has {ledger_bytes} bytes");
        Ok(point)
    }
}

/// What a backup did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The blobs that the point has.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of their files were not there before.
    pub taken: u64,
    /// The bytes of these.
    pub taken_bytes: u64,
    /// How many of these are names more for the registry's own files, and took no room.
    pub linked: u64,
    /// How many files went, since the point does not need them.
    pub removed: u64,
    /// The bytes of the ledger.
    pub ledger_bytes: u64,
    /// The last commit in it.
    pub sequence: u64,
    /// When the point was made, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The blobs that are damaged in the registry itself, and were not known to be.
    pub damaged: Vec<(Digest, Damage)>,
}

impl BackupReport {
    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let damaged = self
            .damaged
            .iter()
            .map(|(digest, damage)| json!({"digest": digest, "words": damage.to_string()}));
        json!({
            "sequence": self.sequence,
            "at_ms": self.at_ms,
            "ledger_bytes": self.ledger_bytes,
            "blobs": self.blobs,
            "bytes": self.bytes,
            "taken": self.taken,
            "taken_bytes": self.taken_bytes,
            "linked": self.linked,
            "removed": self.removed,
            "damaged": damaged.collect::<Vec<_>>(),
        })
    }

    fn of(point: &PointPlace) -> Self {
        let PointPlace { sequence, at_ms, ledger_bytes, .. } = *point;
        Self { ledger_bytes, sequence, at_ms, ..Self::default() }
    }

    fn count(&mut self, digest: Digest, blob: &BlobRecord, taken: Taken) {
        match taken {
            Taken::Linked | Taken::Copied => {
                self.taken += 1;
                self.taken_bytes += blob.size;
                self.linked += u64::from(taken == Taken::Linked);
            }
            // What is known is told by `verify`, and heals by a push.
            Taken::Damaged(damage) if !blob.is_damaged() => self.damaged.push((digest, damage)),
            Taken::Present | Taken::Damaged(_) => {}
        }
    }
}

/// Told again and again how far a backup has come.
pub type TellBackup<'a> = &'a mut dyn FnMut(&Progress);

/// A point as the command that makes the backup has it.
pub struct PointSource<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// The point.
    pub point: PointPlace,
    /// Whether the files are still kept for it.
    pub is_held: &'a dyn Fn() -> bool,
    /// How its ledger is opened.
    pub options: StoreOptions,
}

/// Writes the point to a backup directory, as far as it is not there.
pub fn back_up(
    source: PointSource<'_>,
    target: &mut BackupDir,
    tell: TellBackup<'_>,
) -> Result<BackupReport, BackupError> {
    let PointSource { data, point, is_held, options } = source;
    // Before anybody opens it: what is opened may be written to.
    target.take_ledger(&point.root)?;
    let rows = Store::open_to_look(DataDir::open_to_look(&point.root).map_err(OpenError::from)?, options)?;
    let mut report = BackupReport::of(&point);
    let goods = Goods::of(data);
    let take =
        |location: &Location, size, told: &mut dyn FnMut(u64)| target.take(&goods, location, size, told);
    take_blobs(&rows, &mut report, take, is_held, tell)?;
    target.sync_taken()?;
    if !is_held() {
        return Err(BackupError::Ended);
    }
    target.publish(&marker(&report))?;
    report.removed = target.prune(|location| {
        let blob = rows.read(|rows| Ok::<_, StoreError>(rows.get(&BLOB, &location.digest)?))?;
        Ok::<_, BackupError>(blob.is_some_and(|blob| blob.session == location.session))
    })?;
    Ok(report)
}

/// Writes the point to a stream.
pub fn back_up_to_tar(
    source: PointSource<'_>,
    out: impl Write,
    tell: TellBackup<'_>,
) -> Result<BackupReport, BackupError> {
    let PointSource { data, point, is_held, options } = source;
    let mut report = BackupReport::of(&point);
    let goods = Goods::of(data);
    let mut stream = TarBackup::begin(out, point.at_ms)?;
    let rows = Store::open_to_look(DataDir::open_to_look(&point.root).map_err(OpenError::from)?, options)?;
    let take =
        |location: &Location, size, told: &mut dyn FnMut(u64)| stream.take(&goods, location, size, told);
    take_blobs(&rows, &mut report, take, is_held, tell)?;
    // Nobody else may have it open while its files are read.
    drop(rows);
    if !is_held() {
        return Err(BackupError::Ended);
    }
    stream.end(&point.root, &marker(&report))?;
    Ok(report)
}

/// What BACKUP says.
fn marker(report: &BackupReport) -> String {
    let at = super::rfc3339(report.at_ms);
    format!("a backup of a Wharfinger registry as of {at}\n{}\n", report.to_json())
}

/// Hands every blob of the point to `take`.
fn take_blobs(
    rows: &Store,
    report: &mut BackupReport,
    mut take: impl FnMut(&Location, u64, &mut dyn FnMut(u64)) -> io::Result<Taken>,
    is_held: &dyn Fn() -> bool,
    tell: TellBackup<'_>,
) -> Result<(), BackupError> {
    let mut progress = Progress::default();
    each_blob(rows, |_, blob| {
        progress.of_files += 1;
        progress.of_bytes += blob.size;
        Ok(())
    })?;
    (report.blobs, report.bytes) = (progress.of_files, progress.of_bytes);
    each_blob(rows, |digest, blob| {
        let before = progress.bytes;
        let mut told = |bytes: u64| {
            progress.bytes += bytes;
            tell(&progress);
        };
        told(0);
        let taken = take(&Location { digest, session: blob.session }, blob.size, &mut told)?;
        report.count(digest, blob, taken);
        progress.files += 1;
        progress.bytes = before + blob.size;
        if is_held() { Ok(()) } else { Err(BackupError::Ended) }
    })
}

fn each_blob(
    rows: &Store,
    mut visit: impl FnMut(Digest, &BlobRecord) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let mut range = KeyRange::all();
    loop {
        let page = rows.read(|rows| Ok::<_, StoreError>(rows.page(&BLOB, &range, PAGE_ROWS)?))?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        range = range.after(last);
        for (digest, blob) in &page {
            visit(*digest, blob)?;
        }
    }
}

#[cfg(test)]
mod tests;
