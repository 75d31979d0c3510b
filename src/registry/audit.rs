//! The audit: a row for each act, written in the transaction that does it, so that there is no act without a
//! row and no row without an act.
//!
//! One act is one row, however many tags and manifests it has to do with. An act that takes several
//! transactions writes its row with the first and again with each that follows. A refusal writes none, nor
//! does what the registry does of its own accord with what was deleted before.

use super::actor::Actor;
use super::error::Error;
use super::{Registry, ids};
use crate::config::Pattern;
use crate::oci::{Digest, Tag};
use crate::store::records::{AuditAction, AuditRecord};
use crate::store::tables::AUDIT;
use crate::store::{Key, KeyRange, Limit, MetaError, Read, Snapshot, StoreError, Tx};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

/// The counter of the rows.
pub const AUDIT_ROWS: &str = "audit_rows";

/// How many tags a row names before it only counts them.
const TAGS_NAMED: usize = 20;

/// How many characters of words a row has.
const DETAIL_MAX_CHARS: usize = 300;

/// How many rows are read in one snapshot, or dropped in one transaction.
const PAGE_ROWS: usize = 512;

/// How many rows one page of an answer looks at, whatever it finds.
const LOOKED_AT_MAX: usize = 16 * PAGE_ROWS;

/// How many pages of old rows one round of housekeeping drops: more than can come in the meantime.
const PAGES_DROPPED: usize = 32;

/// A row of the audit in the making. It is made before the transaction, which has no clock and no random
/// numbers, and completed in it.
#[derive(Debug, Clone)]
pub struct Entry {
    place: AuditPlace,
    record: AuditRecord,
}

impl Entry {
    /// In a repository.
    pub fn in_repository(mut self, name: &(impl ToString + ?Sized)) -> Self {
        self.record.repository = Some(name.to_string());
        self
    }

    /// On a manifest or blob.
    pub fn on(mut self, digest: Digest) -> Self {
        self.record.digest = Some(digest);
        self
    }

    /// With some tags more.
    pub fn with_tags(mut self, tags: &[Tag]) -> Self {
        let room = TAGS_NAMED.saturating_sub(self.record.tags.len());
        self.record.tags.extend(tags.iter().take(room).map(ToString::to_string));
        self.record.tags_count += tags.len() as u64;
        self
    }

    /// With these words, in the place of others. No secret is to be among them.
    pub fn saying(mut self, words: &str) -> Self {
        self.record.detail = words.chars().take(DETAIL_MAX_CHARS).collect();
        self
    }
}

/// Writes the row of an act, in the transaction of the act; again where it takes several.
pub fn note(tx: &mut Tx<'_>, entry: &Entry) -> Result<(), MetaError> {
    let key = entry.place.key();
    if tx.insert_if_absent(&AUDIT, &key, &entry.record)? {
        return tx.add(AUDIT_ROWS, 1);
    }
    tx.put(&AUDIT, &key, &entry.record)
}

/// Where a row stands among all. As text, it is the row's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    at_ms: u64,
    /// Tells those of one millisecond apart: how many acts began before, since the start, and a random half.
    number: u64,
}

impl AuditPlace {
    const fn key(self) -> (u64, u64) {
        (self.at_ms, self.number)
    }
}

impl fmt::Display for AuditPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.at_ms, self.number)
    }
}

/// A text that is no place in the audit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected the id of an act, such as 1700000000000-0123456789abcdef")]
pub struct AuditPlaceError;

impl FromStr for AuditPlace {
    type Err = AuditPlaceError;

    fn from_str(text: &str) -> Result<Self, AuditPlaceError> {
        let (at_ms, number) = text.split_once('-').ok_or(AuditPlaceError)?;
        let at_ms = at_ms.parse().map_err(|_| AuditPlaceError)?;
        let number = u64::from_str_radix(number, 16).map_err(|_| AuditPlaceError)?;
        let place = Self { at_ms, number };
        // Only as it is written, not with signs or zeros before it.
        if place.to_string() == text { Ok(place) } else { Err(AuditPlaceError) }
    }
}

/// Which acts are asked for. What is not said is no condition.
#[derive(Debug, Default, Clone)]
pub struct AuditFilter {
    /// Those of this time and later, in milliseconds since the epoch.
    pub since_ms: Option<u64>,
    /// Those of this time and earlier.
    pub until_ms: Option<u64>,
    /// Those in a repository whose name matches.
    pub repository: Option<Pattern>,
    /// Those of this name.
    pub who: Option<String>,
    /// Those that did this.
    pub action: Option<AuditAction>,
}

impl AuditFilter {
    fn matches(&self, record: &AuditRecord) -> bool {
        let of_repository = self.repository.as_ref().is_none_or(|pattern| {
            record.repository.as_ref().is_some_and(|repository| pattern.matches(repository))
        });
        of_repository
            && self.who.as_ref().is_none_or(|who| *who == record.who)
            && self.action.is_none_or(|action| action == record.action)
    }

    /// What of the table can be asked for, before a place.
    fn range(&self, before: Option<AuditPlace>) -> KeyRange {
        let start = self.since_ms.map(|since_ms| since_ms.to_key()).unwrap_or_default();
        let until = self.until_ms.and_then(|until_ms| until_ms.checked_add(1)).map(|end_ms| end_ms.to_key());
        let before = before.map(|place| place.key().to_key());
        let end = match (until, before) {
            (Some(until), Some(before)) => Some(until.min(before)),
            (until, before) => until.or(before),
        };
        KeyRange { start, end }
    }
}

/// An act as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Where it stands.
    pub place: AuditPlace,
    /// What was done, and by whom.
    pub record: AuditRecord,
}

impl Act {
    /// The act as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let AuditRecord { action, who, address, request_id, repository, digest, tags, tags_count, detail } =
            &self.record;
        json!({
            "id": self.place.to_string(),
            "at_ms": self.place.at_ms,
            "action": action.word(),
            "who": who,
            "address": address,
            "request_id": request_id,
            "repository": repository,
            "digest": digest,
            "tags": tags,
            "tags_count": tags_count,
            "detail": detail,
        })
    }
}

/// A page of acts, the newest first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The acts; there may be none though others follow.
    pub acts: Vec<Act>,
    /// Behind what the next page begins; none: this is the last.
    pub next: Option<AuditPlace>,
}

impl Registry {
    /// The row of an act that begins now.
    pub(super) fn act(&self, actor: &Actor, action: AuditAction) -> Entry {
        let begun = self.acts.fetch_add(1, Ordering::Relaxed);
        // Random, too: the clock may be set back, and another start counts from 0 again.
        let number = (u64::from(begun) << u32::BITS) | u64::from(ids::number());
        let place = AuditPlace { at_ms: self.clock.now_ms(), number };
        let record = AuditRecord {
            action,
            who: actor.who.clone(),
            address: actor.address.map(|address| address.to_string()),
            request_id: actor.request_id.clone(),
            repository: None,
            digest: None,
            tags: Vec::new(),
            tags_count: 0,
            detail: String::new(),
        };
        Entry { place, record }
    }

    /// The acts behind `last`, at most `limit` of them, the newest first. However few match, a page looks at
    /// a bounded number of rows and says where to go on.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        last: Option<AuditPlace>,
        limit: usize,
    ) -> Result<AuditPage, Error> {
        let mut page = AuditPage { acts: Vec::new(), next: last };
        let mut looked_at = 0;
        while page.acts.len() < limit && looked_at < LOOKED_AT_MAX {
            let range = filter.range(page.next);
            let rows = self.store.read(|rows| Ok::<_, Error>(rows.page_back(&AUDIT, &range, PAGE_ROWS)?))?;
            if rows.is_empty() {
                page.next = None;
                return Ok(page);
            }
            looked_at += rows.len();
            for ((at_ms, number), record) in rows {
                let place = AuditPlace { at_ms, number };
                page.next = Some(place);
                if filter.matches(&record) {
                    page.acts.push(Act { place, record });
                }
                if page.acts.len() == limit {
                    break;
                }
            }
        }
        let range = filter.range(page.next);
        let more = self.store.read(|rows| Ok::<_, Error>(rows.page_back(&AUDIT, &range, 1)?))?;
        page.next = page.next.filter(|_| !more.is_empty());
        Ok(page)
    }

    /// Writes down that somebody ends the wait of what is deleted. A disk without room keeps nobody from it.
    pub fn note_collect_now(&self, who: impl Into<Actor>) -> Result<(), Error> {
        let entry = self.act(&who.into(), AuditAction::CollectNow);
        match self.store.write(move |tx| Ok::<_, Error>(note(tx, &entry)?)) {
            Err(Error::Store(StoreError::Full)) => {
                log::warn!("the audit has no room for a gc --now");
                Ok(())
            }
            noted => noted,
        }
    }

    /// Drops acts that are too old or too many, the oldest first; says how many.
    pub(super) fn forget_old_acts(&self) -> Result<usize, Error> {
        let config = self.config();
        let settings = &config.settings;
        let oldest_ms = self.clock.now_ms().saturating_sub(settings.audit_keep_secs.saturating_mul(1000));
        let mut dropped = 0;
        for _ in 0..PAGES_DROPPED {
            let old = self.store.read(|rows| old_acts(rows, oldest_ms, settings.audit_rows_max))?;
            if old.is_empty() {
                break;
            }
            dropped += self.store.write(move |tx| {
                let mut count = 0;
                for key in &old {
                    count += i64::from(tx.remove(&AUDIT, key)?.is_some());
                }
                tx.add(AUDIT_ROWS, -count)?;
                Ok::<_, Error>(usize::try_from(count).expect("it was counted up from 0"))
            })?;
        }
        Ok(dropped)
    }
}

/// The first rows that are too old or too many.
fn old_acts(rows: &Snapshot, oldest_ms: u64, rows_max: u64) -> Result<Vec<(u64, u64)>, Error> {
    let count = u64::try_from(rows.counter(AUDIT_ROWS)?).unwrap_or_default();
    let surplus = usize::try_from(count.saturating_sub(rows_max)).unwrap_or(usize::MAX);
    // Most of the time there is none, and one row says so.
    let is_old = |at_ms: u64| at_ms < oldest_ms;
    let Some(((first_ms, _), _)) = rows.first(&AUDIT, &KeyRange::all())? else { return Ok(Vec::new()) };
    if surplus == 0 && !is_old(first_ms) {
        return Ok(Vec::new());
    }
    let page = rows.page(&AUDIT, &KeyRange::all(), PAGE_ROWS)?;
    let keys = page.into_iter().map(|(key, _)| key).enumerate();
    let old = keys.take_while(|(place, (at_ms, _))| *place < surplus || is_old(*at_ms));
    Ok(old.map(|(_, key)| key).collect())
}

/// How many rows there are and how many are on record, in one state. None: `is_stopping` said so.
pub fn count(rows: &Snapshot, is_stopping: impl Fn() -> bool) -> Result<Option<(u64, i64)>, Error> {
    let (mut range, mut count) = (KeyRange::all(), 0);
    loop {
        if is_stopping() {
            return Ok(None);
        }
        let page = rows.scan(&AUDIT, &range, Limit::rows(PAGE_ROWS))?;
        let Some((last, _)) = page.last() else { break };
        range = range.after_bytes(last);
        count += page.len() as u64;
    }
    Ok(Some((count, rows.counter(AUDIT_ROWS)?)))
}

#[cfg(test)]
mod tests;
