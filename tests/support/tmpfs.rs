//! A file system of a few megabytes: the real thing that a full disk is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skip;

/// A mounted tmpfs, gone when it goes out of scope. What uses it has to end before.
pub struct Tmpfs {
    place: TempDir,
}

impl Tmpfs {
    /// Mounts one of that size. Where that is not allowed, `test` is left out, aloud.
    pub fn mount(test: &str, bytes: u64) -> Option<Self> {
        let place = tempfile::tempdir().expect("a temporary directory");
        let options = format!("size={bytes},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "wharfinger-test"]).arg(place.path());
        let outcome = mount.output();
        if outcome.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self { place });
        }
        skip::skip(test, &format!("a tmpfs cannot be mounted (that needs root): {outcome:?}"));
        None
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// How many bytes are free.
    pub fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).expect("it is mounted");
        found.f_bavail * found.f_frsize
    }

    /// Fills it until `bytes` are free, as some other program might.
    pub fn fill_to(&self, bytes: u64) {
        let size = self.free().saturating_sub(bytes);
        fs::write(self.filler(), vec![0xa5; usize::try_from(size).expect("a few megabytes")])
            .expect("as much as is free");
        assert!(self.free() <= bytes.max(4096), "{} bytes are free", self.free());
    }

    /// The other program cleans up.
    pub fn clear(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("another-program's")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a test that fails leaves files open.
        Command::new("umount").arg("--lazy").arg(self.path()).status().ok();
    }
}
