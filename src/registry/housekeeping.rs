//! What is done without a request: at the start, and every now and then.

use super::Registry;
use super::error::Error;
use crate::store::tables::UPLOAD;
use crate::store::{KeyRange, Read, Recovery, StoreError};

/// How many upload rows are looked at in one snapshot.
const PAGE_ROWS: usize = 512;

impl Registry {
    /// Brings the files in line with the ledger after whatever happened before this start.
    pub fn recover(&self) -> Result<Recovery, Error> {
        let mut found = self.store.recover()?;
        let ended = match self.end_idle_uploads() {
            // A start needs no room; they end later.
            Err(Error::Store(StoreError::Full)) => 0,
            ended => ended?,
        };
        found.open_sessions = found.open_sessions.saturating_sub(ended);
        Ok(found)
    }

    /// Ends idle uploads and unlinks what has a tombstone.
    pub fn keep_house(&self) -> Result<(), Error> {
        // Files first: on a full disk they make the room that the rows need.
        let swept = self.store.sweep_tombstones()?;
        let ended = self.end_idle_uploads()?;
        if ended + swept > 0 {
            log::info!("ended {ended} idle uploads, unlinked {swept} files");
        }
        Ok(())
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
