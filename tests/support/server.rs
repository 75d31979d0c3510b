//! A registry of one test: its own directory, its own port, its own end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{self, Finished};
use super::{Client, canaries, wait};

const LOG_TAIL_LINES: usize = 60;

/// A server process and the data directory that outlives it.
pub struct Server {
    home: TempDir,
    data: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    file_max_bytes: Option<u64>,
    listen: IpAddr,
    running: Option<Running>,
    checked_at_end: bool,
    /// How many secrets were known before anybody could tell it one.
    canaries_before: usize,
    /// What earlier runs printed.
    said_before: String,
}

struct Running {
    child: Child,
    address: SocketAddr,
    /// What it printed so far.
    output: Arc<Mutex<String>>,
}

/// Collects what a server is started with.
#[derive(Default)]
pub struct Builder {
    data: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    file_max_bytes: Option<u64>,
    canaries_before: usize,
    listen: Option<IpAddr>,
}

impl Builder {
    /// One more argument of `serve`.
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A setting, by its variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// No file of the server's may become larger (`ulimit -f`).
    pub fn file_max_bytes(mut self, bytes: u64) -> Self {
        self.file_max_bytes = Some(bytes);
        self
    }

    /// Listens on this address of the machine, not on 127.0.0.1.
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// A data directory that was there before.
    pub fn data(mut self, path: &Path) -> Self {
        self.data = Some(path.to_path_buf());
        self
    }

    /// Starts the server and waits until it listens.
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.launch();
        server
    }

    /// As `start`, on a directory that may be refused: then what the ended server said.
    pub fn attempt(self) -> Result<Server, Finished> {
        let mut server = self.prepare();
        match server.try_launch() {
            Ok(()) => Ok(server),
            Err(refusal) => {
                server.into_dirty();
                Err(refusal)
            }
        }
    }

    fn prepare(self) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data = self.data.unwrap_or_else(|| home.path().join("data"));
        Server {
            home,
            data,
            arguments: self.arguments,
            environment: self.environment,
            file_max_bytes: self.file_max_bytes,
            listen: self.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            running: None,
            checked_at_end: true,
            canaries_before: self.canaries_before,
            said_before: String::new(),
        }
    }
}

impl Server {
    /// A server with default settings and an empty data directory.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server with settings.
    pub fn builder() -> Builder {
        Builder { canaries_before: canaries::count(), ..Builder::default() }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.live().address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.live().child.id()
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        self.live().output.lock().expect("no reader panics").clone()
    }

    /// Lifts the limit on its files, of the server as it runs now.
    pub fn lift_file_limit(&self) {
        process::lift_file_limit(&self.live().child);
    }

    /// A client of the server as it runs now. After a restart, ask for another.
    pub fn client(&self) -> Client {
        Client::new(self.addr())
    }

    /// Sends SIGTERM without waiting for the end.
    pub fn terminate(&self) {
        process::signal(&self.live().child, Signal::TERM);
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait_for_end()
    }

    /// Sends SIGINT, as a terminal does, and waits for the end.
    pub fn interrupt(&mut self) -> ExitStatus {
        process::signal(&self.live().child, Signal::INT);
        self.wait_for_end()
    }

    /// Waits for the end of a server that was told to stop.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the server runs");
        let status = process::wait_for(&mut running.child, "the server to stop");
        self.said_before.push_str(&running.output.lock().expect("no reader panics"));
        status
    }

    /// Sends SIGHUP: the configuration is to be read again.
    pub fn hang_up(&self) {
        process::signal(&self.live().child, Signal::HUP);
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Ends it as a power cut would: no handler runs.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("the server runs");
        running.child.kill().expect("SIGKILL");
        running.child.wait().expect("the killed process is collected");
    }

    /// Starts it again on the same data directory, after a clean stop if it still runs.
    pub fn restart(&mut self) {
        if self.running.is_some() {
            let status = self.stop();
            assert!(status.success(), "a clean stop before the restart, not {status}");
        }
        self.launch();
    }

    /// Starts a server that has ended again, on a directory that may be refused: then what it said.
    pub fn try_restart(&mut self) -> Result<(), Finished> {
        assert!(self.running.is_none(), "it has ended");
        self.try_launch()
    }

    /// Arguments of `serve` for the next start, in place of those before.
    pub fn set_args(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    }

    /// Checks the stopped directory and hands back what was said.
    #[track_caller]
    pub fn verify(&self) -> Finished {
        self.run_verify(&["--deep", "--json"]).expect_code(0)
    }

    /// Runs `verify` with `options` on the stopped directory, whatever it finds.
    #[track_caller]
    pub fn run_verify(&self, options: &[&str]) -> Finished {
        assert!(self.running.is_none(), "verify_live is for a running server");
        self.start_verify(options)
    }

    /// Runs `verify` with `options` on the running server, whatever it finds.
    #[track_caller]
    pub fn verify_live(&self, options: &[&str]) -> Finished {
        assert!(self.running.is_some(), "run_verify is for a stopped server");
        self.start_verify(options)
    }

    fn start_verify(&self, options: &[&str]) -> Finished {
        let data = self.data.to_str().expect("a path in UTF-8");
        let mut arguments = vec!["verify", "--data", data];
        arguments.extend(options);
        process::run(&arguments, &[])
    }

    /// Gives up the check at the end: for tests that do damage. What still runs is killed.
    pub fn into_dirty(mut self) {
        self.checked_at_end = false;
        if self.running.is_some() {
            self.kill();
        }
    }

    fn live(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn launch(&mut self) {
        if let Err(Finished { stdout, .. }) = self.try_launch() {
            let tail = self.log_tail();
            panic!("the server did not say where it listens; output: {stdout:?}; {tail}");
        }
    }

    /// Starts it and waits until it listens. One that ends before, or that is silent for too long and is
    /// killed for it, leaves its exit code and what it said.
    fn try_launch(&mut self) -> Result<(), Finished> {
        let logged_before = self.log().len();
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let home = self.home.path();
        let program = self.file_max_bytes.map(|bytes| process::limited_program(home, bytes));
        let mut child = program
            .unwrap_or_else(|| process::program(home))
            .args(["serve", "--data"])
            .arg(&self.data)
            .args(["--listen", &SocketAddr::new(self.listen, 0).to_string()])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let output = drain(child.stdout.take().expect("its output is a pipe"));
        let Some(address) = await_address(&mut child, &output, self.listen) else {
            child.kill().ok();
            let status = child.wait().expect("the ended process is collected");
            let stdout = output.lock().expect("no reader panics").clone();
            let stderr = self.log().get(logged_before..).unwrap_or_default().to_owned();
            return Err(Finished { code: status.code(), stdout, stderr });
        };
        self.running = Some(Running { child, address, output });
        Ok(())
    }

    fn log_tail(&self) -> String {
        let mut text = String::new();
        if let Ok(mut log) = File::open(self.log_path()) {
            log.read_to_string(&mut text).ok();
        }
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        format!("the end of its log:\n{}", tail.join("\n"))
    }

    fn check_at_end(&mut self) {
        if self.running.is_some() {
            let status = self.stop();
            assert!(status.success(), "a clean stop, not {status}; {}", self.log_tail());
        }
        let log = self.log();
        let panicked = log.lines().find(|line| line.contains("panicked"));
        assert!(panicked.is_none(), "nothing panics: {panicked:?}; {}", self.log_tail());
        canaries::assert_none_in("the log", &log, self.canaries_before);
        canaries::assert_none_in("what is printed", &self.said_before, self.canaries_before);
        canaries::assert_none_under(&self.data, self.canaries_before);
        self.verify();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if self.running.is_some() {
                self.kill();
            }
            eprintln!("{}", self.log_tail());
        } else if self.checked_at_end {
            self.check_at_end();
        }
    }
}

/// Reads the pipe to its end on a thread of its own, so that the server never waits for a reader.
fn drain(stdout: ChildStdout) -> Arc<Mutex<String>> {
    let output = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&output);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let mut output = shared.lock().expect("no reader panics");
            output.push_str(&line);
            output.push('\n');
        }
    });
    output
}

/// The first address of this IP in the output; none when the process ends or stays silent.
fn await_address(child: &mut Child, output: &Mutex<String>, ip: IpAddr) -> Option<SocketAddr> {
    let started = Instant::now();
    wait::until("the server to listen or to give up", || {
        let ended = child.try_wait().expect("a child can be waited for").is_some();
        let address = address_in(&output.lock().expect("no reader panics"), ip);
        (address.is_some() || ended || started.elapsed() > wait::PATIENCE / 2).then_some(address)
    })
}

fn address_in(output: &str, ip: IpAddr) -> Option<SocketAddr> {
    let (_, rest) = output.split_once(&format!("://{ip}:"))?;
    // A line is added whole, so the number is.
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(SocketAddr::new(ip, digits.parse().ok()?))
}
