//! What tags named before: listing it, and forgetting what is old.

use super::Registry;
use super::error::Error;
use super::repositories;
use crate::oci::{RepositoryName, Tag};
use crate::store::records::TagChangeRecord;
use crate::store::tables::{TAG, TAG_HISTORY};
use crate::store::{KeyRange, Newest, Read, RepoId};
use std::sync::PoisonError;

/// How many rows one look at old history reads.
const PAGE_ROWS: usize = 512;

/// A change of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagChange {
    /// Counts the changes of the tag, from 1 on.
    pub number: u64,
    /// What changed.
    pub record: TagChangeRecord,
}

/// Where the search for old history goes on: behind this row.
pub type Cursor = Option<(RepoId, Tag, Newest)>;

impl Registry {
    /// The changes of a tag before the number `before`, the newest first, and whether there are more. A tag
    /// or a repository that is not known has none.
    pub fn tag_history(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<TagChange>, bool), Error> {
        self.store.read(|rows| {
            let Some(repository) = repositories::find(rows, name)? else { return Ok((Vec::new(), false)) };
            let mut range = KeyRange::prefix(&(repository, tag.clone()));
            if let Some(before) = before {
                range = range.after(&(repository, tag.clone(), Newest(before)));
            }
            let page = rows.page(&TAG_HISTORY, &range, limit + 1)?;
            let more = page.len() > limit;
            let changes = page.into_iter().take(limit);
            let changes =
                changes.map(|((_, _, Newest(number)), record)| TagChange { number, record }).collect();
            Ok((changes, more))
        })
    }

    /// Looks at some rows of the history of all tags, and drops those that are older than the setting says;
    /// the newest row of a tag that is in use stays. Says how many went.
    pub(super) fn forget_old_history(&self) -> Result<usize, Error> {
        let keep_ms = self.config().settings.tag_history_secs * 1000;
        let oldest_ms = self.clock.now_ms().saturating_sub(keep_ms);
        let after = self.history_cursor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let range = after.map_or_else(KeyRange::all, |after| KeyRange::all().after(&after));
        let (next, old) = self.store.read(|rows| {
            let page = rows.page(&TAG_HISTORY, &range, PAGE_ROWS)?;
            let next = page.last().map(|(key, _)| key.clone());
            let mut old = Vec::new();
            for (key, record) in page {
                let (repository, tag, _) = &key;
                let in_force = rows.first(&TAG_HISTORY, &KeyRange::prefix(&(*repository, tag.clone())))?;
                let in_force = in_force.is_some_and(|(newest, _)| newest.2 == key.2);
                if record.at_ms < oldest_ms
                    && !(in_force && rows.contains(&TAG, &(*repository, tag.clone()))?)
                {
                    old.push(key);
                }
            }
            Ok::<_, Error>((next, old))
        })?;
        *self.history_cursor.lock().unwrap_or_else(PoisonError::into_inner) = next;
        let count = old.len();
        if count > 0 {
            self.store.write(move |tx| {
                for key in &old {
                    tx.remove(&TAG_HISTORY, key)?;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(count)
    }
}
