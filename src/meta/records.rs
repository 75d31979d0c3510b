//! The records of the ledger. Times are milliseconds since the Unix epoch, sizes are bytes.
//!
//! Until the first release these may change in place; from then on a change is a new version byte and a
//! migration with the old type frozen beside it.

mod audit;
mod forms;

pub use audit::{AuditAction, AuditRecord};

use super::codec::Record;
use crate::oci::{
    Algorithm, Digest, Hidden, ManifestKind, ReferrerDescriptor, RepositoryName, Role, SessionId, UserName,
};
use forms::{as_algorithm, as_bytes, as_kind, as_option_text, as_role, as_text};
use serde::{Deserialize, Serialize};

macro_rules! records {
    ($($record:ty = $version:literal;)+) => {
        $(impl Record for $record {
            const VERSION: u8 = $version;
        })+
    };
}

records! {
    SchemaRecord = 1;
    RepositoryRecord = 1;
    BlobRecord = 1;
    ManifestRecord = 1;
    TagRecord = 1;
    ReferenceRecord = 1;
    ReferrerRecord = 1;
    LeaseRecord = 1;
    UploadRecord = 1;
    TombstoneRecord = 1;
    KeptRecord = 1;
    TagChangeRecord = 1;
    PinRecord = 1;
    GoneRecord = 1;
    DamagedRecord = 1;
    ScrubRecord = 1;
    UserRecord = 1;
    AccessTokenRecord = 1;
    SigningKeyRecord = 1;
    AuditRecord = 1;
    IncompleteRecord = 1;
}

/// Which migrations the ledger has been through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRecord {
    /// The number of the last migration that is complete.
    pub version: u32,
    /// Where a migration that works in pieces goes on; empty between migrations.
    pub cursor: Vec<u8>,
}

/// A repository's present name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRecord {
    /// The name; `REPOSITORY_BY_NAME` has the way back.
    #[serde(with = "as_text")]
    pub name: RepositoryName,
    /// When the repository was first written to.
    pub created_at_ms: u64,
    /// Whether its name leads to it.
    pub state: RepositoryState,
}

/// What a repository's number stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepositoryState {
    /// A repository that is found by its name.
    Named,
    /// A copy that is being made: nothing shows it before it is whole.
    Copying,
    /// A deleted repository: the collector takes its manifests out of it, piece by piece.
    Deleted {
        /// When it was deleted.
        at_ms: u64,
        /// When what was in it goes for good.
        due_at_ms: u64,
        /// Who deleted it.
        who: String,
    },
}

/// A stored blob: unless it is marked damaged, its existence implies a synced file at
/// `blobs/<algorithm>/<2 hex>/<hex>.<session>` (I1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// The file's exact size.
    pub size: u64,
    /// The upload whose file this is; the last part of the file's name.
    #[serde(with = "as_bytes")]
    pub session: SessionId,
    /// When the row was written.
    pub stored_at_ms: u64,
    /// When the file was last known to be right: when it was stored, or read and compared.
    pub good_at_ms: u64,
    /// When the file was found damaged or missing. From then on the blob counts as not there, until it is
    /// pushed again; the row stays for those that need it.
    pub damaged_at_ms: Option<u64>,
}

impl BlobRecord {
    /// The record of a file that was just stored.
    #[must_use]
    pub fn new(size: u64, session: SessionId, now_ms: u64) -> Self {
        Self { size, session, stored_at_ms: now_ms, good_at_ms: now_ms, damaged_at_ms: None }
    }

    /// Whether the file was found damaged or missing.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damaged_at_ms.is_some()
    }
}

/// A visible manifest of one repository. Its bytes stand in `MANIFEST_BYTES` under the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// The media type it was pushed with and is served with, without parameters.
    pub media_type: String,
    /// What it is.
    #[serde(with = "as_kind")]
    pub kind: ManifestKind,
    /// How many bytes it has.
    pub size: u64,
    /// What it refers to by `subject`, if anything.
    #[serde(with = "as_option_text")]
    pub subject: Option<Digest>,
    /// Whether it was pushed where an index may list manifests that are not there.
    pub sparse: bool,
    /// When it was pushed first.
    pub pushed_at_ms: u64,
    /// Since when it has no tag. None: it has one, or it was found to live with another manifest.
    pub untagged_since_ms: Option<u64>,
}

/// Where a tag points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    /// A visible manifest of the same repository (I4).
    #[serde(with = "as_text")]
    pub digest: Digest,
    /// When the tag was last written.
    pub pushed_at_ms: u64,
}

/// What a reference is answered by in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A blob, which the reference keeps and links.
    Blob,
    /// A manifest of the same repository.
    Manifest,
    /// Nothing: a foreign layer that was never pushed here.
    Absent,
}

/// One reference of a manifest, seen from the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceRecord {
    /// The part of the manifest that names it.
    #[serde(with = "as_role")]
    pub role: Role,
    /// What was found for it when the manifest was pushed.
    pub target: Target,
}

/// A manifest as the referrers list of its subject shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferrerRecord {
    /// The descriptor of the referrer as JSON, ready to be listed: artifact type and annotations included.
    pub descriptor: String,
}

impl ReferrerRecord {
    /// The record of a manifest.
    #[must_use]
    pub fn new(descriptor: &ReferrerDescriptor<'_>) -> Self {
        let text = serde_json::to_string(descriptor);
        Self { descriptor: text.expect("strings, numbers and a map of strings are JSON") }
    }

    /// The kind of artifact, if it has one.
    #[must_use]
    pub fn artifact_type(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "artifactType")]
            artifact_type: Option<String>,
        }
        serde_json::from_str::<Kind>(&self.descriptor).ok()?.artifact_type
    }
}

/// A blob's stay in a repository while no manifest there references it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// When it ends, unless the repository has an open upload then.
    pub ends_at_ms: u64,
}

/// An open upload session. Its file is `uploads/<session>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// The repository's number.
    pub repository: u64,
    /// Who began it: nobody else goes on with it.
    pub owner: String,
    /// The algorithm that the bytes are hashed with as they come.
    #[serde(with = "as_algorithm")]
    pub algorithm: Algorithm,
    /// How many bytes are synced: what a client was or may be told.
    pub offset: u64,
    /// The hash of these bytes so far, as [`crate::oci::Hasher::state`] gives it. With it they need not be
    /// read again.
    pub hash_state: Vec<u8>,
    /// When the session began.
    pub started_at_ms: u64,
    /// When it was last written to: it ends `upload_idle_secs` later.
    pub touched_at_ms: u64,
}

/// A deleted manifest. Until it is due it can be brought back, and keeps what it references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// What it was.
    pub manifest: ManifestRecord,
    /// When it was deleted.
    pub deleted_at_ms: u64,
    /// When it goes for good; its row in the queue has the same time.
    pub due_at_ms: u64,
    /// The tags that went with it.
    pub tags: Vec<String>,
    /// The manifest whose deletion took it along; its own digest where it was itself deleted.
    #[serde(with = "as_text")]
    pub root: Digest,
    /// Who deleted it.
    pub who: String,
}

/// A manifest that a tag named, described so that it can be shown when the manifest is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaggedRecord {
    /// The manifest.
    #[serde(with = "as_text")]
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size.
    pub size: u64,
}

/// Why a tag changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A push.
    Push,
    /// A deletion of the tag or of its manifest.
    Delete,
    /// A deletion was taken back.
    Undelete,
    /// The tag was set to what it named at an earlier time.
    Restore,
    /// A rule of the configuration.
    Retention,
    /// A copy of another repository.
    Copy,
    /// Bytes of what the tag named are not in this copy of the data directory.
    Incomplete,
}

impl Cause {
    /// The word for it in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Restore => "restore",
            Self::Retention => "rule",
            Self::Copy => "copy",
            Self::Incomplete => "incomplete",
        }
    }
}

/// One change of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChangeRecord {
    /// When.
    pub at_ms: u64,
    /// What the tag named before.
    #[serde(with = "as_option_text")]
    pub before: Option<Digest>,
    /// What it named from then on; none: the tag was gone.
    pub after: Option<TaggedRecord>,
    /// Why it changed.
    pub cause: Cause,
    /// Who did it.
    pub who: String,
}

/// What a thing lost when nothing needed it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// The lease of a repository ended, and no manifest referenced it.
    Lease {
        /// The repository's name.
        repository: String,
    },
    /// It was taken out of the repository by its own digest.
    Unlinked {
        /// The repository's name.
        repository: String,
    },
    /// A manifest was deleted and kept no longer: itself, or one that referenced it.
    Manifest {
        /// The repository's name.
        repository: String,
        /// The manifest.
        #[serde(with = "as_text")]
        manifest: Digest,
        /// When it was deleted.
        deleted_at_ms: u64,
        /// Who deleted it.
        who: String,
    },
}

/// What went for good, or will at the next look, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneRecord {
    /// What it lost last.
    pub loss: Loss,
    /// When it went. None: it is in the queue.
    pub gone_at_ms: Option<u64>,
    /// When this is forgotten; 0 while it is in the queue.
    pub forget_at_ms: u64,
}

/// A pin on a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRecord {
    /// When it was set.
    pub since_ms: u64,
    /// Who set it.
    pub who: String,
}

/// A file that no row needs any more and that is to be unlinked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TombstoneRecord {
    /// The file's size.
    pub size: u64,
    /// When it was given up.
    pub since_ms: u64,
}

/// A file that was found damaged and is to be moved to damaged/.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedRecord {
    /// When it was found.
    pub since_ms: u64,
}

/// A manifest that may lack bytes. It does if a blob that it needs is marked as damaged, and was marked when
/// this was written: what is found damaged later hides no manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncompleteRecord {
    /// When it was last found to lack bytes.
    pub since_ms: u64,
}

/// How far the scrub came through the blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubRecord {
    /// The last blob that was looked at.
    #[serde(with = "as_text")]
    pub after: Digest,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// What the password is checked against, as a PHC string.
    pub hash: Hidden<String>,
    /// When the user was added.
    pub created_at_ms: u64,
    /// When the password was last set.
    pub changed_at_ms: u64,
    /// Since when the user may not log in; none: may.
    pub disabled_at_ms: Option<u64>,
}

/// The token of a robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenRecord {
    /// The robot's name.
    #[serde(with = "as_text")]
    pub name: UserName,
    /// The SHA-256 of the secret. That is random, so nothing slower is needed.
    pub hash: Hidden<[u8; 32]>,
    /// Patterns of the repositories it may do something to.
    pub repositories: Vec<String>,
    /// What it may do there, in the words of the configuration.
    pub can: Vec<String>,
    /// When it was made.
    pub created_at_ms: u64,
    /// From when on it is not accepted; none: never.
    pub expires_at_ms: Option<u64>,
    /// When it was last used, to about a minute.
    pub last_used_at_ms: Option<u64>,
    /// Who made it.
    pub who: String,
}

/// A key that Bearer tokens are signed with (Ed25519).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyRecord {
    /// What the pair of keys is made of (RFC 8032, section 5.1.5).
    pub seed: Hidden<[u8; 32]>,
}
