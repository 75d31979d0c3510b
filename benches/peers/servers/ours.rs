//! This registry.

use super::{Kind, Server};
use crate::client::Connection;
use crate::tls::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const USER: &str = "alice";
const PASSWORD: &str = "canary of the bench";

/// Everybody who is known may pull and push: asked of each request once somebody is known.
const RULES: &str = "[{who=[\"users\"], repos=[\"**\"], can=[\"pull\", \"push\"]}, \
                      {who=[\"anonymous\"], repos=[\"public/**\"], can=[\"pull\"]}]";

pub fn command(home: &Path, identity: Option<&Identity>) -> Command {
    let mut command = bare(home);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(home.join("data"));
    command.env("RUST_LOG", "warn");
    let settings = [
        // Only what is asked for is to be measured.
        ("SCRUB_BYTES_PER_SECOND", "0"),
        // All clients of a bench have one address.
        ("CONNECTIONS_PER_ADDRESS_MAX", "4096"),
        // The pages want many tags at once.
        ("MANIFEST_TAGS_MAX", "1000"),
    ];
    command.envs(settings.map(|(name, value)| (format!("WHARFINGER_{name}"), value)));
    if home.join("access").exists() {
        command.env("WHARFINGER_ACCESS", RULES);
    }
    if let Some(identity) = identity {
        command.env("WHARFINGER_TLS_CERTIFICATE", &identity.certificate_path);
        command.env("WHARFINGER_TLS_KEY", &identity.key_path);
    }
    command
}

/// Starts it again with rules of access and one user, who gets a token.
pub fn with_access(server: Server, repository: &str) -> Server {
    debug_assert_eq!(server.kind, Kind::Wharfinger);
    std::fs::write(server.home().join("access"), "").expect("a file in the home");
    let mut server = server.restarted(None);
    add_user(server.home());
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let line = format!("GET /token?service=wharfinger&scope=repository:{repository}:pull,push");
    let (_, body) = Connection::open(server.address, &basic).expect(200, &line, b"");
    let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let token = answer["token"].as_str().expect("a token in the answer");
    server.authorization = format!("Bearer {token}");
    server
}

fn add_user(home: &Path) {
    let mut child = bare(home)
        .args(["user", "add", USER, "--password-stdin", "--data"])
        .arg(home.join("data"))
        .stdin(Stdio::piped())
        // The bench prints tables and nothing else.
        .stdout(Stdio::null())
        .spawn()
        .expect("the command starts");
    let mut input = child.stdin.take().expect("it is piped");
    writeln!(input, "{PASSWORD}").expect("sent");
    drop(input);
    assert!(child.wait().expect("it is ours").success(), "a user is added");
}

/// The program without any setting of whoever runs the bench.
fn bare(home: &Path) -> Command {
    let mut command = Command::new(Kind::Wharfinger.program());
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("WHARFINGER_")) {
        command.env_remove(name);
    }
    command.current_dir(home);
    command
}
