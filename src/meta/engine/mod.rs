//! The seam below the ledger: opaque rows in ordered tables, snapshots to read and groups of closures to
//! write.
//!
//! An engine promises: a snapshot is one committed state; a write is all or nothing; [`Engine::write`]
//! returns only when the write, or what its refusal was decided on, is on stable storage; nothing is visible
//! before. The order of commits (one writer, groups, the sync) stays inside.

pub mod redb;

mod changes;
mod commits;
#[cfg(test)]
mod contract;

pub use commits::Commits;

use std::fmt;
use std::path::Path;

/// The tables by number. Numbers and names are on disk: they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableId {
    /// The schema's version.
    Schema,
    /// Counters.
    Counter,
    /// Repository numbers by name.
    RepositoryByName,
    /// Repositories by number.
    Repository,
    /// Repositories with a visible manifest.
    Catalog,
    /// Blobs.
    Blob,
    /// Manifests.
    Manifest,
    /// Manifest bytes.
    ManifestBytes,
    /// Tags.
    Tag,
    /// Tags by manifest.
    TagOf,
    /// References by manifest.
    Reference,
    /// Manifests by the blob they need.
    BlobUser,
    /// Indexes by the manifest they list.
    Parent,
    /// Referrers by subject.
    Referrer,
    /// Leases.
    Lease,
    /// Open uploads.
    Upload,
    /// Open uploads by repository.
    UploadOf,
    /// The collector's queue.
    Queue,
    /// Files to be unlinked.
    Tombstone,
    /// Deleted manifests that can be brought back.
    Kept,
    /// Deleted manifests by the blob they keep.
    KeptUser,
    /// Deleted indexes by the manifest they list.
    KeptParent,
    /// Deleted referrers by subject.
    KeptReferrer,
    /// Manifests without a tag by the time since when.
    Untagged,
    /// What tags named before.
    TagHistory,
    /// Manifests that must not go.
    Pin,
    /// Damaged files to be set aside.
    Damaged,
    /// How far the scrub came.
    Scrub,
    /// What went for good, and why.
    Gone,
    /// Users.
    User,
    /// Tokens of robots.
    AccessToken,
    /// Keys that sign Bearer tokens.
    SigningKey,
    /// Who did what.
    Audit,
    /// Manifests that may lack bytes.
    Incomplete,
}

impl TableId {
    /// Every table.
    pub const ALL: [Self; 34] = [
        Self::Schema,
        Self::Counter,
        Self::RepositoryByName,
        Self::Repository,
        Self::Catalog,
        Self::Blob,
        Self::Manifest,
        Self::ManifestBytes,
        Self::Tag,
        Self::TagOf,
        Self::Reference,
        Self::BlobUser,
        Self::Parent,
        Self::Referrer,
        Self::Lease,
        Self::Upload,
        Self::UploadOf,
        Self::Queue,
        Self::Tombstone,
        Self::Kept,
        Self::KeptUser,
        Self::KeptParent,
        Self::KeptReferrer,
        Self::Untagged,
        Self::TagHistory,
        Self::Pin,
        Self::Damaged,
        Self::Scrub,
        Self::Gone,
        Self::User,
        Self::AccessToken,
        Self::SigningKey,
        Self::Audit,
        Self::Incomplete,
    ];

    /// The table's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Counter => "counter",
            Self::RepositoryByName => "repository_by_name",
            Self::Repository => "repository",
            Self::Catalog => "catalog",
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::ManifestBytes => "manifest_bytes",
            Self::Tag => "tag",
            Self::TagOf => "tag_of",
            Self::Reference => "reference",
            Self::BlobUser => "blob_user",
            Self::Parent => "parent",
            Self::Referrer => "referrer",
            Self::Lease => "lease",
            Self::Upload => "upload",
            Self::UploadOf => "upload_of",
            Self::Queue => "queue",
            Self::Tombstone => "tombstone",
            Self::Kept => "kept",
            Self::KeptUser => "kept_user",
            Self::KeptParent => "kept_parent",
            Self::KeptReferrer => "kept_referrer",
            Self::Untagged => "untagged",
            Self::TagHistory => "tag_history",
            Self::Pin => "pin",
            Self::Damaged => "damaged",
            Self::Scrub => "scrub",
            Self::Gone => "gone",
            Self::User => "user",
            Self::AccessToken => "access_token",
            Self::SigningKey => "signing_key",
            Self::Audit => "audit",
            Self::Incomplete => "incomplete",
        }
    }

    /// The table's place in [`TableId::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// A range of keys: from `start` on, below `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that can be in the range.
    pub start: Vec<u8>,
    /// The first key behind the range; none: to the table's end.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub const fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// The keys that begin with the bytes of `prefix`.
    #[must_use]
    pub fn prefix(prefix: &impl super::key::Key) -> Self {
        let start = prefix.to_key();
        let end = successor(&start);
        Self { start, end }
    }

    /// The part of this range that lies behind `key`.
    #[must_use]
    pub fn after(self, key: &impl super::key::Key) -> Self {
        self.after_bytes(&key.to_key())
    }

    /// The part of this range that lies behind the key with these bytes.
    #[must_use]
    pub fn after_bytes(mut self, key: &[u8]) -> Self {
        let mut start = key.to_vec();
        // The smallest byte string above a key is the key and a zero.
        start.push(0);
        self.start = self.start.max(start);
        self
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// How much is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// No more rows than these.
    pub rows: usize,
    /// No more rows once they have so many bytes. The first comes whatever its size is.
    pub bytes: usize,
}

impl Limit {
    /// So many rows, for tables whose rows are small.
    #[must_use]
    pub const fn rows(rows: usize) -> Self {
        Self { rows, bytes: usize::MAX }
    }
}

/// The smallest byte string above all that begin with `prefix`; none above a run of 0xff.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Reading rows.
pub trait ReadRows {
    /// The value under `key`.
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The values under `keys`, in their order.
    fn get_many(&self, table: TableId, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// The first rows of `range`, in the order of their keys, as many as `limit` says.
    fn range(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError>;

    /// The last rows of `range`, the last first, as many as `limit` says.
    fn range_back(&self, table: TableId, range: &KeyRange, limit: Limit) -> Result<Vec<Row>, EngineError>;

    /// Whether something here was answered with [`EngineError::Reopened`].
    fn is_lost(&self) -> bool {
        false
    }
}

/// Changing rows. What is written is at once visible to the same write, and to nobody else before the commit.
pub trait WriteRows: ReadRows {
    /// The same rows for reading.
    fn as_read(&self) -> &dyn ReadRows;

    /// Writes a row, whatever was there.
    fn put(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<(), EngineError>;

    /// Writes a row unless there is one; says whether it was written.
    fn insert_if_absent(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<bool, EngineError>;

    /// Removes a row and returns its value.
    fn remove(&mut self, table: TableId, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Adds to the counter of that name. It is not read by the write that adds.
    fn add(&mut self, counter: &[u8], delta: i64) -> Result<(), EngineError>;

    /// Keeps other writers off `name` until the commit.
    fn lock(&mut self, name: &[u8]) -> Result<(), EngineError>;
}

/// What a closure decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its changes stay.
    Keep,
    /// Its changes go, and those of no other closure.
    Undo,
}

/// A write: run once or more, on the engine's own thread, with no effect outside the rows it is given.
pub type Job = Box<dyn FnMut(&mut dyn WriteRows) -> Verdict + Send>;

/// An engine that keeps rows.
pub trait Engine: Send + Sync {
    /// The state of the last commit.
    fn snapshot(&self) -> Result<Box<dyn ReadRows>, EngineError>;

    /// Runs `job` in a transaction and returns when its outcome is durable, whatever its verdict.
    fn write(&self, job: Job) -> Result<(), WriteError>;

    /// What is known of its commits.
    fn commits(&self) -> &Commits;

    /// How it was opened.
    fn opened(&self) -> &Opened;

    /// Whether a read may have to wait for more than a disk.
    fn reads_may_wait(&self) -> bool;

    /// Says that what came with a copy is in order: from now on this is an original of its own. Until then
    /// each start does that again.
    fn settle(&self) -> Result<(), EngineError>;

    /// Ends it after the writes that wait: what is in memory alone is synced, and nothing is written or read
    /// any more.
    fn close(&self);

    /// Writes into an empty directory what a ledger as of now can be opened from, durably, and holds no
    /// snapshot meanwhile.
    fn copy_to(&self, directory: &Path) -> Result<CopiedLedger, EngineError>;
}

/// What a ledger was when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// There was none.
    New,
    /// The one that was closed or cut off here.
    Original,
    /// The same files, which somebody else touched, or which were cut off while they were written to.
    Touched,
    /// A copy, rebuilt from its snapshot and its journal.
    Copy,
}

/// How a ledger was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What it was.
    pub origin: Origin,
    /// When the last change that it has was made, in milliseconds since the epoch, where that is known.
    pub as_of_ms: Option<u64>,
    /// How many commits it has.
    pub sequence: u64,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

/// What was copied of a ledger.
#[derive(Debug, Clone, Copy)]
pub struct CopiedLedger {
    /// How many commits it has.
    pub sequence: u64,
    /// When the last of them was made, in milliseconds since the epoch.
    pub at_ms: u64,
    /// How many bytes were written.
    pub bytes: u64,
}

/// A failure of the engine, not of a request.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Reading or writing the ledger's file failed.
    #[error("the ledger cannot be read or written: {0}")]
    Storage(String),
    /// An earlier write failed; the process has to start again, from what is on disk.
    #[error("the ledger failed earlier and takes no more writes")]
    Failed,
    /// The ledger was opened anew, since its disk was full, and another state was committed meanwhile: what
    /// was being read has to be read from the beginning.
    #[error("the ledger was opened anew while it was read")]
    Reopened,
    /// The ledger is closing.
    #[error("the ledger is closing")]
    Closing,
}

/// Why a write's outcome is not what its closure decided.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The engine failed. Whether the write is on disk is decided at the next start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The ledger's disk has no room: nothing of the write happened. The closure may not even have run.
    #[error("there is no room for the ledger to grow")]
    Full,
    /// The closure panicked and was undone.
    #[error("the write panicked: {0}")]
    Panicked(String),
}

/// Why an engine cannot be opened, in words for the one who starts it.
#[derive(Debug)]
pub struct OpenError {
    /// What is wrong.
    pub reason: String,
    /// What kind of thing that is.
    pub cause: OpenCause,
}

/// What has to be cured before an engine can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenCause {
    /// The ledger is damaged.
    Damaged,
    /// There is no room to make it.
    Full,
    /// It cannot be read, or somebody else has it.
    OutOfReach,
    /// What the reason says, with what to do about it.
    Told,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_stands_at_its_index_and_has_its_own_name() {
        for (index, table) in TableId::ALL.into_iter().enumerate() {
            assert_eq!(table.index(), index);
            assert_eq!(TableId::ALL.iter().filter(|other| other.name() == table.name()).count(), 1);
        }
    }

    #[test]
    fn the_successor_is_above_all_that_begin_so() {
        assert_eq!(successor(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(&[1, 0xff]), Some(vec![2]));
        assert_eq!(successor(&[0xff, 0xff]), None);
        assert_eq!(successor(&[]), None);
    }

    #[test]
    fn ranges_cut_each_other() {
        let range = KeyRange::prefix(&7_u64).after(&(7_u64, 3_u64));
        assert_eq!(
            range.start,
            [7_u64.to_be_bytes(), 3_u64.to_be_bytes()].concat().into_iter().chain([0]).collect::<Vec<_>>()
        );
        assert_eq!(range.end, Some(8_u64.to_be_bytes().to_vec()));
        assert!(!range.is_empty());
        assert!(KeyRange::prefix(&7_u64).after(&8_u64).is_empty());
    }
}
