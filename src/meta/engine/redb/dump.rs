//! A snapshot: all rows as of one frame, in a file of its own.
//!
//! It is written under a name that nobody looks for, synced, and only then named. Its blocks are numbered and
//! the last one says how many rows there are, so one that is not whole is never taken for a whole one.

use super::bytes::{Reader, checksum, put};
use super::definition;
use super::journal::frame::{self, Salt};
use super::place::{Place, SNAPSHOT, numbered};
use super::position::{Fork, Position, Timeline};
use crate::disk::{DiskFile, How};
use crate::meta::engine::{EngineError, KeyRange, Limit, ReadRows, TableId};
use crate::random;
use ::redb::WriteTransaction;
use std::io;

/// How a snapshot begins. The last byte is the version of the format.
const MAGIC: [u8; 16] = *b"whf snapshot\0\0\0\x01";
/// How many bytes of rows a block has, but for one large row.
const BLOCK_BYTES: usize = 1024 * 1024;
/// The longest block: a row is below the limit of a closure.
const BLOCK_MAX_BYTES: usize = 32 * 1024 * 1024;
/// The length that stands for the end.
const END: u32 = u32::MAX;
/// How many of the timelines that were left are remembered.
const LINEAGE_MAX: usize = 256;
/// The header without its checksum, of the longest lineage.
const HEADER_MAX_BYTES: usize = 16 + 16 + 40 + 8 + 4 + 24 * LINEAGE_MAX;

/// What a snapshot says of itself.
#[derive(Debug, Clone)]
pub struct SnapshotHeader {
    /// What its checksums cover.
    pub salt: Salt,
    /// The state that it has.
    pub position: Position,
    /// When it was begun, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The timelines that its own left, the newest first.
    pub lineage: Vec<Fork>,
}

impl SnapshotHeader {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(self.salt);
        out.extend(self.position.to_bytes());
        put(&mut out, self.at_ms);
        out.extend(u32::try_from(self.lineage.len()).expect("it was cut off").to_be_bytes());
        for fork in &self.lineage {
            out.extend(fork.parent.0);
            put(&mut out, fork.sequence);
        }
        let sum = checksum(&[&out]);
        out.extend(sum);
        out
    }

    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader(bytes);
        if reader.array() != Some(MAGIC) {
            return None;
        }
        let (salt, position, at_ms) = (reader.array()?, Position::read(&mut reader)?, reader.u64()?);
        let count = usize::try_from(reader.u32()?).ok().filter(|&count| count <= LINEAGE_MAX)?;
        let read = |_| Some(Fork { parent: Timeline(reader.array()?), sequence: reader.u64()? });
        let lineage = (0..count).map(read).collect::<Option<Vec<_>>>()?;
        let covered = bytes.len() - reader.0.len();
        let sum: [u8; 16] = reader.array()?;
        let header = Self { salt, position, at_ms, lineage };
        (checksum(&[&bytes[..covered]]) == sum).then_some((header, covered + 16))
    }
}

/// A snapshot that was found.
#[derive(Debug)]
pub struct Dump {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub header: SnapshotHeader,
    /// How long it is.
    pub len: u64,
    rows_at: u64,
    file: Box<dyn DiskFile>,
}

impl Dump {
    fn open(place: &Place, name: &str) -> io::Result<Option<Self>> {
        let Some(file) = place.open(name, How::Read)? else { return Ok(None) };
        Self::of(name, file)
    }

    /// The snapshot that a file is; none where its header is not whole.
    pub fn of(name: &str, file: Box<dyn DiskFile>) -> io::Result<Option<Self>> {
        let len = file.stat()?.len;
        let mut bytes = vec![0; (HEADER_MAX_BYTES + 16).min(usize::try_from(len).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(SnapshotHeader::read(&bytes).map(|(header, rows_at)| Self {
            name: name.to_owned(),
            header,
            len,
            rows_at: rows_at as u64,
            file,
        }))
    }

    /// Every snapshot of a place whose header is whole, the newest first, and the names of the others.
    pub fn all(place: &Place) -> io::Result<(Vec<Self>, Vec<String>)> {
        let (mut dumps, mut unfit) = (Vec::new(), Vec::new());
        for name in place.names()?.into_iter().filter(|name| name.starts_with(SNAPSHOT)) {
            match Self::open(place, &name)? {
                Some(dump) => dumps.push(dump),
                None => unfit.push(name),
            }
        }
        dumps.sort_by_key(|dump| (std::cmp::Reverse(dump.header.position.sequence), dump.name.clone()));
        Ok((dumps, unfit))
    }

    /// Reads it to its end and hands out the bytes of its rows block by block. False: it is not whole.
    pub fn read<E: From<io::Error>>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<bool, E> {
        let (mut offset, mut number, mut rows) = (self.rows_at, 0_u64, 0_u64);
        loop {
            let Some((payload, is_end)) = self.block(offset, number)? else { return Ok(false) };
            if is_end {
                return Ok(Reader(&payload).u64() == Some(rows));
            }
            rows += frame::changes(&payload).count() as u64;
            each(&payload)?;
            offset += block_bytes(payload.len());
            number += 1;
        }
    }

    fn block(&self, offset: u64, number: u64) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut head = [0; 4];
        if self.len < offset + block_bytes(8) {
            return Ok(None);
        }
        self.file.read_exact_at(&mut head, offset)?;
        let len = u32::from_be_bytes(head);
        let is_end = len == END;
        let count = if is_end { 8 } else { usize::try_from(len).unwrap_or(usize::MAX) };
        if count > BLOCK_MAX_BYTES || offset + block_bytes(count) > self.len {
            return Ok(None);
        }
        let mut bytes = vec![0; count + 16];
        self.file.read_exact_at(&mut bytes, offset + 4)?;
        let sum = bytes.split_off(count);
        let is_whole = block_sum(&self.header.salt, number, len, &bytes) == *sum;
        Ok(is_whole.then_some((bytes, is_end)))
    }

    /// Its bytes, piece by piece.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

fn block_bytes(payload: usize) -> u64 {
    4 + payload as u64 + 16
}

fn block_sum(salt: &Salt, number: u64, len: u32, payload: &[u8]) -> [u8; 16] {
    checksum(&[salt, &number.to_be_bytes(), &len.to_be_bytes(), payload])
}

/// A snapshot that is being written.
pub struct DumpWriter<'a> {
    file: &'a dyn DiskFile,
    salt: Salt,
    offset: u64,
    number: u64,
    rows: u64,
    block: Vec<u8>,
}

impl<'a> DumpWriter<'a> {
    /// Begins one with its header.
    pub fn begin(file: &'a dyn DiskFile, header: &SnapshotHeader) -> io::Result<Self> {
        let bytes = header.to_bytes();
        file.write_at(&bytes, 0)?;
        let (offset, salt) = (bytes.len() as u64, header.salt);
        Ok(Self { file, salt, offset, number: 0, rows: 0, block: Vec::new() })
    }

    fn write(&mut self, len: u32, payload: &[u8]) -> io::Result<()> {
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend(payload);
        bytes.extend(block_sum(&self.salt, self.number, len, payload));
        self.file.write_at(&bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.number += 1;
        Ok(())
    }

    /// Ends the block.
    pub fn flush(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        let len = u32::try_from(block.len()).expect("a block is short");
        if len > 0 { self.write(len, &block) } else { Ok(()) }
    }

    /// Adds a row.
    pub fn put(&mut self, table: TableId, key: &[u8], value: &[u8]) -> io::Result<()> {
        frame::put_change(&mut self.block, table, key, Some(value));
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Ends it, durably; says how many bytes it has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        let rows = self.rows.to_be_bytes();
        self.write(END, &rows)?;
        self.file.sync()?;
        Ok(self.offset)
    }
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The rows cannot be read.
    #[error(transparent)]
    Rows(#[from] EngineError),
    /// The ledger ends.
    #[error("the ledger ends")]
    Stopped,
}

/// Writes the rows as a snapshot and gives it its name, durably. Before each page it asks whether to go on.
/// Says how many bytes it has.
pub fn write(
    place: &Place,
    rows: &dyn ReadRows,
    position: Position,
    lineage: &[Fork],
    at_ms: u64,
    goes_on: &dyn Fn() -> bool,
) -> Result<u64, DumpError> {
    let (name, file) = place.create_unfinished(SNAPSHOT)?;
    let lineage = lineage.iter().take(LINEAGE_MAX).copied().collect();
    let header = SnapshotHeader { salt: random::bytes(), position, at_ms, lineage };
    let write = || {
        let mut out = DumpWriter::begin(&*file, &header)?;
        for table in TableId::ALL {
            write_table(&mut out, rows, table, goes_on)?;
        }
        let len = out.finish()?;
        place.rename(&name, &numbered(SNAPSHOT, position.sequence))?;
        Ok(len)
    };
    write().inspect_err(|_: &DumpError| {
        place.remove(&name).ok();
    })
}

fn write_table(
    out: &mut DumpWriter<'_>,
    rows: &dyn ReadRows,
    table: TableId,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), DumpError> {
    let mut range = KeyRange::all();
    loop {
        if !goes_on() {
            return Err(DumpError::Stopped);
        }
        let page = rows.range(table, &range, Limit { rows: usize::MAX, bytes: BLOCK_BYTES })?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        range = range.after_bytes(last);
        page.iter().try_for_each(|(key, value)| out.put(table, key, value))?;
    }
}

/// Applies the changes of a payload to the rows of a transaction. False: they cannot be read.
pub fn apply(transaction: &WriteTransaction, payload: &[u8]) -> Result<bool, ::redb::Error> {
    let mut tables: [Option<_>; TableId::ALL.len()] = [const { None }; TableId::ALL.len()];
    for change in frame::changes(payload) {
        let Some(change) = change else { return Ok(false) };
        let table = &mut tables[change.table.index()];
        if table.is_none() {
            *table = Some(transaction.open_table(definition(change.table))?);
        }
        let table = table.as_mut().expect("it was opened");
        match change.value {
            Some(value) => drop(table.insert(change.key, value)?),
            None => drop(table.remove(change.key)?),
        }
    }
    Ok(true)
}
