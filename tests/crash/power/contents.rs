//! The bytes of a file on a disk that keeps its promises about synced writes, and none about others.

use std::collections::BTreeMap;

use crate::random::Random;

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

/// A change that is not synced: what the sectors it touched held after it, and how long the file was.
#[derive(Clone, Debug)]
struct Change {
    sectors: Vec<(usize, Sector)>,
    len: usize,
}

/// What a power cut does to the changes that are not synced.
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

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// What is there after a power cut, whatever else happens.
    durable: Vec<u8>,
    /// What is read.
    live: Vec<u8>,
    pending: Vec<Change>,
}

impl Contents {
    /// Bytes that are all durable.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), live: bytes, pending: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether these are the bytes that were synced last.
    pub fn is_durably(&self, bytes: &[u8]) -> bool {
        self.durable == bytes
    }

    /// Reads from `offset` as much as is there; says how much.
    pub fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let from = self.live.get(offset..).unwrap_or_default();
        let count = buffer.len().min(from.len());
        buffer[..count].copy_from_slice(&from[..count]);
        count
    }

    pub fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        let last = (end.max(offset + 1) - 1) / SECTOR_BYTES;
        let touched = offset / SECTOR_BYTES..=last;
        let sectors = touched.map(|sector| (sector, sector_of(&self.live, sector))).collect();
        self.pending.push(Change { sectors, len: self.live.len() });
    }

    pub fn set_len(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.pending.push(Change { sectors: Vec::new(), len });
    }

    /// Makes everything so far durable.
    pub fn sync(&mut self) {
        for change in self.pending.drain(..) {
            self.durable.resize(change.len, 0);
            lay(&mut self.durable, &change.sectors);
        }
    }

    /// What a power cut leaves.
    pub fn after_the_cut(&self, random: &mut Random) -> Vec<u8> {
        let fates = [Fate::Dropped, Fate::Prefix, Fate::Prefix, Fate::Reordered, Fate::Torn, Fate::Torn];
        let fate = *random.pick(&fates);
        let count = random.below(self.pending.len() + 1);
        let mut image = self.durable.clone();
        if let (false, Some(change)) = (matches!(fate, Fate::Dropped), self.pending[..count].last()) {
            image.resize(change.len, 0);
        }
        lay(&mut image, &self.chosen(fate, count, random));
        image
    }

    /// The unsynced sectors that reached the disk, in the order in which they did.
    fn chosen(&self, fate: Fate, count: usize, random: &mut Random) -> Vec<(usize, Sector)> {
        match fate {
            Fate::Dropped => Vec::new(),
            Fate::Prefix => {
                let mut first: Vec<_> =
                    self.pending[..count].iter().flat_map(|change| &change.sectors).copied().collect();
                first.truncate(first.len() - random.below(8).min(first.len()));
                first
            }
            Fate::Reordered => {
                let mut kept: Vec<_> = self.pending.iter().filter(|_| !random.one_in(3)).collect();
                for last in (1..kept.len()).rev() {
                    kept.swap(last, random.below(last + 1));
                }
                kept.into_iter().flat_map(|change| &change.sectors).copied().collect()
            }
            Fate::Torn => {
                let mut versions: BTreeMap<usize, Vec<Sector>> = BTreeMap::new();
                for (sector, content) in self.pending.iter().flat_map(|change| &change.sectors) {
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

/// Puts sectors in their places, as far as the file goes.
fn lay(image: &mut [u8], sectors: &[(usize, Sector)]) {
    for (sector, content) in sectors {
        let start = (sector * SECTOR_BYTES).min(image.len());
        let end = (start + SECTOR_BYTES).min(image.len());
        image[start..end].copy_from_slice(&content[..end - start]);
    }
}

fn sector_of(image: &[u8], sector: usize) -> Sector {
    let mut content = [0; SECTOR_BYTES];
    let start = sector * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(image.len());
    content[..end - start].copy_from_slice(&image[start..end]);
    content
}
