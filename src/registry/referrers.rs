//! Listing referrers: the manifests that name another as their subject.

use super::Registry;
use super::error::Error;
use super::repositories;
use crate::oci::{Digest, RepositoryName};
use crate::store::tables::REFERRER;
use crate::store::{KeyRange, MetaError, Read, RepoId, Snapshot};

/// How many rows one request looks at, whether or not the filter lets them through.
const SCAN_MAX_ROWS: usize = 1000;

/// A part of the referrers of a subject.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReferrersPage {
    /// The referrers' descriptors as JSON, in the order of their digests.
    pub descriptors: Vec<String>,
    /// Where the next page begins: behind this digest. None: this was the last.
    pub next: Option<Digest>,
}

impl Registry {
    /// The referrers of `subject` behind `last`, of one artifact type where it is given. A subject or a
    /// repository that is not known has none.
    pub fn referrers(
        &self,
        name: &RepositoryName,
        subject: Digest,
        artifact_type: Option<&str>,
        last: Option<Digest>,
    ) -> Result<ReferrersPage, Error> {
        self.store.read(|rows| match repositories::find(rows, name)? {
            Some(repository) => Ok(self.page_of(rows, repository, subject, artifact_type, last)?),
            None => Ok(ReferrersPage::default()),
        })
    }

    fn page_of(
        &self,
        rows: &Snapshot,
        repository: RepoId,
        subject: Digest,
        artifact_type: Option<&str>,
        last: Option<Digest>,
    ) -> Result<ReferrersPage, MetaError> {
        let mut range = KeyRange::prefix(&(repository, subject));
        if let Some(last) = last {
            range = range.after(&(repository, subject, last));
        }
        let mut page = ReferrersPage::default();
        let mut bytes = 0;
        let rows = rows.page(&REFERRER, &range, SCAN_MAX_ROWS + 1)?;
        let mut seen = None;
        for (index, ((_, _, referrer), record)) in rows.into_iter().enumerate() {
            let size = record.descriptor.len() as u64;
            let full = page.descriptors.len() as u64 >= self.config().settings.referrers_page_max
                || (!page.descriptors.is_empty()
                    && bytes + size > self.config().settings.referrers_page_max_bytes);
            if full || index == SCAN_MAX_ROWS {
                page.next = seen;
                break;
            }
            seen = Some(referrer);
            let is_wanted = |wanted| record.artifact_type().as_deref().unwrap_or_default() == wanted;
            if artifact_type.is_none_or(is_wanted) {
                bytes += size;
                page.descriptors.push(record.descriptor);
            }
        }
        Ok(page)
    }
}
