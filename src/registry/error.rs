//! Everything the registry refuses or fails at. `http::error` has the one table of what clients see of it.

use super::accounts::AccountError;
use crate::oci::{Digest, ManifestError, Reference, RepositoryName, Role, SessionId, Tag};
use crate::store::{MetaError, StoreError};

/// A reference of a pushed manifest that nothing in the repository answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingReference {
    /// What is missing.
    pub digest: Digest,
    /// What it would be to the manifest.
    pub role: Role,
}

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No repository of that name has anything to show.
    #[error("repository {0} is not known to this registry")]
    RepositoryUnknown(RepositoryName),
    /// The repository has no such manifest or tag.
    #[error("{repository} has no manifest {reference}")]
    ManifestUnknown {
        /// Where it was looked for.
        repository: RepositoryName,
        /// What was looked for.
        reference: Reference,
    },
    /// The blob is not linked in the repository, whether or not others have it.
    #[error("{repository} has no blob {digest}")]
    BlobUnknown {
        /// Where it was looked for.
        repository: RepositoryName,
        /// What was looked for.
        digest: Digest,
    },
    /// The manifest references what is not in the repository.
    #[error("{repository} lacks {} objects that the manifest references: push them first", missing.len())]
    ReferencesMissing {
        /// Where they were looked for.
        repository: RepositoryName,
        /// Each of them once.
        missing: Vec<MissingReference>,
    },
    /// The manifest states another size than the object it references has.
    #[error("the manifest says that {digest} has {stated} bytes, it has {stored}")]
    ReferenceSize {
        /// What is referenced.
        digest: Digest,
        /// The size in the manifest.
        stated: u64,
        /// The size of what is stored.
        stored: u64,
    },
    /// The manifest is not one that can be kept.
    #[error(transparent)]
    ManifestInvalid(#[from] ManifestError),
    /// The manifest is larger than the limit.
    #[error("a manifest may have {max_bytes} bytes (setting manifest_max_bytes)")]
    ManifestTooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// The same bytes are stored under another media type.
    #[error("{digest} is stored as {stored}; push it as that, or delete it first")]
    ManifestConflict {
        /// The manifest.
        digest: Digest,
        /// The media type it has.
        stored: String,
    },
    /// The bytes do not hash to the digest that was named.
    #[error("the content's digest is {actual}, {expected} was named")]
    DigestMismatch {
        /// What was named.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// The session does not exist here: never, not in this repository, or no longer.
    #[error("upload {0} is not known: it was finished, cancelled or idle for too long; begin a new one")]
    UploadUnknown(SessionId),
    /// Another request is writing to the session.
    #[error("another request is writing to upload {0}; try again when it has ended")]
    UploadBusy(SessionId),
    /// Somebody has too many uploads open.
    #[error(
        "{owner} has {max} uploads open (setting open_uploads_max): finish or cancel some, or try again when \
         those that nobody goes on with have ended"
    )]
    TooManyUploads {
        /// Who.
        owner: String,
        /// How many may be.
        max: u64,
    },
    /// A chunk does not begin where the session ends.
    #[error("upload {session} goes on at byte {offset}, the request's range begins elsewhere")]
    RangeMismatch {
        /// The session.
        session: SessionId,
        /// Where it goes on.
        offset: u64,
    },
    /// The body has another length than its range.
    #[error(
        "the body has another length than its Content-Range; upload {session} still goes on at byte {offset}"
    )]
    RangeLength {
        /// The session.
        session: SessionId,
        /// Where it goes on.
        offset: u64,
    },
    /// Manifests of the repository need what was to be deleted.
    #[error("{digest} is needed by {} of {repository}: delete those first", list(needed_by))]
    InUse {
        /// The repository.
        repository: RepositoryName,
        /// What was to be deleted.
        digest: Digest,
        /// Who needs it: the first few.
        needed_by: Vec<Digest>,
    },
    /// The tag or digest names something that the condition of a write does not allow.
    #[error(
        "{reference} of {repository} names {}, which the request's If-Match or If-None-Match does not allow: \
         look at it again, then decide",
        present.map_or_else(|| "nothing".to_owned(), |present| present.to_string())
    )]
    ConditionFailed {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest.
        reference: Reference,
        /// What it names.
        present: Option<Digest>,
    },
    /// The tag names something else, and the pusher may only add.
    #[error("{repository} has the tag {tag}, and you may add tags here, not move them: choose another tag")]
    MayOnlyAdd {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
    },
    /// The disk has no more room than the floor keeps.
    #[error(
        "the registry's disk has {free} bytes free and keeps {floor} (setting free_space_floor_bytes), this \
         request announces {announced}: delete images or enlarge the disk, then push again"
    )]
    NoRoom {
        /// The room there is.
        free: u64,
        /// The room that is kept.
        floor: u64,
        /// The room that was asked for, as far as that is known.
        announced: u64,
    },
    /// A manifest has more tags than can go with it at once.
    #[error(
        "{digest} has more than {max} tags in {repository}, which cannot all go at once: delete some of them \
         by their names first"
    )]
    TooManyTags {
        /// The repository.
        repository: RepositoryName,
        /// What was to be deleted.
        digest: Digest,
        /// How many tags can go at once.
        max: usize,
    },
    /// Nothing is pinned under that tag or digest.
    #[error("{repository} has no pin on {reference}: `wharfinger pin ls` lists all pins")]
    NotPinned {
        /// The repository.
        repository: RepositoryName,
        /// What was to be unpinned.
        reference: Reference,
    },
    /// The name is another repository's.
    #[error(
        "the name {0} is in use, by images, by deleted ones that are still kept, or by a running upload: \
         `wharfinger repo delete {0}` or `repo rename` frees it"
    )]
    RepositoryExists(RepositoryName),
    /// A repository with pins cannot go.
    #[error("{repository} has a pin on {digest}: `wharfinger pin rm {repository}@{digest}` takes it off")]
    Pinned {
        /// The repository.
        repository: RepositoryName,
        /// The first pinned manifest.
        digest: Digest,
    },
    /// There is nothing to bring back.
    #[error(
        "{repository} has nothing deleted{} that is still kept (setting keep_deleted_secs)",
        reference.as_ref().map_or_else(String::new, |reference| format!(" as {reference}"))
    )]
    NothingDeleted {
        /// The repository.
        repository: RepositoryName,
        /// What was to be brought back, if not everything.
        reference: Option<Reference>,
    },
    /// The tag that was to be brought back names something.
    #[error("the tag {tag} of {repository} is in use: `tag restore` moves it, a DELETE frees it")]
    TagInUse {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
    },
    /// The tag named nothing at that time, or that is no longer remembered.
    #[error("{repository} does not remember that {tag} named anything then: `tag history` lists its changes")]
    NoHistory {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
    },
    /// What a tag named is not kept any more.
    #[error("{reference} of {repository} named {digest}, which is gone for good: push it again")]
    GoneForGood {
        /// The repository.
        repository: RepositoryName,
        /// What was to be brought back.
        reference: Reference,
        /// What it named.
        digest: Digest,
    },
    /// An account is not as it would have to be.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Ledger or files failed, or there is no room.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        Self::Store(error.into())
    }
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
