//! Uploads: begun, written to by one request at a time, left and gone on with, finished or given up.
//!
//! What a client was told of an upload's offset is synced and in the ledger. A request that breaks off leaves
//! the session where the last offset was made durable. So does one for whose bytes there is no room: those
//! behind the last durable offset are cut off at once, and their room is free for others.

use super::Registry;
use super::actor::Actor;
use super::audit::{self, Entry};
use super::error::Error;
use super::links::Judge;
use super::live::Claim;
use super::{ids, links, repositories};
use crate::oci::{Algorithm, ContentRange, Digest, Hasher, RepositoryName, SessionId};
use crate::store::records::{AuditAction, UploadRecord};
use crate::store::tables::UPLOAD;
use crate::store::{self, Read, RepoId, Staging, StoreError, Stored};
use std::time::Duration;

/// Bytes of one body after which the room on the disk is looked at again.
const ROOM_CHECK_BYTES: u64 = 4 * 1024 * 1024;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadStatus {
    /// The session.
    pub session: SessionId,
    /// How many bytes are durable.
    pub offset: u64,
}

/// Whose an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadOwner {
    /// Who began it.
    pub name: String,
    /// When, in milliseconds since the epoch.
    pub began_at_ms: u64,
}

/// An upload that this request alone is writing to.
pub struct Upload {
    repository: RepoId,
    staging: Staging,
    /// Held until the request's hold on the session ends.
    _claim: Claim,
    /// The offset that the ledger has.
    durable: u64,
    /// When that was written, or when this request took the upload.
    durable_since_ms: u64,
    /// Bytes since the room on the disk was looked at.
    unchecked: u64,
    /// There was no room: only the bytes up to `durable` are left.
    cut_off: bool,
    /// No offset is made durable before the request's body has ended.
    held_back: bool,
}

impl Upload {
    fn new(repository: RepoId, staging: Staging, claim: Claim, now_ms: u64) -> Self {
        let durable = staging.offset();
        Self {
            repository,
            staging,
            _claim: claim,
            durable,
            durable_since_ms: now_ms,
            unchecked: 0,
            cut_off: false,
            held_back: false,
        }
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.staging.offset()
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.staging.session()
    }

    /// Refuses a chunk that does not begin where the upload ends.
    pub fn expect_start(&self, range: ContentRange) -> Result<(), Error> {
        if range.first() == self.offset() {
            return Ok(());
        }
        Err(Error::RangeMismatch { session: self.session(), offset: self.offset() })
    }

    /// Lets no offset become durable before the request's body has ended: what turns out to be another length
    /// than was said must change nothing.
    pub fn hold_back(&mut self) {
        self.held_back = true;
    }

    /// Gives back the room of bytes that will not be acknowledged, where it is room that was lacking.
    fn cut_off_if_full(&mut self, outcome: &Result<(), Error>) {
        if !matches!(outcome, Err(Error::NoRoom { .. } | Error::Store(StoreError::Full))) {
            return;
        }
        self.cut_off = true;
        if let Err(error) = self.staging.cut_off(self.durable) {
            // The next request that goes on with it does the same.
            log::warn!("upload {} could not be cut off: {error}", self.session());
        }
    }
}

impl Registry {
    /// Begins an upload that is hashed with `algorithm` as its bytes come. The request announces `announced`
    /// of them. It is the owner's: whoever goes on with it has to be asked for that name.
    pub fn start_upload(
        &self,
        name: &RepositoryName,
        algorithm: Algorithm,
        announced: u64,
        owner: &str,
    ) -> Result<Upload, Error> {
        self.expect_room(announced)?;
        let session = ids::session();
        let claim = self.live.claim(session).expect("a new session is nobody's");
        let staging = self.store.create_staging(session, algorithm)?;
        let (name, fresh, now_ms) = (name.clone(), ids::repository(), self.clock.now_ms());
        let (owner, max) = (owner.to_owned(), self.config().settings.open_uploads_max);
        let hash_state = staging.hasher().state();
        let written = self.store.write(move |tx| {
            if tx.counter(&store::open_uploads(&owner))? >= max.cast_signed() {
                return Err(Error::TooManyUploads { owner: owner.clone(), max });
            }
            let repository = repositories::find_or_create(tx, &name, fresh, now_ms)?;
            let upload = UploadRecord {
                repository: repository.0,
                owner: owner.clone(),
                algorithm,
                offset: 0,
                hash_state: hash_state.clone(),
                started_at_ms: now_ms,
                touched_at_ms: now_ms,
            };
            store::put_upload(tx, session, &upload)?;
            Ok::<_, Error>(repository)
        });
        match written {
            Ok(repository) => Ok(Upload::new(repository, staging, claim, now_ms)),
            Err(error) => {
                self.store.discard_staging(session);
                Err(error)
            }
        }
    }

    /// Whose an upload is.
    pub fn upload_owner(&self, name: &RepositoryName, session: SessionId) -> Result<UploadOwner, Error> {
        let (_, upload) = self.find_upload(name, session)?;
        Ok(UploadOwner { name: upload.owner, began_at_ms: upload.started_at_ms })
    }

    /// Where an upload stands: what is durable of it.
    pub fn upload_status(&self, name: &RepositoryName, session: SessionId) -> Result<UploadStatus, Error> {
        let (_, upload) = self.find_upload(name, session)?;
        Ok(UploadStatus { session, offset: upload.offset })
    }

    /// Whether closing this session with this digest is done already: the session is over, and the blob is
    /// linked here. A proxy may have lost the answer.
    pub fn is_finished(
        &self,
        name: &RepositoryName,
        session: SessionId,
        digest: Digest,
    ) -> Result<bool, Error> {
        let now_ms = self.clock.now_ms();
        self.store.read(|rows| {
            if rows.contains(&UPLOAD, &session)? {
                return Ok(false);
            }
            let Some(repository) = repositories::find(rows, name)? else { return Ok(false) };
            let blob = links::linked_blob(rows, repository, digest, now_ms, Judge::ToTheEnd)?;
            Ok(blob.is_some())
        })
    }

    /// Takes an upload to write to it. Bytes that were never acknowledged are cut off. The request announces
    /// `announced` bytes, if it says how many.
    pub fn resume_upload(
        &self,
        name: &RepositoryName,
        session: SessionId,
        announced: Option<u64>,
    ) -> Result<Upload, Error> {
        // Another repository's session looks like none, before it can be seen to be busy.
        self.find_upload(name, session)?;
        // To close an upload whose bytes are all here takes no room worth speaking of.
        if announced != Some(0) {
            self.expect_room(announced.unwrap_or(0))?;
        }
        let claim = self.live.claim(session).ok_or(Error::UploadBusy(session))?;
        // Read again: until the claim another request could move it.
        let (repository, upload) = self.find_upload(name, session)?;
        let hasher = Hasher::restore(upload.algorithm, &upload.hash_state);
        let staging = self.store.resume_staging(session, upload.offset, upload.algorithm, hasher);
        let staging = staging.map_err(|error| self.unless_cancelled(session, error.into()))?;
        Ok(Upload::new(repository, staging, claim, self.clock.now_ms()))
    }

    /// A cancelled upload's file is gone at once, also from under a request that writes to it: whatever that
    /// failed at, it is the session that is not there.
    fn unless_cancelled(&self, session: SessionId, error: Error) -> Error {
        let there = self.store.read(|rows| Ok::<_, Error>(rows.contains(&UPLOAD, &session)?));
        if matches!(there, Ok(false)) { Error::UploadUnknown(session) } else { error }
    }

    /// Appends bytes, and makes the offset durable every now and then. Once there was no room, nothing more
    /// is taken: the ledger must not be told of bytes that were cut off.
    pub fn append(&self, upload: &mut Upload, bytes: &[u8]) -> Result<(), Error> {
        if upload.cut_off {
            return Err(StoreError::Full.into());
        }
        let appended = self.append_within_room(upload, bytes);
        upload.cut_off_if_full(&appended);
        appended
    }

    fn append_within_room(&self, upload: &mut Upload, bytes: &[u8]) -> Result<(), Error> {
        upload.unchecked += bytes.len() as u64;
        if upload.unchecked >= ROOM_CHECK_BYTES {
            self.expect_room(0)?;
            upload.unchecked = 0;
        }
        upload.staging.append(bytes).map_err(|error| self.store.disk_error(error))?;
        if self.is_checkpoint_due(upload) {
            self.checkpoint(upload)?;
        }
        Ok(())
    }

    /// So many bytes later, or so much time, of which a part has to be left before the session would be idle.
    fn is_checkpoint_due(&self, upload: &Upload) -> bool {
        if upload.held_back {
            return false;
        }
        let settings = &self.config().settings;
        let wait_secs = settings.upload_checkpoint_secs.min(settings.upload_idle_secs / 2);
        upload.offset() - upload.durable >= settings.upload_checkpoint_bytes
            || self.clock.now_ms().saturating_sub(upload.durable_since_ms) >= wait_secs * 1000
    }

    /// Ends the request's hold on an upload that goes on later. All its bytes are durable when this returns,
    /// but for those that there was no room for.
    pub fn leave_upload(&self, mut upload: Upload) -> Result<UploadStatus, Error> {
        if upload.cut_off {
            return Ok(UploadStatus { session: upload.session(), offset: upload.durable });
        }
        let checked = self.checkpoint(&mut upload);
        upload.cut_off_if_full(&checked);
        checked?;
        Ok(UploadStatus { session: upload.session(), offset: upload.offset() })
    }

    /// Ends the request's hold on an upload that stays where it was last durable: what came behind that must
    /// not count.
    pub fn forget_upload(&self, upload: Upload) -> Result<(), Error> {
        let cut = upload.staging.cut_off(upload.durable);
        drop(upload);
        cut.map_err(|error| self.store.disk_error(error).into())
    }

    /// Makes the bytes so far durable and then says so in the ledger.
    fn checkpoint(&self, upload: &mut Upload) -> Result<(), Error> {
        assert!(!upload.cut_off, "bytes that are gone are nobody's to acknowledge");
        let (session, offset, now_ms) = (upload.session(), upload.offset(), self.clock.now_ms());
        upload.durable_since_ms = now_ms;
        if offset == upload.durable {
            return Ok(());
        }
        upload.staging.sync().map_err(|error| self.store.disk_error(error))?;
        let hash_state = upload.staging.hasher().state();
        self.store.write(move |tx| {
            let present = tx.get(&UPLOAD, &session)?.ok_or(Error::UploadUnknown(session))?;
            assert!(present.offset <= offset, "an acknowledged offset never goes back");
            let hash_state = hash_state.clone();
            let upload = UploadRecord { offset, hash_state, touched_at_ms: now_ms, ..present };
            tx.put(&UPLOAD, &session, &upload)?;
            Ok::<_, Error>(())
        })?;
        upload.durable = offset;
        Ok(())
    }

    /// Ends an upload: its bytes become the blob of that digest, linked here by a lease.
    ///
    /// Bytes of another digest end the session and leave nothing.
    pub fn finish_upload(&self, upload: Upload, digest: Digest, who: impl Into<Actor>) -> Result<(), Error> {
        // The claim lasts to the end of this function.
        let Upload { repository, staging, _claim, durable, cut_off, .. } = upload;
        assert!(!cut_off, "the request that found no room was refused");
        let session = staging.session();
        let actual = staging.digest(digest.algorithm()).map_err(StoreError::from)?;
        if actual != digest {
            self.end_session(session, None)?;
            return Err(Error::DigestMismatch { expected: digest, actual });
        }
        self.look_at_stored(digest);
        let now_ms = self.clock.now_ms();
        let lease_ends_ms = now_ms.saturating_add(self.lease_ms());
        let entry = self.act(&who.into(), AuditAction::BlobPush).on(digest);
        let entry = entry.saying(&format!("{} bytes", staging.offset()));
        let published = self.store.publish(staging, digest, durable, move |tx, file| {
            store::end_upload(tx, session)?.ok_or(Error::UploadUnknown(session))?;
            let Some(name) = repositories::name_of(tx, repository)? else {
                // It was deleted meanwhile: no name leads to what would be stored.
                file.give_up(tx, now_ms)?;
                return Ok(None);
            };
            let stored = file.insert_blob(tx, now_ms)?;
            links::put_lease(tx, repository, digest, lease_ends_ms)?;
            audit::note(tx, &entry.clone().in_repository(&name))?;
            Ok::<_, Error>(Some(stored))
        });
        let stored = published.map_err(|error| self.unless_cancelled(session, error))?;
        let stored = stored.ok_or(Error::UploadUnknown(session))?;
        if stored == Stored::Healed {
            self.blob_healed(digest, "it was pushed again");
        }
        Ok(())
    }

    /// Gives up an upload that this request is writing to: one that failed in a way that must leave nothing.
    pub fn abandon_upload(&self, upload: Upload) -> Result<(), Error> {
        let ended = self.end_session(upload.session(), None);
        drop(upload);
        // Somebody else may have cancelled it first.
        if matches!(ended, Err(Error::UploadUnknown(_))) { Ok(()) } else { ended }
    }

    /// Cancels an upload. A request that is writing to it finds out when it makes its next offset durable.
    pub fn cancel_upload(
        &self,
        name: &RepositoryName,
        session: SessionId,
        who: impl Into<Actor>,
    ) -> Result<(), Error> {
        self.find_upload(name, session)?;
        let entry = self.act(&who.into(), AuditAction::UploadCancel).in_repository(name);
        self.end_session(session, Some(entry.saying(&format!("upload {session}"))))
    }

    /// Ends the upload of a request that is refused, of which nobody was told: no act of anybody's.
    pub fn drop_upload(&self, name: &RepositoryName, session: SessionId) -> Result<(), Error> {
        self.find_upload(name, session)?;
        self.end_session(session, None)
    }

    /// Ends a session: its row, then its file.
    fn end_session(&self, session: SessionId, act: Option<Entry>) -> Result<(), Error> {
        self.store.write(move |tx| {
            store::end_upload(tx, session)?.ok_or(Error::UploadUnknown(session))?;
            act.iter().try_for_each(|act| audit::note(tx, act))?;
            Ok::<_, Error>(())
        })?;
        self.store.discard_staging(session);
        Ok(())
    }

    /// Ends a session that nobody wrote to since `idle_since_ms` and that no request holds. Says whether it
    /// did.
    pub(super) fn end_idle_session(&self, session: SessionId, idle_since_ms: u64) -> Result<bool, Error> {
        // Whoever goes on with the session claims it before looking at it again, so nobody does meanwhile.
        let Some(_claim) = self.live.claim(session) else { return Ok(false) };
        let ended = self.store.write(move |tx| {
            let idle = tx.get(&UPLOAD, &session)?.is_some_and(|row| row.touched_at_ms <= idle_since_ms);
            if idle {
                store::end_upload(tx, session)?;
            }
            Ok::<_, Error>(idle)
        })?;
        if ended {
            self.store.discard_staging(session);
        }
        Ok(ended)
    }

    /// How many uploads requests are writing to now.
    #[must_use]
    pub fn running_uploads(&self) -> usize {
        self.live.count()
    }

    /// Waits until no request holds an upload, but not longer than `limit`: says whether none does.
    #[must_use]
    pub fn wait_for_uploads(&self, limit: Duration) -> bool {
        self.live.wait_until_none(limit)
    }

    fn find_upload(
        &self,
        name: &RepositoryName,
        session: SessionId,
    ) -> Result<(RepoId, UploadRecord), Error> {
        let now_ms = self.clock.now_ms();
        let idle_ms = self.upload_idle_ms();
        self.store.read(|rows| {
            let repository = repositories::find(rows, name)?.ok_or(Error::UploadUnknown(session))?;
            let upload = rows.get(&UPLOAD, &session)?.ok_or(Error::UploadUnknown(session))?;
            let ours = upload.repository == repository.0;
            // Bytes may be coming in that the row does not tell of yet.
            let alive =
                upload.touched_at_ms.saturating_add(idle_ms) > now_ms || self.live.is_claimed(session);
            if ours && alive { Ok((repository, upload)) } else { Err(Error::UploadUnknown(session)) }
        })
    }
}

#[cfg(test)]
mod tests;
