//! Listing tags and repositories: a page is one range scan, in ASCII order.

use super::Registry;
use super::error::Error;
use super::repositories;
use crate::oci::{RepositoryName, Tag};
use crate::store::tables::{CATALOG, TAG};
use crate::store::{KeyRange, Read};

/// A part of a list, and whether more follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether there are entries behind the last one.
    pub more: bool,
}

impl<T> Page<T> {
    /// A page of `limit` out of entries that were read one further.
    fn of(mut entries: Vec<T>, limit: usize) -> Self {
        let more = entries.len() > limit;
        entries.truncate(limit);
        Self { entries, more }
    }
}

impl Registry {
    /// The tags of a repository behind `last`, which need not exist, at most `limit` of them.
    pub fn tags(&self, name: &RepositoryName, last: Option<&Tag>, limit: usize) -> Result<Page<Tag>, Error> {
        self.store.read(|rows| {
            let unknown = || Error::RepositoryUnknown(name.clone());
            let repository = repositories::find(rows, name)?.ok_or_else(unknown)?;
            if !rows.contains(&CATALOG, name)? {
                return Err(unknown());
            }
            let mut range = KeyRange::prefix(&repository);
            if let Some(last) = last {
                range = range.after(&(repository, last.clone()));
            }
            let rows = rows.page(&TAG, &range, limit + 1)?;
            Ok(Page::of(rows.into_iter().map(|((_, tag), _)| tag).collect(), limit))
        })
    }

    /// The repositories with a visible manifest behind `last`, at most `limit` of them.
    pub fn catalog(
        &self,
        last: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Page<RepositoryName>, Error> {
        self.store.read(|rows| {
            let range = last.map_or_else(KeyRange::all, |last| KeyRange::all().after(last));
            let rows = rows.page(&CATALOG, &range, limit + 1)?;
            Ok(Page::of(rows.into_iter().map(|(name, ())| name).collect(), limit))
        })
    }
}
