//! Looking at and reading manifests.

use super::Registry;
use super::error::Error;
use super::{incomplete, repositories};
use crate::oci::{Digest, Reference, RepositoryName};
use crate::store::records::ManifestRecord;
use crate::store::tables::{MANIFEST, MANIFEST_BYTES, TAG};
use crate::store::{MetaError, Raw, Read, RepoId};

/// A manifest as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: Digest,
    /// The media type it was pushed with.
    pub media_type: String,
    /// How many bytes it has.
    pub size: u64,
    /// The bytes as they were pushed; left out where only the rest was asked for.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// A manifest by tag or digest, tag and bytes from one state of the ledger.
    pub fn manifest(&self, name: &RepositoryName, reference: &Reference) -> Result<StoredManifest, Error> {
        self.find_manifest(name, reference, true)
    }

    /// The same without the bytes.
    pub fn stat_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<StoredManifest, Error> {
        self.find_manifest(name, reference, false)
    }

    fn find_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        with_bytes: bool,
    ) -> Result<StoredManifest, Error> {
        let unknown = || Error::ManifestUnknown { repository: name.clone(), reference: reference.clone() };
        self.store.read(|rows| {
            let repository = repositories::find(rows, name)?.ok_or_else(unknown)?;
            let (digest, record) = resolve(rows, repository, reference)?.ok_or_else(unknown)?;
            if incomplete::is_incomplete(rows, (repository, digest))? {
                return Err(unknown());
            }
            let bytes = if with_bytes {
                let Raw(bytes) = rows
                    .get(&MANIFEST_BYTES, &(repository, digest))?
                    .expect("a manifest's row and its bytes are written and removed together");
                assert_eq!(bytes.len() as u64, record.size);
                bytes
            } else {
                Vec::new()
            };
            Ok(StoredManifest { digest, media_type: record.media_type, size: record.size, bytes })
        })
    }
}

/// The visible manifest that a tag or digest names.
pub fn resolve(
    rows: &impl Read,
    repository: RepoId,
    reference: &Reference,
) -> Result<Option<(Digest, ManifestRecord)>, MetaError> {
    let digest = match reference {
        Reference::Digest(digest) => *digest,
        Reference::Tag(tag) => match rows.get(&TAG, &(repository, tag.clone()))? {
            Some(record) => record.digest,
            None => return Ok(None),
        },
    };
    Ok(rows.get(&MANIFEST, &(repository, digest))?.map(|record| (digest, record)))
}
