//! Uploads: begun, written to by one request at a time, left and gone on with, finished or given up.
//!
//! What a client was told of an upload's offset is synced and in the ledger. A request that breaks off leaves
//! the session where the last offset was made durable.

use super::Registry;
use super::error::Error;
use super::links::Judge;
use super::live::Claim;
use super::{ids, links, repositories};
use crate::oci::{Algorithm, ContentRange, Digest, RepositoryName, SessionId};
use crate::store::records::UploadRecord;
use crate::store::tables::UPLOAD;
use crate::store::{self, Read, RepoId, Staging, StoreError};

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadStatus {
    /// The session.
    pub session: SessionId,
    /// How many bytes are durable.
    pub offset: u64,
}

/// An upload that this request alone is writing to.
pub struct Upload {
    repository: RepoId,
    staging: Staging,
    claim: Claim,
    /// The offset that the ledger has.
    durable: u64,
}

impl Upload {
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
}

impl Registry {
    /// Begins an upload that is hashed with `algorithm` as its bytes come.
    pub fn start_upload(&self, name: &RepositoryName, algorithm: Algorithm) -> Result<Upload, Error> {
        let session = ids::session();
        let (claim, known) = self.live.claim(session).expect("a new session is nobody's");
        assert!(known.is_none());
        let staging = self.store.create_staging(session, algorithm)?;
        let (name, fresh, now_ms) = (name.clone(), ids::repository(), self.clock.now_ms());
        let written = self.store.write(move |tx| {
            let repository = repositories::find_or_create(tx, &name, fresh, now_ms)?;
            let upload = UploadRecord {
                repository: repository.0,
                algorithm,
                offset: 0,
                started_at_ms: now_ms,
                touched_at_ms: now_ms,
            };
            store::put_upload(tx, session, &upload)?;
            Ok::<_, Error>(repository)
        });
        match written {
            Ok(repository) => Ok(Upload { repository, staging, claim, durable: 0 }),
            Err(error) => {
                self.store.discard_staging(session);
                Err(error)
            }
        }
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

    /// Takes an upload to write to it. Bytes that were never acknowledged are cut off.
    pub fn resume_upload(&self, name: &RepositoryName, session: SessionId) -> Result<Upload, Error> {
        // Another repository's session looks like none, before it can be seen to be busy.
        self.find_upload(name, session)?;
        let (claim, known) = self.live.claim(session).ok_or(Error::UploadBusy(session))?;
        // Read again: until the claim another request could move it.
        let (repository, upload) = match self.find_upload(name, session) {
            Ok(found) => found,
            Err(error) => {
                drop(claim);
                self.clear_if_ended(session)?;
                return Err(error);
            }
        };
        let hasher = known.and_then(|(offset, hasher)| (offset == upload.offset).then_some(hasher));
        let staging = self.store.resume_staging(session, upload.offset, upload.algorithm, hasher)?;
        Ok(Upload { repository, staging, claim, durable: upload.offset })
    }

    /// Appends bytes, and makes the offset durable every now and then.
    pub fn append(&self, upload: &mut Upload, bytes: &[u8]) -> Result<(), Error> {
        upload.staging.append(bytes).map_err(|error| self.store.disk_error(error))?;
        if upload.offset() - upload.durable >= self.settings.upload_checkpoint_bytes {
            self.checkpoint(upload)?;
        }
        Ok(())
    }

    /// Ends the request's hold on an upload that goes on later. All its bytes are durable when this returns.
    pub fn leave_upload(&self, mut upload: Upload) -> Result<UploadStatus, Error> {
        self.checkpoint(&mut upload)?;
        let status = UploadStatus { session: upload.session(), offset: upload.offset() };
        upload.claim.leave(status.offset, upload.staging.hasher().clone());
        self.clear_if_ended(status.session)?;
        Ok(status)
    }

    /// Removes the file of a session that was cancelled behind its request's last look at the row: whoever
    /// cancelled it saw the claim, and left the file to the request. The claim is over here, so either of the
    /// two sees what the other did.
    fn clear_if_ended(&self, session: SessionId) -> Result<(), Error> {
        if !self.store.read(|rows| Ok::<_, Error>(rows.contains(&UPLOAD, &session)?))? {
            self.store.discard_staging(session);
        }
        Ok(())
    }

    /// Ends the request's hold on an upload that stays where it was last durable: what came behind that must
    /// not count.
    pub fn forget_upload(&self, upload: Upload) -> Result<(), Error> {
        let Upload { staging, claim, durable, .. } = upload;
        let session = staging.session();
        staging.cut(durable).map_err(|error| self.store.disk_error(error))?;
        drop(claim);
        self.clear_if_ended(session)
    }

    /// Makes the bytes so far durable and then says so in the ledger.
    fn checkpoint(&self, upload: &mut Upload) -> Result<(), Error> {
        upload.staging.sync().map_err(|error| self.store.disk_error(error))?;
        let (session, offset, now_ms) = (upload.session(), upload.offset(), self.clock.now_ms());
        let written = self.store.write(move |tx| {
            let present = tx.get(&UPLOAD, &session)?.ok_or(Error::UploadUnknown(session))?;
            assert!(present.offset <= offset, "an acknowledged offset never goes back");
            tx.put(&UPLOAD, &session, &UploadRecord { offset, touched_at_ms: now_ms, ..present })?;
            Ok(())
        });
        if matches!(written, Err(Error::UploadUnknown(_))) {
            // Cancelled while we wrote: the file was left to us to remove.
            self.store.discard_staging(session);
        }
        written?;
        upload.durable = offset;
        Ok(())
    }

    /// Ends an upload: its bytes become the blob of that digest, linked here by a lease. Says how many they
    /// are.
    ///
    /// Bytes of another digest end the session and leave nothing.
    pub fn finish_upload(&self, upload: Upload, digest: Digest) -> Result<u64, Error> {
        let Upload { repository, staging, claim, .. } = upload;
        let session = staging.session();
        let actual = staging.digest(digest.algorithm()).map_err(StoreError::from)?;
        if actual != digest {
            self.end_session(session)?;
            return Err(Error::DigestMismatch { expected: digest, actual });
        }
        let now_ms = self.clock.now_ms();
        let lease_ends_ms = now_ms.saturating_add(self.lease_ms());
        let size = self.store.publish(staging, digest, move |tx, file| {
            store::end_upload(tx, session)?.ok_or(Error::UploadUnknown(session))?;
            file.insert_blob(tx, now_ms)?;
            links::put_lease(tx, repository, digest, lease_ends_ms)?;
            Ok::<_, Error>(file.size())
        })?;
        drop(claim);
        Ok(size)
    }

    /// Gives up an upload that this request is writing to: one that failed in a way that must leave nothing.
    pub fn abandon_upload(&self, upload: Upload) -> Result<(), Error> {
        let session = upload.session();
        drop(upload.staging);
        self.end_session(session)
    }

    /// Cancels an upload. A request that is writing to it finds out when it makes its next offset durable.
    pub fn cancel_upload(&self, name: &RepositoryName, session: SessionId) -> Result<(), Error> {
        self.find_upload(name, session)?;
        if let Some((_claim, _)) = self.live.claim(session) {
            return self.end_session(session);
        }
        self.end_row(session)?;
        // The request may have looked at the row for the last time before it went.
        if let Some((_claim, _)) = self.live.claim(session) {
            self.store.discard_staging(session);
        }
        Ok(())
    }

    /// Ends a session that is claimed here: its row, then its file.
    pub(super) fn end_session(&self, session: SessionId) -> Result<(), Error> {
        let ended = self.end_row(session);
        // Also when another one ended it: the claim is here, so the file was left to us.
        if matches!(ended, Ok(()) | Err(Error::UploadUnknown(_))) {
            self.store.discard_staging(session);
        }
        ended
    }

    fn end_row(&self, session: SessionId) -> Result<(), Error> {
        self.store.write(move |tx| {
            store::end_upload(tx, session)?.ok_or(Error::UploadUnknown(session))?;
            Ok(())
        })
    }

    fn find_upload(
        &self,
        name: &RepositoryName,
        session: SessionId,
    ) -> Result<(RepoId, UploadRecord), Error> {
        let now_ms = self.clock.now_ms();
        let idle_ms = self.settings.upload_idle_secs * 1000;
        self.store.read(|rows| {
            let repository = repositories::find(rows, name)?.ok_or(Error::UploadUnknown(session))?;
            let upload = rows.get(&UPLOAD, &session)?.ok_or(Error::UploadUnknown(session))?;
            let ours = upload.repository == repository.0;
            let alive = upload.touched_at_ms.saturating_add(idle_ms) > now_ms;
            if ours && alive { Ok((repository, upload)) } else { Err(Error::UploadUnknown(session)) }
        })
    }
}
