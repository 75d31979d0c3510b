//! The lock of a data directory, and who holds it. Processes are kept apart by it, so it is on the machine's
//! file system, whatever disk the tests put under the rest.

use super::data_dir::{OpenDirError, io_refusal, refuse_link};
use super::is_full;
use crate::disk::RealDisk;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// How the lock's file is opened: for reading and writing, only for its owner, never through a link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of open(2) is an int");
    options.read(true).write(true).mode(0o600).custom_flags(no_follow);
    options
}

/// The lock of a data directory. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was forked and does not yet run its program has the file open, too: closing ours would
        // not end the lock.
        flock(&self.0, FlockOperation::Unlock).ok();
    }
}

/// Takes the lock on DATA/LOCK and writes our process id into it.
pub(super) fn take(root: &Path) -> Result<Lock, OpenDirError> {
    let path = root.join("LOCK");
    refuse_link(&RealDisk, &path)?;
    let mut file =
        options().create(true).truncate(false).open(&path).map_err(|source| io_refusal(&path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(held(root, &path, &mut file)),
        // No locks here (some network file systems), or no more of them.
        Err(error) => return Err(io_refusal(&path, error.into())),
    }
    match write_id(&mut file) {
        // It is there for people: a full disk is no reason not to start.
        Err(error) if is_full(&error) => log::warn!("{} does not say who holds it: {error}", path.display()),
        outcome => outcome.map_err(|source| io_refusal(&path, source))?,
    }
    Ok(Lock(file))
}

/// The refusal to whoever would take the lock, if another process holds it. Nothing is made or written.
pub(super) fn in_use(root: &Path) -> Option<OpenDirError> {
    let path = root.join("LOCK");
    let mut file = options().write(false).open(&path).ok()?;
    let tried = flock(&file, FlockOperation::NonBlockingLockShared);
    (tried == Err(Errno::WOULDBLOCK)).then(|| held(root, &path, &mut file))
}

fn write_id(file: &mut File) -> io::Result<()> {
    file.rewind()?;
    let words = format!("{}\n", std::process::id());
    file.write_all(words.as_bytes())?;
    file.set_len(words.len() as u64)
}

/// Says who has the lock where that is certain, else how to find out: people kill what they are told to.
fn held(root: &Path, path: &Path, file: &mut File) -> OpenDirError {
    let holder = match holder(file) {
        Some(pid) => format!("process {pid}; stop that one first (kill {pid})"),
        None => format!("another process; find it (fuser {}) and stop it first", path.display()),
    };
    OpenDirError::Held { dir: root.to_path_buf(), holder }
}

/// The process that LOCK names, if it is the one that holds the lock. It writes its id right after it took
/// the lock: between the two the file names an earlier one, and in another container's numbering it names
/// one of ours that has nothing to do with it.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok()?;
    let inode = file.metadata().ok()?.ino();
    names_holder(&fs::read_to_string("/proc/locks").ok()?, pid, inode).then_some(pid)
}

/// Whether the process locks a file with that inode, by the kernel's list (proc(5), `/proc/locks`).
fn names_holder(locks: &str, pid: u32, inode: u64) -> bool {
    let (pid, inode) = (pid.to_string(), inode.to_string());
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, "FLOCK", _, "WRITE", holder, file, ..]
            if holder == pid && file.rsplit(':').next() == Some(inode.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_locks_is_read() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 08:01:131 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 4242 00:2b:131 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 00:2b:131 0 EOF\n\
                     3: FLOCK  ADVISORY  READ  8 00:2b:131 0 EOF\n";
        assert!(names_holder(locks, 4242, 131));
        for (pid, inode) in [(4242, 31), (4242, 1), (7, 131), (8, 131), (9, 131), (42, 131)] {
            assert!(!names_holder(locks, pid, inode), "{pid} {inode}");
        }
    }

    #[test]
    fn the_holder_is_named_when_it_is_certain() {
        let home = tempfile::tempdir().unwrap();
        let lock = take(home.path()).unwrap();
        let second = || take(home.path()).unwrap_err().to_string();
        assert!(second().contains(&format!("kill {}", std::process::id())), "{}", second());
        fs::write(home.path().join("LOCK"), "1\n").unwrap();
        assert!(second().contains("fuser") && !second().contains("kill"), "{}", second());
        assert_eq!(in_use(home.path()).map(|refusal| refusal.to_string()), Some(second()));
        drop(lock);
        assert!(in_use(home.path()).is_none() && in_use(Path::new("/nowhere")).is_none());
        take(home.path()).unwrap();
    }
}
