//! What is done without a request: at the start, and every now and then.

use super::collect::{Collected, Round};
use super::copy::{CopyReport, Placement};
use super::error::Error;
use super::{Registry, clock};
use crate::store::tables::{INCOMPLETE, UPLOAD};
use crate::store::{KeyRange, Origin, Read, Recovery, StoreError};
use std::sync::atomic::Ordering;

/// How many upload rows are looked at in one snapshot.
const PAGE_ROWS: usize = 512;

/// How many steps of collecting are made before the room on the disk is looked at again.
const STEPS_FOR_ROOM: u64 = 64;

impl Registry {
    /// Brings the files in line with the ledger after whatever happened before this start, and rows and
    /// files of a copy together.
    pub fn recover(&self) -> Result<Recovery, Error> {
        let (is_settled, copy) = self.settle_placement()?;
        let mut found = Recovery { copy, ..self.store.recover()? };
        if is_settled {
            self.store.settle()?;
        }
        let incomplete =
            self.store.read(|rows| Ok::<_, Error>(rows.first(&INCOMPLETE, &KeyRange::all())?))?;
        self.has_incomplete.store(incomplete.is_some(), Ordering::Relaxed);
        // A start needs no room; they end later.
        let ended = unless_full(self.end_idle_uploads())?;
        self.load_accounts()?;
        self.unlinked_at_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        // A rule that was written wrongly is seen by `gc --dry-run` before it acts.
        self.retained_at_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        found.open_sessions = found.open_sessions.saturating_sub(ended);
        Ok(found)
    }

    /// How the directory came to be where it is, where it is not the original.
    fn placement(&self) -> Option<Placement> {
        match self.store.opened().origin {
            Origin::New | Origin::Original => None,
            Origin::Touched => Some(Placement::PutBack),
            Origin::Copy => Some(Placement::Copied),
        }
    }

    /// Brings rows and files together where the directory is not the original; says whether they are, and
    /// what was found.
    fn settle_placement(&self) -> Result<(bool, Option<String>), Error> {
        let Some(placement) = self.placement() else { return Ok((true, None)) };
        // Whoever put files here need not have waited until they were on the disk.
        self.store.sync_file_system()?;
        match self.settle_copy(placement) {
            Ok(report) => {
                let words = self.words_of_copy(placement, &report);
                log::info!("{words}");
                Ok((true, Some(words)))
            }
            // A start needs no room. The next one does it.
            Err(Error::Store(StoreError::Full)) if placement == Placement::PutBack => {
                log::warn!("rows and files are not compared: the registry's disk is full");
                Ok((false, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Brings the rows of a copy in line with its files, as a start would, if the directory is one; says what
    /// that was. For a registry that is only looked at: nothing on the disk changes.
    pub fn look_at_copy(&self) -> Result<Option<String>, Error> {
        let Some(placement) = self.placement() else { return Ok(None) };
        let report = self.settle_copy(placement)?;
        Ok(Some(self.words_of_copy(placement, &report)))
    }

    fn words_of_copy(&self, placement: Placement, report: &CopyReport) -> String {
        let opened = self.store.opened();
        let what = match placement {
            Placement::Copied => "a copy",
            Placement::PutBack => "a ledger that was touched, or cut off while it was written to,",
        };
        let as_of = opened.as_of_ms.map_or_else(|| "its last commit".to_owned(), clock::rfc3339);
        let mut words = vec![format!("opened {what} as of {as_of}"), report.to_string()];
        words.extend(opened.notes.iter().cloned());
        words.join("; ")
    }

    /// One round of what is done every now and then: ends idle uploads, collects what is due, and unlinks
    /// collected files. Says whether there is more to do at once.
    pub fn keep_house(&self) -> Result<bool, Error> {
        let settings = self.config().settings.clone();
        let mut files = self.make_room()?;
        files += unless_full(self.unlink_if_due(settings.unlink_batch_secs * 1000))?;
        let uploads = unless_full(self.end_idle_uploads())?;
        let steps = settings.gc_steps_per_sec;
        let ruled = self.enforce_rules_if_due(settings.retention_secs * 1000, steps);
        let (ruled, more) = unless_full(ruled)?;
        // A row that cannot be read keeps nothing else from being done.
        or_later("old history of tags is not forgotten", self.forget_old_history());
        or_later("old acts are not forgotten", self.forget_old_acts());
        let collected = unless_full(self.collect(Round { ends_keeping: false, steps }))?;
        let Collected { leases, manifests, blobs, blob_bytes, .. } = collected;
        if uploads + files > 0 || ruled + leases + manifests + blobs > 0 {
            log::info!(
                "ended {uploads} idle uploads and {leases} leases, deleted {ruled} manifests by rule, \
                 dropped {manifests} deleted manifests and {blobs} blobs of {blob_bytes} bytes, unlinked \
                 {files} files"
            );
        }
        or_later("uses of tokens are not written", self.write_due_token_uses());
        or_later("expired tokens are not dropped", self.drop_expired_tokens());
        or_later("the keys that sign are not changed", self.rotate_signing_keys());
        Ok((collected.unfinished || more) && steps > 0)
    }

    /// Unlinks collected files, in batches: a copy of the directory that is being made shall not miss them.
    fn unlink_if_due(&self, wait_ms: u64) -> Result<usize, Error> {
        let now_ms = self.clock.now_ms();
        let is_due = clock::has_passed(self.unlinked_at_ms.load(Ordering::Relaxed), wait_ms, now_ms);
        if !is_due || self.store.holds_files() {
            return Ok(0);
        }
        let files = self.sweep()?;
        self.unlinked_at_ms.store(now_ms, Ordering::Relaxed);
        Ok(files)
    }

    /// Says how many manifests the rules took, and whether there is more for them to take at once.
    fn enforce_rules_if_due(&self, wait_ms: u64, steps: u64) -> Result<(u64, bool), Error> {
        let now_ms = self.clock.now_ms();
        if !clock::has_passed(self.retained_at_ms.load(Ordering::Relaxed), wait_ms, now_ms) {
            return Ok((0, false));
        }
        let (deleted, unfinished) = self.enforce_rules(steps)?;
        if !unfinished {
            self.retained_at_ms.store(now_ms, Ordering::Relaxed);
        }
        Ok((deleted, unfinished))
    }

    /// Unlinks collected files; says how many.
    pub(super) fn sweep(&self) -> Result<usize, Error> {
        let files = self.store.sweep_tombstones(|| !self.is_stopping())?;
        self.meters.files.add(files as u64);
        Ok(files)
    }

    /// Where the disk has less room than the floor, what is deleted does not wait: the oldest goes first, and
    /// only as much as it takes. Where collecting pauses, only what is collected already is unlinked.
    fn make_room(&self) -> Result<usize, Error> {
        let mut files = 0;
        // While a backup keeps the files, ending the wait of what is deleted would free nothing.
        while !self.is_stopping()
            && !self.store.holds_files()
            && matches!(self.expect_room(0), Err(Error::NoRoom { .. }))
        {
            // Before anything is collected: that takes room, and there may be none at all.
            let unlinked = unless_full(self.sweep())?;
            files += unlinked;
            if unlinked > 0 {
                continue;
            }
            // Looked at each time, since a reload may end a round that takes long.
            let pauses = self.config().settings.gc_steps_per_sec == 0;
            let steps = if pauses { 0 } else { STEPS_FOR_ROOM };
            let collected = unless_full(self.collect(Round { ends_keeping: true, steps }))?;
            // What it only looked at makes no room.
            let nothing = Collected { unfinished: collected.unfinished, ..Collected::default() };
            if pauses || collected == nothing {
                break;
            }
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
                if self.is_stopping() {
                    return Ok(ended);
                }
                if upload.touched_at_ms <= idle_since_ms && self.end_idle_session(session, idle_since_ms)? {
                    ended += 1;
                }
            }
        }
    }
}

/// What can be done another time, and is no reason to leave the rest undone.
fn or_later<T: Default>(what: &str, outcome: Result<T, Error>) {
    if let Err(error) = unless_full(outcome) {
        log::error!("{what}, which is tried again: {error}");
    }
}

/// What the ledger has no room for waits, and keeps nothing else from being done.
fn unless_full<T: Default>(outcome: Result<T, Error>) -> Result<T, Error> {
    match outcome {
        Err(Error::Store(StoreError::Full)) => {
            log::warn!("a part of the housekeeping has to wait: the registry's disk is full");
            Ok(T::default())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::scene::{Scene, digest};
    use crate::store::tables::TOMBSTONE;
    use crate::store::{Location, Room};

    /// An image's files are collected and wait to be unlinked; a deleted image waits to be collected.
    fn scene_below_the_floor() -> Scene {
        let scene = Scene::new(|config| config.settings.unlink_batch_secs = 24 * 60 * 60);
        let gone = scene.push_image("team/app", "v1", &[b"gone"]);
        scene.delete("team/app", gone);
        scene.registry.collect(Round { ends_keeping: true, steps: u64::MAX }).unwrap();
        let deleted = scene.push_image("team/app", "v2", &[b"deleted"]);
        scene.delete("team/app", deleted);
        scene.registry.store.faults.set_room(Some(Room { free: 0, total: 1 << 40 }));
        scene
    }

    fn waiting_files(scene: &Scene) -> u64 {
        scene.registry.garbage().unwrap().files.0
    }

    #[test]
    fn without_a_byte_what_is_collected_is_unlinked_first() {
        let scene = scene_below_the_floor();
        let files = waiting_files(&scene);
        assert!(files > 0);
        // The first write that is refused is the one after the unlinking, or whatever is tried before it.
        scene.registry.store.faults.refuse_writes(1);
        scene.registry.make_room().unwrap();
        assert_eq!(waiting_files(&scene), 0);
        assert!(!scene.is_stored(digest(b"deleted")), "and then what is deleted goes");
    }

    #[test]
    fn a_full_ledger_keeps_nothing_from_being_unlinked() {
        let scene = scene_below_the_floor();
        scene.clock.advance_ms(2 * 24 * 60 * 60 * 1000);
        scene.registry.store.faults.set_room(None);
        scene.registry.store.faults.refuse_writes(u64::MAX);
        scene.registry.keep_house().unwrap();
        let rows = scene.registry.store.snapshot().unwrap();
        for ((digest, session), _) in rows.page(&TOMBSTONE, &KeyRange::all(), PAGE_ROWS).unwrap() {
            let location = Location { digest, session };
            assert_eq!(scene.registry.store.dir().blob_size(&location).unwrap(), None);
        }
        scene.registry.store.faults.refuse_writes(0);
        scene.registry.keep_house().unwrap();
    }

    #[test]
    fn a_pause_holds_below_the_floor_too() {
        let scene = scene_below_the_floor();
        let mut config = (*scene.registry.config()).clone();
        config.settings.gc_steps_per_sec = 0;
        scene.registry.set_config(config);
        scene.registry.keep_house().unwrap();
        assert_eq!(waiting_files(&scene), 0, "what was collected already");
        assert!(scene.is_stored(digest(b"deleted")));
    }

    #[test]
    fn nothing_more_is_done_once_the_end_has_come() {
        let scene = scene_below_the_floor();
        let files = waiting_files(&scene);
        scene.registry.stop();
        scene.registry.keep_house().unwrap();
        scene.clock.advance_ms(2 * 24 * 60 * 60 * 1000);
        assert_eq!(scene.round(), Collected { unfinished: true, ..Collected::default() });
        assert_eq!(scene.registry.collect_now().unwrap().files, 0);
        assert_eq!(waiting_files(&scene), files);
        assert!(scene.is_stored(digest(b"deleted")));
    }
}
