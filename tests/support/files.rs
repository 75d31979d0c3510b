//! What lies in a data directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::bytes;

/// Every file below `directory`, sorted. Empty when there is no such directory.
pub fn files_under(directory: &Path) -> Vec<PathBuf> {
    entries_under(directory).into_iter().filter(|path| !path.is_dir()).collect()
}

/// Every file and directory below `directory`, sorted. What vanishes meanwhile is left out.
pub fn entries_under(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(next) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The files that hold `digest` under the final names of the data directory.
pub fn blob_files(data: &Path, digest: &str) -> Vec<PathBuf> {
    let hex = bytes::hex(digest);
    files_under(&data.join("blobs")).into_iter().filter(|path| named_after(path, hex)).collect()
}

/// The one file that holds `digest`.
pub fn blob_file(data: &Path, digest: &str) -> PathBuf {
    let files = blob_files(data, digest);
    assert_eq!(files.len(), 1, "{digest} has one file, not {files:?}");
    files.into_iter().next().expect("one file")
}

fn named_after(path: &Path, hex: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(hex))
}

/// The permission bits of a file or directory.
pub fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).expect("the path exists");
    metadata.permissions().mode() & 0o7777
}

/// How many bytes a file has; none when it is gone.
pub fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| found.len())
}
