//! A disk that has no room at a chosen operation, from one on, or for more blocks than it has.

use std::collections::HashSet;
use std::io::{Error, Result};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use rustix::io::Errno;

use crate::power::disk::Disk;

/// What a file system gives room by.
const BLOCK_BYTES: u64 = 4096;

/// The ways to say that there is no room.
const NO_ROOM: [Errno; 3] = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG];

/// When there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// At the operation of that number and at no other.
    Once(usize),
    /// From the operation of that number on: no byte is written, not even over another.
    From(usize),
    /// For as long as more than so many blocks would be needed. What has a block is written over.
    Blocks(u64),
    /// Never.
    None,
}

/// The handle of a device. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Device {
    /// What keeps the bytes, and can lose its power.
    pub disk: Disk,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    lack: Lack,
    /// Whether a sync is an operation that can find no room.
    syncs: bool,
    errno: Errno,
    operations: usize,
    /// The blocks that hold something, or nothing but zeros that were written.
    backed: HashSet<u64>,
}

impl Device {
    /// A device over `disk`, whose blocks are all there.
    pub fn new(disk: Disk, lack: Lack, syncs: bool) -> Self {
        let blocks = disk.len().expect("there is power").div_ceil(BLOCK_BYTES);
        let errno = match lack {
            Lack::Once(at) | Lack::From(at) => NO_ROOM[at % NO_ROOM.len()],
            Lack::Blocks(_) | Lack::None => NO_ROOM[0],
        };
        let backed = (0..blocks).collect();
        let state = State { lack, syncs, errno, operations: 0, backed };
        Self { disk, state: Arc::new(Mutex::new(state)) }
    }

    /// Changes what is lacking.
    pub fn set(&self, lack: Lack) {
        self.state(|state| state.lack = lack);
    }

    /// How many operations there were.
    pub fn operations(&self) -> usize {
        self.state(|state| state.operations)
    }

    /// How many blocks are in use.
    pub fn blocks(&self) -> u64 {
        self.state(|state| state.backed.len() as u64)
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().expect("no operation of the device panics"))
    }
}

impl State {
    fn count(&mut self) -> Result<()> {
        self.operations += 1;
        match self.lack {
            Lack::Once(at) if at == self.operations => self.refuse(),
            Lack::From(at) if at <= self.operations => self.refuse(),
            _ => Ok(()),
        }
    }

    fn refuse<T>(&self) -> Result<T> {
        Err(Error::from_raw_os_error(self.errno.raw_os_error()))
    }

    /// How many bytes from `offset` on there is room for.
    fn reserve(&mut self, offset: u64, length: u64) -> u64 {
        for block in offset / BLOCK_BYTES..(offset + length).div_ceil(BLOCK_BYTES) {
            let full = matches!(self.lack, Lack::Blocks(most) if self.backed.len() as u64 >= most);
            if full && !self.backed.contains(&block) {
                return (block * BLOCK_BYTES).saturating_sub(offset);
            }
            self.backed.insert(block);
        }
        length
    }
}

impl StorageBackend for Device {
    fn len(&self) -> Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.disk.read(offset, out)
    }

    /// A file grows by a hole, and shrinks by blocks.
    fn set_len(&self, length: u64) -> Result<()> {
        self.state(|state| {
            if length > self.disk.len()? {
                state.count()?;
            }
            state.backed.retain(|block| block * BLOCK_BYTES < length);
            Ok::<_, Error>(())
        })?;
        self.disk.set_len(length)
    }

    fn sync_data(&self) -> Result<()> {
        self.state(|state| if state.syncs { state.count() } else { Ok(()) })?;
        self.disk.sync_data()
    }

    /// What finds no room may have been written in part.
    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let (room, outcome) = self.state(|state| match state.count() {
            Ok(()) => {
                let room = state.reserve(offset, data.len() as u64);
                let all = room == data.len() as u64;
                (room, if all { Ok(()) } else { state.refuse() })
            }
            // The header is smaller than what any disk writes at once.
            Err(error) => (if data.len() > 512 { data.len() as u64 / 2 } else { 0 }, Err(error)),
        });
        let room = usize::try_from(room).expect("it fits into memory");
        self.disk.write(offset, &data[..room])?;
        outcome
    }
}
