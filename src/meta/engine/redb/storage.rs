//! The ledger's storage as one opening of redb sees it.
//!
//! redb keeps the first error of its storage and answers `PreviousIo` to all that comes later, so what that
//! first error was is noted here.

use crate::disk::DiskFile;
use ::redb::{BackendError, StorageBackend};
use std::io::{ErrorKind, Result};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A file of the disk as redb's storage. No lock is taken on it: the data directory has one.
#[derive(Debug)]
pub struct DiskStorage(pub Box<dyn DiskFile>);

impl StorageBackend for DiskStorage {
    fn len(&self) -> Result<u64> {
        Ok(self.0.stat()?.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.0.write_at(data, offset)
    }
}

/// What went wrong with the storage since it was opened.
#[derive(Debug, Default)]
pub struct Watch {
    full: AtomicBool,
    failed: AtomicBool,
    unsynced: AtomicBool,
}

impl Watch {
    /// Whether the storage had no room, and nothing worse happened to it.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire) && !self.failed.load(Ordering::Acquire)
    }

    /// Whether a sync failed: a later one would say nothing of what was written before that.
    pub fn sync_failed(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }

    fn note(&self, kind: ErrorKind) {
        // As blobs::is_full has it: the disk, a quota, or the process's limit on files.
        let full =
            matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
        (if full { &self.full } else { &self.failed }).store(true, Ordering::Release);
    }
}

/// Where what redb writes goes.
#[derive(Debug)]
enum Writes {
    /// To the storage.
    Through,
    /// Nowhere: the storage stays as it is, and what redb reads is as if they had happened. The opening
    /// itself writes a few headers, and needs no more.
    Kept(Mutex<Vec<(u64, Vec<u8>)>>),
}

/// The access of one opening.
#[derive(Debug)]
pub struct Access {
    storage: Arc<dyn StorageBackend>,
    watch: Arc<Watch>,
    writes: Writes,
}

impl Access {
    /// For reading and writing.
    pub fn whole(storage: Arc<dyn StorageBackend>, watch: Arc<Watch>) -> Self {
        Self { storage, watch, writes: Writes::Through }
    }

    /// For reading alone, from a storage that takes no byte.
    pub fn reading(storage: Arc<dyn StorageBackend>, watch: Arc<Watch>) -> Self {
        Self { storage, watch, writes: Writes::Kept(Mutex::default()) }
    }

    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| self.watch.note(error.kind()))
    }
}

/// Lays the part of `written` that falls into what was read at `offset` over it.
fn lay_over(out: &mut [u8], offset: u64, (at, written): &(u64, Vec<u8>)) {
    let first = offset.max(*at);
    let end = (offset + out.len() as u64).min(at + written.len() as u64);
    if first < end {
        let index = |position| usize::try_from(position).expect("within a buffer");
        let from = &written[index(first - at)..index(end - at)];
        out[index(first - offset)..index(end - offset)].copy_from_slice(from);
    }
}

impl StorageBackend for Access {
    fn len(&self) -> Result<u64> {
        self.noted(self.storage.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.noted(self.storage.read(offset, out))?;
        if let Writes::Kept(kept) = &self.writes {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().for_each(|written| lay_over(out, offset, written));
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<()> {
        match self.writes {
            Writes::Through => self.noted(self.storage.set_len(length)),
            Writes::Kept(_) => self.noted(Err(ErrorKind::StorageFull.into())),
        }
    }

    fn sync_data(&self) -> Result<()> {
        match self.writes {
            Writes::Through => self.noted(self.storage.sync_data()).inspect_err(|_| {
                self.watch.unsynced.store(true, Ordering::Release);
            }),
            Writes::Kept(_) => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        match &self.writes {
            Writes::Through => self.noted(self.storage.write(offset, data)),
            Writes::Kept(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push((offset, data.to_vec()));
                Ok(())
            }
        }
    }

    /// Ends redb's locks; the next opening takes them again.
    fn close(&self) -> Result<()> {
        self.storage.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<bool, BackendError> {
        self.storage.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        self.storage.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<(), BackendError> {
        self.storage.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<(), BackendError> {
        self.storage.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<(), BackendError> {
        self.storage.unlock_range(start, end)
    }

    fn query_lock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        self.storage.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::redb::backends::InMemoryBackend;

    #[test]
    fn what_is_kept_is_read_and_not_written() {
        let storage: Arc<dyn StorageBackend> = Arc::new(InMemoryBackend::new());
        storage.set_len(8).unwrap();
        storage.write(0, &[9; 8]).unwrap();
        let access = Access::reading(Arc::clone(&storage), Arc::default());
        access.write(2, &[1, 1, 1]).unwrap();
        access.write(4, &[2, 2]).unwrap();
        let read = |access: &dyn StorageBackend, offset, length| {
            let mut out = vec![0; length];
            access.read(offset, &mut out).unwrap();
            out
        };
        assert_eq!(read(&access, 0, 8), [9, 9, 1, 1, 2, 2, 9, 9]);
        assert_eq!(read(&access, 3, 2), [1, 2]);
        assert_eq!(read(&access, 6, 2), [9, 9]);
        assert_eq!(read(&*storage, 0, 8), [9; 8]);
        assert!(access.set_len(16).is_err());
    }

    #[test]
    fn only_a_lack_of_room_is_one() {
        let watch = Watch::default();
        assert!(!watch.is_full());
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
            let watch = Watch::default();
            watch.note(kind);
            assert!(watch.is_full(), "{kind}");
        }
        watch.note(ErrorKind::StorageFull);
        watch.note(ErrorKind::Other);
        assert!(!watch.is_full(), "a device that fails, too");
    }
}
