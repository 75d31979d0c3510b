//! Makes snapshots, and takes away the snapshots and segments that nothing needs any more.
//!
//! A copy of the directory that takes as long as `ledger_window_secs` must find a snapshot and every frame
//! behind it, whatever it copies first. So the newest snapshot that is older than that stays, with all frames
//! behind it, and the next one that will be.

use super::books::now_ms;
use super::dump::{self, Dump, DumpError};
use super::journal::history::History;
use super::journal::segment::first_of;
use super::ledger::Ledger;
use super::place::Place;
use super::position::Fork;
use super::snapshot::RedbSnapshot;
use super::{LedgerOptions, OnFailure};
use crate::disk::{is_fatal, is_full};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long nothing is tried after a snapshot could not be made.
const PAUSE: Duration = Duration::from_secs(60);
/// How long nothing is tried after there was no room for one.
const FULL_PAUSE: Duration = Duration::from_secs(600);
/// How often it is looked whether the day is over.
const LOOK: Duration = Duration::from_secs(60);
/// After that there is another snapshot if anything changed, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What is known of snapshots and frames.
#[derive(Debug, Default)]
pub struct Keeper {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while files are taken away, or copied that must stay meanwhile.
    files: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of frames behind the last snapshot.
    bytes: u64,
    /// How many of them are to wake the thread: not every commit.
    wakes_at: u64,
    /// The size of the last snapshot, and when it was made.
    last: Option<(u64, u64)>,
    /// When the first frame came that no snapshot has.
    since_ms: Option<u64>,
    /// The last frame that the database has on the disk.
    checkpointed: u64,
    /// The first frame of the segment that is written to; 0: none is.
    current_first: u64,
    /// One is to be made now.
    is_wanted: bool,
    /// Rows and files fit together: before that, nothing is to be kept.
    is_settled: bool,
    is_over: bool,
}

impl Keeper {
    /// Begins with the last snapshot that is there, the bytes of the frames behind it, and when the first
    /// segment was begun.
    ///
    /// `newest_first` is the first frame of the segment that IDENTITY names: until it names another, that
    /// stays.
    pub fn new(
        last: Option<&Dump>,
        bytes: u64,
        first_at_ms: Option<u64>,
        newest_first: u64,
        is_wanted: bool,
    ) -> Self {
        let last = last.map(|dump| (dump.len, dump.header.at_ms));
        // A registry that is started every night gets its snapshot of the day, too.
        let since_ms = last.map(|(_, at_ms)| at_ms).or(first_at_ms).filter(|_| bytes > 0);
        let state =
            State { bytes, last, since_ms, is_wanted, current_first: newest_first, ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment or two: a panic cannot leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes of frames.
    pub fn note_frames(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes += bytes;
        if state.since_ms.is_none() {
            state.since_ms = Some(now_ms());
        }
        if state.bytes >= state.wakes_at {
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The first frame of the segment that is written to, and that IDENTITY names by now.
    pub fn note_segment(&self, first: u64) {
        self.state().current_first = first;
    }

    /// The database has all frames up to this one on the disk.
    pub fn note_checkpoint(&self, sequence: u64) {
        self.state().checkpointed = sequence;
        self.changed.notify_all();
    }

    /// From now on there may be snapshots.
    pub fn note_settled(&self) {
        self.state().is_settled = true;
        self.changed.notify_all();
    }

    /// Ends what is running.
    pub fn stop(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    fn goes_on(&self) -> bool {
        !self.state().is_over
    }

    /// Keeps files from being taken away while this is held.
    pub fn hold_files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is to be another snapshot. False: it is over.
    fn wait_until_due(&self, options: &LedgerOptions) -> bool {
        let mut state = self.state();
        loop {
            if state.is_over {
                return false;
            }
            let threshold = options.snapshot_bytes.max(state.last.map_or(0, |(len, _)| len));
            let is_old = state.since_ms.is_some_and(|since| now_ms().saturating_sub(since) >= DAY_MS);
            if state.is_settled && (state.is_wanted || state.bytes >= threshold || is_old) {
                return true;
            }
            state.wakes_at = threshold;
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn pause(&self, time: Duration) {
        let waits = |state: &mut State| !state.is_over;
        drop(self.changed.wait_timeout_while(self.state(), time, waits));
    }
}

/// The thread that makes snapshots.
pub struct KeeperThread {
    keeper: Arc<Keeper>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for KeeperThread {
    fn drop(&mut self) {
        self.keeper.stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What the thread works with.
pub struct Work {
    pub ledger: Arc<Ledger>,
    pub place: Place,
    pub options: LedgerOptions,
    /// The timelines that the ledger's own left, the newest first.
    pub lineage: Vec<Fork>,
    pub keeper: Arc<Keeper>,
    pub on_failure: OnFailure,
}

impl Work {
    /// Starts the thread.
    pub fn start(self) -> io::Result<KeeperThread> {
        let keeper = Arc::clone(&self.keeper);
        let builder = std::thread::Builder::new().name("ledger-keeper".into());
        let thread = Some(builder.spawn(move || self.run())?);
        Ok(KeeperThread { keeper, thread })
    }

    /// Whether copies find their way: where frames between the snapshot and the present are gone, or not
    /// whole, another snapshot is wanted. The database has what they changed.
    fn look_for_gaps(&self) -> Result<(), DumpError> {
        let reached = self.ledger.last_group();
        let held = self.keeper.hold_files();
        let history = History::read(&self.place)?;
        let from =
            Dump::all(&self.place)?.0.first().map(|dump| dump.header.position).or_else(|| history.start());
        let end = from.map(|from| history.follow(from, |_| Ok(()))).transpose();
        drop(held);
        let end = end.map_err(|error| DumpError::Io(io::Error::other(error)))?;
        let found = end.map_or(0, |end| end.position.sequence);
        if found < reached {
            log::warn!(
                "the journal leads from the last snapshot to frame {found} and not to {reached}: pieces are \
                 damaged or have gone. The database has everything; a new snapshot is made, without \
                 which copies and backups would not"
            );
            self.keeper.state().is_wanted = true;
        }
        Ok(())
    }

    fn run(&self) {
        if let Err(error) = self.look_for_gaps() {
            log::warn!("whether the journal is whole is not known: {error}");
        }
        while self.keeper.wait_until_due(&self.options) {
            // What goes makes room.
            match self.prune().map_err(DumpError::Io).and_then(|()| self.snapshot()) {
                Ok(()) => {}
                Err(DumpError::Stopped) => return,
                // A sync that failed here may have been told here alone: what others wrote may be lost.
                Err(DumpError::Io(error)) if is_fatal(&error) => {
                    let words = format!("a snapshot of the ledger could not be made: {error}");
                    log::error!("{words}");
                    self.ledger.end();
                    return (self.on_failure)(&words);
                }
                Err(error) => {
                    log::warn!("a snapshot of the ledger could not be made, it will be tried again: {error}");
                    let is_full = matches!(&error, DumpError::Io(error) if is_full(error));
                    self.keeper.pause(if is_full { FULL_PAUSE } else { PAUSE });
                }
            }
        }
    }

    /// Makes a snapshot and takes away what is of no more use.
    pub fn snapshot(&self) -> Result<(), DumpError> {
        let at_ms = now_ms();
        let bytes_before = self.keeper.state().bytes;
        let rows = RedbSnapshot::take(&self.ledger)?;
        let position = rows.position()?;
        let goes_on = || self.keeper.goes_on();
        let len = dump::write(&self.place, &rows, position, &self.lineage, at_ms, &goes_on)?;
        drop(rows);
        {
            let mut state = self.keeper.state();
            // What came meanwhile may be in it or not: the next one is at most a little early.
            state.bytes = state.bytes.saturating_sub(bytes_before);
            state.since_ms = (state.bytes > 0).then_some(at_ms);
            (state.last, state.is_wanted) = (Some((len, at_ms)), false);
        }
        log::info!("a snapshot of the ledger was made: {len} bytes, as of frame {position}");
        self.place.remove_aside(at_ms, self.options.window_secs.saturating_mul(1000))?;
        Ok(self.prune()?)
    }

    /// Takes away the snapshots and segments that no copy needs any more, nor a start: of the frames that
    /// the database does not have on the disk, none goes.
    fn prune(&self) -> io::Result<()> {
        let _held = self.keeper.hold_files();
        let (checkpointed, current_first) = {
            let state = self.keeper.state();
            (state.checkpointed, state.current_first)
        };
        let (dumps, _) = Dump::all(&self.place)?;
        let history = History::read(&self.place)?;
        let segments: Vec<_> = history
            .segments()
            .iter()
            .map(|segment| Piece { name: &segment.name, first: segment.header.first, len: segment.len })
            .collect();
        let found: Vec<_> = dumps
            .iter()
            .map(|dump| Kept {
                name: &dump.name,
                sequence: dump.header.position.sequence,
                age_ms: now_ms().saturating_sub(dump.header.at_ms),
                len: dump.len,
            })
            .collect();
        let gone = superfluous(&found, &segments, checkpointed, &self.options);
        // The one that is written to stays, whatever else there is.
        let is_current = |name: &str| first_of(name).is_some_and(|first| first >= current_first);
        let gone = gone.iter().filter(|name| current_first == 0 || !is_current(name));
        gone.into_iter().try_for_each(|name| self.place.remove(name))?;
        self.place.sync()
    }
}

/// A snapshot, as far as it matters whether it stays.
struct Kept<'a> {
    name: &'a str,
    sequence: u64,
    age_ms: u64,
    len: u64,
}

/// A segment, as far as it matters whether it stays.
struct Piece<'a> {
    name: &'a str,
    first: u64,
    len: u64,
}

/// The names of what may go. Snapshots are given with the newest first, segments with the oldest.
fn superfluous<'a>(
    dumps: &[Kept<'a>],
    segments: &[Piece<'a>],
    checkpointed: u64,
    options: &LedgerOptions,
) -> Vec<&'a str> {
    let is_old = |dump: &&Kept| dump.age_ms >= options.window_secs.saturating_mul(1000);
    let Some(latest) = dumps.first() else { return Vec::new() };
    let base = dumps.iter().find(is_old);
    // It will be the next one that is old enough.
    let next = dumps.iter().rfind(|dump| !is_old(dump)).unwrap_or(latest);
    // With none that is old enough, what copies need may go back to the first frame.
    let keep = |from: Option<&Kept>| {
        let kept = |dump: &&Kept<'a>| {
            [from.map(|dump| dump.name), Some(next.name), Some(latest.name)].contains(&Some(dump.name))
        };
        let (stay, go): (Vec<_>, Vec<_>) = dumps.iter().partition(kept);
        let cut = from.map_or(0, |dump| dump.sequence).min(checkpointed);
        // Of two that begin with the same frame one has none: which one, their order does not say, since it
        // is that of a clock.
        let is_over = |piece: &Piece<'a>, next: &Piece<'a>| piece.first < next.first && next.first <= cut + 1;
        let is_needed =
            |&index: &usize| !segments[index + 1..].iter().any(|next| is_over(&segments[index], next));
        let (needed, over): (Vec<_>, Vec<_>) = (0..segments.len()).partition(is_needed);
        let bytes: u64 = stay.iter().map(|dump| dump.len).sum::<u64>()
            + needed.iter().map(|&index| segments[index].len).sum::<u64>();
        let names = go.iter().map(|dump| dump.name).chain(over.iter().map(|&index| segments[index].name));
        (names.collect::<Vec<_>>(), bytes)
    };
    let (mut gone, mut bytes) = keep(base);
    for shorter in [next, latest] {
        if bytes <= options.keep_max_bytes || base.is_some_and(|base| base.name == shorter.name) {
            continue;
        }
        log::warn!(
            "journal and snapshots have {bytes} bytes (ledger_keep_max_bytes is {}): a copy that takes \
             longer than {} s may not find all it needs",
            options.keep_max_bytes,
            shorter.age_ms / 1000
        );
        (gone, bytes) = keep(Some(shorter));
        if shorter.name == latest.name {
            let older = dumps[1..].iter().map(|dump| dump.name);
            gone.extend(older.filter(|name| !gone.contains(name)).collect::<Vec<_>>());
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn gone(dumps: &[(&'static str, u64, u64)], keep_max_bytes: u64) -> Vec<&'static str> {
        let dumps: Vec<_> = dumps
            .iter()
            .map(|&(name, sequence, hours)| Kept { name, sequence, age_ms: hours * HOUR_MS, len: 10 })
            .collect();
        let firsts = [("j1", 1), ("j50", 50), ("j100", 100), ("j200", 200), ("j300", 300)];
        let segments = firsts.map(|(name, first)| Piece { name, first, len: 10 });
        let options = LedgerOptions { window_secs: 24 * 3600, keep_max_bytes, ..LedgerOptions::default() };
        superfluous(&dumps, &segments, 1000, &options)
    }

    #[test]
    fn what_a_copy_of_the_window_needs_stays() {
        assert!(gone(&[], 1000).is_empty());
        // None is old enough: every frame stays.
        assert!(gone(&[("b", 150, 1), ("a", 100, 2)], 1000).is_empty());
        assert_eq!(gone(&[("c", 310, 0), ("b", 150, 1), ("a", 100, 2)], 1000), ["b"]);
        // The newest old one, the next one, and the latest.
        let all = [("e", 310, 0), ("d", 250, 1), ("c", 220, 23), ("b", 150, 25), ("a", 60, 30)];
        assert_eq!(gone(&all, 1000), ["d", "a", "j1", "j50"]);
        // The frame behind a snapshot is the first of a segment.
        assert_eq!(gone(&[("b", 310, 0), ("a", 199, 25)], 1000), ["j1", "j50", "j100"]);
    }

    #[test]
    fn too_many_bytes_shorten_the_window() {
        let all = [("c", 310, 0), ("b", 250, 23), ("a", 60, 25)];
        assert_eq!(gone(&all, 1000), ["j1"]);
        assert_eq!(gone(&all, 45), ["a", "j1", "j50", "j100"]);
        assert_eq!(gone(&all, 25), ["a", "j1", "j50", "j100", "j200", "b"]);
    }

    #[test]
    fn of_two_segments_with_one_beginning_neither_goes_before_the_other() {
        let piece = |name, first| Piece { name, first, len: 1 };
        // One of them has no frame, whichever the clock says is the later one.
        let segments = [piece("a", 1), piece("b", 50), piece("c", 50), piece("d", 70)];
        let gone = |checkpointed| {
            let dump = Kept { name: "s", sequence: 100, age_ms: 30 * HOUR_MS, len: 1 };
            superfluous(&[dump], &segments, checkpointed, &LedgerOptions::default())
        };
        assert_eq!((gone(48), gone(49), gone(68)), (vec![], vec!["a"], vec!["a"]));
        assert_eq!(gone(69), ["a", "b", "c"]);
    }
}
