//! The history that the segments of a place tell.

use super::super::place::Place;
use super::super::position::{Fork, Position, Timeline};
use super::frame::Frame;
use super::segment::{Broken, Frames, Segment};
use std::io;

/// The segments of a place.
#[derive(Debug)]
pub struct History {
    segments: Vec<Segment>,
    /// The segments whose headers are not whole.
    broken: Vec<Broken>,
}

/// Where the frames that follow each other end.
#[derive(Debug)]
pub struct End {
    /// The last of them.
    pub position: Position,
    /// Whether the place from which it was followed is on a segment here, or right before one.
    pub is_known: bool,
    /// When it was written; none where there was no frame.
    pub at_ms: Option<u64>,
    /// Whether the place from which it was followed was found behind frames that are damaged.
    pub is_skipped: bool,
    /// How many bytes the frames that were passed have.
    pub bytes: u64,
    /// The number of a whole frame behind the end, that nothing leads to.
    pub later: Option<u64>,
    /// The timelines that were left on the way.
    pub forks: Vec<Fork>,
    /// Which segments were passed, and where their frames end.
    passed: Vec<Option<u64>>,
}

/// Why the frames cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The disk does not give them.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Two of them come behind the same one.
    #[error("two histories go on behind frame {0}")]
    TwoWays(u64),
    /// What a frame says cannot be done.
    #[error("{0}")]
    Unusable(String),
}

impl History {
    /// Reads what there is at a place.
    pub fn read(place: &Place) -> io::Result<Self> {
        let (segments, broken) = Segment::all(place)?;
        Ok(Self { segments, broken })
    }

    /// The segments in the order of their first frames.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where a ledger that has no snapshot begins.
    pub fn start(&self) -> Option<Position> {
        // A timeline that was begun before there was a frame begins there, too.
        let first = |segment: &&Segment| segment.header.first == 1;
        self.segments.iter().find(first).map(|segment| segment.header.before())
    }

    /// About how many bytes of frames there are behind a snapshot.
    pub fn bytes_behind(&self, snapshot: Option<Position>) -> u64 {
        let behind = snapshot.map_or(0, |position| position.sequence);
        let is_behind = |segment: &&Segment| segment.header.first > behind;
        self.segments.iter().filter(is_behind).map(|segment| segment.len).sum()
    }

    /// The names of the segments whose headers are not whole.
    pub fn broken(&self) -> impl Iterator<Item = &str> {
        self.broken.iter().map(|broken| broken.name.as_str())
    }

    /// A segment behind all others whose header was damaged: it was synced before the segment had its name,
    /// and nothing else says which frames there were. Where there is a later one, frames that are missed are
    /// missed there.
    pub fn damaged_end(&self) -> Option<&str> {
        let last = self.segments.last().map_or(0, |segment| segment.header.first);
        let is_end = |broken: &&Broken| !broken.is_short && broken.first.is_none_or(|first| first >= last);
        self.broken.iter().find(is_end).map(|broken| broken.name.as_str())
    }

    /// Whether nothing was ever committed.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.broken.is_empty()
    }

    /// Goes through all frames behind `from`, in their order.
    pub fn follow(
        &self,
        from: Position,
        mut each: impl FnMut(&Frame) -> Result<(), FollowError>,
    ) -> Result<End, FollowError> {
        let passed = vec![None; self.segments.len()];
        let (forks, at_ms) = (Vec::new(), None);
        let mut end = End {
            position: from,
            is_known: true,
            is_skipped: false,
            at_ms,
            bytes: 0,
            later: None,
            forks,
            passed,
        };
        let mut at = self.holder_of(from, &mut end)?;
        if at.is_none() {
            at = self.next(&end.position)?;
            let is_new = from.sequence == 0 && self.segments.is_empty();
            end.is_known = at.is_some() || is_new || self.segments.iter().any(|one| leads_to(one, &from));
        }
        while let Some((index, mut frames)) = at {
            let header = &self.segments[index].header;
            if header.timeline != end.position.timeline {
                let left = Fork { parent: end.position.timeline, sequence: end.position.sequence };
                end.forks.push(left);
                // There may have been one between them that had no frame.
                end.forks.extend(header.fork.filter(|fork| *fork != left));
            }
            while let Some(frame) = frames.next()? {
                each(&frame)?;
                (end.position, end.at_ms) = (frame.position, Some(frame.at_ms));
                end.bytes += frame.payload.len() as u64;
            }
            end.passed[index] = Some(frames.offset());
            end.later = frames.find_later(0)?;
            at = self.next(&end.position)?;
        }
        end.later = [end.later, self.later_than(&end)?].into_iter().flatten().min();
        Ok(end)
    }

    /// Whether nothing comes behind a place that is on a segment, or right before one.
    pub fn ends_with(&self, place: Position) -> Result<bool, FollowError> {
        let end = self.follow(place, |_| Ok(()))?;
        Ok(end.is_known && end.position == place)
    }

    /// Whether frames of a timeline are here.
    pub fn has_timeline(&self, timeline: Timeline) -> bool {
        self.segments.iter().any(|segment| segment.header.timeline == timeline)
    }

    /// The number of a whole frame above a number, wherever it is but on timelines that were left before.
    pub fn whole_frame_above(&self, sequence: u64, left: &[Fork]) -> io::Result<Option<u64>> {
        let is_left = |fork: &Fork, segment: &Segment| {
            fork.parent == segment.header.timeline && fork.sequence <= sequence
        };
        for segment in &self.segments {
            if left.iter().any(|fork| is_left(fork, segment)) {
                continue;
            }
            let mut frames = segment.frames();
            while let Some(frame) = frames.next()? {
                if frame.position.sequence > sequence {
                    return Ok(Some(frame.position.sequence));
                }
            }
            if let Some(found) = frames.find_later(sequence)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The segments with frames that are no part of what was followed, though they begin behind its end.
    pub fn left_out(&self, end: &End) -> io::Result<Vec<&Segment>> {
        let mut left = Vec::new();
        for (segment, passed) in self.segments.iter().zip(&end.passed) {
            let is_behind = passed.is_none() && segment.header.first > end.position.sequence;
            if is_behind && segment.has_frames()? {
                left.push(segment);
            }
        }
        Ok(left)
    }

    /// The segment with the frame of a place, read up to it.
    fn holder_of(&self, from: Position, end: &mut End) -> io::Result<Option<(usize, Frames<'_>)>> {
        for (index, segment) in self.segments.iter().enumerate().rev() {
            if segment.header.timeline != from.timeline || segment.header.first > from.sequence {
                continue;
            }
            let mut frames = segment.frames();
            let mut found = None;
            while let Some(frame) = frames.next()? {
                if frame.position.sequence == from.sequence {
                    found = Some(frame);
                    break;
                }
            }
            match found {
                Some(frame) if frame.position.chain == from.chain => {
                    end.at_ms = Some(frame.at_ms);
                    return Ok(Some((index, frames)));
                }
                // What comes before it may be damaged, and is not needed.
                None if frames.skip_to(from)? => {
                    end.is_skipped = true;
                    return Ok(Some((index, frames)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The segment whose frames come behind a place.
    fn next(&self, end: &Position) -> Result<Option<(usize, Frames<'_>)>, FollowError> {
        let mut found: Option<(usize, &Segment)> = None;
        for (index, segment) in self.segments.iter().enumerate() {
            if !leads_to(segment, end) || !segment.has_frames()? {
                continue;
            }
            if let Some((_, other)) = found
                && other.header.timeline != segment.header.timeline
            {
                return Err(FollowError::TwoWays(end.sequence));
            }
            found = Some((index, segment));
        }
        Ok(found.map(|(index, segment)| (index, segment.frames())))
    }

    /// The number of a frame that is behind the end on its timeline, and to which nothing leads.
    fn later_than(&self, end: &End) -> io::Result<Option<u64>> {
        let Position { timeline, sequence, .. } = end.position;
        for (segment, passed) in self.segments.iter().zip(&end.passed) {
            let header = &segment.header;
            let is_later = header.timeline == timeline && header.first > sequence;
            if passed.is_none() && is_later && segment.has_frames()? {
                return Ok(Some(header.first));
            }
        }
        Ok(None)
    }

    /// A timeline beside the one that was followed, if its frames are here, too: `lineage` are those that
    /// were left on the way to the end, with the last frame of each that counts.
    pub fn other_than(&self, end: &End, lineage: &[Fork]) -> io::Result<Option<Timeline>> {
        for (segment, passed) in self.segments.iter().zip(&end.passed) {
            let timeline = segment.header.timeline;
            if passed.is_some() || timeline == end.position.timeline || !segment.has_frames()? {
                continue;
            }
            let Some(fork) = lineage.iter().find(|fork| fork.parent == timeline) else {
                return Ok(Some(timeline));
            };
            if !self.is_followed(segment, fork.sequence) && goes_on_behind(segment, fork.sequence)? {
                return Ok(Some(timeline));
            }
        }
        Ok(None)
    }

    /// Whether another segment of its timeline begins behind it, and not behind the frame at which that was
    /// left: then it ends before that, and need not be read.
    fn is_followed(&self, segment: &Segment, left: u64) -> bool {
        self.segments.iter().any(|other| {
            let (first, other) = (segment.header.first, &other.header);
            other.timeline == segment.header.timeline && other.first > first && other.first <= left + 1
        })
    }

    /// The segments that were passed with where their frames end.
    pub fn passed<'a>(&'a self, end: &'a End) -> impl Iterator<Item = (&'a Segment, u64)> {
        self.segments.iter().zip(&end.passed).filter_map(|(segment, passed)| Some((segment, (*passed)?)))
    }
}

/// Whether the frames of a segment come behind a place: its checksum covers all that was before, so no other
/// history has it.
fn leads_to(segment: &Segment, end: &Position) -> bool {
    segment.header.first == end.sequence + 1 && segment.header.chain == end.chain
}

/// Whether unbroken frames of a segment go on behind the frame at which its timeline was left.
fn goes_on_behind(segment: &Segment, left: u64) -> io::Result<bool> {
    if segment.header.first > left + 1 {
        // What leads there is not whole: it was left behind once already.
        return Ok(false);
    }
    let mut frames = segment.frames();
    while let Some(frame) = frames.next()? {
        if frame.position.sequence > left {
            return Ok(true);
        }
    }
    Ok(false)
}
