//! The goods: blob files, written once under names that are never used again.
//!
//! [`DataDir`] is the directory and its lock; [`Staging`] takes an upload's bytes; a finished one becomes
//! [`Sealed`] (synced and named after its digest in uploads/) and then [`Published`] (linked under blobs/).
//! Only a published file can be named by a row. Every step syncs what the next one rests on.

mod backup;
mod damage;
mod data_dir;
mod file_system;
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

pub use crate::disk::{is_fatal, is_full};
pub use backup::{BackupDir, BackupRefusal, Goods, LedgerCopyDir, RestoreDir, Taken, TarBackup, restore_tar};
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
