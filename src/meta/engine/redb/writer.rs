//! The one thread that writes: it takes the waiting closures as a group, runs them in one redb transaction,
//! commits once, and only then answers all of them.
//!
//! Alone, a closure is committed at once; while a commit runs, others queue up, and they are the next group.

use super::super::{EngineError, Job, Verdict, WriteError};
use super::group::GroupRows;
use super::storage;
use ::redb::{Database, Durability};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The most closures that share a commit.
const GROUP_MAX_CLOSURES: usize = 64;

struct Waiting {
    job: Job,
    answer: SyncSender<Result<(), WriteError>>,
}

/// The handle of the writing thread. Dropping it ends the thread after what waits is done.
pub struct Writer {
    queue: Mutex<Option<Sender<Waiting>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(database: Arc<Database>, on_failure: super::OnFailure) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || run(&database, &receiver, &on_failure))?;
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

fn run(database: &Database, queue: &Receiver<Waiting>, on_failure: &super::OnFailure) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP_MAX_CLOSURES - 1));
        let outcome = catch_unwind(AssertUnwindSafe(|| commit(database, &mut group)));
        let failure = match outcome {
            Ok(Ok(answers)) => {
                assert_eq!(answers.len(), group.len());
                for (waiting, answer) in group.into_iter().zip(answers) {
                    // One that no longer waits has its outcome in the ledger all the same.
                    drop(waiting.answer.send(answer));
                }
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_text(&*panic),
        };
        log::error!("the ledger takes no more writes: {failure}");
        on_failure(&failure);
        return;
    }
}

/// Runs the group and commits it. An error here is the engine's: what is on disk is then unknown.
fn commit(database: &Database, group: &mut [Waiting]) -> Result<Vec<Result<(), WriteError>>, EngineError> {
    let mut transaction = database.begin_write().map_err(storage)?;
    transaction.set_durability(Durability::Immediate).map_err(storage)?;
    transaction.set_quick_repair(true);
    let mut answers = Vec::with_capacity(group.len());
    let mut rows = GroupRows::open(&transaction)?;
    for waiting in group.iter_mut() {
        answers.push(run_closure(&mut rows, &mut waiting.job)?);
    }
    let unchanged = rows.is_unchanged();
    drop(rows);
    if unchanged {
        // Refusals were decided on rows that are committed already.
        transaction.abort().map_err(storage)?;
    } else {
        transaction.commit().map_err(storage)?;
    }
    Ok(answers)
}

fn run_closure(rows: &mut GroupRows<'_>, job: &mut Job) -> Result<Result<(), WriteError>, EngineError> {
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

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".into())
}
