//! Zot, where its program is named.

use super::Kind;
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

pub fn command(home: &Path, address: SocketAddr) -> Command {
    let file = home.join("config.json");
    let config = json!({
        "distSpecVersion": "1.1.1",
        "storage": {"rootDirectory": home.join("data"), "gc": false, "dedupe": false},
        "http": {"address": address.ip().to_string(), "port": address.port().to_string()},
        "log": {"level": "error", "output": home.join("log")},
    });
    fs::write(&file, config.to_string()).expect("a file in the home");
    let mut command = Command::new(Kind::Zot.program());
    command.arg("serve").arg(file).stderr(Stdio::null());
    command
}
