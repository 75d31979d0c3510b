//! Remembering for a while why something went, for the one who asks.

use super::kept::Deletion;
use super::links::NO_REPOSITORY;
use crate::oci::Digest;
use crate::store::records::{GoneRecord, Loss};
use crate::store::tables::{GONE, QUEUE};
use crate::store::{MetaError, QueueKind, Read, Tx};
use serde_json::{Value, json};

/// Notes what a blob lost last, before the collector looks at it.
pub fn will_go(tx: &mut Tx<'_>, digest: Digest, loss: Loss) -> Result<(), MetaError> {
    tx.put(&GONE, &digest, &GoneRecord { loss, gone_at_ms: None, forget_at_ms: 0 })
}

/// Takes that back: something needs the blob again.
pub fn stays(tx: &mut Tx<'_>, digest: Digest) -> Result<(), MetaError> {
    match tx.get(&GONE, &digest)? {
        Some(row) if row.gone_at_ms.is_none() => tx.remove(&GONE, &digest).map(drop),
        _ => Ok(()),
    }
}

/// Notes that a blob went.
pub fn is_gone(tx: &mut Tx<'_>, digest: Digest, deletion: &Deletion) -> Result<(), MetaError> {
    match tx.remove(&GONE, &digest)? {
        Some(row) => went(tx, digest, row.loss, deletion),
        None => Ok(()),
    }
}

/// Notes that something went, and why.
pub fn went(tx: &mut Tx<'_>, digest: Digest, loss: Loss, deletion: &Deletion) -> Result<(), MetaError> {
    let (now_ms, until_ms) = (deletion.change.now_ms, deletion.remembered_until_ms);
    if until_ms <= now_ms {
        return tx.remove(&GONE, &digest).map(drop);
    }
    tx.put(&GONE, &digest, &GoneRecord { loss, gone_at_ms: Some(now_ms), forget_at_ms: until_ms })?;
    tx.put(&QUEUE, &(until_ms, QueueKind::Forget, digest, NO_REPOSITORY), &())
}

/// Forgets what went, unless it went again since that row of the queue was written.
pub fn forget(tx: &mut Tx<'_>, digest: Digest, due_at_ms: u64) -> Result<(), MetaError> {
    match tx.get(&GONE, &digest)? {
        Some(row) if row.forget_at_ms == due_at_ms => tx.remove(&GONE, &digest).map(drop),
        _ => Ok(()),
    }
}

/// How it is told.
pub fn to_json(row: &GoneRecord) -> Value {
    let gone_at_ms = row.gone_at_ms;
    match &row.loss {
        Loss::Lease { repository } => {
            json!({"why": "lease", "repository": repository, "gone_at_ms": gone_at_ms})
        }
        Loss::Unlinked { repository } => {
            json!({"why": "unlinked", "repository": repository, "gone_at_ms": gone_at_ms})
        }
        Loss::Manifest { repository, manifest, deleted_at_ms, who } => json!({
            "why": "manifest",
            "repository": repository,
            "manifest": manifest,
            "deleted_at_ms": deleted_at_ms,
            "who": who,
            "gone_at_ms": gone_at_ms,
        }),
    }
}
