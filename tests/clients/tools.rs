//! Finds the programs that the tests need, and says what is left out where one is missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use crate::support::skip::{say, skip};

/// Where Debian's packages put programs. They go before PATH: a docker found there may be another one.
const SYSTEM: [&str; 3] = ["/usr/bin", "/usr/sbin", "/bin"];

/// What takes too long to build for every day.
const EXTRA: [&str; 4] = ["helm", "cosign", "buildkitd", "buildctl"];

/// What needs to mount.
const MOUNTING: [&str; 5] = ["dockerd", "podman", "buildah", "containerd", "buildkitd"];

/// The program's path: built by scripts/install-test-tools, or the system's, or in PATH.
pub fn path(name: &str) -> Option<PathBuf> {
    let built = built_tools().into_iter();
    let system = SYSTEM.iter().map(PathBuf::from);
    let search = env::var_os("PATH").unwrap_or_default();
    let folders = built.chain(system).chain(env::split_paths(&search));
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

fn built_tools() -> Option<PathBuf> {
    let cache = env::var_os("WHARFINGER_TEST_TOOLS").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache/wharfinger-tools"));
    cache.or(home).map(|cache| cache.join("bin"))
}

/// A command for a program that `missing` has found.
pub fn command(name: &str) -> Command {
    Command::new(path(name).unwrap_or_else(|| PathBuf::from(name)))
}

/// Why a test that needs these programs cannot run here, if so.
pub fn missing(names: &[&str]) -> Option<String> {
    let absent: Vec<&str> = names.iter().copied().filter(|name| path(name).is_none()).collect();
    if !absent.is_empty() {
        let plural = if absent.len() == 1 { "is" } else { "are" };
        let cure =
            if absent.iter().any(|name| EXTRA.contains(name)) { "; ./test --extra builds it" } else { "" };
        return Some(format!("{} {plural} not installed{cure}", absent.join(", ")));
    }
    let mounting = names.iter().find(|name| MOUNTING.contains(name))?;
    (!may_mount()).then(|| format!("{mounting} needs to be root and to be allowed to mount"))
}

/// Whether this process may do what these programs do for each image: in a plain container root may not.
fn may_mount() -> bool {
    let tried = command("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}
