//! Running the program to its end, never longer than the patience of a test.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::wait;

/// What a finished run of the program left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Everything it said, wherever.
    pub fn words(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; it said: {}", self.words());
        self
    }

    /// Asserts a failure that is neither a signal nor a panic.
    #[track_caller]
    pub fn expect_refusal(self) -> Self {
        let code = self.code.expect("it ends by itself, not by a signal");
        assert!(code != 0 && code != 101, "exit code {code} is no refusal; it said: {}", self.words());
        self
    }

    /// Asserts that what it said contains `part`.
    #[track_caller]
    pub fn expect_words(self, part: &str) -> Self {
        assert!(self.words().contains(part), "no {part:?} in: {}", self.words());
        self
    }
}

/// The program with an environment that no setting of the caller's reaches.
pub fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    for (name, _) in std::env::vars_os() {
        if name == "RUST_LOG" || name.to_string_lossy().starts_with("WHARFINGER_") {
            command.env_remove(name);
        }
    }
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// As `program`, with a limit on the size of its files that it may not pass (`ulimit -f`) until it is raised.
pub fn limited_program(directory: &Path, file_max_bytes: u64) -> Command {
    let whole = program(directory);
    let mut command = Command::new("sh");
    // POSIX counts in blocks of 512 bytes.
    let blocks = (file_max_bytes / 512).to_string();
    command
        .args(["-c", "ulimit -S -f \"$1\" && shift && exec \"$@\"", "sh", &blocks])
        .arg(whole.get_program());
    for (name, value) in whole.get_envs() {
        assert!(value.is_none(), "variables are only taken away");
        command.env_remove(name);
    }
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// Takes the limit on the size of its files from a process.
pub fn lift_file_limit(child: &Child) {
    let none = Rlimit { current: None, maximum: None };
    prlimit(Some(Pid::from_child(child)), Resource::Fsize, none).expect("the limit was only a soft one");
}

/// Runs the program with `arguments` and `environment` until it ends. Panics when it does not.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
    run_with_input(arguments, environment, "")
}

/// As `run`, with a text on its standard input.
pub fn run_with_input(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Finished {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (out, err, stdin) = (home.path().join("out"), home.path().join("err"), home.path().join("in"));
    std::fs::write(&stdin, input).expect("its input is written");
    let mut child = program(home.path())
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(File::open(&stdin).expect("its input"))
        .stdout(File::create(&out).expect("a file for its output"))
        .stderr(File::create(&err).expect("a file for its log"))
        .spawn()
        .expect("the program starts");
    let status = wait_for(&mut child, &format!("`wharfinger {}` to end", arguments.join(" ")));
    let text = |path| String::from_utf8_lossy(&std::fs::read(path).expect("its output")).into_owned();
    Finished { code: status.code(), stdout: text(&out), stderr: text(&err) }
}

/// Waits for `child`; kills it before it panics in vain.
pub fn wait_for(child: &mut Child, what: &str) -> ExitStatus {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait::until(what, || child.try_wait().expect("a child can be waited for"))
    }));
    ended.unwrap_or_else(|panic| {
        child.kill().ok();
        child.wait().ok();
        std::panic::resume_unwind(panic)
    })
}

/// Sends a signal to one process.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the process is there to be signalled");
}
