//! The room that the disk keeps: what stores more is refused while there is some left, so that what gives
//! room back (deleting, above all) still can.

use super::Registry;
use super::error::Error;
use crate::store::Room;

/// At most this part of the file system counts as floor: a small disk is for images, too.
const FLOOR_PART_OF_TOTAL: u64 = 4;

impl Registry {
    /// Refuses what would leave less room than the floor. It is asked each time: another program may fill the
    /// disk, too.
    pub(super) fn expect_room(&self, announced: u64) -> Result<(), Error> {
        let kept = self.config().settings.free_space_floor_bytes;
        if kept == 0 {
            return Ok(());
        }
        let room = self.store.room()?;
        if room.total == 0 {
            // Some file systems do not say.
            return Ok(());
        }
        let floor = self.floor(&room);
        if room.free.checked_sub(announced).is_some_and(|left| left >= floor) {
            return Ok(());
        }
        Err(Error::NoRoom { free: room.free, floor, announced })
    }

    /// How many bytes of a file system are kept free.
    pub(super) fn floor(&self, room: &Room) -> u64 {
        self.config().settings.free_space_floor_bytes.min(room.total / FLOOR_PART_OF_TOTAL)
    }
}
