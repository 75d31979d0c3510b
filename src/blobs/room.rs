//! How much room there is.

use super::DataDir;
use std::io;

/// The room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What this process may still fill.
    pub free: u64,
    /// What there is in all.
    pub total: u64,
}

impl DataDir {
    /// The room of the file system that the directory is on, as it is now.
    pub fn room(&self) -> io::Result<Room> {
        let found = rustix::fs::statvfs(self.root())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        // Blocks that are reserved for root do not count, whoever runs the registry.
        Ok(Room { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }
}
