//! Listing referrers: the manifests that name another as their subject.

use super::Registry;
use super::error::Error;
use super::{incomplete, repositories};
use crate::oci::{Digest, RepositoryName};
use crate::store::tables::REFERRER;
use crate::store::{KeyRange, Limit, MetaError, Read, RepoId, Snapshot};

/// How many rows one request looks at, whether or not the filter lets them through.
const SCAN_MAX_ROWS: usize = 1000;

/// How many bytes of them it looks at. A page may end with nothing on it that the filter let through; its
/// link leads on.
const SCAN_MAX_BYTES: usize = 16 * 1024 * 1024;

/// How many rows are read at once, and from how many bytes on no more: annotations may be large.
const READ_ROWS: usize = 64;
const READ_BYTES: usize = 256 * 1024;

/// What a page has beside its entries: the fields of the index around them.
const FRAME_BYTES: u64 = 128;

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
        let settings = &self.config().settings;
        let mut page = ReferrersPage::default();
        let mut budget = Budget { rows: SCAN_MAX_ROWS, bytes: SCAN_MAX_BYTES };
        let (mut page_bytes, mut seen) = (FRAME_BYTES, None);
        loop {
            let read = rows.scan(&REFERRER, &range, Limit { rows: READ_ROWS, bytes: READ_BYTES })?;
            let Some((last, _)) = read.last() else { return Ok(page) };
            range = range.after_bytes(last);
            for (_, row) in read {
                let ((_, _, referrer), record) = row?;
                // It stands in the page as it is, with a comma.
                let size = record.descriptor.len() as u64 + 1;
                let full = page.descriptors.len() as u64 >= settings.referrers_page_max
                    || (!page.descriptors.is_empty()
                        && page_bytes + size > settings.referrers_page_max_bytes);
                if full || budget.is_spent() {
                    page.next = seen;
                    return Ok(page);
                }
                seen = Some(referrer);
                budget.spend(record.descriptor.len());
                let is_wanted = |wanted| record.artifact_type().as_deref().unwrap_or_default() == wanted;
                if artifact_type.is_none_or(is_wanted)
                    && !incomplete::is_incomplete(rows, (repository, referrer))?
                {
                    page_bytes += size;
                    page.descriptors.push(record.descriptor);
                }
            }
        }
    }
}

/// What is left of the rows and bytes that one request looks at.
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    const fn is_spent(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    const fn spend(&mut self, bytes: usize) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
