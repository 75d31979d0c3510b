//! Mounting: linking a blob that another repository has, without its bytes.

use super::Registry;
use super::error::Error;
use super::links::{self, Judge};
use super::{ids, repositories};
use crate::oci::{Digest, RepositoryName};
use crate::store::{MetaError, Read};

impl Registry {
    /// Links the blob here by a lease if `from`, or without it any repository, has it. Says whether it did;
    /// the client uploads where it did not.
    pub fn mount_blob(
        &self,
        name: &RepositoryName,
        digest: Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, Error> {
        let now_ms = self.clock.now_ms();
        // Looked at first, so that a miss, which docker has many of, writes nothing.
        if !self.store.read(|rows| is_held(rows, digest, from, now_ms).map_err(Error::from))? {
            return Ok(false);
        }
        // Only a row, but what follows it is refused below the floor, too: better at once.
        self.expect_room(0)?;
        let (name, from, fresh) = (name.clone(), from.cloned(), ids::repository());
        let lease_ends_ms = now_ms.saturating_add(self.lease_ms());
        self.store.write(move |tx| {
            if !is_held(tx, digest, from.as_ref(), now_ms)? {
                return Ok(false);
            }
            let repository = repositories::find_or_create(tx, &name, fresh, now_ms)?;
            links::put_lease(tx, repository, digest, lease_ends_ms)?;
            Ok(true)
        })
    }
}

fn is_held(
    rows: &impl Read,
    digest: Digest,
    from: Option<&RepositoryName>,
    now_ms: u64,
) -> Result<bool, MetaError> {
    let Some(from) = from else {
        return Ok(
            links::whole_blob(rows, digest)?.is_some() && links::any_holder(rows, digest, now_ms)?.is_some()
        );
    };
    match repositories::find(rows, from)? {
        Some(source) => Ok(links::linked_blob(rows, source, digest, now_ms, Judge::ToTheEnd)?.is_some()),
        None => Ok(false),
    }
}
