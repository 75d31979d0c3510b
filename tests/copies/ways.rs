//! The ways in which people copy a directory, and one that is slower than any of them.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::random::Random;
use crate::support::{files, wait};
use crate::{COPIES, copies};

/// How many pauses a slow copy makes, of 20 ms each at least; it is one of these.
const PAUSES: [u64; 3] = [30, 60, 150];

/// The same of one in so many copies, if there are many: half a minute, half of what is kept for a copier.
const LONG_PAUSES: u64 = 1200;
const LONG_ONE_IN: usize = 8;

const CHUNK_MIN_BYTES: u64 = 4096;

/// A way to make a copy of a directory where there is nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    CpArchive,
    CpRecursive,
    Rsync,
    Tar,
    /// File by file, in chunks with pauses between them.
    Slow(Order),
}

/// Which files a slow copy begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    LedgerFirst,
    LedgerLast,
    Random,
}

/// All of them. The slow ones are where what is copied differs most.
pub const WAYS: [Way; 7] = [
    Way::CpArchive,
    Way::Slow(Order::LedgerFirst),
    Way::Rsync,
    Way::Slow(Order::LedgerLast),
    Way::Tar,
    Way::Slow(Order::Random),
    Way::CpRecursive,
];

/// A way to put a copy over a directory that has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    CpArchive,
    Rsync,
    RsyncDelete,
    RsyncInPlace,
    Tar,
}

pub const OVERS: [Over; 5] = [Over::CpArchive, Over::RsyncDelete, Over::Rsync, Over::RsyncInPlace, Over::Tar];

impl Way {
    /// Whether the machine has what it takes.
    pub fn is_here(self) -> bool {
        self != Self::Rsync || is_rsync_here()
    }

    /// Copies `from`, which may change meanwhile, to `to`, which is not there.
    pub fn copy(self, from: &Path, to: &Path, random: &mut Random) {
        match self {
            Self::CpArchive => cp(&["-a"], from, to),
            Self::CpRecursive => cp(&["-r"], from, to),
            Self::Rsync => rsync(&[], from, to),
            Self::Tar => {
                fs::create_dir(to).expect("a directory for the copy");
                tar(from, to);
            }
            Self::Slow(order) => slow(order, from, to, random),
        }
    }
}

impl Over {
    /// Whether the machine has what it takes.
    pub fn is_here(self) -> bool {
        matches!(self, Self::CpArchive | Self::Tar) || is_rsync_here()
    }

    /// Whether what the copy does not have goes away. Where it stays, a start may refuse the mixture.
    pub fn deletes(self) -> bool {
        self == Self::RsyncDelete
    }

    /// Puts all of `from` over `to`.
    pub fn put(self, from: &Path, to: &Path) {
        match self {
            Self::CpArchive => cp(&["-a"], &from.join("."), to),
            Self::Rsync => rsync(&[], from, to),
            Self::RsyncDelete => rsync(&["--delete"], from, to),
            Self::RsyncInPlace => rsync(&["--inplace"], from, to),
            Self::Tar => tar(from, to),
        }
    }
}

/// Whether there is an rsync here; `scripts/install-test-tools` installs it.
pub fn is_rsync_here() -> bool {
    let tried = Command::new("rsync").arg("--version").stdout(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Runs a command. `tolerated`: how it ends where a file was gone before it was read, or grew meanwhile.
fn run(command: &mut Command, tolerated: i32) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} runs: {error}"));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    assert!(code == Some(0) || code == Some(tolerated), "{command:?}: {:?}: {words}", output.status);
}

/// GNU cp.
pub fn cp(options: &[&str], from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.args(options).arg(from).arg(to).env("LC_ALL", "C");
    let output = command.output().expect("cp runs");
    let words = String::from_utf8_lossy(&output.stderr);
    // Files that went between their listing and their opening. Anything else is a failure of the test.
    let is_fine = words.lines().all(|line| line.ends_with("No such file or directory"));
    assert!(output.status.success() || is_fine, "{command:?}: {}: {words}", output.status);
}

fn rsync(options: &[&str], from: &Path, to: &Path) {
    let mut source = from.as_os_str().to_owned();
    source.push("/");
    run(Command::new("rsync").arg("-a").args(options).arg(source).arg(to), 24);
}

/// A tar that is read as it is written.
fn tar(from: &Path, to: &Path) {
    let mut packing = Command::new("tar");
    packing.arg("-C").arg(from).args(["-cf", "-", "."]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut packing = packing.spawn().expect("tar starts");
    let archive = packing.stdout.take().expect("its output is a pipe");
    run(Command::new("tar").arg("-C").arg(to).args(["-xpf", "-"]).stdin(archive), 0);
    let output = packing.wait_with_output().expect("tar ends");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "tar: {}: {words}", output.status);
}

/// Copies as a program does that takes its time, for each file and between files.
fn slow(order: Order, from: &Path, to: &Path, random: &mut Random) {
    fs::create_dir(to).expect("a directory for the copy");
    let mut pace = Pace::of(from, random);
    match order {
        Order::LedgerFirst | Order::LedgerLast => {
            let ledger = from.join("ledger");
            let mut places = top_level(from);
            places.sort_by_key(|place| (*place == ledger) != (order == Order::LedgerFirst));
            // Each place is listed when it is its turn.
            for place in places {
                let paths = files::entries_under(&place).into_iter().chain([place]);
                copy_all(from, to, paths, &mut pace);
            }
        }
        Order::Random => {
            let mut paths = files::entries_under(from);
            for last in (1..paths.len()).rev() {
                paths.swap(last, random.below(last + 1));
            }
            copy_all(from, to, paths, &mut pace);
        }
    }
}

fn top_level(from: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(from).expect("a directory to copy");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn copy_all(from: &Path, to: &Path, paths: impl IntoIterator<Item = PathBuf>, pace: &mut Pace) {
    for path in paths {
        let target = to.join(path.strip_prefix(from).expect("it lies below"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("a directory of the copy");
            continue;
        }
        // What has gone since the listing is left out, and sockets are.
        if !path.is_file() {
            continue;
        }
        fs::create_dir_all(target.parent().expect("it lies below")).expect("a directory of the copy");
        match File::open(&path) {
            Ok(file) => copy_one(&file, &target, pace),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{}", path.display()),
        }
    }
}

fn copy_one(file: &File, target: &Path, pace: &mut Pace) {
    let mut copy = File::create(target).expect("a file of the copy");
    loop {
        let mut chunk = Vec::new();
        let read = file.take(pace.chunk_bytes).read_to_end(&mut chunk).expect("it can be read");
        if read == 0 {
            return pace.after(pace.file_bytes);
        }
        copy.write_all(&chunk).expect("the copy can be written");
        pace.after(read as u64);
    }
}

/// How fast a copy is made.
struct Pace {
    chunk_bytes: u64,
    /// What a file counts beside its bytes. Blobs are small and many, and shall not all be copied at once.
    file_bytes: u64,
    since_pause: u64,
}

impl Pace {
    /// One at which the directory takes a random number of pauses, from less than a second to several: half
    /// of them for its bytes, half for its files.
    fn of(from: &Path, random: &mut Random) -> Self {
        let sizes: Vec<u64> = files::files_under(from).iter().map(|path| files::size(path)).collect();
        let total: u64 = sizes.iter().sum();
        let is_long = copies() > COPIES && random.one_in(LONG_ONE_IN);
        let pauses = if is_long { LONG_PAUSES } else { *random.pick(&PAUSES) };
        let chunk_bytes = (2 * total / pauses).max(CHUNK_MIN_BYTES);
        Self { chunk_bytes, file_bytes: total / (1 + sizes.len() as u64), since_pause: 0 }
    }

    fn after(&mut self, bytes: u64) {
        self.since_pause += bytes;
        if self.since_pause >= self.chunk_bytes {
            self.since_pause = 0;
            wait::briefly();
        }
    }
}
