//! Rows that are only right together.

use super::records::UploadRecord;
use super::tables::{UPLOAD, UPLOAD_OF};
use super::{MetaError, RepoId, Tx};
use crate::oci::SessionId;

/// Writes an open upload.
pub fn put_upload(tx: &mut Tx<'_>, session: SessionId, upload: &UploadRecord) -> Result<(), MetaError> {
    tx.put(&UPLOAD, &session, upload)?;
    tx.put(&UPLOAD_OF, &(RepoId(upload.repository), session), &())
}

/// Removes an open upload; none where there was none.
pub fn end_upload(tx: &mut Tx<'_>, session: SessionId) -> Result<Option<UploadRecord>, MetaError> {
    let ended = tx.remove(&UPLOAD, &session)?;
    if let Some(upload) = &ended {
        tx.remove(&UPLOAD_OF, &(RepoId(upload.repository), session))?;
    }
    Ok(ended)
}
