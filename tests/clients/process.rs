//! Programs that run to their end, and programs that serve until they are ended.

use std::error::Error;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tools;

/// How long a client may take for one command: far more than it needs, so that only a hang ends here.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// The same for a build from source.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);
/// How long a daemon may take to start, and to end once told to.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(60);

/// What a program left behind.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    /// The standard output as text without the line end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Both outputs, for looking for a message.
    pub fn everything(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), self.stderr)
    }
}

/// Runs a program to its end and demands success.
pub fn run(command: &mut Command) -> Result<Finished, Box<dyn Error>> {
    succeeding(finish(command)?, command)
}

/// The same for a build from source, which takes its time.
pub fn run_build(command: &mut Command) -> Result<Finished, Box<dyn Error>> {
    succeeding(finish_within(command, BUILD_TIMEOUT)?, command)
}

fn succeeding(finished: Finished, command: &Command) -> Result<Finished, Box<dyn Error>> {
    if finished.status.success() {
        Ok(finished)
    } else {
        Err(format!("{} gave {}:\n{}", shown(command), finished.status, finished.everything()).into())
    }
}

/// Runs a program to its end, demands that it fails, and returns what it said.
pub fn run_failing(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let finished = finish(command)?;
    if finished.status.success() {
        return Err(format!("{} should have failed:\n{}", shown(command), finished.everything()).into());
    }
    Ok(finished.everything())
}

/// Runs a program to its end, whatever that is.
pub fn finish(command: &mut Command) -> Result<Finished, Box<dyn Error>> {
    finish_within(command, COMMAND_TIMEOUT)
}

fn finish_within(command: &mut Command, limit: Duration) -> Result<Finished, Box<dyn Error>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("{}: {error}", shown(command)))?;
    let pid = pid_of(&child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(limit);
    let Ok(output) = output else {
        // Its thread has not waited for it yet, so the number is still this process's.
        kill_process(pid, Signal::KILL)?;
        return Err(format!("{} did not end within {limit:?}", shown(command)).into());
    };
    let output = output?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Finished { status: output.status, stdout: output.stdout, stderr })
}

fn pid_of(child: &Child) -> Pid {
    let raw = i32::try_from(child.id()).expect("process ids are positive i32 on Linux");
    Pid::from_raw(raw).expect("a child's process id is not 0")
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A command for a program to serve, which is told to end even if this process is killed.
pub fn serving(program: &str) -> Command {
    let Some(setpriv) = tools::path("setpriv") else {
        return tools::command(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "TERM", "--"]).arg(tools::command(program).get_program());
    command
}

enum Event {
    Started(Pid),
    Line(String),
    Ended,
    NotStarted(io::Error),
}

/// A program that serves until this is dropped.
pub struct Daemon {
    pid: Pid,
    log: Arc<Mutex<String>>,
    events: Mutex<Receiver<Event>>,
}

impl Daemon {
    /// Starts a command from `serving` and waits until it logs a line with `ready` in it; returns that too.
    pub fn start(command: Command, ready: &str) -> Result<(Daemon, String), Box<dyn Error>> {
        let name = shown(&command);
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, events) = mpsc::channel();
        let kept = Arc::clone(&log);
        thread::spawn(move || keep(command, &kept, &sender));
        let pid = match events.recv()? {
            Event::Started(pid) => pid,
            Event::NotStarted(error) => return Err(format!("{name}: {error}").into()),
            Event::Line(_) | Event::Ended => unreachable!("the first event is the start"),
        };
        let daemon = Daemon { pid, log, events: Mutex::new(events) };
        let line = daemon.await_event(|event| match event {
            Event::Line(line) if line.contains(ready) => Some(Ok(line.clone())),
            Event::Ended => Some(Err(())),
            _ => None,
        });
        match line {
            Some(Ok(line)) => Ok((daemon, line)),
            Some(Err(())) => Err(format!("{name} ended before it served:\n{}", daemon.log_tail()).into()),
            None => Err(format!("{name} does not serve:\n{}", daemon.log_tail()).into()),
        }
    }

    /// Waits for a line with `part` in it among those that no wait has come past yet, and returns it.
    pub fn await_line(&self, part: &str) -> Result<String, Box<dyn Error>> {
        let line = self.await_event(|event| match event {
            Event::Line(line) if line.contains(part) => Some(line.clone()),
            _ => None,
        });
        Ok(line.ok_or_else(|| format!("no {part} in the log:\n{}", self.log_tail()))?)
    }

    /// The last lines that it logged.
    pub fn log_tail(&self) -> String {
        let log = self.log.lock().expect("no holder of the log panics");
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn await_event<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let events = self.events.lock().expect("no holder of the events panics");
        let deadline = Instant::now() + DAEMON_TIMEOUT;
        loop {
            let event = events.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
            if let Some(found) = wanted(&event) {
                return Some(found);
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = kill_process(self.pid, Signal::TERM);
        if self.await_event(|event| matches!(event, Event::Ended).then_some(())).is_none() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Lives as long as the daemon: the kernel counts the thread, not the process, as the daemon's parent.
fn keep(command: Command, log: &Mutex<String>, events: &Sender<Event>) {
    let (mut child, output) = match spawn_with_one_output(command) {
        Ok(spawned) => spawned,
        Err(error) => {
            let _ = events.send(Event::NotStarted(error));
            return;
        }
    };
    let _ = events.send(Event::Started(pid_of(&child)));
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let mut log = log.lock().expect("no holder of the log panics");
        log.push_str(&line);
        log.push('\n');
        drop(log);
        let _ = events.send(Event::Line(line));
    }
    let _ = child.wait();
    let _ = events.send(Event::Ended);
}

/// Takes the command, which would keep the pipe open.
fn spawn_with_one_output(mut command: Command) -> io::Result<(Child, PipeReader)> {
    let (output, input) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    Ok((command.spawn()?, output))
}
