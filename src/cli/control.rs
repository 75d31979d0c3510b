//! `DATA/control.sock`: how a command talks to the server that has the directory open.
//!
//! One request and one answer a connection, each a line of JSON. Only the owner of the directory can connect.

use super::actions::{self, Action};
use crate::registry::{Collected, Registry, connect_control};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the other side may take to send its line.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest line.
const LINE_MAX_BYTES: u64 = 64 * 1024 * 1024;

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
        Request::CollectNow => registry.collect_now().map(Answer::Collected),
        Request::Garbage => registry.garbage().map(|report| Answer::Report(report.to_json())),
        Request::Explain(digest) => match digest.parse() {
            Ok(digest) => registry.explain(digest).map(|report| Answer::Report(report.to_json())),
            Err(error) => return Answer::Failed(format!("{digest}: {error}")),
        },
        Request::Do(action) => {
            return actions::perform(registry, action).map_or_else(Answer::Failed, Answer::Report);
        }
    };
    outcome.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

/// Answers commands until the process ends. One that fails costs nobody else anything.
pub fn serve(registry: &Arc<Registry>) -> io::Result<()> {
    let listener = registry.bind_control()?;
    // Between two commands it holds no registry: that is closed when the server ends.
    let registry = Arc::downgrade(registry);
    let serve = move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let Some(registry) = registry.upgrade() else { return };
            if let Err(error) = serve_one(&registry, &stream) {
                log::warn!("a command on control.sock was not answered: {error}");
            }
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(serve)?;
    Ok(())
}

fn serve_one(registry: &Registry, mut stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(LINE_TIMEOUT))?;
    stream.set_write_timeout(Some(LINE_TIMEOUT))?;
    let answer = match serde_json::from_str(&line_of(stream)?) {
        Ok(request) => answer(registry, &request),
        Err(error) => Answer::Failed(format!("the request cannot be read: {error}")),
    };
    writeln!(stream, "{}", serde_json::to_string(&answer)?)
}

/// Asks the server that has the directory open. None: there is none.
pub fn ask(root: &Path, request: &Request) -> io::Result<Option<Answer>> {
    // No socket, or one that a server left behind or a copy brought along, is no server.
    let Some(mut stream) = connect_control(root)? else { return Ok(None) };
    writeln!(stream, "{}", serde_json::to_string(request)?)?;
    Ok(Some(serde_json::from_str(&line_of(&stream)?)?))
}

fn line_of(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MAX_BYTES)).read_line(&mut line)?;
    Ok(line)
}
