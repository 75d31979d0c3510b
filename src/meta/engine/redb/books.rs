//! What the writing thread has in its hands: the database, the journal, and what tells them from a copy.

use super::super::EngineError;
use super::identity::IdentityFile;
use super::journal::Journal;
use super::journal::history::{End, FollowError, History};
use super::keeper::Keeper;
use super::ledger::{Ledger, Open, put_lineage, put_position};
use super::place::Place;
use super::position::{Fork, Position, Timeline};
use super::{LedgerOptions, dump, storage};
use ::redb::{Durability, WriteTransaction};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Frames of a replay that share a transaction: so many bytes of them.
const REPLAY_BYTES: usize = 4 * 1024 * 1024;

/// Operations after which an idle ledger syncs its database soon.
const IDLE_OPERATIONS: u64 = 64;

/// How long a ledger is without a write until it is idle.
const IDLE: Duration = Duration::from_millis(50);

/// How many times as long as it takes to open the database again readers have it before the next time.
const READERS_SHARE: u32 = 4;

/// The most of that.
const READERS_MAX: Duration = Duration::from_secs(1);

/// How long the database is not synced after there was no room for that.
const FULL_PAUSE: Duration = Duration::from_secs(30);

/// The time of now, in milliseconds since the epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the books are made of.
pub struct Parts {
    pub ledger: Arc<Ledger>,
    pub place: Place,
    pub journal: Option<Journal>,
    pub identity: IdentityFile,
    pub options: LedgerOptions,
    pub keeper: Arc<Keeper>,
    /// The timelines that the ledger's own left, the newest first.
    pub lineage: Vec<Fork>,
}

/// The books of a ledger, which one thread writes.
pub struct Books {
    pub ledger: Arc<Ledger>,
    place: Place,
    /// None where the ledger is only looked at.
    journal: Option<Journal>,
    end: Position,
    identity: IdentityFile,
    options: LedgerOptions,
    keeper: Arc<Keeper>,
    lineage: Vec<Fork>,
    /// Operations and bytes of frames that the database has in memory alone, since when, and the last time.
    unsynced: Unsynced,
    /// Whether the database is to be called the original, and is not yet.
    is_to_settle: bool,
    not_before: Option<Instant>,
    /// When the database was last opened for a write that found no room, and how long that took.
    reopened: Option<(Instant, Duration)>,
}

#[derive(Debug, Default)]
struct Unsynced {
    operations: u64,
    bytes: u64,
    since: Option<(Instant, Instant)>,
}

impl Books {
    /// Begins behind `end`. `unsynced_bytes` are those of the frames that the database has in memory alone;
    /// none where it has all on the disk.
    pub fn new(parts: Parts, end: Position, unsynced_bytes: Option<u64>) -> Self {
        let Parts { ledger, place, journal, identity, options, keeper, lineage } = parts;
        let now = Instant::now();
        let unsynced = match unsynced_bytes {
            None => Unsynced::default(),
            Some(bytes) => Unsynced { operations: IDLE_OPERATIONS, bytes, since: Some((now, now)) },
        };
        let not_before = None;
        ledger.set_last_group(end.sequence);
        Self {
            ledger,
            place,
            journal,
            end,
            identity,
            options,
            keeper,
            lineage,
            unsynced,
            is_to_settle: false,
            reopened: None,
            not_before,
        }
    }

    /// The last frame.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The present opening, if it can be written to: opened again where it could not so far.
    pub fn writable(&mut self) -> Result<Option<Open>, String> {
        if let Some(open) = self.ledger.writable() {
            return Ok(Some(open));
        }
        if self.journal.is_none() {
            // What is looked at keeps its changes in memory.
            return self.ledger.present().map(Some).map_err(|error| error.to_string());
        }
        // Nobody reads while it is opened: on a disk that stays full, readers get most of the time.
        let rest = self
            .reopened
            .and_then(|(at, took)| (took * READERS_SHARE).min(READERS_MAX).checked_sub(at.elapsed()));
        if let Some(rest) = rest {
            std::thread::park_timeout(rest);
        }
        let began = Instant::now();
        self.reopen()?;
        self.reopened = Some((Instant::now(), began.elapsed()));
        Ok(self.ledger.writable())
    }

    /// Makes a group's changes durable: this is its commit.
    pub fn append(&mut self, payload: &[u8], operations: usize) -> std::io::Result<()> {
        let now = Instant::now();
        let bytes = if let Some(journal) = &mut self.journal {
            let bytes = journal.append(payload, now_ms(), &mut self.identity)?;
            self.end = journal.end();
            self.keeper.note_segment(journal.current_first());
            bytes
        } else {
            self.end = Position { sequence: self.end.sequence + 1, ..self.end };
            0
        };
        let first = self.unsynced.since.map_or(now, |(first, _)| first);
        self.unsynced.since = Some((first, now));
        self.unsynced.operations += operations as u64;
        self.unsynced.bytes += bytes as u64;
        self.keeper.note_frames(bytes as u64);
        Ok(())
    }

    /// The group is in the database, too.
    pub fn committed(&mut self) -> Result<(), EngineError> {
        self.ledger.set_last_group(self.end.sequence);
        self.note_database()
    }

    fn note_database(&mut self) -> Result<(), EngineError> {
        let noted = self.identity.note_database();
        noted.map_err(|error| EngineError::Storage(format!("IDENTITY cannot be written: {error}")))
    }

    /// When the database is to be synced; none: there is nothing to sync.
    pub fn checkpoint_due(&self) -> Option<Instant> {
        let (first, last) = self.unsynced.since.filter(|_| self.journal.is_some())?;
        let LedgerOptions { checkpoint_operations, checkpoint_bytes, checkpoint_secs, .. } = self.options;
        let due =
            if self.unsynced.operations >= checkpoint_operations || self.unsynced.bytes >= checkpoint_bytes {
                last
            } else if self.unsynced.operations >= IDLE_OPERATIONS {
                (last + IDLE).min(first + Duration::from_secs(checkpoint_secs))
            } else {
                first + Duration::from_secs(checkpoint_secs)
            };
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// Syncs the database, so that a start need not do again what is in it. Where there is no room it waits:
    /// the journal has everything.
    pub fn checkpoint(&mut self) -> Result<(), String> {
        let Some(open) = self.ledger.writable().filter(|_| self.journal.is_some()) else {
            self.not_before = Some(Instant::now() + FULL_PAUSE);
            return Ok(());
        };
        match sync_database(&open, self.end, &self.lineage) {
            Ok(()) => {}
            Err(error) if open.is_full() => {
                log::warn!("the ledger's database waits to be synced, there is no room: {error}");
                drop(open);
                self.reopen()?;
                self.not_before = Some(Instant::now() + FULL_PAUSE);
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        }
        (self.unsynced, self.not_before) = (Unsynced::default(), None);
        self.keeper.note_checkpoint(self.end.sequence);
        self.begin_identity()?;
        self.note_database().map_err(|error| error.to_string())
    }

    /// Opens the database again after it met the end of the disk.
    pub fn reopen(&mut self) -> Result<(), String> {
        let (place, end) = (self.place.clone(), self.end);
        let mut replay = |open: &Open, from: Position| replay_to(&place, open, from, end);
        let found = self.ledger.reopen(&mut replay).map_err(|error| error.to_string())?;
        assert_eq!(found.sequence, self.end.sequence, "the journal has all that was committed");
        self.note_database().map_err(|error| error.to_string())
    }

    /// Says from now on that the database is the original.
    pub fn settle(&mut self) -> Result<(), String> {
        if self.journal.is_none() {
            return Ok(());
        }
        self.keeper.note_settled();
        self.is_to_settle = true;
        // First what it is the original of: a timeline that was begun here must not be begun again.
        if self.unsynced.since.is_some() { self.checkpoint() } else { self.begin_identity() }
    }

    /// Calls the database the original, if it is to be. Where there is no room it is tried again.
    fn begin_identity(&mut self) -> Result<(), String> {
        if !self.is_to_settle {
            return Ok(());
        }
        match self.identity.begin() {
            Err(error) if crate::disk::is_full(&error) => {
                log::warn!("IDENTITY cannot be written, there is no room: until it is, a start takes longer");
                Ok(())
            }
            Ok(()) => {
                self.is_to_settle = false;
                Ok(())
            }
            Err(error) => Err(format!("IDENTITY cannot be written: {error}")),
        }
    }

    /// Ends: what is in memory alone is synced, and the room that was taken is given back.
    pub fn close(&mut self) {
        let close = || {
            if self.unsynced.since.is_some() {
                self.checkpoint()?;
            }
            self.keeper.stop();
            self.ledger.close();
            if let Some(journal) = &mut self.journal {
                journal.close().map_err(|error| error.to_string())?;
                if self.unsynced.since.is_none() {
                    self.identity.note_closed().map_err(|error| error.to_string())?;
                }
            }
            Ok::<_, String>(())
        };
        let mut close = close;
        if let Err(error) = close() {
            log::warn!("the ledger was not closed as it should be, the next start does the rest: {error}");
        }
    }
}

/// What is on the disk says all that the next start has to know of its place in the journal.
fn sync_database(open: &Open, end: Position, lineage: &[Fork]) -> Result<(), ::redb::Error> {
    let transaction = open.begin_write(Durability::Immediate)?;
    put_position(&transaction, end)?;
    put_lineage(&transaction, lineage)?;
    transaction.commit()?;
    Ok(())
}

/// Does again what the journal has from a position to its end, which is known.
fn replay_to(place: &Place, open: &Open, from: Position, end: Position) -> Result<Position, String> {
    let history = History::read(place).map_err(|error| error.to_string())?;
    let found = replay(&history, open, from).map_err(|error| error.to_string())?.position;
    if (found.sequence, found.chain) != (end.sequence, end.chain) {
        return Err(format!("the journal ends with frame {found}, not {end}"));
    }
    // Of a timeline that was begun and has no frame yet, the journal does not know.
    put_end(open, end).map_err(|error| error.to_string())?;
    Ok(end)
}

fn put_end(open: &Open, end: Position) -> Result<(), ::redb::Error> {
    let transaction = open.begin_write(Durability::None)?;
    put_position(&transaction, end)?;
    transaction.commit()?;
    Ok(())
}

/// Does again what the journal has behind a position, in memory.
pub fn replay(history: &History, open: &Open, from: Position) -> Result<End, FollowError> {
    let unusable = |error: ::redb::Error| FollowError::Unusable(storage(error).to_string());
    let mut running: Option<(WriteTransaction, usize)> = None;
    let mut last = from;
    let commit = |(transaction, _): (WriteTransaction, usize), last: Position| {
        put_position(&transaction, last)?;
        transaction.commit()?;
        Ok::<_, ::redb::Error>(())
    };
    let end = history.follow(from, |frame| {
        let (transaction, bytes) = match running.take() {
            Some(running) => running,
            None => (open.begin_write(Durability::None).map_err(unusable)?, 0),
        };
        if !dump::apply(&transaction, &frame.payload).map_err(unusable)? {
            let words = format!("frame {} is whole and cannot be read", frame.position);
            return Err(FollowError::Unusable(words));
        }
        last = frame.position;
        let now = (transaction, bytes + frame.payload.len());
        if now.1 < REPLAY_BYTES {
            running = Some(now);
            return Ok(());
        }
        commit(now, last).map_err(unusable)
    })?;
    if let Some(running) = running {
        commit(running, last).map_err(unusable)?;
    }
    Ok(end)
}

/// Begins a timeline at a position, in memory: the first frame of the next segment makes it durable.
/// `is_seen`: there are frames or a snapshot of the timeline that is left.
pub fn begin_timeline(
    is_seen: bool,
    open: &Open,
    at: Position,
    lineage: &mut Vec<Fork>,
) -> Result<Position, ::redb::Error> {
    // One that was begun right there, and of which nothing is, is forgotten: else a ledger that is touched
    // before each start would have more of them than can be remembered.
    let is_forgotten = lineage.first().is_some_and(|fork| fork.sequence == at.sequence);
    if !is_forgotten || is_seen {
        lineage.insert(0, Fork { parent: at.timeline, sequence: at.sequence });
    }
    let begun = Position { timeline: Timeline::draw(), ..at };
    let transaction = open.begin_write(Durability::None)?;
    put_position(&transaction, begun)?;
    put_lineage(&transaction, lineage)?;
    transaction.commit()?;
    Ok(begun)
}
