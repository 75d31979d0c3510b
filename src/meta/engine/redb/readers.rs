//! The readers of the ledger's files on bytes in memory, for what tries them with any bytes.

use super::dump::{Dump, DumpWriter, SnapshotHeader};
use super::identity::Identity;
use super::journal::frame;
use super::journal::segment::{SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use super::position::{Position, Timeline};
use crate::disk::{DiskFile, Kind, Stat};
use crate::meta::engine::TableId;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much a reader may make room for whatever the length of a file is.
const ROOM_BYTES: usize = 16 * 1024;

/// Where the samples begin.
const START: Position = Position { timeline: Timeline([1; 16]), sequence: 0, chain: [2; 16] };

/// What their checksums cover.
const SALT: frame::Salt = [3; 16];

/// A changed row: its table's number, its key, and its value where it has one.
pub type Change = (usize, Vec<u8>, Option<Vec<u8>>);

/// The payloads of frames, and the number of a later one.
pub type Frames = (Vec<Vec<u8>>, Option<u64>);

/// A file in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<u8>>);

impl Memory {
    fn boxed(bytes: &[u8]) -> Box<dyn DiskFile> {
        Box::new(Self(Mutex::new(bytes.to_vec())))
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that the samples say is that of the database.
const STAT: Stat = Stat { kind: Kind::File, len: 4096, inode: 7, links: 1, born_ns: Some(8), changed_ns: 9 };

impl DiskFile for Memory {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat { len: self.bytes().len() as u64, ..STAT })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        assert!(buffer.len() <= bytes.len().max(ROOM_BYTES), "no room is made for more than there is");
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.bytes();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let end = from + written.len();
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[from..end].copy_from_slice(written);
        Ok(())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A segment with frames that have these payloads.
#[must_use]
pub fn segment(payloads: &[Vec<u8>]) -> Vec<u8> {
    let header = SegmentHeader {
        salt: SALT,
        timeline: START.timeline,
        fork: None,
        first: START.sequence + 1,
        chain: START.chain,
        inode: STAT.inode,
        born_ns: STAT.born_ns,
        at_ms: 10,
    };
    let mut bytes = header.to_bytes();
    bytes.resize(usize::try_from(SEGMENT_HEADER_BYTES).expect("it is short"), 0);
    let mut end = START;
    for payload in payloads {
        let (frame, chain) = frame::encode(&SALT, &end, 11, payload);
        bytes.extend(frame);
        end = Position { sequence: end.sequence + 1, chain, ..end };
    }
    bytes
}

/// The payloads of the frames of a segment that count, and the number of a whole one behind the end of these.
/// None: its header is not whole.
pub fn frames(segment: &[u8]) -> io::Result<Option<Frames>> {
    let Some(segment) = Segment::of("segment", Memory::boxed(segment))? else { return Ok(None) };
    let (mut frames, mut payloads) = (segment.frames(), Vec::new());
    while let Some(frame) = frames.next()? {
        payloads.push(frame.payload);
    }
    Ok(Some((payloads, frames.find_later(0)?)))
}

/// The changes of a payload; none where it cannot be read.
#[must_use]
pub fn changes(payload: &[u8]) -> Option<Vec<Change>> {
    let changes = frame::changes(payload).map(|change| {
        let frame::RowChange { table, key, value } = change?;
        Some((table.index(), key.to_vec(), value.map(<[u8]>::to_vec)))
    });
    changes.collect()
}

/// A payload with these changes.
#[must_use]
pub fn payload(changes: &[Change]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (table, key, value) in changes {
        frame::put_change(&mut payload, TableId::ALL[*table], key, value.as_deref());
    }
    payload
}

/// A snapshot with blocks of these rows.
pub fn snapshot(blocks: &[Vec<(Vec<u8>, Vec<u8>)>]) -> io::Result<Vec<u8>> {
    let (file, header) =
        (Memory::default(), SnapshotHeader { salt: SALT, position: START, at_ms: 12, lineage: Vec::new() });
    let mut out = DumpWriter::begin(&file, &header)?;
    for rows in blocks {
        rows.iter().try_for_each(|(key, value)| out.put(TableId::Tag, key, value))?;
        out.flush()?;
    }
    out.finish()?;
    let bytes = file.bytes().clone();
    Ok(bytes)
}

/// The blocks of a snapshot that count, and whether these are all. None: its header is not whole.
pub fn blocks(snapshot: &[u8]) -> io::Result<Option<(Vec<Vec<u8>>, bool)>> {
    let Some(dump) = Dump::of("snapshot", Memory::boxed(snapshot))? else { return Ok(None) };
    let mut blocks = Vec::new();
    let is_whole = dump.read(|block| {
        blocks.push(block.to_vec());
        Ok::<_, io::Error>(())
    })?;
    Ok(Some((blocks, is_whole)))
}

/// An identity that names this segment.
#[must_use]
pub fn identity(newest: &str) -> Vec<u8> {
    Identity::new(&STAT, newest.to_owned()).to_bytes().to_vec()
}

/// The bytes of what an identity says; none where it is not whole.
pub fn read_identity(bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let found = Identity::of(&*Memory::boxed(bytes))?;
    Ok(found.map(|identity| identity.to_bytes().to_vec()))
}
