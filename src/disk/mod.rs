//! The disk: the one seam through which the ledger and the files reach it, so that a test can put a disk in
//! its place that forgets, tears or refuses what was not synced.
//!
//! Nothing here decides anything. What is synced, and when, is for those above.

mod real;

pub use real::RealDisk;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

/// A disk that several parts of a program share.
pub type SharedDisk = Arc<dyn Disk>;

/// Files and directories by their paths.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file; never through a symbolic link at the end of its path.
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which nothing has.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name off a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory.
    fn make_directory(&self, path: &Path, mode: Mode) -> io::Result<()>;

    /// Removes a directory with nothing in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes everything durable that is on the file system of a path.
    fn sync_file_system(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<OsString>>>>;

    /// What stands at a path; a symbolic link is not followed.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// What a path leads to: symbolic links are followed.
    fn stat_target(&self, path: &Path) -> io::Result<Stat>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// What it is.
    fn stat(&self) -> io::Result<Stat>;

    /// Reads from `offset`, as much as comes at once; 0: the file ends there.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of it. After an error some of it may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file off, or makes it longer by zeros that take no room.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Takes the room for that many bytes, and makes the file so long if it is shorter.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes its bytes and its length durable.
    fn sync(&self) -> io::Result<()>;

    /// Has bytes that were written put on the disk from now on, and does not wait for that: the next sync has
    /// less to do. It makes nothing durable, and what it meets the next sync says.
    fn start_writing(&self, _offset: u64, _len: u64) {}

    /// Hands bytes from `offset` on to a socket that does not wait, at most `count`, without a copy of them
    /// here; 0: the file ends there. `WouldBlock`: the socket takes none now. A file that cannot be sent so
    /// says `Unsupported`, before any byte of it went (sendfile(2)).
    fn send_at(&self, _socket: BorrowedFd<'_>, _offset: u64, _count: usize) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Whether the machine's memory holds the byte at `offset`. Of what a file system does not say, it does
    /// not.
    fn is_cached(&self, _offset: u64) -> bool {
        true
    }

    /// Drops what the machine's memory holds of it, so that the next bytes are read from the disk.
    fn forget_cached(&self) {}

    /// Reads exactly so many bytes; a file that ends before is an error.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Who may use what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// The bits, as chmod(2) has them.
    pub bits: u32,
    /// Whether they hold whatever the umask says.
    pub exact: bool,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// One that is there, for reading.
    Read,
    /// One that is there, for reading and writing.
    Write,
    /// A new one, for reading and writing. A name that is taken is an error.
    Create(Mode),
    /// A new one without a name in the directory at the path: it is gone with the last who has it open.
    Nameless,
}

/// Whether anything stands at a path; a symbolic link is not followed.
pub fn is_there(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    Ok(stat_if_there(disk, path)?.is_some())
}

/// What stands at a path, if anything does; a symbolic link is not followed.
pub fn stat_if_there(disk: &dyn Disk, path: &Path) -> io::Result<Option<Stat>> {
    match disk.stat(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a name off a file; one that is not there is fine.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What sort of thing stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    SymbolicLink,
    /// Anything else.
    Other,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// How many bytes it has.
    pub len: u64,
    /// Its number on its device.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
    /// When it was made, in nanoseconds since the epoch, where the file system knows.
    pub born_ns: Option<i128>,
    /// When it last changed in any way, in nanoseconds since the epoch. Nobody can set it.
    pub changed_ns: i128,
}

/// A sync that failed: what was written before it may be lost, and nothing can find out.
#[derive(Debug, thiserror::Error)]
#[error("a sync failed: {0}")]
struct SyncFailed(io::Error);

/// Marks the failure of a sync, so that [`is_fatal`] knows it.
pub fn synced(outcome: io::Result<()>) -> io::Result<()> {
    outcome.map_err(|error| if is_full(&error) { error } else { io::Error::other(SyncFailed(error)) })
}

/// Whether after this error the disk cannot be trusted any more. A failed sync is one: it is never tried
/// again, since the kernel may have dropped the very pages that it did not write.
#[must_use]
pub fn is_fatal(error: &io::Error) -> bool {
    let device_error = rustix::io::Errno::IO.raw_os_error();
    let sync = error.get_ref().and_then(|inner| inner.downcast_ref::<SyncFailed>());
    sync.is_some() || error.raw_os_error() == Some(device_error)
}

/// Whether an I/O error says that there is no room left (for this process, or on the disk).
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
