//! For tests: a store that lacks room when it is told to.

use super::Room;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a store lacks.
#[derive(Default)]
pub struct Faults {
    /// How many of the next writes find no room.
    refusals: AtomicU64,
    /// The room that the disk is said to have.
    room: Mutex<Option<Room>>,
}

impl Faults {
    /// Refuses so many of the next writes.
    pub fn refuse_writes(&self, count: u64) {
        self.refusals.store(count, Ordering::SeqCst);
    }

    /// Says that the disk has so much room, whatever it has.
    pub fn set_room(&self, room: Option<Room>) {
        *self.room.lock().unwrap() = room;
    }

    pub(super) fn room(&self) -> Option<Room> {
        *self.room.lock().unwrap()
    }

    pub(super) fn refuses_write(&self) -> bool {
        let less = |count: u64| count.checked_sub(1);
        self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}
