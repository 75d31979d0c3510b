//! Setting and removing tags, each change with its row of the history.

use super::usage;
use crate::oci::{Digest, Tag};
use crate::store::records::{Cause, ManifestRecord, TagChangeRecord, TagRecord, TaggedRecord};
use crate::store::tables::{MANIFEST, TAG, TAG_HISTORY, TAG_OF, UNTAGGED};
use crate::store::{KeyRange, MetaError, Newest, Read, RepoId, Tx};

/// How many rows of a tag's history one change drops at most: more than it writes.
const DROPPED_AT_ONCE: usize = 2;

/// Who changes something, when, and why.
#[derive(Debug, Clone)]
pub struct Change {
    /// When.
    pub now_ms: u64,
    /// Who: a name, or `anonymous@` and an address.
    pub who: String,
    /// Why.
    pub cause: Cause,
    /// How many changes of one tag are remembered (setting `tag_history_max`).
    pub history_max: u64,
}

/// Makes a tag name a visible manifest; says what it named before.
pub fn set(
    tx: &mut Tx<'_>,
    repository: RepoId,
    tag: &Tag,
    digest: Digest,
    change: &Change,
) -> Result<Option<Digest>, MetaError> {
    let key = (repository, tag.clone());
    let manifest = tx.get(&MANIFEST, &(repository, digest))?.expect("a tag names a visible manifest (I4)");
    let before = tx.get(&TAG, &key)?.map(|before| before.digest);
    tx.put(&TAG, &key, &TagRecord { digest, pushed_at_ms: change.now_ms })?;
    if before == Some(digest) {
        return Ok(before);
    }
    let after = TaggedRecord { digest, media_type: manifest.media_type.clone(), size: manifest.size };
    remember(tx, repository, tag, before, Some(after), change)?;
    tx.put(&TAG_OF, &(repository, digest, tag.clone()), &())?;
    settle_untagged(tx, (repository, digest), manifest, None)?;
    match before {
        Some(before) => untie(tx, repository, before, tag, change.now_ms)?,
        None => usage::count_tag(tx, repository, 1)?,
    }
    Ok(before)
}

/// Removes a tag; says what it named.
pub fn remove(
    tx: &mut Tx<'_>,
    repository: RepoId,
    tag: &Tag,
    change: &Change,
) -> Result<Option<Digest>, MetaError> {
    let Some(record) = tx.remove(&TAG, &(repository, tag.clone()))? else { return Ok(None) };
    remember(tx, repository, tag, Some(record.digest), None, change)?;
    usage::count_tag(tx, repository, -1)?;
    untie(tx, repository, record.digest, tag, change.now_ms)?;
    Ok(Some(record.digest))
}

/// Takes a tag off the manifest that it named.
fn untie(
    tx: &mut Tx<'_>,
    repository: RepoId,
    digest: Digest,
    tag: &Tag,
    now_ms: u64,
) -> Result<(), MetaError> {
    let removed = tx.remove(&TAG_OF, &(repository, digest, tag.clone()))?;
    assert!(removed.is_some(), "a tag stands in both directions");
    if tx.first(&TAG_OF, &KeyRange::prefix(&(repository, digest)))?.is_none() {
        let manifest =
            tx.get(&MANIFEST, &(repository, digest))?.expect("a tag names a visible manifest (I4)");
        settle_untagged(tx, (repository, digest), manifest, Some(now_ms))?;
    }
    Ok(())
}

/// Writes since when a visible manifest has no tag.
pub fn settle_untagged(
    tx: &mut Tx<'_>,
    key: (RepoId, Digest),
    manifest: ManifestRecord,
    since_ms: Option<u64>,
) -> Result<(), MetaError> {
    if manifest.untagged_since_ms == since_ms {
        return Ok(());
    }
    let (repository, digest) = key;
    if let Some(before_ms) = manifest.untagged_since_ms {
        let removed = tx.remove(&UNTAGGED, &(repository, before_ms, digest))?;
        assert!(removed.is_some(), "a manifest without a tag is listed as one");
    }
    if let Some(since_ms) = since_ms {
        tx.put(&UNTAGGED, &(repository, since_ms, digest), &())?;
    }
    tx.put(&MANIFEST, &key, &ManifestRecord { untagged_since_ms: since_ms, ..manifest })
}

/// Adds a row to the history of a tag, and drops those that are too many.
fn remember(
    tx: &mut Tx<'_>,
    repository: RepoId,
    tag: &Tag,
    before: Option<Digest>,
    after: Option<TaggedRecord>,
    change: &Change,
) -> Result<(), MetaError> {
    let all = KeyRange::prefix(&(repository, tag.clone()));
    let newest = tx.first(&TAG_HISTORY, &all)?;
    // A clock that was set back does not change the order.
    let (number, at_ms) = match newest {
        Some(((_, _, Newest(number)), newest)) => (number + 1, change.now_ms.max(newest.at_ms)),
        None => (1, change.now_ms),
    };
    let Change { who, cause, history_max, .. } = change;
    let record = TagChangeRecord { at_ms, before, after, cause: *cause, who: who.clone() };
    tx.put(&TAG_HISTORY, &(repository, tag.clone(), Newest(number)), &record)?;
    if let Some(last) = number.checked_sub(*history_max) {
        let old = all.after(&(repository, tag.clone(), Newest(last + 1)));
        for (key, _) in tx.page(&TAG_HISTORY, &old, DROPPED_AT_ONCE)? {
            tx.remove(&TAG_HISTORY, &key)?;
        }
    }
    Ok(())
}
