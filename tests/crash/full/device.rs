//! A disk that has no room at a chosen operation, from one on, or for more blocks than it has.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{Error, Result};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use wharfinger::disk::{Disk, DiskFile, How, Mode, Stat};

use crate::power::fault_disk::FaultDisk;

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
    pub disk: FaultDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    lack: Lack,
    /// Whether a sync is an operation that can find no room.
    syncs: bool,
    errno: Errno,
    operations: usize,
    /// The blocks of files, by their inodes, that hold something, or nothing but zeros that were written.
    backed: HashSet<(u64, u64)>,
}

impl Device {
    /// A device over `disk`, whose blocks are all there.
    pub fn new(disk: FaultDisk, lack: Lack, syncs: bool) -> Self {
        let errno = match lack {
            Lack::Once(at) | Lack::From(at) => NO_ROOM[at % NO_ROOM.len()],
            Lack::Blocks(_) | Lack::None => NO_ROOM[0],
        };
        let state = State { lack, syncs, errno, operations: 0, backed: HashSet::new() };
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

    /// How many bytes of a file from `offset` on there is room for.
    fn reserve(&mut self, inode: u64, offset: u64, length: u64) -> u64 {
        for block in offset / BLOCK_BYTES..(offset + length).div_ceil(BLOCK_BYTES) {
            let full = matches!(self.lack, Lack::Blocks(most) if self.backed.len() as u64 >= most);
            if full && !self.backed.contains(&(inode, block)) {
                return (block * BLOCK_BYTES).saturating_sub(offset);
            }
            self.backed.insert((inode, block));
        }
        length
    }

    /// Frees the blocks of a file from a length on.
    fn release(&mut self, inode: u64, length: u64) {
        self.backed.retain(|&(of, block)| of != inode || block * BLOCK_BYTES < length);
    }
}

impl Device {
    fn counted<T>(&self, act: impl FnOnce(&FaultDisk) -> Result<T>) -> Result<T> {
        self.state(State::count)?;
        act(&self.disk)
    }
}

impl Disk for Device {
    fn open(&self, path: &Path, how: How) -> Result<Box<dyn DiskFile>> {
        if matches!(how, How::Create(_) | How::Nameless) {
            self.state(State::count)?;
        }
        let file = self.disk.open(path, how)?;
        let Stat { inode, len, .. } = file.stat()?;
        // What is there has its blocks.
        let blocks = (0..len.div_ceil(BLOCK_BYTES)).map(|block| (inode, block));
        self.state(|state| state.backed.extend(blocks));
        Ok(Box::new(DeviceFile { device: self.clone(), file, inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.counted(|disk| disk.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.counted(|disk| disk.hard_link(from, to))
    }

    /// It makes room.
    fn remove_file(&self, path: &Path) -> Result<()> {
        let Stat { inode, links, .. } = self.disk.stat(path)?;
        if links == 1 {
            self.state(|state| state.release(inode, 0));
        }
        self.disk.remove_file(path)
    }

    fn make_directory(&self, path: &Path, mode: Mode) -> Result<()> {
        self.counted(|disk| disk.make_directory(path, mode))
    }

    fn remove_directory(&self, path: &Path) -> Result<()> {
        self.disk.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<()> {
        self.disk.sync_directory(path)
    }

    fn sync_file_system(&self, path: &Path) -> Result<()> {
        self.disk.sync_file_system(path)
    }

    fn list(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<OsString>>>> {
        self.disk.list(path)
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        self.disk.stat(path)
    }

    fn stat_target(&self, path: &Path) -> Result<Stat> {
        self.disk.stat_target(path)
    }
}

#[derive(Debug)]
struct DeviceFile {
    device: Device,
    file: Box<dyn DiskFile>,
    inode: u64,
}

impl DiskFile for DeviceFile {
    fn stat(&self) -> Result<Stat> {
        self.file.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.file.read_at(buffer, offset)
    }

    /// What finds no room may have been written in part.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let (room, outcome) = self.device.state(|state| match state.count() {
            Ok(()) => {
                let room = state.reserve(self.inode, offset, bytes.len() as u64);
                let outcome = if room < bytes.len() as u64 { state.refuse() } else { Ok(()) };
                (room, outcome)
            }
            Err(error) => (0, Err(error)),
        });
        if room > 0 {
            let room = usize::try_from(room).expect("a part of the bytes");
            self.file.write_at(&bytes[..room], offset)?;
        }
        outcome
    }

    /// A file grows by a hole, and shrinks by blocks.
    fn set_len(&self, len: u64) -> Result<()> {
        let grows = len > self.file.stat()?.len;
        self.device.state(|state| if grows { state.count() } else { Ok(()) })?;
        self.device.state(|state| state.release(self.inode, len));
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.device.state(|state| {
            state.count()?;
            if state.reserve(self.inode, 0, len) < len { state.refuse() } else { Ok(()) }
        })?;
        self.file.allocate(len)
    }

    fn sync(&self) -> Result<()> {
        self.device.state(|state| if state.syncs { state.count() } else { Ok(()) })?;
        self.file.sync()
    }
}
