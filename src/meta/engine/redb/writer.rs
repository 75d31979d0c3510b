//! The one thread that writes: it takes the waiting closures as a group, runs them in one redb transaction,
//! appends what they changed to the journal and syncs it, which is the commit, then commits the transaction
//! in memory, and only then answers all of them.
//!
//! Alone, a closure is committed at once; while a commit runs, others queue up, and they are the next group.
//! From time to time the database is synced, so that a start has little to do again. A group for which there
//! is no room is refused as a whole before it is in the journal; what is in the journal is never refused.

use super::super::{Commits, EngineError, Job, Verdict, WriteError};
use super::books::Books;
use super::group::GroupRows;
use super::ledger::{Open, put_position};
use super::{panic_text, storage};
use ::redb::Durability;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
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

/// What the thread is asked for.
enum Order {
    /// To run a closure.
    Run(Waiting),
    /// To say from now on that the database is the original.
    Settle(SyncSender<Answer>),
}

/// The handle of the writing thread. Dropping it ends the thread after what waits is done.
pub struct Writer {
    queue: Mutex<Option<Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(books: Books, commits: Arc<Commits>, on_failure: super::OnFailure) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("ledger-writer".into()).spawn(move || {
            let mut desk = Desk { books, commits, on_failure, waiting: VecDeque::new() };
            desk.work(&receiver);
        })?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs `job` and returns when its outcome is durable.
    pub fn write(&self, job: Job) -> Result<(), WriteError> {
        self.order(|answer| Order::Run(Waiting { job, answer }))
    }

    /// Says from now on that the database is the original.
    pub fn settle(&self) -> Result<(), WriteError> {
        self.order(Order::Settle)
    }

    /// Ends the thread after what waits is done, and with it the ledger: nothing is written or read any more.
    pub fn close(&self) {
        drop(self.queue.lock().map(|mut queue| queue.take()));
        // Whoever comes second waits for the first.
        if let Ok(mut thread) = self.thread.lock()
            && let Some(thread) = thread.take()
        {
            drop(thread.join());
        }
    }

    fn order(&self, order: impl FnOnce(SyncSender<Answer>) -> Order) -> Answer {
        let (answer, outcome) = sync_channel(1);
        let queue = self.queue.lock().expect("sending does not panic").clone();
        let queue = queue.ok_or(EngineError::Closing)?;
        queue.send(order(answer)).map_err(|_| EngineError::Failed)?;
        // The thread answers or, having failed, drops all that waits.
        outcome.recv().unwrap_or(Err(WriteError::Engine(EngineError::Failed)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where the thread works.
struct Desk {
    books: Books,
    commits: Arc<Commits>,
    on_failure: super::OnFailure,
    /// Nobody of these is left without an answer before it is told that the disk failed.
    waiting: VecDeque<Waiting>,
}

impl Desk {
    fn work(&mut self, queue: &Receiver<Order>) {
        match self.serve(queue) {
            Ok(()) => self.books.close(),
            Err(failure) => {
                log::error!("the ledger takes no more writes: {failure}");
                self.books.ledger.end();
                (self.on_failure)(&failure);
            }
        }
    }

    fn serve(&mut self, queue: &Receiver<Order>) -> Result<(), String> {
        loop {
            match self.next(queue)? {
                None => return Ok(()),
                Some(Order::Run(first)) => self.waiting.push_back(first),
                Some(other) => self.obey(other)?,
            }
            let mut after = None;
            while self.waiting.len() < GROUP_MAX_CLOSURES && after.is_none() && !self.waiting.is_empty() {
                match queue.try_recv() {
                    Ok(Order::Run(next)) => self.waiting.push_back(next),
                    Ok(other) => after = Some(other),
                    Err(_) => break,
                }
            }
            while !self.waiting.is_empty() {
                self.commit_group()?;
            }
            if let Some(order) = after {
                self.obey(order)?;
            }
        }
    }

    /// Waits for the next order, and syncs the database when that is due meanwhile. None: no more come.
    fn next(&mut self, queue: &Receiver<Order>) -> Result<Option<Order>, String> {
        loop {
            let Some(due) = self.books.checkpoint_due() else { return Ok(queue.recv().ok()) };
            match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(order) => return Ok(Some(order)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.books.checkpoint()?,
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Settle(answer) => {
                let outcome = self.books.settle();
                // One that no longer waits misses nothing.
                drop(answer.send(Ok(())));
                outcome
            }
            Order::Run(_) => unreachable!("closures are run in groups"),
        }
    }

    fn commit_group(&mut self) -> Result<(), String> {
        let (began, before) = (Instant::now(), self.books.ledger.last_group());
        let answers = settle(&mut self.books, self.waiting.make_contiguous())?;
        if self.books.ledger.last_group() != before {
            self.commits.note(answers.len(), began.elapsed());
        }
        answer(&mut self.waiting, answers);
        if self.books.checkpoint_due().is_some_and(|due| due <= Instant::now()) {
            self.books.checkpoint()?;
        }
        Ok(())
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

/// Commits the first of those that wait as a group, or finds out that there is no room for it; gives their
/// answers. An error here is the engine's: what is on disk is then unknown.
fn settle(books: &mut Books, group: &mut [Waiting]) -> Result<Vec<Answer>, String> {
    let Some(open) = books.writable()? else { return Ok(all_full(group)) };
    let before = books.end().sequence;
    let mut answers = Vec::with_capacity(group.len());
    let outcome = catch_unwind(AssertUnwindSafe(|| commit(books, &open, group, &mut answers)));
    let failure = match outcome {
        Ok(Ok(())) => return Ok(answers),
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::Database(panic_text(&*panic)),
    };
    match failure {
        Failure::Journal(error) if crate::disk::is_full(&error) => {
            log::warn!("the journal has no room: {} writes are refused ({error})", group.len());
            Ok(all_full(group))
        }
        Failure::Journal(error) => Err(error.to_string()),
        Failure::Database(words) if !open.is_full() => Err(words),
        Failure::Database(words) => {
            drop(open);
            books.reopen().map_err(|error| format!("{words}; opened again: {error}"))?;
            if books.end().sequence == before {
                log::warn!("the ledger's disk has no room: {} writes are refused ({words})", group.len());
                return Ok(all_full(group));
            }
            // The frame was synced before that: the opening did it again.
            assert_eq!(books.end().sequence, before + 1);
            Ok(answers)
        }
    }
}

fn all_full(group: &[Waiting]) -> Vec<Answer> {
    group.iter().map(|_| Err(WriteError::Full)).collect()
}

/// What failed.
enum Failure {
    /// Appending to the journal.
    Journal(std::io::Error),
    /// The database.
    Database(String),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Database(error.to_string())
    }
}

/// Runs closures until they have written enough for one transaction, and commits what they changed.
fn commit(
    books: &mut Books,
    open: &Open,
    group: &mut [Waiting],
    answers: &mut Vec<Answer>,
) -> Result<(), Failure> {
    let transaction = open.begin_write(Durability::None).map_err(storage)?;
    let mut rows = GroupRows::open(&transaction)?;
    for waiting in group.iter_mut() {
        answers.push(run_closure(&mut rows, &mut waiting.job)?);
        if rows.bytes_written() >= GROUP_MAX_BYTES {
            break;
        }
    }
    // A closure may have taken the end of the disk for a refusal of its own.
    if let Some(words) = open.failure() {
        return Err(Failure::Database(words.to_owned()));
    }
    if rows.is_unchanged() {
        drop(rows);
        // Refusals were decided on rows that are committed already.
        transaction.abort().map_err(storage)?;
        return Ok(());
    }
    let payload = rows.payload();
    drop(rows);
    // Nothing is visible before this returned.
    if let Err(error) = books.append(&payload, answers.len()) {
        transaction.abort().map_err(storage)?;
        return Err(Failure::Journal(error));
    }
    put_position(&transaction, books.end()).map_err(storage)?;
    transaction.commit().map_err(storage)?;
    books.committed()?;
    Ok(())
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
