//! Users, their passwords, and the tokens they get.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::server::{Builder, Server};
use super::{Client, ImageBuilder, Manifest, Reply, canaries};

/// A password for tests. It is searched for in all that a server leaves behind.
pub const PASSWORD: &str = "canary password";

/// A server with the users `alice` and `bob` and these rules (the value of the setting `access`).
pub fn server_with(folder: &Path, access: &str) -> Server {
    builder_with(folder, access).start()
}

/// The same, before it is started. The folder holds the file of the users.
pub fn builder_with(folder: &Path, access: &str) -> Builder {
    // First: it is searched for what is a secret from now on.
    let builder = Server::builder();
    let file = folder.join("htpasswd");
    write_users(&file, &[("alice", PASSWORD), ("bob", PASSWORD)]);
    let file = file.to_str().expect("a path in UTF-8");
    builder.env("WHARFINGER_HTPASSWD", file).env("WHARFINGER_ACCESS", access)
}

/// Writes an htpasswd file. Its passwords and their hashes are canaries.
pub fn write_users(file: &Path, users: &[(&str, &str)]) {
    let line = |(name, password): &(&str, &str)| {
        let hash = bcrypt::hash(password, 4).expect("a password without zeroes");
        canaries::add(password);
        canaries::add(&hash);
        format!("{name}:{hash}\n")
    };
    fs::write(file, users.iter().map(line).collect::<Vec<_>>().concat())
        .expect("the folder can be written to");
}

/// Asks the token service by GET.
#[track_caller]
pub fn ask_for_token(client: &Client, scopes: &[&str]) -> Reply {
    let scopes = scopes.iter().map(|scope| format!("scope={scope}"));
    let query: Vec<_> = std::iter::once("service=wharfinger".to_owned()).chain(scopes).collect();
    client.get(&format!("/token?{}", query.join("&")))
}

/// A token for these scopes.
#[track_caller]
pub fn token(client: &Client, scopes: &[&str]) -> String {
    let answer = ask_for_token(client, scopes).expect_status(200).json();
    assert_eq!(answer["token"], answer["access_token"]);
    text(&answer, "token")
}

/// A text of an answer. A secret or a token is a canary.
#[track_caller]
pub fn text(answer: &Value, key: &str) -> String {
    let text = answer[key].as_str().unwrap_or_else(|| panic!("{key} in {answer}"));
    if ["secret", "token", "access_token", "refresh_token"].contains(&key) {
        canaries::add(text);
    }
    text.to_owned()
}

/// The client with a token for these scopes in place of what it had.
#[track_caller]
pub fn by_token(client: &Client, scopes: &[&str]) -> Client {
    client.with_token(&token(client, scopes))
}

/// An image of one layer.
pub fn image(layer: &[u8]) -> Manifest {
    ImageBuilder::oci().layer(layer).build()
}
