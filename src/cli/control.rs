//! `DATA/control.sock`: how a command talks to the server that has the directory open.
//!
//! One request and one answer a connection, each a line of JSON; a check says in lines before its answer how
//! far it has come. Only the owner of the directory can connect. Each connection has a thread of its own, so
//! that a long command holds up no other.

use super::actions::{self, Action};
use crate::registry::{Checks, Collected, Error, Progress, Registry, connect_control};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the other side may take to send its line.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request.
const REQUEST_MAX_BYTES: u64 = 64 * 1024;
/// The longest answer: a report names all that is wrong.
const ANSWER_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// How many commands are answered at once.
const AT_ONCE: usize = 8;
/// How often it is said how far a check has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How often a server that keeps a point looks whether it is to end.
const HANG_UP_INTERVAL: Duration = Duration::from_millis(200);
/// How long nobody is waited for after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for commands that it broke off.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What a command asks of a running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Collect all that may go.
    CollectNow,
    /// Say what there is to collect.
    Garbage,
    /// Say why a digest is still here, or is not.
    Explain(String),
    /// Do something to the repositories.
    Do(Action),
    /// Make a point for a backup that goes there, and keep it until this connection ends.
    Backup(String),
    /// Check every invariant. `deep`: read the files, too, and write down which are damaged.
    Verify {
        /// Whether every file is read.
        deep: bool,
    },
}

/// What is said before the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    /// How far a check has come.
    Progress(Progress),
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What was collected.
    Collected(Collected),
    /// A report, ready to be shown.
    Report(serde_json::Value),
    /// Why it was not done.
    Failed(String),
}

/// Does what is asked, the same in a server and in a command that has the directory to itself.
pub fn answer(registry: &Registry, request: &Request) -> Answer {
    let outcome = match request {
        Request::CollectNow => collect_now(registry).map(Answer::Collected),
        Request::Garbage => registry.garbage().map(|report| Answer::Report(report.to_json())),
        Request::Explain(digest) => match digest.parse() {
            Ok(digest) => registry.explain(digest).map(|report| Answer::Report(report.to_json())),
            Err(error) => return Answer::Failed(format!("{digest}: {error}")),
        },
        Request::Do(action) => {
            return actions::perform(registry, action).map_or_else(Answer::Failed, Answer::Report);
        }
        Request::Verify { deep } => {
            return verify(registry, *deep, &mut |_| ControlFlow::Continue(()));
        }
        // A point does not outlive the answer, so it is made where somebody stays: in `serve_backup`.
        Request::Backup(_) => return Answer::Failed("a backup needs a connection that stays".to_owned()),
    };
    outcome.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

fn collect_now(registry: &Registry) -> Result<Collected, Error> {
    registry.note_collect_now(actions::WHO)?;
    registry.collect_now()
}

fn verify(registry: &Registry, deep: bool, tell: &mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Answer {
    match registry.verify_with(Checks { deep, settle: deep }, tell) {
        Ok(report) if report.is_partial => {
            Answer::Failed("the check was broken off: the server ends".to_owned())
        }
        Ok(report) => Answer::Report(report.to_json()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// The commands that are being answered.
#[derive(Default)]
struct Running {
    count: Mutex<usize>,
    /// Told when one ends.
    one_less: Condvar,
}

impl Running {
    /// A place for one more command. None: there are too many.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut count = self.lock();
        (*count < AT_ONCE).then(|| {
            *count += 1;
            Place(Arc::clone(self))
        })
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Every critical section is one operation: a panic cannot leave it half done.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a command among those that are being answered.
struct Place(Arc<Running>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.one_less.notify_all();
    }
}

/// The socket of a server. Its end waits for the commands that are being answered, which were told to end.
pub struct Control(Arc<Running>);

impl Drop for Control {
    fn drop(&mut self) {
        let wait = self.0.one_less.wait_timeout_while(self.0.lock(), END_LIMIT, |count| *count > 0);
        let (count, _) = wait.unwrap_or_else(PoisonError::into_inner);
        if *count > 0 {
            log::warn!("stopping with {} commands on control.sock unanswered", *count);
        }
    }
}

/// Answers commands until the process ends. One that fails costs nobody else anything.
pub fn serve(registry: &Arc<Registry>) -> io::Result<Control> {
    let listener = registry.bind_control()?;
    // Between two commands it holds no registry: that is closed when the server ends.
    let registry = Arc::downgrade(registry);
    let running = Arc::new(Running::default());
    let control = Control(Arc::clone(&running));
    let serve = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream.inspect_err(|error| log::warn!("control.sock: {error}")) else {
                // Out of descriptors, most likely: there may be some in a moment.
                std::thread::park_timeout(ACCEPT_PAUSE);
                continue;
            };
            let Some(registry) = registry.upgrade() else { return };
            let Some(place) = running.enter() else {
                let words = format!("the server is busy with {AT_ONCE} commands; try again later");
                note(send(&stream, &Answer::Failed(words)));
                continue;
            };
            let serve = move || {
                note(serve_one(&registry, &stream));
                // Whoever waits for the place waits for the registry.
                drop(registry);
                drop(place);
            };
            note(std::thread::Builder::new().name("command".into()).spawn(serve).map(drop));
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(serve)?;
    Ok(control)
}

fn note(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        log::warn!("a command on control.sock was not answered: {error}");
    }
}

fn serve_one(registry: &Registry, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(LINE_TIMEOUT))?;
    stream.set_write_timeout(Some(LINE_TIMEOUT))?;
    let answer = match serde_json::from_str(&line_of(&mut BufReader::new(stream), REQUEST_MAX_BYTES)?) {
        Ok(Request::Verify { deep }) => serve_verify(registry, deep, stream)?,
        Ok(Request::Backup(to)) => return serve_backup(registry, &to, stream),
        Ok(request) => answer(registry, &request),
        Err(error) => Answer::Failed(format!("the request cannot be read: {error}")),
    };
    send(stream, &answer)
}

/// Checks, and says how far that has come. Whoever does not listen any more ends it.
fn serve_verify(registry: &Registry, deep: bool, stream: &UnixStream) -> io::Result<Answer> {
    let mut said: Option<Instant> = None;
    let mut broken = Ok(());
    let answer = verify(registry, deep, &mut |progress| {
        if said.is_some_and(|said| said.elapsed() < PROGRESS_INTERVAL) {
            return ControlFlow::Continue(());
        }
        said = Some(Instant::now());
        broken = send(stream, &Notice::Progress(*progress));
        if broken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    broken.map(|()| answer)
}

/// Makes a point and keeps it until the command hangs up, in whatever way it ends, or the server does.
fn serve_backup(registry: &Registry, to: &str, mut stream: &UnixStream) -> io::Result<()> {
    let point = match registry.begin_backup(actions::WHO, to) {
        Ok(point) => point,
        Err(error) => return send(stream, &Answer::Failed(error.to_string())),
    };
    send(stream, &Answer::Report(serde_json::to_value(point.place())?))?;
    stream.set_read_timeout(Some(HANG_UP_INTERVAL))?;
    let is_there = |error: &io::Error| {
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
    };
    // It has nothing more to say, so whatever comes is its end.
    while !registry.is_stopping() && stream.read(&mut [0]).is_err_and(|error| is_there(&error)) {}
    log::info!("the command that made the backup has ended ({to})");
    drop(point);
    Ok(())
}

fn send(mut stream: &UnixStream, line: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(line)?;
    line.push('\n');
    stream.write_all(line.as_bytes())
}

/// Asks the server that has the directory open. None: there is none.
pub fn ask(root: &Path, request: &Request) -> io::Result<Option<Answer>> {
    ask_and_watch(root, request, |_| {})
}

/// As [`ask`], and shows how far it has come with what takes long.
pub fn ask_and_watch(
    root: &Path,
    request: &Request,
    show: impl FnMut(&Progress),
) -> io::Result<Option<Answer>> {
    Ok(ask_and_stay(root, request, show)?.map(|(answer, _)| answer))
}

/// A connection to a server that keeps something for as long as it lasts.
pub struct Kept(UnixStream);

impl Kept {
    /// Whether the server is still there.
    pub fn is_held(&self) -> bool {
        let is_silent = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
        self.0.set_nonblocking(true).is_ok() && (&self.0).read(&mut [0]).is_err_and(is_silent)
    }
}

/// As [`ask_and_watch`], and stays connected.
pub fn ask_and_stay(
    root: &Path,
    request: &Request,
    mut show: impl FnMut(&Progress),
) -> io::Result<Option<(Answer, Kept)>> {
    // No socket, or one that a server left behind or a copy brought along, is no server. Where it cannot be
    // connected to for another reason, opening the directory meets that, too, and says what to do.
    let Ok(Some(stream)) = connect_control(root) else { return Ok(None) };
    match send(&stream, request) {
        // A server that is too busy says so and hangs up, without waiting for the request.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        sent => sent?,
    }
    let mut lines = BufReader::new(&stream);
    loop {
        let line = line_of(&mut lines, ANSWER_MAX_BYTES)?;
        match serde_json::from_str(&line) {
            Ok(Notice::Progress(progress)) => show(&progress),
            Err(_) => {
                let answer = serde_json::from_str(&line)?;
                drop(lines);
                return Ok(Some((answer, Kept(stream))));
            }
        }
    }
}

fn line_of(lines: &mut impl BufRead, max_bytes: u64) -> io::Result<String> {
    let mut line = String::new();
    lines.take(max_bytes).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "it hung up without a word"));
    }
    Ok(line)
}
