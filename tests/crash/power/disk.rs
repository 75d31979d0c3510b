//! A disk in memory that keeps its promises about synced writes, and none about others.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::random::Random;

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

/// A write that is not synced: what the sectors it touched held after it.
type Pending = Vec<(usize, Sector)>;

/// What syncing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// What was written before is safe.
    Honest,
    /// It says so, and does nothing.
    Lying,
}

/// What a power cut does to the writes that are not synced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// All are lost.
    Dropped,
    /// The first some are there, the last of them in part.
    Prefix,
    /// Some are there, and their order is another.
    Reordered,
    /// Each sector is as it was after any of the writes to it, or before all of them.
    Torn,
}

/// The handle of a disk. Clones are handles of the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What is there after a power cut, whatever else happens.
    durable: Vec<u8>,
    /// What is read.
    live: Vec<u8>,
    pending: Vec<Pending>,
    /// The lengths that were set since the last sync.
    lengths: Vec<usize>,
    sync: Sync,
    /// How many more operations there are before the cut; none: no cut comes.
    left: Option<usize>,
}

impl Disk {
    /// A disk that holds `image`. The power fails at operation `cut_at`, if one is given.
    pub fn new(image: Vec<u8>, cut_at: Option<usize>, sync: Sync) -> Self {
        let (pending, lengths) = (Vec::new(), Vec::new());
        let state = State { live: image.clone(), durable: image, pending, lengths, sync, left: cut_at };
        Self(Arc::new(Mutex::new(state)))
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
        self.state(|state| state.survivors(random))
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

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.live[offset..offset + data.len()].copy_from_slice(data);
        let last = (offset + data.len().max(1) - 1) / SECTOR_BYTES;
        let sectors = offset / SECTOR_BYTES..=last;
        self.pending.push(sectors.map(|sector| (sector, sector_of(&self.live, sector))).collect());
    }

    fn sync(&mut self) {
        if self.sync == Sync::Honest {
            self.durable.clone_from(&self.live);
            self.pending.clear();
            self.lengths.clear();
        }
    }

    fn survivors(&self, random: &mut Random) -> Vec<u8> {
        let fate = *random.pick(&[Fate::Dropped, Fate::Prefix, Fate::Reordered, Fate::Torn, Fate::Torn]);
        let mut image = self.durable.clone();
        let length = match self.lengths.get(random.below(self.lengths.len() + 1)) {
            Some(&length) if !matches!(fate, Fate::Dropped) => length,
            _ => image.len(),
        };
        image.resize(length, 0);
        for (sector, content) in self.chosen(fate, random) {
            let start = (sector * SECTOR_BYTES).min(image.len());
            let end = (start + SECTOR_BYTES).min(image.len());
            image[start..end].copy_from_slice(&content[..end - start]);
        }
        image
    }

    /// The unsynced sectors that reached the disk, in the order in which they did.
    fn chosen(&self, fate: Fate, random: &mut Random) -> Pending {
        match fate {
            Fate::Dropped => Vec::new(),
            Fate::Prefix => {
                let whole: Pending = self
                    .pending
                    .iter()
                    .take(random.below(self.pending.len() + 1))
                    .flatten()
                    .copied()
                    .collect();
                let torn = random.below(8).min(whole.len());
                whole[..whole.len() - torn].to_vec()
            }
            Fate::Reordered => {
                let mut kept: Vec<&Pending> = self.pending.iter().filter(|_| !random.one_in(3)).collect();
                for last in (1..kept.len()).rev() {
                    kept.swap(last, random.below(last + 1));
                }
                kept.into_iter().flatten().copied().collect()
            }
            Fate::Torn => {
                let mut versions: BTreeMap<usize, Vec<Sector>> = BTreeMap::new();
                for (sector, content) in self.pending.iter().flatten() {
                    versions.entry(*sector).or_default().push(*content);
                }
                let pick = |(sector, versions): (usize, Vec<Sector>)| {
                    versions.get(random.below(versions.len() + 1)).map(|content| (sector, *content))
                };
                versions.into_iter().filter_map(pick).collect()
            }
        }
    }
}

fn sector_of(image: &[u8], sector: usize) -> Sector {
    let mut content = [0; SECTOR_BYTES];
    let start = sector * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(image.len());
    content[..end - start].copy_from_slice(&image[start..end]);
    content
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("the disk fits into memory")
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        self.state(|state| state.check_power().map(|()| state.live.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.state(|state| {
            state.check_power()?;
            let from = state.live.get(place(offset)..place(offset) + out.len());
            out.copy_from_slice(from.ok_or_else(|| Error::other("read behind the end"))?);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.state(|state| {
            state.change()?;
            state.live.resize(place(length), 0);
            state.lengths.push(place(length));
            Ok(())
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.state(|state| state.change().map(|()| state.sync()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.state(|state| {
            state.change()?;
            state.write(place(offset), data);
            Ok(())
        })
    }
}
