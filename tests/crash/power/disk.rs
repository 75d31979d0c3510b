//! A disk in memory for one ledger's file alone, as redb sees it.

use std::io::{Error, Result};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::contents::Contents;
pub use super::fault_disk::Sync;
use crate::random::Random;

/// The handle of a disk. Clones are handles of the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    contents: Contents,
    sync: Sync,
    /// How many more operations there are before the cut; none: no cut comes.
    left: Option<usize>,
}

impl Disk {
    /// A disk that holds `image`. The power fails at operation `cut_at`, if one is given.
    pub fn new(image: Vec<u8>, cut_at: Option<usize>, sync: Sync) -> Self {
        Self(Arc::new(Mutex::new(State { contents: Contents::new(image), sync, left: cut_at })))
    }

    /// Whether the power failed.
    pub fn is_cut(&self) -> bool {
        self.state(|state| state.left == Some(0))
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.state(|state| state.left = Some(0));
    }

    /// What the disk holds when the power is back.
    pub fn after_the_cut(&self, random: &mut Random) -> Vec<u8> {
        assert!(self.is_cut());
        self.state(|state| state.contents.after_the_cut(random))
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().expect("no operation of the disk panics"))
    }
}

impl State {
    fn check_power(&self) -> Result<()> {
        if self.left == Some(0) { Err(Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts an operation that changes something.
    fn change(&mut self) -> Result<()> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.check_power()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("the disk fits into memory")
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        self.state(|state| state.check_power().map(|()| state.contents.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.state(|state| {
            state.check_power()?;
            let count = state.contents.read(out, place(offset));
            if count == out.len() { Ok(()) } else { Err(Error::other("read behind the end")) }
        })
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.state(|state| state.change().map(|()| state.contents.set_len(place(length))))
    }

    fn sync_data(&self) -> Result<()> {
        self.state(|state| {
            state.change()?;
            if state.sync == Sync::Honest {
                state.contents.sync();
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.state(|state| state.change().map(|()| state.contents.write(data, place(offset))))
    }
}
