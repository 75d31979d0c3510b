//! What was found in other registries and is public, tried on this one. docs/security.md lists it all, with
//! the tests that stand elsewhere and what there is nothing of here.

mod credentials;
mod files;
mod rights;
mod wire;

use tempfile::TempDir;

use crate::support::accounts::{PASSWORD, server_with};
use crate::support::{Client, Reply, Server};

/// Alice reads and writes team/, bob secret/; neither may do anything to what the other has.
const APART: &str = "[{who=[\"alice\"], repos=[\"team/**\"], can=[\"pull\",\"push\",\"delete\"]}, \
                     {who=[\"bob\"], repos=[\"secret/**\"], can=[\"pull\",\"push\",\"delete\"]}]";

/// A server, and what has to outlive it.
struct Scene {
    _folder: TempDir,
    server: Server,
    alice: Client,
    bob: Client,
}

impl Scene {
    fn start(access: &str) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let server = server_with(folder.path(), access);
        let user = |name| server.client().with_password(name, PASSWORD);
        let (alice, bob) = (user("alice"), user("bob"));
        Self { _folder: folder, server, alice, bob }
    }
}

/// What a caller sees of an answer, with one text in it replaced: a name or a digest that was asked for.
fn seen(reply: &Reply, asked: &str) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.stable_headers().into_iter();
    let headers = headers.map(|(name, value)| (name, value.replace(asked, "ASKED"))).collect();
    (reply.status, headers, String::from_utf8_lossy(&reply.body).replace(asked, "ASKED"))
}
