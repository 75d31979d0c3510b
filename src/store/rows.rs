//! Rows that are only right together.

use super::records::UploadRecord;
use super::tables::{UPLOAD, UPLOAD_OF};
use super::{MetaError, RepoId, Tx};
use crate::oci::SessionId;

/// The counter of somebody's open uploads.
#[must_use]
pub fn open_uploads(owner: &str) -> String {
    format!("open_uploads/{owner}")
}

/// Writes an upload that begins.
pub fn put_upload(tx: &mut Tx<'_>, session: SessionId, upload: &UploadRecord) -> Result<(), MetaError> {
    tx.put(&UPLOAD, &session, upload)?;
    tx.add(&open_uploads(&upload.owner), 1)?;
    tx.put(&UPLOAD_OF, &(RepoId(upload.repository), session), &())
}

/// Removes an open upload; none where there was none.
pub fn end_upload(tx: &mut Tx<'_>, session: SessionId) -> Result<Option<UploadRecord>, MetaError> {
    let ended = tx.remove(&UPLOAD, &session)?;
    if let Some(upload) = &ended {
        tx.add(&open_uploads(&upload.owner), -1)?;
        tx.remove(&UPLOAD_OF, &(RepoId(upload.repository), session))?;
    }
    Ok(ended)
}
