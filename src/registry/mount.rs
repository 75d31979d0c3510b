//! Mounting: linking a blob that another repository has, without its bytes.

use super::Registry;
use super::actor::Actor;
use super::audit;
use super::error::Error;
use super::links::{self, Judge};
use super::view::{Everything, Sight};
use super::{ids, repositories};
use crate::oci::{Digest, RepositoryName};
use crate::store::records::{AuditAction, BlobRecord};
use crate::store::{MetaError, Read};
use std::sync::Arc;

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
        let everything: Arc<dyn Sight> = Arc::new(Everything);
        self.mount_blob_seen(name, digest, from, &everything, &who.into())
    }

    /// The same from what is seen: what is hidden has no blob.
    pub(super) fn mount_blob_seen(
        &self,
        name: &RepositoryName,
        digest: Digest,
        from: Option<&RepositoryName>,
        sight: &Arc<dyn Sight>,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let now_ms = self.clock.now_ms();
        // Looked at first, so that a miss, which docker has many of, writes nothing.
        let source =
            self.store.read(|rows| held(rows, digest, from, &**sight, now_ms).map_err(Error::from))?;
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
        let sight = Arc::clone(sight);
        let lease_ends_ms = now_ms.saturating_add(self.lease_ms());
        let words = from.as_ref().map_or_else(String::new, |from| format!("from {from}"));
        let entry = self.act(actor, AuditAction::BlobMount).in_repository(&name).on(digest);
        let entry = entry.saying(&words);
        self.store.write(move |tx| {
            if held(tx, digest, from.as_ref(), &*sight, now_ms)?.is_none() {
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
    sight: &dyn Sight,
    now_ms: u64,
) -> Result<Option<BlobRecord>, MetaError> {
    let Some(from) = from else {
        let Some(blob) = links::whole_blob(rows, digest)? else { return Ok(None) };
        let holder = links::any_holder(rows, digest, now_ms, |name| sight.sees(name))?;
        return Ok(holder.map(|_| blob));
    };
    match repositories::find(rows, from)? {
        Some(source) if sight.sees(from) => links::linked_blob(rows, source, digest, now_ms, Judge::ToTheEnd),
        _ => Ok(None),
    }
}
