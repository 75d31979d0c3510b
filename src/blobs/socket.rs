//! `DATA/control.sock`, whatever the length of DATA's path: the path of a socket may have some 100 bytes, so
//! this one is named through the open directory.

use super::data_dir::DataDir;
use crate::disk::{RealDisk, remove_if_there};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const CONTROL: &str = "control.sock";

fn through(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{CONTROL}", directory.as_raw_fd()))
}

impl DataDir {
    /// Makes the socket. One that is there is a dead server's, or came with a copy: the lock is ours.
    pub fn bind_control(&self) -> io::Result<UnixListener> {
        let directory = File::open(self.root())?;
        let path = through(&directory);
        remove_if_there(&RealDisk, &path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(listener)
    }
}

/// Connects to the server of a data directory. None: nobody listens there.
pub fn connect_control(root: &Path) -> io::Result<Option<UnixStream>> {
    let connected = File::open(root).and_then(|directory| UnixStream::connect(through(&directory)));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}
