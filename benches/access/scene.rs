//! A registry with an image in it, and what its callers present.

use crate::client::Client;
use crate::server::{self, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The repository.
pub const REPOSITORY: &str = "bench/app";

/// The user that there is.
pub const USER: &str = "alice";

const PASSWORD: &str = "canary of the bench";

/// A few rules, as a registry with teams has them.
const RULES: &str = "[{who=[\"anonymous\"], repos=[\"public/**\"], can=[\"pull\"]}, \
                      {who=[\"group:web\"], repos=[\"web/**\"], can=[\"pull\",\"push\"]}, \
                      {who=[\"users\"], repos=[\"home/{user}/**\"], can=[\"pull\",\"push\",\"delete\"]}, \
                      {who=[\"group:bench\"], repos=[\"bench/**\"], can=[\"pull\",\"push\",\"delete\"]}, \
                      {who=[\"group:web\"], repos=[\"**\"], can=[\"admin\"]}]";

const GROUPS: &str = "{bench=[\"alice\"], web=[\"bob\"]}";

/// How large the blob is that is pulled.
const BLOB_BYTES: usize = 64 * 1024;

/// How a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nobody is asked who he is.
    Open,
    /// By a token of the token service.
    Bearer,
    /// By name and password.
    Basic,
    /// By a robot's secret.
    Robot,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Bearer, Self::Basic, Self::Robot];
}

/// A running server with an image, for callers of one kind.
pub struct Scene {
    pub server: Server,
    pub address: SocketAddr,
    /// What callers present.
    pub authorization: String,
    /// Two manifests of the same blob.
    pub manifests: [Vec<u8>; 2],
    /// The digest of the blob.
    pub blob: String,
    _home: TempDir,
}

impl Scene {
    /// Starts one.
    pub fn start(way: Way) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        set_up(way);
        let server = Server::start(home.path());
        let address = server.address.parse().expect("an address and a port");
        let data = home.path().join("data");
        let data = data.to_str().expect("a path in UTF-8");
        if way != Way::Open {
            command(&["user", "add", USER, "--password-stdin", "--data", data], PASSWORD);
        }
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let authorization = match way {
            Way::Open => String::new(),
            Way::Basic => basic,
            Way::Robot => format!("Bearer {}", robot_secret(data)),
            Way::Bearer => format!("Bearer {}", token(address, &basic)),
        };
        let mut client = Client::connect(address, Ipv4Addr::LOCALHOST, &authorization);
        let blob = upload(&mut client, &vec![0x5a; BLOB_BYTES]);
        let config = upload(&mut client, b"{}");
        let manifests = [1, 2].map(|number| manifest(number, &config, &blob));
        for manifest in &manifests {
            client.expect(201, &format!("PUT /v2/{REPOSITORY}/manifests/v1"), manifest);
        }
        Self { server, address, authorization, manifests, blob, _home: home }
    }

    /// A caller from an address.
    pub fn client(&self, from: Ipv4Addr) -> Client {
        Client::connect(self.address, from, &self.authorization)
    }
}

/// The settings of a server for callers of that kind, in place of those before.
fn set_up(way: Way) {
    let mut settings = vec![
        // What was found right is remembered for longer than the bench lasts, and nothing else is done.
        ("WHARFINGER_PASSWORD_CACHE_SECS", "3600"),
        ("WHARFINGER_SCRUB_BYTES_PER_SECOND", "0"),
    ];
    if way != Way::Open {
        settings.extend([("WHARFINGER_ACCESS", RULES), ("WHARFINGER_GROUPS", GROUPS)]);
    }
    let owned = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    *server::SETTINGS.lock().expect("no panic") = owned.collect();
}

/// Runs a command, which gets one line, and gives what it says.
fn command(arguments: &[&str], line: &str) -> Vec<u8> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut input = child.stdin.take().expect("it is piped");
    writeln!(input, "{line}").expect("sent");
    drop(input);
    let output = child.wait_with_output().expect("it is ours");
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    output.stdout
}

fn robot_secret(data: &str) -> String {
    let wish = ["--repo", "bench/**", "--repo", "tools/*", "--can", "pull,push,delete", "--json"];
    let arguments = [&["token", "create", "builder", "--data", data], wish.as_slice()].concat();
    text(&command(&arguments, ""), "secret")
}

/// A token for the repository, as docker asks for one.
fn token(server: SocketAddr, basic: &str) -> String {
    let mut client = Client::connect(server, Ipv4Addr::LOCALHOST, basic);
    let line = format!("GET /token?service=wharfinger&scope=repository:{REPOSITORY}:pull,push");
    text(&client.expect(200, &line, b"").body, "token")
}

fn text(json: &[u8], key: &str) -> String {
    let value: Value = serde_json::from_slice(json).expect("JSON");
    value[key].as_str().unwrap_or_else(|| panic!("{key} in the answer")).to_owned()
}

/// Uploads at one go, and gives the digest.
fn upload(client: &mut Client, content: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(content);
    let digest = server::text(hasher);
    client.expect(201, &format!("POST /v2/{REPOSITORY}/blobs/uploads/?digest={digest}"), content);
    digest
}

fn manifest(number: u32, config: &str, blob: &str) -> Vec<u8> {
    let descriptor = |digest: &str, size: usize| {
        format!("{{\"mediaType\":\"application/octet-stream\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{},\"layers\":[{}],\"annotations\":{{\"number\":\"{number}\"}}}}",
        descriptor(config, 2),
        descriptor(blob, BLOB_BYTES)
    )
    .into_bytes()
}
