//! Distribution, 2.8 as Debian packages it or 3: the same settings and the same files.

use super::Kind;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Below its home: where repositories are directories.
pub const REPOSITORIES: &str = "data/docker/registry/v2/repositories";

pub fn command(kind: Kind, home: &Path, address: SocketAddr) -> Command {
    let file = home.join("config.yml");
    let data = home.join("data");
    fs::create_dir_all(&data).expect("a directory in the home");
    // Its own example keeps descriptors of blobs in memory; the log is as quiet as ours.
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  \
         cache:\n    blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: {}\n  \
         maintenance:\n    uploadpurging:\n      enabled: false\nhttp:\n  addr: {address}\n",
        data.display()
    );
    fs::write(&file, text).expect("a file in the home");
    let mut command = Command::new(kind.program());
    // Version 3 would look for a collector of traces.
    command.arg("serve").arg(file).env("OTEL_TRACES_EXPORTER", "none").stderr(Stdio::null());
    command
}
