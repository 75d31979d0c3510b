//! The ledger's storage as one opening of redb sees it.
//!
//! redb keeps the first error of its storage and answers `PreviousIo` to all that comes later, so what that
//! first error was is noted here.

use crate::disk::{DiskFile, is_full};
use ::redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A file of the disk as redb's storage.
#[derive(Debug)]
pub struct DiskStorage(pub Box<dyn DiskFile>);

impl StorageBackend for DiskStorage {
    fn len(&self) -> Result<u64> {
        Ok(self.0.stat()?.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        // redb doubles its file: taking the room of all of it would refuse writes that there is room for.
        self.0.set_len(len)
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
    /// The first error that was none of room, in words.
    failed: OnceLock<String>,
}

impl Watch {
    /// Whether the storage had no room, and nothing worse happened to it.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire) && self.failed.get().is_none()
    }

    /// What went wrong, in words.
    pub fn failure(&self) -> Option<&str> {
        let full = self.full.load(Ordering::Acquire).then_some("the ledger's file has no room");
        self.failed.get().map(String::as_str).or(full)
    }

    fn note(&self, error: &Error) {
        if is_full(error) {
            self.full.store(true, Ordering::Release);
        } else {
            self.failed.get_or_init(|| format!("the ledger's file failed: {error}"));
        }
    }
}

/// Where what redb writes goes.
#[derive(Debug)]
enum Writes {
    /// To the storage.
    Through,
    /// Nowhere: the storage stays as it is, and what redb reads is as if they had happened.
    Kept(Mutex<Overlay>),
}

/// How much is kept at a time.
const PAGE_BYTES: usize = 4096;

/// What was written, and is kept in memory.
#[derive(Debug, Default)]
struct Overlay {
    /// The length that was set.
    len: Option<u64>,
    /// How much of the storage is read, where that was cut off.
    cut: Option<u64>,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

/// The parts of a stretch of bytes by the pages that they are on: page, where in it, where in the stretch.
fn parts(offset: u64, count: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == count {
            return None;
        }
        let at = offset + done as u64;
        let within = usize::try_from(at % PAGE_BYTES as u64).expect("below a page's length");
        let len = (PAGE_BYTES - within).min(count - done);
        let part = (at / PAGE_BYTES as u64, within..within + len, done..done + len);
        done += len;
        Some(part)
    })
}

impl Overlay {
    fn read(&self, storage: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> Result<()> {
        let there = storage.len()?.min(self.cut.unwrap_or(u64::MAX)).saturating_sub(offset);
        let count = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        if count > 0 {
            storage.read(offset, &mut out[..count])?;
        }
        out[count..].fill(0);
        for (page, within, place) in parts(offset, out.len()) {
            if let Some(kept) = self.pages.get(&page) {
                out[place].copy_from_slice(&kept[within]);
            }
        }
        Ok(())
    }

    fn write(&mut self, storage: &dyn StorageBackend, offset: u64, data: &[u8]) -> Result<()> {
        for (page, within, place) in parts(offset, data.len()) {
            if !self.pages.contains_key(&page) {
                let mut fresh = Box::new([0; PAGE_BYTES]);
                self.read(storage, page * PAGE_BYTES as u64, &mut fresh[..])?;
                self.pages.insert(page, fresh);
            }
            let kept = self.pages.get_mut(&page).expect("it was put there");
            kept[within].copy_from_slice(&data[place]);
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        let first_gone = len.div_ceil(PAGE_BYTES as u64);
        self.pages.split_off(&first_gone);
        self.cut = Some(self.cut.unwrap_or(u64::MAX).min(len));
        self.len = Some(len);
    }
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
        outcome.inspect_err(|error| self.watch.note(error))
    }
}

fn lock(overlay: &Mutex<Overlay>) -> MutexGuard<'_, Overlay> {
    // What a panic left is an opening that is not used any more.
    overlay.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StorageBackend for Access {
    fn len(&self) -> Result<u64> {
        let len = self.noted(self.storage.len())?;
        match &self.writes {
            Writes::Through => Ok(len),
            Writes::Kept(overlay) => Ok(lock(overlay).len.unwrap_or(len)),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.noted(match &self.writes {
            Writes::Through => self.storage.read(offset, out),
            Writes::Kept(overlay) => lock(overlay).read(&*self.storage, offset, out),
        })
    }

    fn set_len(&self, length: u64) -> Result<()> {
        match &self.writes {
            Writes::Through => self.noted(self.storage.set_len(length)),
            Writes::Kept(overlay) => {
                lock(overlay).set_len(length);
                Ok(())
            }
        }
    }

    fn sync_data(&self) -> Result<()> {
        match self.writes {
            Writes::Through => self.noted(self.storage.sync_data()),
            Writes::Kept(_) => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        match &self.writes {
            Writes::Through => self.noted(self.storage.write(offset, data)),
            Writes::Kept(overlay) => self.noted(lock(overlay).write(&*self.storage, offset, data)),
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
    use std::io::ErrorKind;

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
        access.set_len(8192).unwrap();
        access.write(4095, &[3, 3]).unwrap();
        assert_eq!((access.len().unwrap(), storage.len().unwrap()), (8192, 8));
        assert_eq!((read(&access, 4094, 4), read(&access, 8, 1)), (vec![0, 3, 3, 0], vec![0]));
        access.set_len(4096).unwrap();
        access.set_len(8192).unwrap();
        assert_eq!(read(&access, 4094, 4), [0, 3, 0, 0]);
    }

    #[test]
    fn only_a_lack_of_room_is_one() {
        let watch = Watch::default();
        assert!(!watch.is_full());
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
            let watch = Watch::default();
            watch.note(&kind.into());
            assert!(watch.is_full(), "{kind}");
        }
        watch.note(&ErrorKind::StorageFull.into());
        watch.note(&ErrorKind::Other.into());
        assert!(!watch.is_full(), "a device that fails, too");
    }
}
