//! strace(1), which makes chosen system calls of a process fail.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::process::{self, Finished};
use crate::support::skip::skip;
use crate::support::wait;

/// Which calls fail: `calls` and `when` as strace has them. It counts those of each thread by themselves.
#[derive(Clone, Debug)]
pub struct Fault<'a> {
    pub calls: &'a str,
    pub when: String,
    /// Only calls on this file.
    pub path: Option<&'a Path>,
}

impl Fault<'_> {
    fn arguments(&self, trace: &Path) -> Vec<String> {
        let Self { calls, when, path } = self;
        let mut arguments: Vec<String> = ["-f", "-e"].map(str::to_owned).to_vec();
        arguments.push(format!("trace={calls}"));
        arguments.push("-e".to_owned());
        arguments.push(format!("inject={calls}:error=EIO:when={when}"));
        arguments.extend(["-o".to_owned(), trace.to_str().expect("a path in UTF-8").to_owned()]);
        if let Some(path) = path {
            arguments.extend(["-P".to_owned(), path.to_str().expect("a path in UTF-8").to_owned()]);
        }
        arguments
    }
}

/// Whether processes can be traced here. Where not, the test is said to be left out.
pub fn is_there(test: &str) -> bool {
    let tried = Command::new("strace").args(["-f", "true"]).output();
    let is_there = tried.as_ref().is_ok_and(|output| output.status.success());
    if !is_there {
        skip(test, &format!("it needs strace, and to be allowed to trace: {tried:?}"));
    }
    is_there
}

/// strace at a running process. It lets go of the process when this is dropped.
pub struct Strace {
    home: TempDir,
    child: Child,
}

impl Strace {
    /// Makes calls of a running process fail; none where that may not be done, which is said.
    pub fn attach(test: &str, pid: u32, fault: &Fault<'_>) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let said = home.path().join("said");
        let mut command = Command::new("strace");
        command.args(fault.arguments(&home.path().join("trace"))).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&said).expect("a file for its words"));
        let child = command.spawn().expect("strace was there before");
        let mut strace = Self { home, child };
        let refusal = wait::until("strace to have the process", || {
            let ended = strace.child.try_wait().expect("a child can be waited for").is_some();
            let said = fs::read_to_string(&said).expect("its words");
            (ended || said.contains(" attached")).then_some(ended.then_some(said))
        });
        if let Some(words) = refusal {
            skip(test, &format!("strace may not trace another's process: {words}"));
            return None;
        }
        Some(strace)
    }

    /// The calls that it made fail.
    pub fn failed_calls(&self) -> Vec<String> {
        failed_calls(&self.home.path().join("trace"))
    }

    /// Waits until the process that it traces has ended.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        process::wait_for(&mut self.child, "strace to end with what it traced")
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            process::signal(&self.child, Signal::TERM);
            // It lets go of every thread first.
            drop(self.child.wait());
        }
    }
}

/// Runs `serve` on a directory until it ends by the fault; gives that, and the calls that failed.
pub fn serve(data: &Path, fault: &Fault<'_>) -> (Finished, Vec<String>) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (trace, log) = (home.path().join("trace"), home.path().join("log"));
    let serve = process::program(home.path());
    let mut command = Command::new("strace");
    command.args(fault.arguments(&trace)).arg(serve.get_program());
    for (name, value) in serve.get_envs() {
        assert!(value.is_none(), "variables are only taken away");
        command.env_remove(name);
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("a file"));
    let mut child = command.spawn().expect("strace was there before");
    let status = process::wait_for(&mut child, "the server to end by the fault");
    let stderr = fs::read_to_string(&log).expect("its log");
    (Finished { code: status.code(), stdout: String::new(), stderr }, failed_calls(&trace))
}

fn failed_calls(trace: &Path) -> Vec<String> {
    let trace = fs::read_to_string(trace).expect("a trace");
    trace.lines().filter(|line| line.contains("(INJECTED)")).map(str::to_owned).collect()
}
