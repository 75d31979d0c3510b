//! What is measured, how large and how often: the variables of the bench.

use crate::servers::Kind;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the variables say.
pub struct Options {
    /// The works by name; empty: all of them.
    works: Vec<String>,
    /// How often each server does each work, at least once.
    pub rounds: usize,
    /// How long a work without an end of its own goes on.
    pub span: Duration,
    /// MiB of the large blob.
    pub blob_mib: u64,
    /// MiB of each of many uploads or pulls at a time.
    pub upload_mib: u64,
    /// Tags of the larger repository; the smaller one has a thousand.
    pub tags: usize,
    /// Repositories of the catalog.
    pub repositories: usize,
    /// How many push manifests at a time.
    pub pushers: Vec<usize>,
    /// Whether docs/figures is written.
    pub writes_figures: bool,
    /// Where the data of the servers is, on a real disk.
    pub dir: PathBuf,
    /// The servers that are missed, each with the reason.
    missing: Vec<(Kind, String)>,
}

impl Options {
    /// Reads the variables, and looks which servers there are.
    pub fn read() -> Self {
        let is_quick = flag("QUICK");
        let pick = |quick: u64, full: u64| if is_quick { quick } else { full };
        let number = |name: &str, quick, full| number(name).unwrap_or_else(|| pick(quick, full));
        let count = |name: &str, quick, full| {
            usize::try_from(number(name, quick, full)).expect("a number that fits into memory")
        };
        let works = variable("WORKS").map(|works| works.into_string().expect("names of works"));
        let missing = Kind::ALL.into_iter().filter_map(|kind| Some((kind, missing(kind)?))).collect();
        Self {
            works: works.iter().flat_map(|works| works.split(',')).map(str::to_owned).collect(),
            rounds: count("ROUNDS", 2, 5).max(1),
            span: Duration::from_millis(number("SPAN_MS", 700, 2500)),
            blob_mib: number("BLOB_MIB", 256, 1024),
            upload_mib: number("UPLOAD_MIB", 8, 100),
            tags: count("TAGS", 10_000, 100_000).max(1000),
            repositories: count("REPOSITORIES", 1000, 10_000).max(200),
            pushers: if is_quick { vec![1, 8, 64] } else { vec![1, 8, 64, 256] },
            writes_figures: flag("FIGURES"),
            dir: variable("DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from),
            missing,
        }
    }

    /// Whether a work is to be done.
    pub fn wants(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|name| name == work)
    }

    /// A name that no work has.
    pub fn unknown(&self, works: &[&str]) -> Option<&String> {
        self.works.iter().find(|name| !works.contains(&name.as_str()))
    }

    /// Those of the servers that are there.
    pub fn present(&self, kinds: &[Kind]) -> Vec<Kind> {
        let is_there = |kind: &Kind| self.missing.iter().all(|(missing, _)| missing != kind);
        kinds.iter().copied().filter(is_there).collect()
    }

    /// The servers that are not measured, each with the reason.
    pub fn missing(&self) -> &[(Kind, String)] {
        &self.missing
    }
}

/// The program of a server, from its variable or where Debian puts it.
pub fn program(kind: Kind) -> Option<PathBuf> {
    let named = kind.variable().and_then(variable).map(PathBuf::from);
    named.or_else(|| kind.usual_path().map(Path::to_owned))
}

fn missing(kind: Kind) -> Option<String> {
    match program(kind) {
        None => Some(format!("WHARFINGER_BENCH_{} names its program", kind.variable()?)),
        Some(path) if !path.is_file() => Some(format!("{} is not there", path.display())),
        Some(_) => None,
    }
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(format!("WHARFINGER_BENCH_{name}")).filter(|value| !value.is_empty())
}

fn flag(name: &str) -> bool {
    variable(name).is_some_and(|value| value != "0")
}

fn number(name: &str) -> Option<u64> {
    let value = variable(name)?.into_string().ok().and_then(|value| value.parse().ok());
    Some(value.unwrap_or_else(|| panic!("WHARFINGER_BENCH_{name} is not a whole number")))
}
