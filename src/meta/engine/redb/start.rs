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
use super::LedgerOptions;
use super::books::{begin_timeline, replay};
use super::dump::Dump;
use super::found::Found;
use super::identity::{Identity, IdentityFile, Likeness};
use super::journal::Journal;
use super::journal::history::{End, FollowError};
use super::journal::segment::first_of;
use super::keeper::Keeper;
use super::ledger::{Ledger, Open, Trust};
use super::place::{DATABASE, Place};
use super::position::{Fork, Position};
use super::rebuild;
use super::refusal::{
    database_error, expect_alone, expect_unbroken, follow_error, full, gap, io_error, lineage_of, refused,
};

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

/// A database with what belongs to it.
pub struct Rows {
    pub ledger: Ledger,
    pub end: Position,
    pub lineage: Vec<Fork>,
    pub as_of_ms: Option<u64>,
    pub unsynced_bytes: Option<u64>,
    pub notes: Vec<String>,
    pub wants_snapshot: bool,
    /// Whether it goes on without acknowledged frames, or without a journal that leads to it.
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

fn open(mut found: Found) -> Result<Started, OpenError> {
    if found.is_nothing() {
        let rows = rebuild::make(&found)?;
        return found.started(rows, Origin::New);
    }
    found.expect_nothing_left_behind()?;
    found.expect_newest_segment()?;
    let outcome = match found.likeness {
        _ if found.options.rebuilds => Outcome::Useless(String::new()),
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
            let rows = rebuild::copy(&mut found)?;
            found.started(rows, Origin::Copy)
        }
    }
}

impl Found {
    fn started(self, rows: Rows, origin: Origin) -> Result<Started, OpenError> {
        let Rows { ledger, end, lineage, as_of_ms, unsynced_bytes, notes, wants_snapshot, is_cut } = rows;
        let bytes = self.history.bytes_behind(self.dumps.first().map(|dump| dump.header.position));
        let first_at_ms = self.history.segments().first().map(|segment| segment.header.at_ms);
        let has_many = self.history.segments().len() > SEGMENTS_MANY;
        let last = self.history.segments().iter().rfind(|segment| segment.header.first <= end.sequence);
        let newest = last.map(|segment| segment.name.clone()).unwrap_or_default();
        let goes_on = matches!(origin, Origin::Original | Origin::Touched);
        // The one that came with a copy is of no use to it.
        let there = match self.identity.filter(|_| goes_on) {
            Some(_) if is_cut && !self.looks => {
                Identity::read(&self.place).map_err(|error| io_error(&error))?
            }
            there => there,
        };
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
        return unknown(found, ledger, &end, lineage, is_touched);
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
    let left = found.left_out(&end, &lineage)?;
    let is_cut = left.has_segments() || end.later.is_some() || found.lacking().is_some();
    if is_cut {
        found.cut(&left)?;
    } else {
        found.put_aside(&left)?;
    }
    let mut last = end.position;
    if is_touched || is_cut {
        let is_seen = found.has_timeline(last.timeline);
        let begun = begin_timeline(is_seen, &open, last, &mut lineage);
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
        wants_snapshot: is_cut || end.is_skipped || !found.unfit.is_empty(),
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
    at: &End,
    lineage: Vec<Fork>,
    is_touched: bool,
) -> Result<Outcome, OpenError> {
    let position = at.position;
    let later = found.history.whole_frame_above(position.sequence, &lineage);
    let later = later.map_err(|error| io_error(&error))?;
    let end = base_end(found)?;
    let is_ahead = end.is_none_or(|end| {
        let is_left = |fork: &Fork| fork.parent == end.timeline && fork.sequence >= end.sequence;
        end.sequence < position.sequence && (end.timeline == position.timeline || lineage.iter().any(is_left))
    });
    let is_allowed = found.options.accept_loss;
    if let Some(later) = later.filter(|_| is_ahead && !is_allowed) {
        return Err(gap(found, position, later));
    }
    if is_ahead {
        let lost = position.sequence - end.map_or(0, |end| end.sequence);
        let ledger = if is_touched {
            ledger
        } else {
            drop(ledger);
            match found.database(Trust::None) {
                Err(error) if error.cause == OpenCause::Damaged => return Ok(Outcome::Useless(error.reason)),
                verified => verified?,
            }
        };
        return ahead(found, ledger, at, lineage, lost);
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

/// A database that is ahead of its journal by so many frames, was verified, and is kept.
fn ahead(
    found: &Found,
    ledger: Ledger,
    at: &End,
    mut lineage: Vec<Fork>,
    lost: u64,
) -> Result<Outcome, OpenError> {
    let note = format!(
        "the disk lost {lost} frames of the journal that were synced, or they were removed; the database has \
         what they changed and is kept"
    );
    log::warn!("{note}");
    found.cut(&found.left_out(at, &lineage)?)?;
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    let is_seen = found.has_timeline(at.position.timeline);
    let begun = begin_timeline(is_seen, &open, at.position, &mut lineage);
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

/// Where the newest snapshot and the frames behind it end.
fn base_end(found: &Found) -> Result<Option<Position>, OpenError> {
    let dump = found.dumps.first();
    let from = dump.map(|dump| dump.header.position).or_else(|| found.history.start());
    let Some(from) = from else { return Ok(None) };
    let end = found.history.follow(from, |_| Ok(())).map_err(|error| follow_error(&error))?;
    Ok(Some(end.position))
}
