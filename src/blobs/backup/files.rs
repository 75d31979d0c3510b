//! What a backup does with files. It is written by a command, beside the registry's own disk.

use super::super::{Location, Readers};
use crate::disk::{Mode, RealDisk, remove_if_there as remove, synced};
use crate::oci::Algorithm;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How a file is opened: for reading and writing, only for its owner, never through a link.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of open(2) is an int");
    options.read(true).write(true).mode(Readers::Owner.file().bits).custom_flags(no_follow);
    options
}

/// Makes a file that is not there, only for its owner.
pub fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Makes a directory that is not there, only for its owner.
pub fn make_directory(path: &Path) -> io::Result<()> {
    let Mode { bits, exact } = Readers::Owner.directory();
    DirBuilder::new().mode(bits).create(path)?;
    if exact { fs::set_permissions(path, Permissions::from_mode(bits)) } else { Ok(()) }
}

/// Makes the names in a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    synced(File::open(path)?.sync_all())
}

/// Unlinks a file; one that is not there is fine.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    remove(&RealDisk, path)
}

/// The entries of a directory; none where it is not there.
pub fn listed(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        found => Ok(Some(found?).into_iter().flatten()),
    }
}

/// The files below `blobs` of one algorithm and first byte. The error names a file that is none of ours.
pub fn blob_files(
    blobs: &Path,
    algorithm: Algorithm,
    prefix: u8,
) -> io::Result<Vec<Result<(Location, u64), PathBuf>>> {
    let mut files = Vec::new();
    for entry in listed(&blobs.join(algorithm.as_str()).join(format!("{prefix:02x}")))? {
        let entry = entry?;
        let size = match entry.metadata() {
            Ok(found) => found.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        let location = name.to_str().and_then(|name| Location::parse(algorithm.as_str(), name));
        files.push(location.map(|location| (location, size)).ok_or_else(|| entry.path()));
    }
    Ok(files)
}
