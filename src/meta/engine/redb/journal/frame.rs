//! A frame: the rows that one group of closures changed.

use super::super::bytes::{Reader, checksum, put};
use super::super::position::{Chain, Position, Timeline};
use crate::disk::DiskFile;
use crate::meta::engine::TableId;
use std::io;

/// How a frame begins.
const MAGIC: [u8; 4] = *b"WHfr";
/// Magic, length of the payload, sequence number, time, checksum of the frame before.
pub const FRAME_HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 16;
/// The checksum behind the payload.
const CHECKSUM_BYTES: usize = 16;
/// Frames begin at multiples of it, so that one that was lost can be looked for.
pub const FRAME_ALIGNMENT: usize = 8;
/// The longest payload: what a group and its last closure may write, with what stands around it.
pub const PAYLOAD_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A random number of a segment's own that every checksum in it covers: a client that pushes a manifest with
/// a frame in it does not know it.
pub type Salt = [u8; 16];

/// A changed row: its value now, or none where it went.
#[derive(Debug, PartialEq, Eq)]
pub struct RowChange<'a> {
    /// The row's table.
    pub table: TableId,
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// Appends a change to a payload.
pub fn put_change(payload: &mut Vec<u8>, table: TableId, key: &[u8], value: Option<&[u8]>) {
    payload.push(u8::try_from(table.index()).expect("there are few tables"));
    payload.push(u8::from(value.is_some()));
    put_slice(payload, key);
    if let Some(value) = value {
        put_slice(payload, value);
    }
}

fn put_slice(out: &mut Vec<u8>, slice: &[u8]) {
    out.extend(u32::try_from(slice.len()).expect("a closure writes less").to_be_bytes());
    out.extend(slice);
}

/// Reads the changes of a payload, in their order. `None` for one that cannot be read ends them.
pub fn changes(payload: &[u8]) -> impl Iterator<Item = Option<RowChange<'_>>> {
    let mut reader = Reader(payload);
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over || reader.0.is_empty() {
            return None;
        }
        let change = read_change(&mut reader);
        is_over = change.is_none();
        Some(change)
    })
}

fn read_change<'a>(reader: &mut Reader<'a>) -> Option<RowChange<'a>> {
    let [table, is_put] = reader.array()?;
    let table = *TableId::ALL.get(usize::from(table))?;
    let len = reader.len()?;
    let key = reader.take(len)?;
    let value = match is_put {
        0 => None,
        1 => {
            let len = reader.len()?;
            Some(reader.take(len)?)
        }
        _ => return None,
    };
    Some(RowChange { table, key, value })
}

/// A frame as it is read.
#[derive(Debug)]
pub struct Frame {
    /// Where the ledger is behind it.
    pub position: Position,
    /// When it was written, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What it changes.
    pub payload: Vec<u8>,
}

/// How many bytes a frame takes in a segment.
pub fn frame_bytes(payload: usize) -> usize {
    (FRAME_HEADER_BYTES + payload + CHECKSUM_BYTES).next_multiple_of(FRAME_ALIGNMENT)
}

/// The bytes of the frame behind `before`, and the checksum that it has.
pub fn encode(salt: &Salt, before: &Position, at_ms: u64, payload: &[u8]) -> (Vec<u8>, Chain) {
    assert!(payload.len() <= PAYLOAD_MAX_BYTES, "a group writes less");
    let mut out = Vec::with_capacity(frame_bytes(payload.len()));
    out.extend(MAGIC);
    out.extend(u32::try_from(payload.len()).expect("it is below the limit").to_be_bytes());
    put(&mut out, before.sequence + 1);
    put(&mut out, at_ms);
    out.extend(before.chain);
    out.extend(payload);
    let chain = checksum(&[salt, &out]);
    out.extend(chain);
    out.resize(frame_bytes(payload.len()), 0);
    (out, chain)
}

/// Reads the frame at `offset` that comes behind `before`. None: there is none, or not a whole one.
pub fn read(
    file: &dyn DiskFile,
    offset: u64,
    end: u64,
    salt: &Salt,
    before: &Position,
) -> io::Result<Option<Frame>> {
    let Some((len, sequence)) = read_header(file, offset, end)? else { return Ok(None) };
    if sequence != before.sequence + 1 {
        return Ok(None);
    }
    let Some((frame, chain_before)) = read_whole(file, offset, len, salt, before)? else { return Ok(None) };
    Ok((chain_before == before.chain).then_some(frame))
}

/// The length of the payload and the number of what may be a frame.
fn read_header(file: &dyn DiskFile, offset: u64, end: u64) -> io::Result<Option<(usize, u64)>> {
    if end.saturating_sub(offset) < frame_bytes(0) as u64 {
        return Ok(None);
    }
    let mut header = [0; 16];
    file.read_exact_at(&mut header, offset)?;
    let mut reader = Reader(&header);
    if reader.array() != Some(MAGIC) {
        return Ok(None);
    }
    let (len, sequence) = (reader.u32(), reader.u64());
    let (len, sequence) = len.zip(sequence).expect("the header was read");
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    // Before room is made for it.
    let fits = len <= PAYLOAD_MAX_BYTES && frame_bytes(len) as u64 <= end - offset;
    Ok(fits.then_some((len, sequence)))
}

/// A frame whose own checksum is right, whatever comes before it, with what it says of that.
fn read_whole(
    file: &dyn DiskFile,
    offset: u64,
    len: usize,
    salt: &Salt,
    before: &Position,
) -> io::Result<Option<(Frame, Chain)>> {
    let mut bytes = vec![0; FRAME_HEADER_BYTES + len + CHECKSUM_BYTES];
    file.read_exact_at(&mut bytes, offset)?;
    let (covered, chain) = bytes.split_at(FRAME_HEADER_BYTES + len);
    if checksum(&[salt, covered]) != chain {
        return Ok(None);
    }
    let mut reader = Reader(&covered[8..]);
    let numbers = reader.u64().zip(reader.u64()).zip(reader.array());
    let ((sequence, at_ms), chain_before) = numbers.expect("the header was read");
    let chain = chain.try_into().expect("that many bytes were read");
    let position = Position { timeline: before.timeline, sequence, chain };
    bytes.truncate(FRAME_HEADER_BYTES + len);
    bytes.drain(..FRAME_HEADER_BYTES);
    Ok(Some((Frame { position, at_ms, payload: bytes }, chain_before)))
}

/// Looks for a whole frame, wherever it stands, that is one of those looked for by its number and checksum.
/// Gives its number, and where it ends.
pub fn find(
    file: &dyn DiskFile,
    from: u64,
    end: u64,
    salt: &Salt,
    is_one: &dyn Fn(u64, &Chain) -> bool,
) -> io::Result<Option<(u64, u64)>> {
    const STEP: usize = 1024 * 1024;
    // Of what was read, a frame says its number; the timeline is the segment's, and of no matter here.
    let anywhere = Position { timeline: Timeline([0; 16]), sequence: 0, chain: [0; 16] };
    let mut buffer = vec![0; STEP];
    let mut offset = from;
    while offset < end {
        let count = usize::try_from(end - offset).unwrap_or(STEP).min(STEP);
        file.read_exact_at(&mut buffer[..count], offset)?;
        for (index, word) in buffer[..count].chunks(FRAME_ALIGNMENT).enumerate() {
            if !word.starts_with(&MAGIC) {
                continue;
            }
            let at = offset + (index * FRAME_ALIGNMENT) as u64;
            let Some((len, sequence)) = read_header(file, at, end)? else { continue };
            if let Some((frame, _)) = read_whole(file, at, len, salt, &anywhere)?
                && is_one(sequence, &frame.position.chain)
            {
                return Ok(Some((sequence, at + frame_bytes(len) as u64)));
            }
        }
        offset += count as u64;
    }
    Ok(None)
}
