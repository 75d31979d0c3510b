//! The one thread that writes: it takes the waiting closures as a group, runs them in one redb transaction,
//! commits once, and only then answers all of them.
//!
//! Alone, a closure is committed at once; while a commit runs, others queue up, and they are the next group.
//! A group for which the disk has no room is refused as a whole, once it is known not to be committed.

use super::super::{Commits, EngineError, Job, Verdict, WriteError};
use super::group::GroupRows;
use super::ledger::{Ledger, Open, put_group};
use super::{panic_text, storage};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// The most closures that share a commit.
const GROUP_MAX_CLOSURES: usize = 64;

/// Bytes of keys and values after which a group takes no further closure: a transaction is held in memory.
const GROUP_MAX_BYTES: usize = 8 * 1024 * 1024;

type Answer = Result<(), WriteError>;

struct Waiting {
    job: Job,
    answer: SyncSender<Answer>,
}

/// The handle of the writing thread. Dropping it ends the thread after what waits is done.
pub struct Writer {
    queue: Mutex<Option<Sender<Waiting>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(
        ledger: Arc<Ledger>,
        commits: Arc<Commits>,
        on_failure: super::OnFailure,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || run(&ledger, &commits, &receiver, &on_failure))?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Some(thread) })
    }

    /// Runs `job` and returns when its outcome is durable.
    pub fn write(&self, job: Job) -> Result<(), WriteError> {
        let (answer, outcome) = sync_channel(1);
        let queue = self.queue.lock().expect("sending does not panic").clone();
        let queue = queue.ok_or(EngineError::Closing)?;
        queue.send(Waiting { job, answer }).map_err(|_| EngineError::Failed)?;
        // The thread answers or, having failed, drops all that waits.
        outcome.recv().unwrap_or(Err(WriteError::Engine(EngineError::Failed)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.lock().map(|mut queue| queue.take()));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(ledger: &Ledger, commits: &Commits, queue: &Receiver<Waiting>, on_failure: &super::OnFailure) {
    while let Ok(first) = queue.recv() {
        let mut waiting = VecDeque::from([first]);
        waiting.extend(queue.try_iter().take(GROUP_MAX_CLOSURES - 1));
        while !waiting.is_empty() {
            let (began, before) = (Instant::now(), ledger.last_group());
            match settle(ledger, waiting.make_contiguous()) {
                Ok(answers) => {
                    if ledger.last_group() != before {
                        commits.note(answers.len(), began.elapsed());
                    }
                    answer(&mut waiting, answers);
                }
                Err(failure) => {
                    log::error!("the ledger takes no more writes: {failure}");
                    ledger.end();
                    on_failure(&failure);
                    return;
                }
            }
        }
    }
}

/// Answers the first of those that wait: as many as there are answers.
fn answer(waiting: &mut VecDeque<Waiting>, answers: Vec<Answer>) {
    assert!(
        (1..=waiting.len()).contains(&answers.len()),
        "at least one is settled, and none that does not wait"
    );
    for (waiting, answer) in waiting.drain(..answers.len()).zip(answers) {
        // One that no longer waits has its outcome in the ledger all the same.
        drop(waiting.answer.send(answer));
    }
}

/// Commits the first of those that wait as a group, or finds out that the disk has no room for it; gives
/// their answers. An error here is the engine's: what is on disk is then unknown.
fn settle(ledger: &Ledger, group: &mut [Waiting]) -> Result<Vec<Answer>, String> {
    let Some(open) = ledger.writable().map_or_else(|| make_writable(ledger), |open| Ok(Some(open)))? else {
        return Ok(all_full(group));
    };
    let before = ledger.last_group();
    let mut answers = Vec::with_capacity(group.len());
    let outcome = catch_unwind(AssertUnwindSafe(|| commit(&open, before + 1, group, &mut answers)));
    let failure = match outcome {
        Ok(Ok(Written::Committed)) => {
            ledger.set_last_group(before + 1);
            return Ok(answers);
        }
        Ok(Ok(Written::Nothing)) => return Ok(answers),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic_text(&*panic),
    };
    if !open.is_full() {
        return Err(failure);
    }
    drop(open);
    let found = ledger.reopen().map_err(|error| format!("{failure}; opened again: {error}"))?;
    if found.group == before {
        log::warn!("the ledger's disk has no room: {} writes are refused ({failure})", group.len());
        return Ok(all_full(group));
    }
    if found.group == before + 1 && found.durable && !answers.is_empty() {
        // What failed came after the commit.
        log::warn!("the ledger's disk has no room left behind a commit ({failure})");
        return Ok(answers);
    }
    Err(format!("{failure}; whether group {} is on the disk is not known", before + 1))
}

/// Tries to open a ledger for writing that could only be read so far.
fn make_writable(ledger: &Ledger) -> Result<Option<Open>, String> {
    let before = ledger.last_group();
    let found = ledger.reopen().map_err(|error| error.to_string())?;
    assert_eq!(found.group, before, "nobody wrote since");
    Ok(ledger.writable())
}

fn all_full(group: &[Waiting]) -> Vec<Answer> {
    group.iter().map(|_| Err(WriteError::Full)).collect()
}

enum Written {
    /// The group's changes are durable.
    Committed,
    /// It changed nothing.
    Nothing,
}

/// Runs closures until they have written enough for one transaction, and commits what they changed as the
/// group of that number.
fn commit(
    open: &Open,
    number: u64,
    group: &mut [Waiting],
    answers: &mut Vec<Answer>,
) -> Result<Written, EngineError> {
    let transaction = open.begin_write().map_err(storage)?;
    let mut rows = GroupRows::open(&transaction)?;
    for waiting in group.iter_mut() {
        answers.push(run_closure(&mut rows, &mut waiting.job)?);
        if rows.bytes_written() >= GROUP_MAX_BYTES {
            break;
        }
    }
    let unchanged = rows.is_unchanged();
    drop(rows);
    if unchanged {
        // Refusals were decided on rows that are committed already.
        transaction.abort().map_err(storage)?;
        return Ok(Written::Nothing);
    }
    put_group(&transaction, number).map_err(storage)?;
    transaction.commit().map_err(storage)?;
    Ok(Written::Committed)
}

fn run_closure(rows: &mut GroupRows<'_>, job: &mut Job) -> Result<Answer, EngineError> {
    let mark = rows.begin_closure();
    match catch_unwind(AssertUnwindSafe(|| job(rows))) {
        Ok(Verdict::Keep) => Ok(Ok(())),
        Ok(Verdict::Undo) => {
            rows.undo(mark)?;
            Ok(Ok(()))
        }
        Err(panic) => {
            rows.undo(mark)?;
            Ok(Err(WriteError::Panicked(panic_text(&*panic))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::engine::TableId;
    use ::redb::backends::InMemoryBackend;

    fn waiting(key: u8, bytes: usize) -> Waiting {
        let (answer, _) = sync_channel(1);
        let job: Job = Box::new(move |rows| {
            rows.put(TableId::Tag, &[key], &vec![key; bytes]).unwrap();
            Verdict::Keep
        });
        Waiting { job, answer }
    }

    #[test]
    fn large_writes_share_a_commit_only_up_to_a_limit() {
        const MIB: usize = 1 << 20;
        let ledger = Ledger::open(Arc::new(InMemoryBackend::new()), 1 << 20).unwrap();
        let settled = |bytes: usize| {
            let mut group: Vec<_> = (0..6).map(|key| waiting(key, bytes)).collect();
            let answers = settle(&ledger, &mut group).unwrap();
            assert!(answers.iter().all(Result::is_ok));
            answers.len()
        };
        assert_eq!(settled(10), 6);
        assert_eq!(settled(3 * MIB), 3, "9 MiB are enough for one");
        assert_eq!(settled(8 * MIB - 1), 1, "with its key that is the limit");
        assert_eq!(ledger.last_group(), 3);
    }
}
