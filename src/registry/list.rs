//! Listing tags and repositories: a page is one range scan, in ASCII order.

use super::Registry;
use super::error::Error;
use super::repositories;
use super::view::{Everything, Sight};
use crate::oci::{RepositoryName, Tag};
use crate::store::tables::{CATALOG, TAG};
use crate::store::{KeyRange, MetaError, Read};

/// How many names are read at once.
const SCANNED_ROWS: usize = 1000;

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
        self.catalog_of(last, limit, &Everything)
    }

    /// The same of what is seen.
    pub(super) fn catalog_of(
        &self,
        last: Option<&RepositoryName>,
        limit: usize,
        sight: &dyn Sight,
    ) -> Result<Page<RepositoryName>, Error> {
        self.store.read(|rows| Ok(Page::of(seen_names(rows, last, limit + 1, sight)?, limit)))
    }
}

/// The first `count` names of the catalog behind `last` that are seen. What cannot be seen is not read as far
/// as `sight` knows where it ends.
pub fn seen_names(
    rows: &impl Read,
    last: Option<&RepositoryName>,
    count: usize,
    sight: &dyn Sight,
) -> Result<Vec<RepositoryName>, MetaError> {
    let mut range = last.map_or_else(KeyRange::all, |last| KeyRange::all().after(last));
    let mut seen = Vec::new();
    let Some(first) = sight.seek(last.map_or("", RepositoryName::as_str)) else { return Ok(seen) };
    range.start = range.start.max(first.into_bytes());
    // A page of none has nothing behind it either.
    let mut rows_at_once = count.min(SCANNED_ROWS);
    while seen.len() < count {
        let page = rows.page(&CATALOG, &range, rows_at_once)?;
        rows_at_once = SCANNED_ROWS;
        let Some((behind, ())) = page.last().cloned() else { break };
        seen.extend(page.into_iter().map(|(name, ())| name).filter(|name| sight.sees(name)));
        range = range.after(&behind);
        let Some(next) = sight.seek(behind.as_str()) else { break };
        range.start = range.start.max(next.into_bytes());
    }
    seen.truncate(count);
    Ok(seen)
}
