//! The names in a directory, which are durable once the directory is synced.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::random::Random;

/// The inodes by their names.
pub type Entries = BTreeMap<OsString, u64>;

/// A change of the names that is not synced.
#[derive(Clone, Debug)]
enum Change {
    /// The name is this inode's.
    Set(OsString, u64),
    /// The name is nobody's.
    Remove(OsString),
    /// The inode has the second name in place of the first; both happens, or neither.
    Rename(OsString, OsString, u64),
}

impl Change {
    fn names(&self) -> impl Iterator<Item = &OsString> {
        let (first, second) = match self {
            Self::Set(name, _) | Self::Remove(name) => (name, None),
            Self::Rename(from, to, _) => (from, Some(to)),
        };
        [first].into_iter().chain(second)
    }

    fn apply(self, entries: &mut Entries) {
        match self {
            Self::Set(name, inode) => drop(entries.insert(name, inode)),
            Self::Remove(name) => drop(entries.remove(&name)),
            Self::Rename(from, to, inode) => {
                entries.remove(&from);
                entries.insert(to, inode);
            }
        }
    }
}

/// The names in a directory.
#[derive(Clone, Debug, Default)]
pub struct Names {
    durable: Entries,
    live: Entries,
    pending: Vec<Change>,
}

impl Names {
    /// Names that are all durable.
    pub fn new(entries: Entries) -> Self {
        Self { durable: entries.clone(), live: entries, pending: Vec::new() }
    }

    pub fn get(&self, name: &OsStr) -> Option<u64> {
        self.live.get(name).copied()
    }

    pub fn list(&self) -> Vec<OsString> {
        self.live.keys().cloned().collect()
    }

    pub fn set(&mut self, name: OsString, inode: u64) {
        self.change(Change::Set(name, inode));
    }

    pub fn remove(&mut self, name: OsString) {
        self.change(Change::Remove(name));
    }

    /// Renames within the directory.
    pub fn rename(&mut self, from: OsString, to: OsString, inode: u64) {
        self.change(Change::Rename(from, to, inode));
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.live);
        self.pending.push(change);
    }

    /// Makes the names durable as they are.
    pub fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// What a power cut leaves: of the changes that were not synced the first some, or any. The changes of
    /// one name keep their order: none is there without those before it.
    pub fn after_the_cut(&self, random: &mut Random) -> Entries {
        let first = random.one_in(2).then(|| random.below(self.pending.len() + 1));
        let mut entries = self.durable.clone();
        let mut lost = BTreeSet::new();
        for (i, change) in self.pending.iter().enumerate() {
            let kept = match first {
                Some(count) => i < count,
                None => random.one_in(2) && !change.names().any(|name| lost.contains(name)),
            };
            if kept {
                change.clone().apply(&mut entries);
            } else {
                lost.extend(change.names());
            }
        }
        entries
    }
}
