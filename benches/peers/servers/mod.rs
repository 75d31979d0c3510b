//! The servers that are compared: how each is started, and what it uses.

mod distribution;
mod nginx;
mod ours;
pub mod raw_floor;
mod usage;
mod zot;

pub use distribution::REPOSITORIES as DISTRIBUTION_REPOSITORIES;
pub use nginx::ROOT as NGINX_ROOT;

use crate::client::Connection;
use crate::options;
use crate::tls::Identity;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);

/// How often it is looked whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This registry, as it was built with the bench.
    Wharfinger,
    /// Files by sendfile(2).
    Nginx,
    /// What a durable push costs at least: [`raw_floor`].
    RawFloor,
    /// Distribution 2.8 as Debian has it.
    DockerRegistry,
    /// Distribution 3.
    Distribution,
    /// Zot, the minimal build or the whole one.
    Zot,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Wharfinger, Self::Nginx, Self::RawFloor, Self::DockerRegistry, Self::Distribution, Self::Zot];

    /// As it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wharfinger => "wharfinger",
            Self::Nginx => "nginx",
            Self::RawFloor => "raw floor",
            Self::DockerRegistry => "docker-registry",
            Self::Distribution => "distribution 3",
            Self::Zot => "zot",
        }
    }

    /// The end of the variable that names its program, `WHARFINGER_BENCH_...`.
    pub fn variable(self) -> Option<&'static str> {
        match self {
            Self::Wharfinger | Self::RawFloor => None,
            Self::Nginx => Some("NGINX"),
            Self::DockerRegistry => Some("DOCKER_REGISTRY"),
            Self::Distribution => Some("DISTRIBUTION"),
            Self::Zot => Some("ZOT"),
        }
    }

    /// Where the program is if no variable says so.
    pub fn usual_path(self) -> Option<&'static Path> {
        match self {
            // The raw floor is this bench itself, which is surely there.
            Self::Wharfinger | Self::RawFloor => Some(Path::new(env!("CARGO_BIN_EXE_wharfinger"))),
            Self::Nginx => Some(Path::new("/usr/sbin/nginx")),
            Self::DockerRegistry => Some(Path::new("/usr/bin/docker-registry")),
            Self::Distribution | Self::Zot => None,
        }
    }

    fn program(self) -> PathBuf {
        options::program(self).expect("only what is present is started")
    }
}

/// A running server with a home of its own, both ended when it is dropped.
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// Where it listens.
    pub address: SocketAddr,
    /// What callers present; empty: nothing.
    pub authorization: String,
    child: Child,
    home: TempDir,
}

impl Server {
    /// Starts one on an empty home below `dir`, for plain HTTP.
    pub fn start(kind: Kind, dir: &Path) -> Self {
        let home = tempfile::Builder::new().prefix("peers-").tempdir_in(dir);
        let home = home.expect("a directory for a server");
        let (child, address) = spawn(kind, home.path(), None);
        Self { kind, address, authorization: String::new(), child, home }
    }

    /// Ends it and starts it again on what it has, so that its memory says nothing of what was before. With
    /// an identity it speaks TLS and nothing else.
    pub fn restarted(mut self, identity: Option<&Identity>) -> Self {
        self.end();
        let (child, address) = spawn(self.kind, self.home.path(), identity);
        self.child = child;
        self.address = address;
        self
    }

    /// Where its files are.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A connection that presents what callers do.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address, &self.authorization)
    }

    /// Lets only users in, and gives itself a Bearer token for a repository. Others have no such thing.
    pub fn with_access(self, repository: &str) -> Self {
        if self.kind == Kind::Wharfinger { ours::with_access(self, repository) } else { self }
    }

    /// The CPU that its processes have used, in hundredths of a second.
    pub fn cpu(&self) -> Duration {
        usage::cpu(self.child.id())
    }

    /// The most memory that its processes ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        usage::peak_kib(self.child.id())
    }

    /// The memory of its processes that is no file's, in KiB, as of now.
    pub fn anonymous_kib(&self) -> u64 {
        usage::anonymous_kib(self.child.id())
    }

    fn end(&mut self) {
        usage::end(&mut self.child);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(kind: Kind, home: &Path, identity: Option<&Identity>) -> (Child, SocketAddr) {
    match kind {
        Kind::Wharfinger => greeted(ours::command(home, identity)),
        Kind::RawFloor => greeted(raw_floor::command(home)),
        Kind::Nginx => waited_for(|address| nginx::command(home, address, identity)),
        Kind::DockerRegistry | Kind::Distribution => {
            waited_for(|address| distribution::command(kind, home, address))
        }
        Kind::Zot => waited_for(|address| zot::command(home, address)),
    }
}

/// Starts what says in its first line where it listens.
fn greeted(mut command: Command) -> (Child, SocketAddr) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
    let mut greeting = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
    lines.read_line(&mut greeting).expect("a greeting");
    let address = greeting.trim().rsplit_once("://").expect("an address in the greeting").1;
    (child, address.parse().expect("an address and a port"))
}

/// Starts what has to be told where to listen, and waits until it does.
fn waited_for(command: impl FnOnce(SocketAddr) -> Command) -> (Child, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let mut command = command(address);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the server starts");
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        let ended = child.try_wait().expect("it is ours");
        assert!(ended.is_none(), "{command:?} ended: {ended:?}");
        assert!(began.elapsed() < START_MAX, "{command:?} does not listen");
        thread::sleep(LOOK_EVERY);
    }
    (child, address)
}
