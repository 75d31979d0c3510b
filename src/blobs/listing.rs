//! What lies in the data directory, for the start and for `verify`.

use super::Location;
use super::data_dir::{DataDir, PROBE, options, sync_directory};
use super::staging::remove_if_there;
use crate::oci::{Algorithm, Digest, SessionId};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An entry of uploads/.
#[derive(Debug, PartialEq, Eq)]
pub enum UploadEntry {
    /// An open session's file with its present size.
    Staging(SessionId, u64),
    /// A finished session's file, whose final name and row may or may not exist.
    Sealed(Location),
    /// Nothing of ours.
    Foreign(PathBuf),
}

fn digest_of_hex(hex: &str) -> Option<Digest> {
    let of = |algorithm: Algorithm| Digest::parse(&format!("{}:{hex}", algorithm.as_str())).ok();
    Algorithm::ALL.into_iter().find_map(of)
}

fn parse_upload(name: &str, size: u64) -> Option<UploadEntry> {
    match name.split_once('.') {
        None => SessionId::parse(name).map(|session| UploadEntry::Staging(session, size)),
        Some((session, hex)) => {
            let (session, digest) = (SessionId::parse(session)?, digest_of_hex(hex)?);
            Some(UploadEntry::Sealed(Location { digest, session }))
        }
    }
}

/// The entries of a directory; none where it is not there, as `verify` may find it.
pub(super) fn listed(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        found => Ok(Some(found?).into_iter().flatten()),
    }
}

/// An entry's size; none where it has gone since it was listed.
fn size_of(entry: &fs::DirEntry) -> io::Result<Option<u64>> {
    match entry.metadata() {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The entries of a directory whose names are not `known`.
fn strangers_of(directory: &Path, known: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut strangers = Vec::new();
    for entry in listed(directory)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&known) {
            strangers.push(entry.path());
        }
    }
    Ok(strangers)
}

/// The files below `blobs` of one algorithm and first byte. The error names a file that is none of ours.
pub(super) fn blob_files(
    blobs: &Path,
    algorithm: Algorithm,
    prefix: u8,
) -> io::Result<Vec<Result<(Location, u64), PathBuf>>> {
    let mut files = Vec::new();
    for entry in listed(&blobs.join(algorithm.as_str()).join(format!("{prefix:02x}")))? {
        let entry = entry?;
        let Some(size) = size_of(&entry)? else { continue };
        let name = entry.file_name();
        let location = name.to_str().and_then(|name| Location::parse(algorithm.as_str(), name));
        files.push(location.map(|location| (location, size)).ok_or_else(|| entry.path()));
    }
    Ok(files)
}

impl DataDir {
    /// Lists uploads/, but for what the next start takes away.
    pub fn list_uploads(&self) -> io::Result<Vec<UploadEntry>> {
        let mut entries = Vec::new();
        for entry in listed(&self.uploads())? {
            let entry = entry?;
            if entry.file_name() == PROBE {
                continue;
            }
            let Some(size) = size_of(&entry)? else { continue };
            let parsed = entry.file_name().to_str().and_then(|name| parse_upload(name, size));
            entries.push(parsed.unwrap_or_else(|| UploadEntry::Foreign(entry.path())));
        }
        Ok(entries)
    }

    /// Lists the files below blobs/ of one algorithm and first byte. The error names a file that is none of
    /// ours.
    pub fn list_blobs(
        &self,
        algorithm: Algorithm,
        prefix: u8,
    ) -> io::Result<Vec<Result<(Location, u64), PathBuf>>> {
        blob_files(&self.blobs(), algorithm, prefix)
    }

    /// What stands in blobs/ above the directories of [`Self::list_blobs`] and is none of ours.
    pub fn strangers_in_blobs(&self) -> io::Result<Vec<PathBuf>> {
        let is_prefix =
            |name: &str| name.len() == 2 && name.bytes().all(|digit| b"0123456789abcdef".contains(&digit));
        let is_algorithm = |name: &str| Algorithm::ALL.into_iter().any(|known| known.as_str() == name);
        let mut strangers = strangers_of(&self.blobs(), is_algorithm)?;
        for algorithm in Algorithm::ALL {
            let is_known = |name: &str| is_prefix(name) || name == PROBE;
            strangers.extend(strangers_of(&self.blobs().join(algorithm.as_str()), is_known)?);
        }
        Ok(strangers)
    }

    /// Unlinks the file of a session that is over.
    pub fn remove_staging(&self, session: SessionId) -> io::Result<()> {
        remove_if_there(&self.staging_path(session))
    }

    /// Unlinks the name in uploads/ of a finished session whose row is committed.
    pub fn remove_sealed(&self, location: &Location) -> io::Result<()> {
        remove_if_there(&self.sealed_path(location))
    }

    /// Takes back the end of a session that no row knows of: its bytes are an open upload again. The name
    /// that could be taken for a blob goes first.
    pub fn unseal(&self, location: &Location) -> io::Result<()> {
        remove_if_there(&self.blob_path(location))?;
        sync_directory(&self.blobs().join(location.directory()))?;
        fs::rename(self.sealed_path(location), self.staging_path(location.session))?;
        sync_directory(&self.uploads())
    }

    /// Takes back the end of a session for which there was no room, however far that came: its bytes up to
    /// `acknowledged` are an open upload again, and the room of the others is free.
    pub fn reopen(&self, location: &Location, acknowledged: u64) -> io::Result<()> {
        if self.sealed_path(location).exists() {
            self.unseal(location)?;
        }
        options().open(self.staging_path(location.session))?.set_len(acknowledged)
    }

    /// Both names of a finished session that nothing knows of go.
    pub fn remove_debris(&self, location: &Location) -> io::Result<()> {
        remove_if_there(&self.blob_path(location))?;
        sync_directory(&self.blobs().join(location.directory()))?;
        remove_if_there(&self.sealed_path(location))
    }

    /// Whether a finished upload has its name in uploads/ still.
    pub fn is_sealed(&self, location: &Location) -> io::Result<bool> {
        self.sealed_path(location).try_exists()
    }

    /// Whether an open upload's file is there, and how large it is.
    pub fn staging_size(&self, session: SessionId) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(self.staging_path(session)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a blob's file is there, and how large it is.
    pub fn blob_size(&self, location: &Location) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(self.blob_path(location)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
