//! The ledger's schema, change by change.
//!
//! Each file is one numbered migration that never changes after it was released; it names the record types
//! that it reads by frozen copies of its own, not by those of `meta::records`. A migration works in pieces
//! that each commit and can be resumed. A ledger with a number above [`newest`] was written by a newer
//! program and is refused.

mod v0001_first;

use crate::meta::{MetaError, Tx};

/// How far one piece of a migration came.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do, from this cursor on.
    More(Vec<u8>),
    /// The migration is complete.
    Done,
}

/// A numbered change of the schema.
pub struct Migration {
    /// The schema's version when it is done. Versions are consecutive, from 1.
    pub version: u32,
    /// What it does, for the log.
    pub name: &'static str,
    /// One piece of the work, from a cursor that begins empty.
    pub step: fn(&mut Tx<'_>, cursor: &[u8]) -> Result<Step, MetaError>,
}

/// Every migration, oldest first.
pub const ALL: &[Migration] = &[v0001_first::MIGRATION];

/// The schema's version that this program reads and writes.
#[must_use]
pub fn newest() -> u32 {
    ALL.last().map_or(0, |migration| migration.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_consecutive_from_one() {
        for (index, migration) in ALL.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1, "{}", migration.name);
        }
    }
}
