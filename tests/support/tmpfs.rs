//! A file system of a few megabytes: the real thing that a full disk is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skip;

/// A mounted tmpfs, gone when it goes out of scope. What uses it has to end before.
pub struct Tmpfs {
    place: TempDir,
}

impl Tmpfs {
    /// Mounts one of that size and for so many files and directories. Where that is not allowed, `test` is
    /// left out, aloud.
    pub fn mount(test: &str, bytes: u64, names: u64) -> Option<Self> {
        let place = tempfile::tempdir().expect("a temporary directory");
        let options = format!("size={bytes},nr_inodes={names},mode=0700");
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

    /// Fills it until `bytes` are free, as some other program might. What others write meanwhile counts, too.
    pub fn fill_to(&self, bytes: u64) {
        // What it has already is written anew.
        let there = fs::metadata(self.filler()).map_or(0, |found| found.len());
        let size = usize::try_from((self.free() + there).saturating_sub(bytes)).expect("a few megabytes");
        if let Err(error) = fs::write(self.filler(), vec![0xa5; size]) {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "as much as there was");
        }
    }

    /// Makes files until there can be no more names.
    pub fn fill_names(&self) {
        fs::create_dir(self.filler()).expect("a directory of another program's");
        for number in 0.. {
            if let Err(error) = fs::write(self.filler().join(number.to_string()), b"") {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{number} files were made");
                return;
            }
        }
    }

    /// The other program cleans up.
    pub fn clear(&self) {
        let filler = self.filler();
        let removed = if filler.is_dir() { fs::remove_dir_all(filler) } else { fs::remove_file(filler) };
        removed.expect("it was filled");
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
