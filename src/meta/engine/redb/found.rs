//! What stands in the directory of a ledger: what of it is refused, and what is put aside.

use super::super::OpenError;
use super::LedgerOptions;
use super::books::now_ms;
use super::dump::Dump;
use super::identity::{Identity, Likeness};
use super::journal::history::{End, History};
use super::journal::segment::{Segment, first_of};
use super::ledger::{Ledger, Trust};
use super::place::{DATABASE, IDENTITY, KEPT, Place};
use super::position::{Fork, Position, Timeline};
use super::refusal::{io_error, refused};
use super::storage::DiskStorage;
use crate::disk::{How, Stat};
use std::io;
use std::sync::Arc;

/// What stands in the directory.
pub struct Found {
    pub place: Place,
    pub options: LedgerOptions,
    pub history: History,
    /// The snapshots whose headers are whole, the newest first.
    pub dumps: Vec<Dump>,
    /// The names of snapshots that are not whole.
    pub unfit: Vec<String>,
    pub database: Option<Stat>,
    pub identity: Option<Identity>,
    pub likeness: Likeness,
    /// Whether nothing may be changed.
    pub looks: bool,
}

/// What is no part of the history, by name.
pub struct LeftOut {
    /// Segments with frames behind its end, and those whose headers are not whole.
    segments: Vec<String>,
    /// Snapshots of states that are not on the way, and those that are not whole.
    snapshots: Vec<String>,
}

impl LeftOut {
    pub fn has_segments(&self) -> bool {
        !self.segments.is_empty()
    }

    fn names(&self) -> Vec<&str> {
        self.segments.iter().chain(&self.snapshots).map(String::as_str).collect()
    }
}

impl Found {
    pub fn read(place: &Place, options: &LedgerOptions, looks: bool) -> Result<Self, OpenError> {
        let read = || {
            let database = match place.disk.stat(&place.path(DATABASE)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                stat => Some(stat?).filter(|stat| stat.len > 0),
            };
            let history = History::read(place)?;
            let (dumps, unfit) = Dump::all(place)?;
            if !looks {
                history.segments().iter().for_each(Segment::forget_cached);
            }
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
            Ok(Self { place, options, history, dumps, unfit, database, identity, likeness, looks })
        };
        read().map_err(|error: io::Error| io_error(&error))
    }

    pub fn is_nothing(&self) -> bool {
        let has_snapshots = !self.dumps.is_empty() || !self.unfit.is_empty();
        self.database.is_none() && self.history.is_empty() && !has_snapshots
    }

    /// Refuses a directory into which an older copy was put back, and in which newer segments stayed. They
    /// were made here, and the identity, which came with the copy, does not know them.
    pub fn expect_nothing_left_behind(&self) -> Result<(), OpenError> {
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
    pub fn lacking(&self) -> Option<&str> {
        let identity = self.identity.as_ref().filter(|_| self.likeness != Likeness::Other)?;
        let newest = identity.newest.as_str();
        let is_newest = |segment: &Segment| segment.name == newest;
        let has_newest = newest.is_empty() || self.history.segments().iter().any(is_newest);
        // The database of one that was closed has all that the journal had.
        let is_complete = identity.is_closed && self.likeness == Likeness::Same && !self.options.rebuilds;
        let is_missed = !has_newest && !is_complete;
        self.history.broken().next().or(Some(newest).filter(|_| is_missed))
    }

    /// Refuses a directory, other than a copy, whose journal lacks what was made here: the header of a
    /// segment is whole before it has its name, and the identity names the newest before that has a frame.
    pub fn expect_newest_segment(&self) -> Result<(), OpenError> {
        let lacking = self.lacking().filter(|_| !self.options.accept_loss);
        let Some(lacking) = lacking else { return Ok(()) };
        let directory = self.place.directory.display();
        Err(refused(format!(
            "{lacking} in {directory} is damaged or has gone, and with it what was acknowledged last. Put it \
             back, or a backup, or go on without it with `--accept-loss`. If this is a copy that was put \
             back over what was here, take {IDENTITY} and {DATABASE} away, then it is opened as one"
        )))
    }

    /// What is no part of a history.
    pub fn left_out(&self, end: &End, lineage: &[Fork]) -> Result<LeftOut, OpenError> {
        let behind = self.history.left_out(end).map_err(|error| io_error(&error))?;
        let mut segments: Vec<String> = behind.iter().map(|segment| segment.name.clone()).collect();
        segments.extend(self.history.broken().map(str::to_owned));
        let is_stray = |dump: &&Dump| !is_on_the_way(dump, end.position, lineage);
        let stray = self.dumps.iter().filter(is_stray).map(|dump| dump.name.clone());
        let snapshots = stray.chain(self.unfit.iter().cloned()).collect();
        Ok(LeftOut { segments, snapshots })
    }

    /// Moves what was left out to a directory of its own, so that neither a later start nor a backup meets
    /// it.
    pub fn put_aside(&self, left: &LeftOut) -> Result<(), OpenError> {
        let names = left.names();
        if names.is_empty() || self.looks {
            return Ok(());
        }
        let kept = self.place.put_aside(KEPT, &names, now_ms()).map_err(|error| io_error(&error))?;
        log::warn!("what is no part of the ledger's history is kept in ledger/{kept} for a while");
        Ok(())
    }

    /// The same of what is opened as a copy: IDENTITY, which may name a segment of it, goes first.
    pub fn put_aside_of_copy(&self, left: &LeftOut) -> Result<(), OpenError> {
        if left.has_segments() && !self.looks {
            let put = self.place.put_aside(KEPT, &[IDENTITY], now_ms());
            put.map_err(|error| io_error(&error))?;
        }
        self.put_aside(left)
    }

    /// The same of a database that goes on without acknowledged frames, or without a journal that leads to
    /// it. Until its files were looked at, each start has to look closely: IDENTITY says so, durably, before
    /// anything moves. What it calls the newest segment is changed last: until then a start refuses again.
    pub fn cut(&self, left: &LeftOut) -> Result<(), OpenError> {
        if self.looks {
            return Ok(());
        }
        let mut identity = self.identity.clone().expect("what is no copy has one").touched();
        let write = |identity: &Identity| identity.write(&self.place).map_err(|error| io_error(&error));
        write(&identity)?;
        self.put_aside(left)?;
        let is_there = |segment: &&Segment| !left.segments.contains(&segment.name);
        let newest = self.history.segments().iter().rfind(is_there);
        identity.newest = newest.map(|segment| segment.name.clone()).unwrap_or_default();
        write(&identity)
    }

    /// Whether frames or a snapshot of a timeline are here.
    pub fn has_timeline(&self, timeline: Timeline) -> bool {
        let is_of_it = |dump: &Dump| dump.header.position.timeline == timeline;
        self.history.has_timeline(timeline) || self.dumps.iter().any(is_of_it)
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
    pub fn kept(&self, trust: Trust) -> Result<Ledger, OpenError> {
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
}

/// Whether a snapshot has a state through which the history came.
fn is_on_the_way(dump: &Dump, end: Position, lineage: &[Fork]) -> bool {
    let Position { timeline, sequence, .. } = dump.header.position;
    let is_left = |fork: &Fork| fork.parent == timeline && fork.sequence >= sequence;
    // One of a timeline that was begun right there, and forgotten, has the same state.
    let is_here = (sequence, dump.header.position.chain) == (end.sequence, end.chain);
    is_here || sequence <= end.sequence && (timeline == end.timeline || lineage.iter().any(is_left))
}
