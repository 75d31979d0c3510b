//! The data directory itself: whether it is one, and making it.

use super::Readers;
use super::data_dir::{OpenDirError, io_refusal, refusal_advice};
use crate::disk::{Disk, Kind, stat_if_there};
use std::io::{self, ErrorKind};
use std::path::Path;

/// What stands in a data directory, the first of it as soon as a start has taken it.
const OURS: [&str; 4] = ["LOCK", "ledger", "blobs", "uploads"];

/// How the names of files begin of which a ledger can be opened from one.
const LEDGER_FILES: [&[u8]; 3] = [b"ledger.redb", b"journal-", b"snapshot-"];

/// Refuses a directory that is no registry's.
pub(super) fn expect_ledger(disk: &dyn Disk, root: &Path) -> Result<(), OpenDirError> {
    let path = root.join("ledger");
    match has_ledger_in(disk, &path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenDirError::Absent(root.to_path_buf())),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(OpenDirError::Absent(root.to_path_buf())),
        Err(_) if is_file(disk, root) => Err(OpenDirError::File(root.to_path_buf())),
        Err(error) => Err(io_refusal(&path, error)),
    }
}

fn has_ledger_in(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
    for name in disk.list(directory)? {
        let name = name?;
        if !LEDGER_FILES.iter().any(|ours| name.as_encoded_bytes().starts_with(ours)) {
            continue;
        }
        // An empty one is none: nothing was ever committed to it.
        let found = stat_if_there(disk, &directory.join(name))?;
        if found.is_some_and(|found| found.kind == Kind::File && found.len > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the data directory unless it is there, and those above it, as `mkdir -p` does, each with its name
/// made durable: all that is acknowledged is below them.
pub(super) fn make(disk: &dyn Disk, root: &Path) -> Result<(), OpenDirError> {
    let mut missing = Vec::new();
    let mut there = root;
    // Where nothing can be looked at, the way up ends all the same.
    while disk.stat(there).is_err() && above(there) != there {
        missing.push(there);
        there = above(there);
    }
    if is_file(disk, there) {
        return Err(OpenDirError::File(there.to_path_buf()));
    }
    let make = |path: &&Path| {
        match disk.make_directory(path, Readers::Owner.directory()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        disk.sync_directory(above(path))
    };
    missing.iter().rev().try_for_each(make).map_err(|source| {
        let advice = refusal_advice(&source);
        OpenDirError::Create { root: root.to_path_buf(), above: there.to_path_buf(), source, advice }
    })
}

fn above(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Something is there that is no directory.
fn is_file(disk: &dyn Disk, path: &Path) -> bool {
    disk.stat_target(path).is_ok_and(|found| found.kind != Kind::Directory)
}

/// Refuses a directory that has things in it, and none of a registry: most likely another one is meant. What
/// the root of a fresh file system has, does not count.
pub(super) fn refuse_foreign(disk: &dyn Disk, root: &Path) -> Result<(), OpenDirError> {
    let mut foreign = None;
    for name in disk.list(root).map_err(|source| io_refusal(root, source))? {
        let name = name.map_err(|source| io_refusal(root, source))?;
        if OURS.iter().any(|ours| name == *ours) {
            return Ok(());
        }
        if name != "lost+found" && !name.as_encoded_bytes().starts_with(b".") {
            foreign = Some(name);
        }
    }
    match foreign {
        None => Ok(()),
        Some(name) => Err(OpenDirError::Foreign { root: root.to_path_buf(), path: root.join(name) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::fs;

    #[test]
    fn a_directory_of_something_else_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let add = |name: &str| fs::create_dir(home.path().join(name)).unwrap();
        refuse_foreign(&RealDisk, home.path()).unwrap();
        add("lost+found");
        add(".Trash-0");
        refuse_foreign(&RealDisk, home.path()).unwrap();
        add("photos");
        let words = refuse_foreign(&RealDisk, home.path()).unwrap_err().to_string();
        assert!(words.contains("photos") && words.contains("empty directory"), "{words}");
        for ours in OURS {
            add(ours);
            refuse_foreign(&RealDisk, home.path()).unwrap();
            fs::remove_dir(home.path().join(ours)).unwrap();
        }
    }

    #[test]
    fn what_cannot_take_the_directory_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        for data in [file.clone(), file.join("data"), file.join("a/b")] {
            let words = make(&RealDisk, &data).unwrap_err().to_string();
            assert!(words.starts_with(&format!("{} is a file", file.display())), "{words}");
        }
        let words = make(&RealDisk, Path::new("/proc/none/data")).unwrap_err().to_string();
        assert!(words.starts_with("cannot create /proc/none/data in /proc: "), "{words}");
        make(&RealDisk, &home.path().join("a/b/data")).unwrap();
        assert!(home.path().join("a/b/data").is_dir());
    }
}
