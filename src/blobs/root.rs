//! The data directory itself: whether it is one, and making it.

use super::Readers;
use super::data_dir::{OpenDirError, io_refusal, refusal_advice, sync_directory};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What stands in a data directory, the first of it as soon as a start has taken it.
const OURS: [&str; 4] = ["LOCK", "ledger", "blobs", "uploads"];

/// How the names of files begin of which a ledger can be opened from one.
const LEDGER_FILES: [&[u8]; 3] = [b"ledger.redb", b"journal-", b"snapshot-"];

/// Refuses a directory that is no registry's.
pub(super) fn expect_ledger(root: &Path) -> Result<(), OpenDirError> {
    let path = root.join("ledger");
    let is_ours = |entry: &fs::DirEntry| {
        // An empty one is none: nothing was ever committed to it.
        let has_bytes = entry.metadata().is_ok_and(|found| found.is_file() && found.len() > 0);
        has_bytes && LEDGER_FILES.iter().any(|ours| entry.file_name().as_encoded_bytes().starts_with(ours))
    };
    let found =
        fs::read_dir(&path).map(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| is_ours(&entry))));
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenDirError::Absent(root.to_path_buf())),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(OpenDirError::Absent(root.to_path_buf())),
        Err(_) if is_file(root) => Err(OpenDirError::File(root.to_path_buf())),
        Err(error) => Err(io_refusal(&path, error)),
    }
}

/// Makes the data directory unless it is there, and those above it, as `mkdir -p` does, each with its name
/// made durable: all that is acknowledged is below them.
pub(super) fn make(root: &Path) -> Result<(), OpenDirError> {
    let mut missing = Vec::new();
    let mut there = root;
    while there.symlink_metadata().is_err() {
        missing.push(there);
        there = above(there);
    }
    if is_file(there) {
        return Err(OpenDirError::File(there.to_path_buf()));
    }
    let make = |path: &&Path| {
        match Readers::Owner.make_directory(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_directory(above(path))
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
fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_dir())
}

/// Refuses a directory that has things in it, and none of a registry: most likely another one is meant. What
/// the root of a fresh file system has, does not count.
pub(super) fn refuse_foreign(root: &Path) -> Result<(), OpenDirError> {
    let mut foreign = None;
    for entry in fs::read_dir(root).map_err(|source| io_refusal(root, source))? {
        let name = entry.map_err(|source| io_refusal(root, source))?.file_name();
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

    #[test]
    fn a_directory_of_something_else_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let add = |name: &str| fs::create_dir(home.path().join(name)).unwrap();
        refuse_foreign(home.path()).unwrap();
        add("lost+found");
        add(".Trash-0");
        refuse_foreign(home.path()).unwrap();
        add("photos");
        let words = refuse_foreign(home.path()).unwrap_err().to_string();
        assert!(words.contains("photos") && words.contains("empty directory"), "{words}");
        for ours in OURS {
            add(ours);
            refuse_foreign(home.path()).unwrap();
            fs::remove_dir(home.path().join(ours)).unwrap();
        }
    }

    #[test]
    fn what_cannot_take_the_directory_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        for data in [file.clone(), file.join("data"), file.join("a/b")] {
            let words = make(&data).unwrap_err().to_string();
            assert!(words.starts_with(&format!("{} is a file", file.display())), "{words}");
        }
        let words = make(Path::new("/proc/none/data")).unwrap_err().to_string();
        assert!(words.starts_with("cannot create /proc/none/data in /proc: "), "{words}");
        make(&home.path().join("a/b/data")).unwrap();
        assert!(home.path().join("a/b/data").is_dir());
    }
}
