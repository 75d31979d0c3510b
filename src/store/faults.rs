//! For tests: a store that lacks room, or whose ledger cannot be used, when it is told so.

use super::{Room, StoreError};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a store lacks.
#[derive(Default)]
pub struct Faults {
    /// How many of the next writes find no room.
    refusals: AtomicU64,
    /// How many writes happen before the ledger breaks.
    writes_left: Mutex<Option<u64>>,
    /// The room that the disk is said to have.
    room: Mutex<Option<Room>>,
    /// Whether the ledger can be neither read nor written.
    is_broken: AtomicBool,
}

impl Faults {
    /// Refuses so many of the next writes.
    pub fn refuse_writes(&self, count: u64) {
        self.refusals.store(count, Ordering::SeqCst);
    }

    /// Breaks the ledger after so many more writes.
    pub fn break_after_writes(&self, count: Option<u64>) {
        *self.writes_left.lock().unwrap() = count;
    }

    /// Says that the disk has so much room, whatever it has.
    pub fn set_room(&self, room: Option<Room>) {
        *self.room.lock().unwrap() = room;
    }

    /// Says whether the ledger can be neither read nor written.
    pub fn break_ledger(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }

    pub(super) fn check_ledger(&self) -> Result<(), StoreError> {
        let error = || StoreError::Io(std::io::Error::other("a test broke the ledger"));
        if self.is_broken.load(Ordering::SeqCst) { Err(error()) } else { Ok(()) }
    }

    pub(super) fn count_write(&self) -> Result<(), StoreError> {
        if let Some(left) = &mut *self.writes_left.lock().unwrap() {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.break_ledger(true),
            }
        }
        self.check_ledger()
    }

    pub(super) fn room(&self) -> Option<Room> {
        *self.room.lock().unwrap()
    }

    pub(super) fn refuses_write(&self) -> bool {
        let less = |count: u64| count.checked_sub(1);
        self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}
