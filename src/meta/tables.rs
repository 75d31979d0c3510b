//! Every table of the ledger: its key, its record, and what the presence of a row means.

use super::codec::{Raw, Value};
use super::engine::TableId;
use super::key::{Key, Newest, QueueKind, RepoId};
use super::records::{
    AccessTokenRecord, AuditRecord, BlobRecord, DamagedRecord, GoneRecord, IncompleteRecord, KeptRecord,
    LeaseRecord, ManifestRecord, PinRecord, ReferenceRecord, ReferrerRecord, RepositoryRecord, SchemaRecord,
    ScrubRecord, SigningKeyRecord, TagChangeRecord, TagRecord, TombstoneRecord, UploadRecord, UserRecord,
};
use crate::oci::{Digest, RepositoryName, SessionId, Tag, UserName};
use std::marker::PhantomData;

/// A table: the rows of one [`TableId`] with the types of their keys and values.
#[derive(Debug)]
pub struct Table<K, V> {
    id: TableId,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Value> Table<K, V> {
    const fn new(id: TableId) -> Self {
        Self { id, types: PhantomData }
    }

    /// Which rows these are.
    #[must_use]
    pub const fn id(&self) -> TableId {
        self.id
    }
}

/// `()` -> the schema's version. One row.
pub const SCHEMA: Table<(), SchemaRecord> = Table::new(TableId::Schema);

/// name -> repository number. A row exists for every repository that was ever written to.
pub const REPOSITORY_BY_NAME: Table<RepositoryName, Number> = Table::new(TableId::RepositoryByName);

/// repository number -> its name.
pub const REPOSITORY: Table<RepoId, RepositoryRecord> = Table::new(TableId::Repository);

/// name -> `()`: the repositories with a visible manifest, in the order of `_catalog`.
pub const CATALOG: Table<RepositoryName, ()> = Table::new(TableId::Catalog);

/// digest -> the stored blob's file. No row, no blob; nor where the row says that the file is damaged.
pub const BLOB: Table<Digest, BlobRecord> = Table::new(TableId::Blob);

/// (repository, digest) -> a visible manifest.
pub const MANIFEST: Table<(RepoId, Digest), ManifestRecord> = Table::new(TableId::Manifest);

/// (repository, digest) -> the manifest exactly as it was pushed.
pub const MANIFEST_BYTES: Table<(RepoId, Digest), Raw> = Table::new(TableId::ManifestBytes);

/// (repository, tag) -> the manifest it names.
pub const TAG: Table<(RepoId, Tag), TagRecord> = Table::new(TableId::Tag);

/// (repository, manifest, tag) -> `()`: the tags of a manifest.
pub const TAG_OF: Table<(RepoId, Digest, Tag), ()> = Table::new(TableId::TagOf);

/// (repository, manifest, referenced digest) -> how and what: a manifest's references.
pub const REFERENCE: Table<(RepoId, Digest, Digest), ReferenceRecord> = Table::new(TableId::Reference);

/// (blob, repository, manifest) -> `()`: who needs a blob (I7), and so where it is linked (I10).
pub const BLOB_USER: Table<(Digest, RepoId, Digest), ()> = Table::new(TableId::BlobUser);

/// (repository, child manifest, index) -> `()`: which indexes list a manifest.
pub const PARENT: Table<(RepoId, Digest, Digest), ()> = Table::new(TableId::Parent);

/// (repository, subject, referrer) -> the referrer's descriptor. The subject need not exist.
pub const REFERRER: Table<(RepoId, Digest, Digest), ReferrerRecord> = Table::new(TableId::Referrer);

/// (blob, repository) -> a lease: the blob is linked there though no manifest needs it yet.
pub const LEASE: Table<(Digest, RepoId), LeaseRecord> = Table::new(TableId::Lease);

/// session -> an open upload.
pub const UPLOAD: Table<SessionId, UploadRecord> = Table::new(TableId::Upload);

/// (repository, session) -> `()`: the open uploads of a repository.
pub const UPLOAD_OF: Table<(RepoId, SessionId), ()> = Table::new(TableId::UploadOf);

/// (due in ms since the epoch, kind, blob, repository) -> `()`: what the collector looks at, and from when
/// on. The repository is 0 where the kind has none.
pub const QUEUE: Table<(u64, QueueKind, Digest, RepoId), ()> = Table::new(TableId::Queue);

/// (repository, digest) -> a deleted manifest that can be brought back. Its bytes and reference rows stay.
pub const KEPT: Table<(RepoId, Digest), KeptRecord> = Table::new(TableId::Kept);

/// (blob, repository, manifest) -> `()`: which deleted manifests keep a blob. They do not link it (I10).
pub const KEPT_USER: Table<(Digest, RepoId, Digest), ()> = Table::new(TableId::KeptUser);

/// (repository, child manifest, index) -> `()`: which deleted indexes list a manifest. If that is deleted,
/// too, it does not go before them.
pub const KEPT_PARENT: Table<(RepoId, Digest, Digest), ()> = Table::new(TableId::KeptParent);

/// (repository, subject, referrer) -> the descriptor of a deleted referrer.
pub const KEPT_REFERRER: Table<(RepoId, Digest, Digest), ReferrerRecord> = Table::new(TableId::KeptReferrer);

/// (repository, since in ms since the epoch, manifest) -> `()`: the visible manifests whose record says since
/// when they have no tag.
pub const UNTAGGED: Table<(RepoId, u64, Digest), ()> = Table::new(TableId::Untagged);

/// (repository, tag, number of the change) -> what the change was; the newest comes first.
pub const TAG_HISTORY: Table<(RepoId, Tag, Newest), TagChangeRecord> = Table::new(TableId::TagHistory);

/// (repository, manifest) -> why the manifest must not go for good.
pub const PIN: Table<(RepoId, Digest), PinRecord> = Table::new(TableId::Pin);

/// digest -> why nothing needs a blob any more, and when it or a manifest went for good.
pub const GONE: Table<Digest, GoneRecord> = Table::new(TableId::Gone);

/// (digest, session) -> a file under blobs/ that is given up and to be unlinked (I9).
pub const TOMBSTONE: Table<(Digest, SessionId), TombstoneRecord> = Table::new(TableId::Tombstone);

/// (digest, session) -> a file under blobs/ that was found damaged and is to be moved to damaged/, if it is
/// there.
pub const DAMAGED: Table<(Digest, SessionId), DamagedRecord> = Table::new(TableId::Damaged);

/// `()` -> how far the scrub came. One row; none: it begins with the first blob.
pub const SCRUB: Table<(), ScrubRecord> = Table::new(TableId::Scrub);

/// name -> a user: who may log in by a password.
pub const USER: Table<UserName, UserRecord> = Table::new(TableId::User);

/// random number -> the token of a robot. No two have the same name (I12).
pub const ACCESS_TOKEN: Table<u64, AccessTokenRecord> = Table::new(TableId::AccessToken);

/// (created in ms since the epoch, random number) -> a key that Bearer tokens are signed with. The last one
/// signs, those before it only check.
pub const SIGNING_KEY: Table<(u64, u64), SigningKeyRecord> = Table::new(TableId::SigningKey);

/// (when in ms since the epoch, number that is partly random) -> an act: who did what to what.
pub const AUDIT: Table<(u64, u64), AuditRecord> = Table::new(TableId::Audit);

/// (repository, digest) -> since when a manifest, visible or deleted, may lack bytes that a copy of the data
/// directory was without. Whether it does is to be read from the rows of what it needs.
pub const INCOMPLETE: Table<(RepoId, Digest), IncompleteRecord> = Table::new(TableId::Incomplete);

/// A bare number as a row's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub u64);

impl Value for Number {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, super::codec::CodecError> {
        u64::from_key(bytes).map(Self)
    }
}
