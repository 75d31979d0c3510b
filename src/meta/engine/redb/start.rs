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
use super::journal::segment::{Segment, first_of};
use super::keeper::Keeper;
use super::ledger::{Ledger, Open, Trust};
use super::place::{DATABASE, IDENTITY, KEPT, Place};
use super::position::{Fork, Position};
use super::refusal::{
    database_error, expect_alone, expect_unbroken, follow_error, full, gap, io_error, lineage_of, refused,
};
use super::storage::DiskStorage;
use super::{LedgerOptions, rebuild};
use crate::disk::{How, Stat};
use std::io;
use std::sync::Arc;

/// Segments of which there are so many only where many starts wrote little: a snapshot lets them go.
const SEGMENTS_MANY: usize = 64;

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
    /// Whether acknowledged frames were left out, as somebody asked for.
    pub is_cut: bool,
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
    found.expect_newest_segment()?;
    let outcome = match found.likeness {
        Likeness::Same => original(&found)?,
        Likeness::Touched => touched(&found)?,
        Likeness::Other => Outcome::Useless(String::new()),
    };
    match outcome {
        // Without some of its frames it is a ledger whose files have to be looked at.
        Outcome::Rows(rows) if found.likeness == Likeness::Same && !rows.is_cut => {
            found.started(rows, Origin::Original)
        }
        Outcome::Rows(rows) => found.started(rows, Origin::Touched),
        Outcome::Useless(reason) => {
            if !reason.is_empty() {
                log::warn!("the ledger's database is made anew: {reason}");
            }
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
            if !looks {
                history.segments().iter().for_each(Segment::forget_cached);
            }
            let identity = Identity::read(place)?;
            let mut likeness = match (&identity, &database) {
                (Some(identity), Some(stat)) => identity.likeness(stat),
                _ => Likeness::Other,
            };
            // Whoever has a segment under another name may be writing to it.
            if options.rebuilds || history.segments().iter().any(|segment| segment.is_shared) {
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

    /// The name of a segment that was made here and is not there, or not whole.
    fn lacking(&self) -> Option<&str> {
        let identity = self.identity.as_ref().filter(|_| self.likeness != Likeness::Other)?;
        let newest = identity.newest.as_str();
        let is_newest = |segment: &Segment| segment.name == newest;
        let has_newest = newest.is_empty() || self.history.segments().iter().any(is_newest);
        // The database of one that was closed has all that the journal had.
        let is_complete = identity.is_closed && self.likeness == Likeness::Same;
        let is_missed = !has_newest && !is_complete;
        self.history.broken().next().or(Some(newest).filter(|_| is_missed))
    }

    /// Refuses a directory, other than a copy, whose journal lacks what was made here: the header of a
    /// segment is whole before it has its name, and the identity names the newest before that has a frame.
    fn expect_newest_segment(&self) -> Result<(), OpenError> {
        let lacking = self.lacking().filter(|_| !self.options.accept_loss);
        let Some(lacking) = lacking else { return Ok(()) };
        let directory = self.place.directory.display();
        Err(refused(format!(
            "{lacking} in {directory} is damaged or has gone, and with it what was acknowledged last. Put it \
             back, or a backup, or go on without it with `--accept-loss`"
        )))
    }

    /// Moves what is no part of the history to a directory of its own, so that neither a later start nor a
    /// backup meets it. Says whether segments were among that: then IDENTITY went first, which may name one.
    pub fn put_left_out_aside(&self, end: &End, lineage: &[Fork]) -> Result<bool, OpenError> {
        let left = self.history.left_out(end).map_err(|error| io_error(&error))?;
        let mut names: Vec<&str> = left.iter().map(|segment| segment.name.as_str()).collect();
        names.extend(self.history.broken());
        let has_segments = !names.is_empty();
        let is_stray = |dump: &&Dump| !is_on_the_way(dump, end.position, lineage);
        names.extend(self.dumps.iter().filter(is_stray).map(|dump| dump.name.as_str()));
        if names.is_empty() || self.looks {
            return Ok(has_segments);
        }
        let put = |names: &[&str]| self.place.put_aside(KEPT, names, now_ms());
        let identity = if has_segments { put(&[IDENTITY]).map(drop) } else { Ok(()) };
        let kept = identity.and_then(|()| put(&names)).map_err(|error| io_error(&error))?;
        log::warn!("what is no part of the ledger's history is kept in ledger/{kept} for a while");
        Ok(has_segments)
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
        let Rows { ledger, end, lineage, as_of_ms, unsynced_bytes, notes, wants_snapshot, is_cut } = rows;
        let bytes = self.history.bytes_behind(self.dumps.first().map(|dump| dump.header.position));
        let first_at_ms = self.history.segments().first().map(|segment| segment.header.at_ms);
        let has_many = self.history.segments().len() > SEGMENTS_MANY;
        let last = self.history.segments().iter().rfind(|segment| segment.header.first <= end.sequence);
        let newest = last.map(|segment| segment.name.clone()).unwrap_or_default();
        let goes_on = matches!(origin, Origin::Original | Origin::Touched) && !is_cut;
        // The one that came with a copy is of no use to it.
        let there = self.identity.filter(|_| goes_on);
        let named = there.as_ref().map_or(newest.as_str(), |identity| identity.newest.as_str());
        let newest_first = first_of(named).unwrap_or(0);
        let wants_snapshot = wants_snapshot || has_many;
        let keeper = Keeper::new(self.dumps.first(), bytes, first_at_ms, newest_first, wants_snapshot);
        let identity = if self.looks {
            IdentityFile::none(self.place.clone())
        } else {
            IdentityFile::new(self.place.clone(), there, newest).map_err(|error| io_error(&error))?
        };
        let journal = (!self.looks).then(|| {
            let fork = lineage.first().copied();
            let mut journal = Journal::new(self.place.clone(), end, fork, self.options.segment_max_bytes);
            // One that came with a copy has zeros, too: nothing was ever written to it.
            journal.adopt_spare().map(|()| journal).map_err(|error| io_error(&error))
        });
        let journal = journal.transpose()?;
        let opened = Opened { origin, as_of_ms, sequence: end.sequence, notes };
        Ok(Started { ledger, journal, identity, end, lineage, opened, keeper, unsynced_bytes })
    }
}

/// Whether a snapshot has a state through which the history came.
fn is_on_the_way(dump: &Dump, end: Position, lineage: &[Fork]) -> bool {
    let Position { timeline, sequence, .. } = dump.header.position;
    let is_left = |fork: &Fork| fork.parent == timeline && fork.sequence >= sequence;
    // One of a timeline that was begun right there, and forgotten, has the same state.
    let is_here = (sequence, dump.header.position.chain) == (end.sequence, end.chain);
    is_here || sequence <= end.sequence && (timeline == end.timeline || lineage.iter().any(is_left))
}

/// The original: the database as it is, and what the journal has behind it.
fn original(found: &Found) -> Result<Outcome, OpenError> {
    match keep(found, found.database(Trust::Ours), false) {
        // A start needs no room: what there is none for is kept in memory until there is.
        Err(error) if error.cause == OpenCause::Full && !found.looks => {
            log::warn!("there is no room to open the ledger for writing, it is only read: {}", error.reason);
            keep(found, found.kept(Trust::Ours), false)
        }
        outcome => outcome,
    }
}

/// The database that is there, with what the journal has behind it. One that was touched goes on with a
/// timeline of its own.
fn keep(found: &Found, database: Result<Ledger, OpenError>, is_touched: bool) -> Result<Outcome, OpenError> {
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
    let end = catch_up(found, &open, position, &lineage)?;
    if !end.is_known {
        drop(open);
        return unknown(found, ledger, position, lineage, is_touched);
    }
    expect_unbroken(found, &end)?;
    expect_alone(found, &end, &lineage)?;
    found.sync_passed(&end)?;
    let mut notes = Vec::new();
    if let Some(later) = end.later {
        notes.push(format!("frames from {later} on were left out, as was asked for"));
    }
    if end.is_skipped {
        let words = "frames in front of those that the database has are damaged: copies need a new snapshot";
        log::warn!("{words}");
        notes.push(words.to_owned());
    }
    let mut lineage = lineage_of(&end, lineage);
    let has_left = found.put_left_out_aside(&end, &lineage)?;
    let is_cut = has_left || end.later.is_some() || found.lacking().is_some();
    let mut last = end.position;
    if is_touched || is_cut {
        let begun = begin_timeline(&found.history, &open, last, &mut lineage);
        last = begun.map_err(|error| database_error(&open, &error))?;
    }
    drop(open);
    Ok(Outcome::Rows(Rows {
        ledger,
        end: last,
        lineage,
        as_of_ms: end.at_ms,
        unsynced_bytes: (last != position).then_some(end.bytes),
        notes,
        wants_snapshot: is_cut || end.is_skipped,
        is_cut,
    }))
}

/// Does again what the journal has behind a position.
pub fn catch_up(found: &Found, open: &Open, position: Position, lineage: &[Fork]) -> Result<End, OpenError> {
    let replayed = || {
        let mut end = replay(&found.history, open, position)?;
        // A snapshot may be all that is left of what led there.
        let is_there = |dump: &Dump| {
            let of = dump.header.position;
            (of.sequence, of.chain) == (position.sequence, position.chain)
        };
        end.is_known = end.is_known || found.dumps.iter().any(is_there);
        // A timeline that was begun here and has no frame yet is known by the one that it left.
        for fork in lineage.iter().take_while(|fork| fork.sequence == position.sequence) {
            let left = Position { timeline: fork.parent, ..position };
            end.is_known = end.is_known || found.history.ends_with(left)?;
        }
        Ok(end)
    };
    match replayed() {
        Err(FollowError::Unusable(words)) if open.is_full() => Err(full(&words)),
        outcome => outcome.map_err(|error| follow_error(&error)),
    }
}

/// A database whose place the journal does not have. Where it is behind the journal's end, the disk lost
/// frames that were synced, or somebody took them: the database is the only witness of them.
fn unknown(
    found: &Found,
    ledger: Ledger,
    position: Position,
    lineage: Vec<Fork>,
    is_touched: bool,
) -> Result<Outcome, OpenError> {
    let later = found.history.whole_frame_above(position.sequence).map_err(|error| io_error(&error))?;
    let (end, _) = base_end(found)?;
    let is_ahead = end.as_ref().is_none_or(|end| {
        let left = Fork { parent: end.position.timeline, sequence: end.position.sequence };
        let is_left = |fork: &Fork| fork.parent == left.parent && fork.sequence >= left.sequence;
        end.position.sequence < position.sequence
            && (end.position.timeline == position.timeline || lineage.iter().any(is_left))
    });
    let is_allowed = found.options.accept_loss;
    if let Some(later) = later.filter(|_| is_ahead && !is_allowed) {
        return Err(gap(found, position, later));
    }
    if is_ahead {
        return ahead(found, ledger, position, lineage, end.as_ref(), is_touched);
    }
    // An older copy may have been put back over it.
    if is_touched || is_allowed {
        return Ok(Outcome::Useless("it is not of the history that the journal has".into()));
    }
    let directory = found.place.directory.display();
    Err(refused(format!(
        "{DATABASE} in {directory} is at frame {position}, and the journal is another's. Put back what was \
         there, or a backup, or go on with what the journal has with `--accept-loss`"
    )))
}

/// A database that is ahead of its journal, and is kept.
fn ahead(
    found: &Found,
    ledger: Ledger,
    position: Position,
    mut lineage: Vec<Fork>,
    journal: Option<&End>,
    is_verified: bool,
) -> Result<Outcome, OpenError> {
    let ledger = if is_verified {
        ledger
    } else {
        drop(ledger);
        match found.database(Trust::None) {
            Ok(ledger) => ledger,
            Err(error) if error.cause == OpenCause::Damaged => return Ok(Outcome::Useless(error.reason)),
            Err(error) => return Err(error),
        }
    };
    let lost = position.sequence - journal.map_or(0, |end| end.position.sequence);
    let note = format!(
        "the disk lost {lost} frames of the journal that were synced, or they were removed; the database has \
         what they changed and is kept"
    );
    log::warn!("{note}");
    if let Some(journal) = journal {
        let end = End::at(position, journal);
        found.put_left_out_aside(&end, &lineage)?;
    }
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    let begun = begin_timeline(&found.history, &open, position, &mut lineage);
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
        is_cut: true,
    }))
}

/// The same file, which somebody touched, or that was cut off in a write: nothing is taken on trust.
fn touched(found: &Found) -> Result<Outcome, OpenError> {
    keep(found, found.database(Trust::None), true)
}

/// Where the newest snapshot and the frames behind it end, and which snapshot that is.
fn base_end(found: &Found) -> Result<(Option<End>, Option<&Dump>), OpenError> {
    let dump = found.dumps.first();
    let from = dump.map(|dump| dump.header.position).or_else(|| found.history.start());
    let follow = |from| found.history.follow(from, |_| Ok(())).map_err(|error| follow_error(&error));
    Ok((from.map(follow).transpose()?, dump))
}
