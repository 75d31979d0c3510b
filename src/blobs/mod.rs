//! The goods: blob files, written once under names that are never used again.
//!
//! [`DataDir`] is the directory and its lock; [`Staging`] takes an upload's bytes; a finished one becomes
//! [`Sealed`] (synced and named after its digest in uploads/) and then [`Published`] (linked under blobs/).
//! Only a published file can be named by a row. Every step syncs what the next one rests on.

use std::io::{self, ErrorKind};

mod damage;
mod data_dir;
mod listing;
mod location;
mod lock;
mod process;
mod reader;
mod readers;
mod room;
mod root;
mod socket;
mod staging;

pub use damage::Damage;
pub use data_dir::{DataDir, OpenDirError};
pub use listing::UploadEntry;
pub use location::Location;
pub use process::ProcessUse;
pub use reader::BlobFile;
pub use readers::Readers;
pub use room::Room;
pub use socket::connect_control;
pub use staging::{Published, Sealed, Staging};

/// A sync that failed: what was written before it may be lost, and nothing can find out.
#[derive(Debug, thiserror::Error)]
#[error("a sync failed: {0}")]
struct SyncFailed(io::Error);

/// Marks the failure of a sync, so that [`is_fatal`] knows it.
fn synced(outcome: io::Result<()>) -> io::Result<()> {
    outcome.map_err(|error| if is_full(&error) { error } else { io::Error::other(SyncFailed(error)) })
}

/// Whether after this error the disk cannot be trusted any more. A failed sync is one: it is never tried
/// again, since the kernel may have dropped the very pages that it did not write.
#[must_use]
pub fn is_fatal(error: &io::Error) -> bool {
    let device_error = rustix::io::Errno::IO.raw_os_error();
    let sync = error.get_ref().and_then(|inner| inner.downcast_ref::<SyncFailed>());
    sync.is_some() || error.raw_os_error() == Some(device_error)
}

/// Whether an I/O error says that there is no room left (for this process, or on the disk).
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
