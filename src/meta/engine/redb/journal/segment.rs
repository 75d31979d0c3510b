//! A segment: a file of frames, written by one start alone.

use super::super::bytes::{Reader, checksum, put};
use super::super::place::{Place, SEGMENT};
use super::super::position::{Chain, Fork, Position, Timeline};
use super::frame::{self, Frame, Salt};
use crate::disk::{DiskFile, How, Stat};
use std::io;

/// How a segment begins. The last byte is the version of the format.
const MAGIC: [u8; 16] = *b"whf journal\0\0\0\0\x01";
/// Where the first frame of a segment begins.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;
/// The header without the zeros behind it.
const USED_BYTES: usize = 16 + 16 + 16 + 16 + 8 + 8 + 16 + 8 + 16 + 8 + 16;

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What its checksums cover.
    pub salt: Salt,
    /// The timeline of its frames.
    pub timeline: Timeline,
    /// Where that timeline left another; none for the first one of a ledger.
    pub fork: Option<Fork>,
    /// The number of its first frame.
    pub first: u64,
    /// The checksum of the frame before that.
    pub chain: Chain,
    /// The file as it was when it was made: a copy is another.
    pub inode: u64,
    /// When the file was made, where the file system knows.
    pub born_ns: Option<i128>,
    /// When it was begun, in milliseconds since the epoch.
    pub at_ms: u64,
}

impl SegmentHeader {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(USED_BYTES);
        out.extend(MAGIC);
        out.extend(self.salt);
        out.extend(self.timeline.0);
        out.extend(self.fork.map_or([0; 16], |fork| fork.parent.0));
        put(&mut out, self.fork.map_or(0, |fork| fork.sequence));
        put(&mut out, self.first);
        out.extend(self.chain);
        put(&mut out, self.inode);
        out.extend(self.born_ns.unwrap_or(0).to_be_bytes());
        put(&mut out, self.at_ms);
        let sum = checksum(&[&out]);
        out.extend(sum);
        assert_eq!(out.len(), USED_BYTES);
        out
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (covered, sum) = bytes.split_at_checked(USED_BYTES - 16)?;
        if checksum(&[covered]) != sum {
            return None;
        }
        let mut reader = Reader(covered);
        if reader.array() != Some(MAGIC) {
            return None;
        }
        let (salt, timeline, parent) = (reader.array()?, Timeline(reader.array()?), reader.array()?);
        let sequence = reader.u64()?;
        let fork = (parent != [0; 16]).then_some(Fork { parent: Timeline(parent), sequence });
        let (first, chain, inode) = (reader.u64()?, reader.array()?, reader.u64()?);
        let born_ns = Some(i128::from_be_bytes(reader.array()?)).filter(|&born| born != 0);
        Some(Self { salt, timeline, fork, first, chain, inode, born_ns, at_ms: reader.u64()? })
    }

    /// The place right before its first frame.
    pub fn before(&self) -> Position {
        Position { timeline: self.timeline, sequence: self.first - 1, chain: self.chain }
    }
}

/// A segment that was found.
#[derive(Debug)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub header: SegmentHeader,
    /// How long it is.
    pub len: u64,
    /// Whether the file is the one that the ledger made, and no copy.
    pub is_native: bool,
    /// Whether the file has another name, and is perhaps written to by somebody else.
    pub is_shared: bool,
    file: Box<dyn DiskFile>,
}

impl Segment {
    /// Opens a segment; none where its header is not whole.
    pub fn open(place: &Place, name: &str) -> io::Result<Option<Self>> {
        let Some(file) = place.open(name, How::Read)? else { return Ok(None) };
        let stat = file.stat()?;
        if stat.len < SEGMENT_HEADER_BYTES {
            return Ok(None);
        }
        let mut bytes = [0; USED_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        let header = SegmentHeader::read(&bytes).filter(|header| header.first > 0);
        Ok(header.map(|header| Self {
            name: name.to_owned(),
            is_native: is_native(&header, &stat),
            is_shared: stat.links > 1,
            len: stat.len,
            header,
            file,
        }))
    }

    /// Every whole segment of a place, in the order of their first frames; then the names of those that are
    /// not whole.
    pub fn all(place: &Place) -> io::Result<(Vec<Self>, Vec<String>)> {
        let (mut segments, mut broken) = (Vec::new(), Vec::new());
        for name in place.names()?.into_iter().filter(|name| name.starts_with(SEGMENT)) {
            match Self::open(place, &name)? {
                Some(segment) => segments.push(segment),
                None => broken.push(name),
            }
        }
        segments.sort_by_key(|segment| (segment.header.first, segment.header.at_ms));
        Ok((segments, broken))
    }

    /// Its frames from the first one on.
    pub fn frames(&self) -> Frames<'_> {
        Frames { segment: self, offset: SEGMENT_HEADER_BYTES, before: self.header.before() }
    }

    /// Whether it has a frame.
    pub fn has_frames(&self) -> io::Result<bool> {
        Ok(self.frames().next()?.is_some())
    }

    /// Lets what is read of it come from the disk: a page whose sync failed is in memory alone, and looks
    /// like the others.
    pub fn forget_cached(&self) {
        self.file.forget_cached();
    }

    /// Makes what was read from it durable: it may be in the machine's memory alone.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Its bytes up to `end`, piece by piece.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

fn is_native(header: &SegmentHeader, stat: &Stat) -> bool {
    header.inode == stat.inode && header.born_ns == stat.born_ns
}

/// Reads frames in their order.
pub struct Frames<'a> {
    segment: &'a Segment,
    offset: u64,
    before: Position,
}

impl Frames<'_> {
    /// The next frame; none at the end of those that are whole.
    pub fn next(&mut self) -> io::Result<Option<Frame>> {
        let Segment { file, header, len, .. } = self.segment;
        let Some(frame) = frame::read(&**file, self.offset, *len, &header.salt, &self.before)? else {
            return Ok(None);
        };
        self.offset += frame::frame_bytes(frame.payload.len()) as u64;
        self.before = frame.position;
        Ok(Some(frame))
    }

    /// Where the frames that were read end in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of a whole frame behind the end of the others whose number is above that of `after`, if
    /// there is one.
    pub fn find_later(&self, after: u64) -> io::Result<Option<u64>> {
        let Segment { file, header, len, .. } = self.segment;
        let after = after.max(self.before.sequence);
        let found = frame::find(&**file, self.offset, *len, &header.salt, &|sequence, _| sequence > after)?;
        Ok(found.map(|(sequence, _)| sequence))
    }

    /// Goes on behind the frame of a place, though what comes before it is not whole. False: it is not here.
    pub fn skip_to(&mut self, place: Position) -> io::Result<bool> {
        let Segment { file, header, len, .. } = self.segment;
        let is_one = |sequence: u64, chain: &Chain| sequence == place.sequence && *chain == place.chain;
        let found = frame::find(&**file, self.offset, *len, &header.salt, &is_one)?;
        if let Some((_, offset)) = found {
            (self.offset, self.before) = (offset, place);
        }
        Ok(found.is_some())
    }
}
