//! A place in the history of a ledger.

use super::bytes::{Reader, put};
use crate::random;
use std::fmt;

/// One line of history. A start on a copy begins another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timeline(pub [u8; 16]);

impl Timeline {
    /// One that was never there.
    pub fn draw() -> Self {
        Self(random::bytes())
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As much as tells them apart.
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The checksum of a frame, which covers the one of the frame before and so all of them.
pub type Chain = [u8; 16];

/// The state behind a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line that the frame is on.
    pub timeline: Timeline,
    /// The frame's number; 0: before the first.
    pub sequence: u64,
    /// The frame's checksum.
    pub chain: Chain,
}

/// How many bytes a position has.
pub const POSITION_BYTES: usize = 40;

impl Position {
    /// Where a new ledger begins.
    pub fn start() -> Self {
        // No other ledger begins with the same.
        Self { timeline: Timeline::draw(), sequence: 0, chain: random::bytes() }
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(POSITION_BYTES);
        out.extend(self.timeline.0);
        put(&mut out, self.sequence);
        out.extend(self.chain);
        out
    }

    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let timeline = Timeline(reader.array()?);
        Some(Self { timeline, sequence: reader.u64()?, chain: reader.array()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of timeline {}", self.sequence, self.timeline)
    }
}

/// Where a timeline left another: the other, and the last frame that both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The timeline that was left.
    pub parent: Timeline,
    /// The last frame of it that counts.
    pub sequence: u64,
}
