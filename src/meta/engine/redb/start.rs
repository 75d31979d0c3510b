//! Opening a ledger: what stands in the directory decides how.
//!
//! - The original, which nobody touched: the database is opened as it is, and what the journal has behind it
//!   is done again.
//! - The same file, touched: every page of the database is verified first.
//! - Anything else is a copy: its database is put aside and made anew from the newest whole snapshot and the
//!   frames behind it.
//!
//! What was touched or copied goes on with a timeline of its own. Two histories in one directory are refused.

use super::super::{OpenCause, OpenError, Opened, Origin};
use super::books::{begin_timeline, now_ms, replay};
use super::dump::Dump;
use super::identity::{Identity, IdentityFile, Likeness};
use super::journal::Journal;
use super::journal::history::{End, FollowError, History};
use super::journal::segment::first_of;
use super::keeper::Keeper;
use super::ledger::{Ledger, Open, Trust};
use super::place::{DATABASE, IDENTITY, Place};
use super::position::{Fork, Position};
use super::storage::DiskStorage;
use super::{LedgerOptions, rebuild};
use crate::disk::{How, Stat};
use std::io;
use std::sync::Arc;

/// A ledger that was opened.
pub struct Started {
    pub ledger: Ledger,
    /// None where the ledger is only looked at.
    pub journal: Option<Journal>,
    pub identity: IdentityFile,
    pub end: Position,
    pub lineage: Vec<Fork>,
    pub opened: Opened,
    pub keeper: Keeper,
    /// Bytes of frames that the database has in memory alone; none where it has all on the disk.
    pub unsynced_bytes: Option<u64>,
}

/// What stands in the directory.
pub struct Found {
    pub place: Place,
    pub options: LedgerOptions,
    pub history: History,
    pub dumps: Vec<Dump>,
    pub database: Option<Stat>,
    pub identity: Option<Identity>,
    pub likeness: Likeness,
    /// Whether nothing may be changed.
    pub looks: bool,
}

/// A database with what belongs to it.
pub struct Rows {
    pub ledger: Ledger,
    pub end: Position,
    pub lineage: Vec<Fork>,
    pub as_of_ms: Option<u64>,
    pub unsynced_bytes: Option<u64>,
    pub notes: Vec<String>,
    pub wants_snapshot: bool,
}

/// What an opening came to.
enum Outcome {
    /// It is open.
    Rows(Rows),
    /// The database is of no use: this is to be opened as a copy.
    Useless(String),
}

/// Opens the ledger of a place, or makes it.
pub fn start(place: &Place, options: &LedgerOptions) -> Result<Started, OpenError> {
    place.remove_unfinished().map_err(|error| io_error(&error))?;
    open(Found::read(place, options, false)?)
}

/// Opens the ledger of a place and changes nothing there.
pub fn look(place: &Place, options: &LedgerOptions) -> Result<Started, OpenError> {
    open(Found::read(place, options, true)?)
}

fn open(found: Found) -> Result<Started, OpenError> {
    if found.is_nothing() {
        let rows = rebuild::make(&found)?;
        return found.started(rows, Origin::New);
    }
    found.expect_nothing_left_behind()?;
    let outcome = match found.likeness {
        Likeness::Same => original(&found)?,
        Likeness::Touched => touched(&found)?,
        Likeness::Other => Outcome::Useless(String::new()),
    };
    match outcome {
        Outcome::Rows(rows) if found.likeness == Likeness::Same => found.started(rows, Origin::Original),
        Outcome::Rows(rows) => found.started(rows, Origin::Touched),
        Outcome::Useless(reason) => {
            if !reason.is_empty() {
                log::warn!("the ledger's database is made anew: {reason}");
            }
            found.expect_end_of_journal(0)?;
            let rows = rebuild::copy(&found)?;
            found.started(rows, Origin::Copy)
        }
    }
}

impl Found {
    fn read(place: &Place, options: &LedgerOptions, looks: bool) -> Result<Self, OpenError> {
        let read = || {
            let database = match place.disk.stat(&place.path(DATABASE)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                stat => Some(stat?).filter(|stat| stat.len > 0),
            };
            let (history, dumps) = (History::read(place)?, Dump::all(place)?);
            let identity = Identity::read(place)?;
            let mut likeness = match (&identity, &database) {
                (Some(identity), Some(stat)) => identity.likeness(stat),
                _ => Likeness::Other,
            };
            // Whoever has a segment under another name may be writing to it.
            if history.segments().iter().any(|segment| segment.is_shared) {
                likeness = Likeness::Other;
            }
            let (place, options) = (place.clone(), *options);
            Ok(Self { place, options, history, dumps, database, identity, likeness, looks })
        };
        read().map_err(|error: io::Error| io_error(&error))
    }

    fn is_nothing(&self) -> bool {
        self.database.is_none() && self.history.is_empty() && self.dumps.is_empty()
    }

    /// Refuses a directory into which an older copy was put back, and in which newer segments stayed. They
    /// were made here, and the identity, which came with the copy, does not know them.
    fn expect_nothing_left_behind(&self) -> Result<(), OpenError> {
        let Some(newest) = self.identity.as_ref().map(|identity| identity.newest.as_str()) else {
            return Ok(());
        };
        if self.likeness == Likeness::Same {
            return Ok(());
        }
        let known = first_of(newest);
        let mut left = Vec::new();
        for segment in self.history.segments() {
            let is_newer = segment.header.first >= known.unwrap_or(0_u64) && segment.name != newest;
            if segment.is_native && is_newer && segment.has_frames().map_err(|error| io_error(&error))? {
                left.push(segment.name.as_str());
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let directory = self.place.directory.display();
        Err(refused(format!(
            "a copy was put into a directory with pieces of the journal that it does not have: {}. Put the \
             copy into an empty directory, or take away what is not in it (rsync --delete does); to keep \
             what was there before, put back the {IDENTITY} and {DATABASE} that were in {directory}",
            left.join(", ")
        )))
    }

    /// Refuses a journal whose last segment cannot be read or has gone, where the database, which has all up
    /// to a frame, has nothing of it: what it had was acknowledged.
    fn expect_end_of_journal(&self, has: u64) -> Result<(), OpenError> {
        let newest = self.identity.as_ref().map(|identity| identity.newest.as_str());
        // A copy may have been made of the one before the other.
        let newest = newest.filter(|name| !name.is_empty() && self.likeness == Likeness::Same);
        let is_there = |name: &str| self.history.segments().iter().any(|segment| segment.name == name);
        let lost = self.history.damaged_end().or(newest.filter(|name| !is_there(name)));
        let is_witness = |name: &&str| first_of(name).is_some_and(|first| first <= has);
        let Some(name) = lost.filter(|name| !is_witness(name)) else { return Ok(()) };
        if self.options.accept_loss {
            if !self.looks {
                self.place.put_aside(&[name], now_ms()).map_err(|error| io_error(&error))?;
            }
            return Ok(());
        }
        let directory = self.place.directory.display();
        Err(damaged(format!(
            "the end of the journal, {name} in {directory}, is damaged, has gone, or was written by a newer \
             program: what it has was acknowledged. Put it back or put back a backup, or go on without it \
             with `--accept-loss`"
        )))
    }

    fn storage(&self) -> Result<Arc<DiskStorage>, OpenError> {
        let how = if self.looks { How::Read } else { How::Write };
        let file = self.place.open(DATABASE, how).map_err(|error| io_error(&error))?;
        let file = file.ok_or_else(|| refused(format!("{DATABASE} has gone")))?;
        Ok(Arc::new(DiskStorage(file)))
    }

    pub fn database(&self, trust: Trust) -> Result<Ledger, OpenError> {
        if self.looks {
            return self.kept(trust);
        }
        Ledger::open(self.storage()?, self.options.cache_bytes, trust)
    }

    /// The database, with what is written to it kept in memory.
    fn kept(&self, trust: Trust) -> Result<Ledger, OpenError> {
        Ledger::open_to_look(self.storage()?, self.options.cache_bytes, trust)
    }

    /// Makes durable what was read of the journal: what is built on it must not outlive it.
    pub fn sync_passed(&self, end: &End) -> Result<(), OpenError> {
        if self.looks {
            return Ok(());
        }
        let sync = || {
            self.history.passed(end).try_for_each(|(segment, _)| segment.sync())?;
            self.place.sync()
        };
        sync().map_err(|error| io_error(&error))
    }

    fn started(self, rows: Rows, origin: Origin) -> Result<Started, OpenError> {
        let Rows { ledger, end, lineage, as_of_ms, unsynced_bytes, notes, wants_snapshot } = rows;
        let bytes = self.history.bytes_behind(self.dumps.first().map(|dump| dump.header.position));
        let keeper = Keeper::new(self.dumps.first(), bytes, wants_snapshot);
        let last = self.history.segments().iter().rfind(|segment| segment.header.first <= end.sequence);
        let newest = last.map(|segment| segment.name.clone()).unwrap_or_default();
        let identity = if self.looks {
            IdentityFile::none(self.place.clone())
        } else {
            // The one that came with a copy is of no use to it, and one may name what was lost.
            let is_right = matches!(origin, Origin::Original | Origin::Touched) && !self.options.accept_loss;
            let there = self.identity.filter(|_| is_right);
            IdentityFile::new(self.place.clone(), there, newest).map_err(|error| io_error(&error))?
        };
        let journal = (!self.looks).then(|| {
            let fork = lineage.first().copied();
            Journal::new(self.place.clone(), end, fork, self.options.segment_max_bytes)
        });
        let opened = Opened { origin, as_of_ms, sequence: end.sequence, notes };
        Ok(Started { ledger, journal, identity, end, lineage, opened, keeper, unsynced_bytes })
    }
}

/// The original: the database as it is, and what the journal has behind it.
fn original(found: &Found) -> Result<Outcome, OpenError> {
    match original_in(found, found.database(Trust::Ours)) {
        // A start needs no room: what there is none for is kept in memory until there is.
        Err(error) if error.cause == OpenCause::Full && !found.looks => {
            log::warn!("there is no room to open the ledger for writing, it is only read: {}", error.reason);
            original_in(found, found.kept(Trust::Ours))
        }
        outcome => outcome,
    }
}

fn original_in(found: &Found, database: Result<Ledger, OpenError>) -> Result<Outcome, OpenError> {
    let ledger = match database {
        Ok(ledger) => ledger,
        Err(error) if error.cause == OpenCause::Damaged => return Ok(Outcome::Useless(error.reason)),
        Err(error) => return Err(error),
    };
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    let known = open.position().and_then(|position| Ok(position.zip(Some(open.lineage()?))));
    let (position, lineage) = match known {
        Ok(Some(known)) => known,
        Ok(None) => return Ok(Outcome::Useless("it does not say where in the journal it is".into())),
        Err(error) => return Ok(Outcome::Useless(error.to_string())),
    };
    found.expect_end_of_journal(position.sequence)?;
    let end = catch_up(found, &open, position, &lineage)?;
    drop(open);
    if !end.is_known {
        return ahead(found, ledger, position, lineage);
    }
    expect_unbroken(found, &end)?;
    expect_alone(found, &end, &lineage)?;
    found.sync_passed(&end)?;
    let is_behind = end.position != position;
    Ok(Outcome::Rows(Rows {
        ledger,
        end: end.position,
        lineage: lineage_of(&end, lineage),
        as_of_ms: end.at_ms,
        unsynced_bytes: is_behind.then_some(end.bytes),
        notes: Vec::new(),
        wants_snapshot: false,
    }))
}

/// Does again what the journal has behind a position.
fn catch_up(found: &Found, open: &Open, position: Position, lineage: &[Fork]) -> Result<End, OpenError> {
    let outcome = replay(&found.history, open, position).map(|mut end| {
        // A timeline that was begun here and has no frame yet is known by the one that it left.
        let left = lineage.iter().take_while(|fork| fork.sequence == position.sequence);
        let mut left = left.map(|fork| Position { timeline: fork.parent, ..position });
        end.is_known |= left.any(|left| found.history.ends_with(left).unwrap_or(false));
        end
    });
    match outcome {
        Err(FollowError::Unusable(words)) if open.is_full() => Err(full(&words)),
        outcome => outcome.map_err(|error| follow_error(&error)),
    }
}

pub fn lineage_of(end: &End, before: Vec<Fork>) -> Vec<Fork> {
    end.forks.iter().rev().copied().chain(before).collect()
}

/// A database whose place the journal does not have. Where it is behind the journal's end, the disk lost
/// frames that were synced, or somebody took them: the database is the only witness of them.
fn ahead(
    found: &Found,
    ledger: Ledger,
    position: Position,
    mut lineage: Vec<Fork>,
) -> Result<Outcome, OpenError> {
    let (end, _) = base_end(found)?;
    let is_ahead = end.as_ref().is_none_or(|end| {
        end.position.sequence < position.sequence && end.position.timeline == position.timeline
    });
    if !is_ahead {
        return Ok(Outcome::Useless("it is not of the history that the journal has".into()));
    }
    drop(ledger);
    let ledger = match found.database(Trust::None) {
        Ok(ledger) => ledger,
        Err(error) if error.cause == OpenCause::Damaged => return Ok(Outcome::Useless(error.reason)),
        Err(error) => return Err(error),
    };
    let lost = position.sequence - end.map_or(0, |end| end.position.sequence);
    let note = format!(
        "the disk lost {lost} frames of the journal that were synced, or they were removed; the database has \
         what they changed and is kept"
    );
    log::warn!("{note}");
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    let begun = begin_timeline(&open, position, &mut lineage);
    let end = begun.map_err(|error| database_error(&open, &error))?;
    drop(open);
    Ok(Outcome::Rows(Rows {
        ledger,
        end,
        lineage,
        as_of_ms: None,
        unsynced_bytes: Some(0),
        notes: vec![note],
        wants_snapshot: true,
    }))
}

/// The same file, which somebody touched, or that was cut off in a write: nothing is taken on trust.
fn touched(found: &Found) -> Result<Outcome, OpenError> {
    let ledger = match found.database(Trust::None) {
        Ok(ledger) => ledger,
        Err(error) if error.cause == OpenCause::Damaged => return Ok(Outcome::Useless(error.reason)),
        Err(error) => return Err(error),
    };
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    let known = open.position().and_then(|position| Ok(position.zip(Some(open.lineage()?))));
    let (position, lineage) = match known {
        Ok(Some(known)) => known,
        Ok(None) => return Ok(Outcome::Useless("it does not say where in the journal it is".into())),
        Err(error) => return Ok(Outcome::Useless(error.to_string())),
    };
    found.expect_end_of_journal(position.sequence)?;
    let end = catch_up(found, &open, position, &lineage)?;
    if !end.is_known {
        return Ok(Outcome::Useless("it is not of the history that the journal has".into()));
    }
    expect_unbroken(found, &end)?;
    expect_alone(found, &end, &lineage)?;
    found.sync_passed(&end)?;
    let mut lineage = lineage_of(&end, lineage);
    let begun = begin_timeline(&open, end.position, &mut lineage);
    let position = begun.map_err(|error| database_error(&open, &error))?;
    drop(open);
    Ok(Outcome::Rows(Rows {
        ledger,
        end: position,
        lineage,
        as_of_ms: end.at_ms,
        unsynced_bytes: Some(end.bytes),
        notes: Vec::new(),
        wants_snapshot: false,
    }))
}

/// Where the newest snapshot and the frames behind it end, and which snapshot that is.
fn base_end(found: &Found) -> Result<(Option<End>, Option<&Dump>), OpenError> {
    let dump = found.dumps.first();
    let from = dump.map(|dump| dump.header.position).or_else(|| found.history.start());
    let follow = |from| found.history.follow(from, |_| Ok(())).map_err(|error| follow_error(&error));
    Ok((from.map(follow).transpose()?, dump))
}

/// Refuses a journal with whole frames behind its end: what stands between was acknowledged.
fn expect_unbroken(found: &Found, end: &End) -> Result<(), OpenError> {
    let Some(later) = end.later.filter(|_| !found.options.accept_loss) else { return Ok(()) };
    let directory = found.place.directory.display();
    Err(damaged(format!(
        "the journal in {directory} breaks off behind frame {}, and goes on with frame {later}: what is \
         between them was acknowledged and is lost. Put back a backup, or go on without it with \
         `--accept-loss`",
        end.position
    )))
}

/// Refuses a directory with two histories.
pub fn expect_alone(found: &Found, end: &End, lineage: &[Fork]) -> Result<(), OpenError> {
    let lineage = lineage_of(end, lineage.to_vec());
    let other = found.history.other_than(end, &lineage).map_err(|error| io_error(&error))?;
    let Some(other) = other else { return Ok(()) };
    let directory = found.place.directory.display();
    Err(refused(format!(
        "two histories are in {directory}: one that ends with frame {}, and timeline {other}. A copy was put \
         over another that had gone on by itself: put the one that is wanted into an empty directory, or \
         copy with what is not in it taken away (rsync --delete)",
        end.position
    )))
}

pub fn io_error(error: &io::Error) -> OpenError {
    let cause = if crate::disk::is_full(error) { OpenCause::Full } else { OpenCause::OutOfReach };
    OpenError { reason: error.to_string(), cause }
}

pub fn refused(reason: String) -> OpenError {
    OpenError { reason, cause: OpenCause::OutOfReach }
}

pub fn damaged(reason: String) -> OpenError {
    OpenError { reason, cause: OpenCause::Damaged }
}

pub fn full(reason: &str) -> OpenError {
    OpenError { reason: reason.to_owned(), cause: OpenCause::Full }
}

pub fn database_error(open: &Open, error: &::redb::Error) -> OpenError {
    let cause = if open.is_full() { OpenCause::Full } else { OpenCause::Damaged };
    OpenError { reason: error.to_string(), cause }
}

pub fn follow_error(error: &FollowError) -> OpenError {
    match error {
        FollowError::Io(error) => io_error(error),
        FollowError::TwoWays(_) => refused(error.to_string()),
        FollowError::Unusable(words) => damaged(words.clone()),
    }
}
