//! Looking at and reading blobs.

use super::Registry;
use super::error::Error;
use super::links::{self, Judge};
use super::repositories;
use crate::oci::{Digest, RepositoryName};
use crate::store::BlobFile;
use crate::store::records::BlobRecord;

impl Registry {
    /// The size of a blob that a push may count on finding here: HEAD's question.
    pub fn stat_blob(&self, name: &RepositoryName, digest: Digest) -> Result<u64, Error> {
        let judge = Judge::WithMargin(self.lease_margin_ms());
        Ok(self.find_blob(name, digest, judge)?.size)
    }

    /// Opens a blob that is linked in the repository. It can be read to its end, whatever is deleted
    /// meanwhile.
    pub fn open_blob(&self, name: &RepositoryName, digest: Digest) -> Result<BlobFile, Error> {
        let blob = self.find_blob(name, digest, Judge::ToTheEnd)?;
        Ok(self.store.open_blob(digest, &blob)?)
    }

    fn find_blob(&self, name: &RepositoryName, digest: Digest, judge: Judge) -> Result<BlobRecord, Error> {
        let now_ms = self.clock.now_ms();
        self.store.read(|rows| {
            let found = match repositories::find(rows, name)? {
                Some(repository) => links::linked_blob(rows, repository, digest, now_ms, judge)?,
                None => None,
            };
            found.ok_or_else(|| Error::BlobUnknown { repository: name.clone(), digest })
        })
    }
}
