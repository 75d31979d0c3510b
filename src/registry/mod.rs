//! The registry's rules: what may be pushed, pulled, listed and deleted, and what each of that writes.
//!
//! One file a verb. Everything here is plain blocking code over [`Store`]: a request reads one snapshot or
//! makes one write, and each rule is decided inside of it.

mod blob;
mod clock;
mod delete;
mod error;
mod housekeeping;
mod ids;
mod links;
mod list;
mod live;
mod manifest;
mod mount;
mod push;
mod referrers;
mod repositories;
mod room;
mod upload;
mod verify;

pub use crate::store::{
    BlobFile, DataDir, OnFailure, OpenDirError, OpenError, Recovery, Store, StoreError, StoreOptions,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, MissingReference};
pub use list::Page;
pub use manifest::StoredManifest;
pub use push::Pushed;
pub use referrers::ReferrersPage;
pub use upload::{Upload, UploadStatus};
pub use verify::{VerifyReport, Violation};

use crate::config::Settings;
use live::LiveUploads;
use std::sync::Arc;

/// The registry of one data directory.
pub struct Registry {
    store: Store,
    clock: Arc<dyn Clock>,
    settings: Settings,
    live: LiveUploads,
}

impl Registry {
    /// The registry that `store` holds.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { store, clock, settings, live: LiveUploads::default() }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long a lease lasts, in milliseconds.
    fn lease_ms(&self) -> u64 {
        self.settings.blob_lease_secs * 1000
    }

    /// How long before a lease's end HEAD stops to count on it, in milliseconds: never more than a quarter of
    /// it, or a short lease would be of no use at all.
    fn lease_margin_ms(&self) -> u64 {
        (self.settings.lease_margin_secs * 1000).min(self.lease_ms() / 4)
    }
}
