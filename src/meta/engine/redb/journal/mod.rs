//! The journal: every change of the ledger in the order in which it was made, in frames that are synced one
//! by one. A frame that is synced is the commit.
//!
//! The next frame is written only after the last one was synced. So a last frame that is not whole was never
//! acknowledged, and a whole one behind it is damage.

pub mod frame;
pub mod history;
pub mod segment;

use super::identity::IdentityFile;
use super::place::{Place, SEGMENT, is_spare, numbered};
use super::position::{Fork, Position};
use crate::disk::{DiskFile, How, Stat, is_full};
use crate::random;
use segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use std::io;
use std::time::{Duration, Instant};

/// The first segment of a start. Each next one is twice as long, up to the setting: a registry that is often
/// started and seldom written to takes little.
const FIRST_SEGMENT_BYTES: u64 = 1024 * 1024;

/// A segment where there is no room for another.
const SHORT_SEGMENT_BYTES: u64 = 64 * 1024;

/// How long no room is taken for the next segment after there was none.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(10);

/// The end of a ledger's journal, where frames are appended.
#[derive(Debug)]
pub struct Journal {
    place: Place,
    end: Position,
    fork: Option<Fork>,
    current: Option<Current>,
    /// One that has its name, and that IDENTITY may or may not name: there was no room to say so.
    named: Option<(String, Current)>,
    /// The next segment, with its room taken.
    spare: Option<Spare>,
    /// Since when there is none for that.
    no_room_since: Option<Instant>,
    next_bytes: u64,
    segment_max_bytes: u64,
}

#[derive(Debug)]
struct Current {
    file: Box<dyn DiskFile>,
    first: u64,
    salt: frame::Salt,
    offset: u64,
    len: u64,
}

#[derive(Debug)]
struct Spare {
    name: String,
    file: Box<dyn DiskFile>,
    len: u64,
}

impl Journal {
    /// Goes on behind `end`. `fork` says where its timeline left another.
    pub fn new(place: Place, end: Position, fork: Option<Fork>, segment_max_bytes: u64) -> Self {
        let next_bytes = FIRST_SEGMENT_BYTES.min(segment_max_bytes);
        let (current, named, spare, no_room_since) = (None, None, None, None);
        Self { place, end, fork, current, named, spare, no_room_since, next_bytes, segment_max_bytes }
    }

    /// Takes over the next segment that an earlier start made ready and never wrote to. Others go.
    pub fn adopt_spare(&mut self) -> io::Result<()> {
        for name in self.place.names()?.into_iter().filter(|name| is_spare(name)) {
            if self.spare.is_none() {
                let file = self.place.open(&name, How::Write)?;
                let stat = file.as_ref().map(|file| file.stat()).transpose()?;
                // Under another name it may be somebody else's.
                let is_ours = |stat: &Stat| stat.links == 1 && stat.len > SEGMENT_HEADER_BYTES;
                if let Some((file, stat)) = file.zip(stat.filter(is_ours)) {
                    self.spare = Some(Spare { name, file, len: stat.len });
                    continue;
                }
            }
            self.place.remove(&name)?;
        }
        Ok(())
    }

    /// The last frame.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The first frame of the segment that is written to; 0: none is.
    pub fn current_first(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.first)
    }

    /// Appends a frame and syncs it. Where there is no room, which [`crate::disk::is_full`] of the error
    /// says, the frame is not there and will not be. After any other error it may be.
    pub fn append(&mut self, payload: &[u8], at_ms: u64, identity: &mut IdentityFile) -> io::Result<usize> {
        let needed = frame::frame_bytes(payload.len()) as u64;
        if self.current.as_ref().is_none_or(|current| current.len - current.offset < needed) {
            self.switch(needed, at_ms, identity)?;
        }
        let current = self.current.as_mut().expect("there is one since the switch");
        let (bytes, chain) = frame::encode(&current.salt, &self.end, at_ms, payload);
        assert_eq!(bytes.len() as u64, needed);
        // Where that fails the frame is not whole, whatever is there of it.
        current.file.write_at(&bytes, current.offset)?;
        if let Err(error) = current.file.sync() {
            return Err(current.take_back(error));
        }
        current.offset += needed;
        self.end = Position { sequence: self.end.sequence + 1, chain, ..self.end };
        let is_due = self.no_room_since.is_none_or(|since| since.elapsed() >= NO_ROOM_PAUSE);
        if self.spare.is_none() && is_due {
            self.prepare()?;
        }
        Ok(bytes.len())
    }

    /// Takes the room of the next segment. Where there is none, the present one goes on to its end.
    fn prepare(&mut self) -> io::Result<()> {
        match self.allocate(self.next_bytes) {
            Ok(spare) => (self.spare, self.no_room_since) = (Some(spare), None),
            Err(error) if is_full(&error) => {
                log::warn!("there is no room for the next piece of the journal: {error}");
                self.no_room_since = Some(Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<Spare> {
        let (name, file) = self.place.create_unfinished(SEGMENT)?;
        let allocate = || {
            file.allocate(len)?;
            file.sync()?;
            self.place.sync()
        };
        match allocate() {
            Ok(()) => Ok(Spare { name, file, len }),
            Err(error) => {
                self.place.remove(&name).ok();
                Err(error)
            }
        }
    }

    /// Begins a segment with room for a frame of `needed` bytes.
    fn switch(&mut self, needed: u64, at_ms: u64, identity: &mut IdentityFile) -> io::Result<()> {
        let needed = SEGMENT_HEADER_BYTES + needed;
        // Since that was named there was no frame, so it begins where it should.
        let (name, next) = match self.named.take().filter(|(_, next)| next.len >= needed) {
            Some(named) => named,
            None => self.name_next(needed, at_ms)?,
        };
        assert_eq!(next.first, self.end.sequence + 1, "a segment begins behind the last frame");
        // Before there is a frame in it: a segment with frames that the identity does not know was left
        // behind where an older copy was put back.
        if let Err(error) = identity.set_newest(&name) {
            // It may be named there by now, so it stays, and nothing more gets into the one before it: that
            // has to end where this one begins.
            (self.current, self.named) = (None, Some((name, next)));
            return Err(error);
        }
        self.current = Some(next);
        self.next_bytes = (2 * self.next_bytes).min(self.segment_max_bytes);
        Ok(())
    }

    /// Writes the header of the next segment, and gives it its name.
    fn name_next(&mut self, needed: u64, at_ms: u64) -> io::Result<(String, Current)> {
        let spare = self.spare_of(needed)?;
        let stat = spare.file.stat()?;
        let header = SegmentHeader {
            salt: random::bytes(),
            timeline: self.end.timeline,
            fork: self.fork,
            first: self.end.sequence + 1,
            chain: self.end.chain,
            inode: stat.inode,
            born_ns: stat.born_ns,
            at_ms,
        };
        let name = numbered(SEGMENT, header.first);
        let begin = || {
            spare.file.write_at(&header.to_bytes(), 0)?;
            spare.file.sync()?;
            self.place.rename(&spare.name, &name)
        };
        if let Err(error) = begin() {
            // Under either name it has no frame, so it is as good as not there.
            drop(self.place.remove(&spare.name).and_then(|()| self.place.remove(&name)));
            return Err(error);
        }
        let (first, salt, offset) = (header.first, header.salt, SEGMENT_HEADER_BYTES);
        Ok((name, Current { file: spare.file, first, salt, offset, len: spare.len }))
    }

    /// The segment that was made ready if it is long enough, or another.
    fn spare_of(&mut self, needed: u64) -> io::Result<Spare> {
        match self.spare.take() {
            Some(spare) if spare.len >= needed => return Ok(spare),
            Some(unfit) => self.place.remove(&unfit.name)?,
            None => {}
        }
        // On a disk that is nearly full a short one does.
        match self.allocate(self.next_bytes.max(needed)) {
            Err(error) if is_full(&error) => self.allocate(needed.max(SHORT_SEGMENT_BYTES)),
            allocated => allocated,
        }
    }

    /// Gives back the room of the present segment that was not used. What was written stays, and so does the
    /// next segment: the next start may find no room for another.
    pub fn close(&mut self) -> io::Result<()> {
        match self.current.take() {
            Some(current) => {
                current.file.set_len(current.offset)?;
                current.file.sync()
            }
            None => Ok(()),
        }
    }
}

impl Current {
    /// Makes sure that a frame is not found by a start whose sync met the end of the disk. Gives the error,
    /// which is one of room only if that is certain.
    fn take_back(&self, error: io::Error) -> io::Error {
        if !is_full(&error) {
            return error;
        }
        let nothing = [0; frame::FRAME_HEADER_BYTES];
        let taken_back = self.file.write_at(&nothing, self.offset).and_then(|()| self.file.sync());
        match taken_back {
            Ok(()) => error,
            Err(_) => io::Error::other(format!("whether a frame is on the disk is not known: {error}")),
        }
    }
}
