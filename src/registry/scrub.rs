//! The scrub: every stored file is read again now and then, little by little, so that damage is found while
//! there is still somebody to push the image again.
//!
//! It goes through the blobs in the order of their digests and reads each that was not known to be good for
//! `scrub_interval_secs`. When a file was good stands in its blob's row, and how far the scrub came in a row
//! of its own; both are written in batches, and a start goes on from there.

use super::Registry;
use super::damage::{Cursor, Good, Hashing, may_be_back};
use super::error::Error;
use crate::oci::Digest;
use crate::store::records::BlobRecord;
use crate::store::tables::{BLOB, SCRUB};
use crate::store::{Damage, KeyRange, Read, StoreError};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 256;

/// How many rows of blobs that are not due are passed over in one round.
const ROWS_MAX: usize = 64 * PAGE_ROWS;

/// How much of a file is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a file costs beside its bytes: it has to be found on the disk.
const FILE_COST_BYTES: u64 = 64 * 1024;

/// How many files are found good before that is written down.
const BATCH_FILES: usize = 1024;

/// How long what was found may wait to be written down, in milliseconds.
const BATCH_MS: u64 = 60_000;

/// The most time whose bytes a round may read, in milliseconds: what was not read while nothing ran is not
/// made up for.
const ROUND_MS: u64 = 1000;

/// What part of the interval lies at least between two beginnings: a pass that has little to read still goes
/// through all rows.
const PASSES_PER_INTERVAL: u64 = 64;

/// Where the scrub stands between two rounds.
#[derive(Default)]
pub struct Scrub {
    /// None before the first round.
    pass: Option<Pass>,
    /// When the last round was; none before the first.
    round_at_ms: Option<u64>,
    /// How many bytes may be read; less than 0 where the last round read more than it was to.
    allowance: i64,
    good: Vec<Good>,
    noted_at_ms: u64,
    buffer: Vec<u8>,
}

/// One way through the blobs.
struct Pass {
    began_at_ms: u64,
    /// Whether it began with the first blob, and not where the last start left off.
    is_whole: bool,
    is_over: bool,
    after: Option<Digest>,
    /// Rows that were read and not looked at.
    page: VecDeque<(Digest, BlobRecord)>,
    open: Option<Open>,
    /// When the file that waits longest was last good.
    oldest_good_ms: u64,
    totals: Scrubbed,
}

/// A file that is being read.
struct Open {
    digest: Digest,
    blob: BlobRecord,
    hashing: Hashing,
}

/// What the scrub did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files read to their end.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs found damaged.
    pub damaged: u64,
}

impl Pass {
    fn new(now_ms: u64, after: Option<Digest>) -> Self {
        Self {
            began_at_ms: now_ms,
            is_whole: after.is_none(),
            is_over: false,
            after,
            page: VecDeque::new(),
            open: None,
            oldest_good_ms: now_ms,
            totals: Scrubbed::default(),
        }
    }

    /// Goes on from a blob that is as good or bad as its row says.
    fn skip(&mut self, digest: Digest, blob: &BlobRecord) {
        self.after = Some(digest);
        if !blob.is_damaged() {
            self.oldest_good_ms = self.oldest_good_ms.min(blob.good_at_ms);
        }
    }

    /// Whether the next one is to begin.
    fn is_to_be_followed(&self, now_ms: u64, interval_ms: u64) -> bool {
        let is_due = now_ms >= self.oldest_good_ms.saturating_add(interval_ms);
        let rest_ms = (interval_ms / PASSES_PER_INTERVAL).max(ROUND_MS);
        self.is_over && (!self.is_whole || is_due && now_ms >= self.began_at_ms.saturating_add(rest_ms))
    }
}

impl Registry {
    /// Reads on, as much as the setting allows for the time since the last round. Says what it did.
    pub fn scrub(&self, scrub: &mut Scrub) -> Result<Scrubbed, Error> {
        let now_ms = self.clock.now_ms();
        let settings = self.config().settings.clone();
        let interval_ms = settings.scrub_interval_secs * 1000;
        let since_ms = scrub.round_at_ms.map_or(ROUND_MS, |last_ms| now_ms.saturating_sub(last_ms));
        scrub.round_at_ms = Some(now_ms);
        let rate = settings.scrub_bytes_per_second;
        let earned = signed(rate * since_ms.min(ROUND_MS) / 1000);
        scrub.allowance = (scrub.allowance + earned).min(signed(rate));
        if rate == 0 {
            return Ok(Scrubbed::default());
        }
        self.begin_pass(scrub, now_ms, interval_ms)?;
        let done = self.read_on(scrub, interval_ms)?;
        let is_late = now_ms.saturating_sub(scrub.noted_at_ms) >= BATCH_MS;
        let is_over = scrub.pass.as_ref().is_some_and(|pass| pass.is_over);
        if scrub.good.len() >= BATCH_FILES || (is_late || is_over) && !scrub.good.is_empty() {
            self.note_scrub(scrub)?;
        }
        Ok(done)
    }

    /// Writes down what was found and how far the scrub came.
    pub fn note_scrub(&self, scrub: &mut Scrub) -> Result<(), Error> {
        let Some(pass) = &scrub.pass else { return Ok(()) };
        scrub.noted_at_ms = self.clock.now_ms();
        let cursor = pass.after.filter(|_| !pass.is_over).map_or(Cursor::First, Cursor::After);
        self.note_good(std::mem::take(&mut scrub.good), cursor)
    }

    fn begin_pass(&self, scrub: &mut Scrub, now_ms: u64, interval_ms: u64) -> Result<(), Error> {
        let after = match &scrub.pass {
            None => {
                scrub.noted_at_ms = now_ms;
                scrub.buffer = vec![0; BUFFER_BYTES];
                let row = self.store.read(|rows| Ok::<_, Error>(rows.get(&SCRUB, &())?))?;
                row.map(|row| row.after)
            }
            Some(pass) if pass.is_to_be_followed(now_ms, interval_ms) => None,
            Some(_) => return Ok(()),
        };
        self.store.set_aside();
        scrub.pass = Some(Pass::new(now_ms, after));
        Ok(())
    }

    fn read_on(&self, scrub: &mut Scrub, interval_ms: u64) -> Result<Scrubbed, Error> {
        let mut done = Scrubbed::default();
        let mut rows_left = ROWS_MAX;
        let Scrub { pass: Some(pass), allowance, good, buffer, .. } = scrub else { return Ok(done) };
        while *allowance > 0 && !pass.is_over && !self.is_stopping() {
            let Some(open) = &mut pass.open else {
                if rows_left == 0 {
                    break;
                }
                rows_left -= 1;
                if self.open_next(pass, interval_ms, good, &mut done)? {
                    *allowance -= signed(FILE_COST_BYTES);
                }
                continue;
            };
            let count = usize::try_from(*allowance).unwrap_or(usize::MAX).min(buffer.len());
            let outcome = match open.hashing.read(&mut buffer[..count]) {
                Ok(count) => {
                    *allowance -= signed(count as u64);
                    done.bytes += count as u64;
                    if open.hashing.left() > 0 {
                        continue;
                    }
                    open.hashing.forget_cached();
                    Ok(open.hashing.damage())
                }
                Err(error) => Damage::judge(error).map(Some),
            };
            if let Some(Open { digest, blob, .. }) = pass.open.take() {
                self.end_file(pass, (digest, blob), outcome, good, &mut done);
            }
        }
        pass.totals.add(done);
        self.meters.scrubbed_files.add(done.files);
        self.meters.scrubbed_bytes.add(done.bytes);
        if pass.is_over && done != Scrubbed::default() {
            let Scrubbed { files, bytes, damaged } = pass.totals;
            log::info!("scrub: read {files} files of {bytes} bytes, {damaged} of them are damaged");
        }
        Ok(done)
    }

    /// Goes on to the next blob, and opens its file if it is to be read; says whether it did.
    fn open_next(
        &self,
        pass: &mut Pass,
        interval_ms: u64,
        good: &mut Vec<Good>,
        done: &mut Scrubbed,
    ) -> Result<bool, Error> {
        if pass.page.is_empty() {
            let range = KeyRange::all();
            let range = pass.after.map_or(range.clone(), |after| range.after(&after));
            pass.page = self.store.read(|rows| Ok::<_, Error>(rows.page(&BLOB, &range, PAGE_ROWS)?))?.into();
        }
        let Some((digest, blob)) = pass.page.pop_front() else {
            pass.is_over = true;
            if pass.is_whole {
                self.meters.oldest_good_ms.store(pass.oldest_good_ms, Ordering::Relaxed);
                self.meters.scrub_ended_at_ms.store(self.clock.now_ms(), Ordering::Relaxed);
            }
            return Ok(false);
        };
        if !self.is_to_be_read(digest, &blob, interval_ms)? {
            pass.skip(digest, &blob);
            return Ok(false);
        }
        match self.store.open_blob(digest, &blob) {
            Ok(file) => {
                let hashing = Hashing::new(digest, file);
                // What the machine has in its memory is not what the disk has.
                hashing.forget_cached();
                pass.open = Some(Open { digest, blob, hashing });
            }
            Err(StoreError::Io(error)) => {
                let outcome = Damage::judge(error).map(Some);
                self.end_file(pass, (digest, blob), outcome, good, done);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    fn is_to_be_read(&self, digest: Digest, blob: &BlobRecord, interval_ms: u64) -> Result<bool, Error> {
        if !blob.is_damaged() {
            return Ok(self.clock.now_ms() >= blob.good_at_ms.saturating_add(interval_ms));
        }
        let may_be_back = self.store.read(|rows| Ok::<_, Error>(may_be_back(rows, digest, blob)?))?;
        Ok(may_be_back && matches!(self.store.look_at_blob(digest, blob), Ok(None)))
    }

    /// Does what is to be done about a file that was read, or could not be.
    fn end_file(
        &self,
        pass: &mut Pass,
        (digest, blob): (Digest, BlobRecord),
        outcome: io::Result<Option<Damage>>,
        good: &mut Vec<Good>,
        done: &mut Scrubbed,
    ) {
        done.files += 1;
        let settled = match outcome {
            Ok(None) if blob.is_damaged() => self.take_back_mark(digest, &blob),
            Ok(None) => {
                let at_ms = self.clock.now_ms();
                good.push(Good { digest, session: blob.session, at_ms });
                pass.after = Some(digest);
                return;
            }
            Ok(Some(_)) if blob.is_damaged() => Ok(()),
            Ok(Some(damage)) => self.mark_damaged(digest, blob.session, &damage).map(|marked| {
                done.damaged += u64::from(marked);
            }),
            Err(error) => Err(StoreError::from(error).into()),
        };
        if let Err(error) = settled {
            log::error!("scrub: blob {digest} has to wait for the next time: {error}");
        }
        pass.skip(digest, &blob);
    }
}

impl Scrubbed {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.damaged += other.damaged;
    }
}

/// Rates and sizes of buffers are far below 2^63.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
