//! The registry's rules: what may be pushed, pulled, listed and deleted, and what each of that writes.
//!
//! One file a verb. Everything here is plain blocking code over [`Store`]: a request reads one snapshot or
//! makes one write, and each rule is decided inside of it.

mod accounts;
mod actor;
mod audit;
mod backup;
mod blob;
mod clock;
mod collect;
mod condition;
mod copy;
mod damage;
mod delete;
mod error;
mod explain;
mod family;
mod figures;
mod files_alone;
mod garbage;
mod gone;
mod health;
mod history;
mod housekeeping;
mod ids;
mod incomplete;
mod kept;
mod links;
mod list;
mod live;
mod manifest;
mod mount;
mod pins;
mod push;
mod references;
mod referrers;
mod report;
mod repositories;
mod retention;
mod room;
#[cfg(test)]
mod scene;
mod scrub;
mod tagging;
mod undelete;
mod upload;
mod usage;
mod verify;
mod view;
mod whole;

pub use crate::store::records::{AuditAction, AuditRecord};
pub use crate::store::{
    BackupDir, BackupRefusal, Damage, DataDir, LedgerOptions, OnFailure, OpenDirError, OpenError, Readers,
    Recovery, RestoreDir, Store, StoreError, StoreOptions, connect_control, restore_tar,
};
pub use accounts::{AccountError, Book, NewToken, SigningKey, Token, TokenEntry, User, UserEntry};
pub use actor::Actor;
pub use audit::{Act, AuditFilter, AuditPage, AuditPlace, AuditPlaceError};
pub use backup::{BackupError, BackupReport, Point, PointPlace, PointSource, back_up, back_up_to_tar};
pub use blob::{CheckedBlob, OpenBlob};
pub use clock::{Clock, ManualClock, SystemClock, rfc3339};
pub use collect::{Collected, Round};
pub use condition::{Condition, Digests};
pub use copy::{CopyReport, Names, Placement};
pub use damage::Needing;
pub use error::{Error, MissingReference};
pub use explain::Explanation;
pub use family::Deleted;
pub use files_alone::{FoundFile, FoundFiles};
pub use garbage::{Amount, Garbage};
pub use health::Health;
pub use history::TagChange;
pub use kept::Restored;
pub use list::Page;
pub use manifest::StoredManifest;
pub use pins::Pin;
pub use push::{ManifestPush, Pushed};
pub use referrers::ReferrersPage;
pub use report::{RegistryReport, RepositoryReport, RepositoryRow, TagReport};
pub use retention::Verdict;
pub use scrub::{Scrub, Scrubbed};
pub use upload::{Upload, UploadOwner, UploadStatus};
pub use usage::Usage;
pub use verify::{Checks, Counts, Progress, VerifyReport, Violation};
pub use view::{Everything, Sight, View};
pub use whole::Copied;

use crate::config::Config;
use crate::store::RepoId;
use crate::store::records::Cause;
use live::LiveUploads;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tagging::Change;

/// The registry of one data directory.
pub struct Registry {
    store: Store,
    clock: Arc<dyn Clock>,
    config: RwLock<Arc<Config>>,
    live: LiveUploads,
    accounts: accounts::Accounts,
    /// The copies of repositories that are being made.
    copying: Mutex<HashSet<RepoId>>,
    /// When collected files were last unlinked.
    unlinked_at_ms: AtomicU64,
    /// When the rules of the repositories were last enforced.
    retained_at_ms: AtomicU64,
    /// Where the search for old history goes on.
    history_cursor: Mutex<history::Cursor>,
    /// How many acts began since the start: those of one millisecond stand in the order of these numbers.
    acts: AtomicU32,
    /// How many blobs were found damaged since the start.
    damaged_blobs: AtomicU64,
    /// Whether manifests may lack bytes, since this is or was a copy: each read of one looks closer then.
    has_incomplete: AtomicBool,
    /// What was done since the start.
    meters: figures::Meters,
    /// Whether long work is to end, since the server does.
    is_stopping: AtomicBool,
}

impl Registry {
    /// The registry that `store` holds.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, config: Config) -> Self {
        Self {
            store,
            clock,
            config: RwLock::new(Arc::new(config)),
            live: LiveUploads::default(),
            accounts: accounts::Accounts::default(),
            copying: Mutex::default(),
            unlinked_at_ms: AtomicU64::new(0),
            retained_at_ms: AtomicU64::new(0),
            history_cursor: Mutex::new(None),
            acts: AtomicU32::new(0),
            damaged_blobs: AtomicU64::new(0),
            has_incomplete: AtomicBool::new(false),
            meters: figures::Meters::default(),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Whether a short read may take longer than it looks: it belongs on a thread that may wait.
    #[must_use]
    pub fn reads_may_wait(&self) -> bool {
        self.has_incomplete.load(Ordering::Relaxed) || self.store.reads_may_wait()
    }

    /// The configuration in force. Ask once for things that have to fit each other: it may be another one the
    /// next time.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        // Setting it is one assignment: a panic cannot leave it half done.
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in force. What runs goes on with the one it began with.
    pub fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The time as the registry knows it, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The store below, for what builds large registries.
    #[doc(hidden)]
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Makes the socket by which commands talk to the server of this directory.
    pub fn bind_control(&self) -> std::io::Result<std::os::unix::net::UnixListener> {
        self.store.dir().bind_control()
    }

    /// A change of tags that begins now.
    fn change(&self, actor: &Actor, cause: Cause) -> Change {
        let history_max = self.config().settings.tag_history_max;
        Change { now_ms: self.clock.now_ms(), who: actor.label(), cause, history_max }
    }

    /// How long a lease lasts, in milliseconds.
    fn lease_ms(&self) -> u64 {
        self.config().settings.blob_lease_secs * 1000
    }

    /// How long an upload stays open without a byte, in milliseconds.
    fn upload_idle_ms(&self) -> u64 {
        self.config().settings.upload_idle_secs * 1000
    }

    /// How long before a lease's end HEAD stops to count on it, in milliseconds: never more than a quarter of
    /// it, or a short lease would be of no use at all.
    fn lease_margin_ms(&self) -> u64 {
        let settings = &self.config().settings;
        (settings.lease_margin_secs * 1000).min(settings.blob_lease_secs * 1000 / 4)
    }
}
