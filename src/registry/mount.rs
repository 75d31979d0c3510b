//! Mounting: linking a blob that another repository has, without its bytes.

use super::Registry;
use super::actor::Actor;
use super::audit;
use super::error::Error;
use super::links::{self, Judge};
use super::{ids, repositories};
use crate::oci::{Digest, RepositoryName};
use crate::store::records::{AuditAction, BlobRecord};
use crate::store::{MetaError, Read};

impl Registry {
    /// Links the blob here by a lease if `from`, or without it any repository, has it. Says whether it did;
    /// the client uploads where it did not.
    pub fn mount_blob(
        &self,
        name: &RepositoryName,
        digest: Digest,
        from: Option<&RepositoryName>,
        who: impl Into<Actor>,
    ) -> Result<bool, Error> {
        let now_ms = self.clock.now_ms();
        // Looked at first, so that a miss, which docker has many of, writes nothing.
        let source = self.store.read(|rows| held(rows, digest, from, now_ms).map_err(Error::from))?;
        let Some(blob) = source else { return Ok(false) };
        // As with HEAD: what is not there any more had better be uploaded.
        if let Some(damage) = self.store.look_at_blob(digest, &blob)? {
            if let Err(error) = self.mark_damaged(digest, blob.session, &damage) {
                log::error!("blob {digest} is damaged ({damage}) and cannot be marked so: {error}");
            }
            return Ok(false);
        }
        // Only a row, but what follows it is refused below the floor, too: better at once.
        self.expect_room(0)?;
        let (name, from, fresh) = (name.clone(), from.cloned(), ids::repository());
        let lease_ends_ms = now_ms.saturating_add(self.lease_ms());
        let words = from.as_ref().map_or_else(String::new, |from| format!("from {from}"));
        let entry = self.act(&who.into(), AuditAction::BlobMount).in_repository(&name).on(digest);
        let entry = entry.saying(&words);
        self.store.write(move |tx| {
            if held(tx, digest, from.as_ref(), now_ms)?.is_none() {
                return Ok(false);
            }
            let repository = repositories::find_or_create(tx, &name, fresh, now_ms)?;
            links::put_lease(tx, repository, digest, lease_ends_ms)?;
            audit::note(tx, &entry)?;
            Ok(true)
        })
    }
}

/// The blob, if the repository, or any, has it.
fn held(
    rows: &impl Read,
    digest: Digest,
    from: Option<&RepositoryName>,
    now_ms: u64,
) -> Result<Option<BlobRecord>, MetaError> {
    let Some(from) = from else {
        let Some(blob) = links::whole_blob(rows, digest)? else { return Ok(None) };
        return Ok(links::any_holder(rows, digest, now_ms)?.map(|_| blob));
    };
    match repositories::find(rows, from)? {
        Some(source) => links::linked_blob(rows, source, digest, now_ms, Judge::ToTheEnd),
        None => Ok(None),
    }
}
