//! What is done without a request: at the start, and every now and then.

use super::Registry;
use super::collect::{Collected, Round};
use super::error::Error;
use crate::store::tables::UPLOAD;
use crate::store::{KeyRange, Read, Recovery, StoreError};
use std::sync::atomic::Ordering;

/// How many upload rows are looked at in one snapshot.
const PAGE_ROWS: usize = 512;

/// How many steps of collecting are made before the room on the disk is looked at again.
const STEPS_FOR_ROOM: u64 = 64;

impl Registry {
    /// Brings the files in line with the ledger after whatever happened before this start.
    pub fn recover(&self) -> Result<Recovery, Error> {
        let mut found = self.store.recover()?;
        let ended = match self.end_idle_uploads() {
            // A start needs no room; they end later.
            Err(Error::Store(StoreError::Full)) => 0,
            ended => ended?,
        };
        self.unlinked_at_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        found.open_sessions = found.open_sessions.saturating_sub(ended);
        Ok(found)
    }

    /// One round of what is done every now and then: ends idle uploads, collects what is due, and unlinks
    /// collected files. Says whether there is more to do at once.
    pub fn keep_house(&self) -> Result<bool, Error> {
        let settings = self.config().settings.clone();
        let mut files = self.make_room()?;
        files += self.unlink_if_due(settings.unlink_batch_secs * 1000)?;
        let uploads = self.end_idle_uploads()?;
        let steps = settings.gc_steps_per_sec;
        let (ruled, more) = self.enforce_rules_if_due(settings.retention_secs * 1000, steps)?;
        self.forget_old_history()?;
        let collected = self.collect(Round { ends_keeping: false, steps })?;
        let Collected { leases, manifests, blobs, blob_bytes, .. } = collected;
        if uploads + files > 0 || ruled + leases + manifests + blobs > 0 {
            log::info!(
                "ended {uploads} idle uploads and {leases} leases, deleted {ruled} manifests by rule, \
                 dropped {manifests} deleted manifests and {blobs} blobs of {blob_bytes} bytes, unlinked \
                 {files} files"
            );
        }
        Ok((collected.unfinished || more) && steps > 0)
    }

    /// Unlinks collected files, in batches: a copy of the directory that is being made shall not miss them.
    fn unlink_if_due(&self, wait_ms: u64) -> Result<usize, Error> {
        let now_ms = self.clock.now_ms();
        if now_ms.saturating_sub(self.unlinked_at_ms.load(Ordering::Relaxed)) < wait_ms {
            return Ok(0);
        }
        let files = self.store.sweep_tombstones()?;
        self.unlinked_at_ms.store(now_ms, Ordering::Relaxed);
        Ok(files)
    }

    /// Says how many manifests the rules took, and whether there is more for them to take at once.
    fn enforce_rules_if_due(&self, wait_ms: u64, steps: u64) -> Result<(u64, bool), Error> {
        let now_ms = self.clock.now_ms();
        if now_ms.saturating_sub(self.retained_at_ms.load(Ordering::Relaxed)) < wait_ms {
            return Ok((0, false));
        }
        let (deleted, unfinished) = self.enforce_rules(steps)?;
        if !unfinished {
            self.retained_at_ms.store(now_ms, Ordering::Relaxed);
        }
        Ok((deleted, unfinished))
    }

    /// Where the disk has less room than the floor, what is deleted does not wait: the oldest goes first, and
    /// only as much as it takes.
    fn make_room(&self) -> Result<usize, Error> {
        let mut files = 0;
        while matches!(self.expect_room(0), Err(Error::NoRoom { .. })) {
            let collected = self.collect(Round { ends_keeping: true, steps: STEPS_FOR_ROOM })?;
            let unlinked = self.store.sweep_tombstones()?;
            if unlinked == 0 && collected == Collected::default() {
                break;
            }
            files += unlinked;
        }
        Ok(files)
    }

    /// Ends the sessions that nobody wrote to for `upload_idle_secs`; says how many.
    fn end_idle_uploads(&self) -> Result<usize, Error> {
        let idle_since_ms = self.clock.now_ms().saturating_sub(self.upload_idle_ms());
        let mut ended = 0;
        let mut range = KeyRange::all();
        loop {
            let page = self.store.read(|rows| Ok::<_, Error>(rows.page(&UPLOAD, &range, PAGE_ROWS)?))?;
            let Some((last, _)) = page.last() else { return Ok(ended) };
            range = range.after(last);
            for (session, upload) in page {
                if upload.touched_at_ms <= idle_since_ms && self.end_idle_session(session, idle_since_ms)? {
                    ended += 1;
                }
            }
        }
    }
}
