//! podman with credentials, in a file of the step's own.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::guarded::{self, CLOSED, Client, Guarded, PULL_FOR_ALL, in_and_out};
use crate::podman::{load, open};
use crate::process::Finished;
use crate::scene::{Scene, ensure, steps};
use crate::storage::Store;

steps! {
    "logins::podman" needs ["podman"];
    bearer: "login, push, pull into another store, logout; refused before and after";
    basic: "the same where the challenge is Basic";
    everybody_pulls: "pull without a login where anonymous may, push with one";
    tls: "login, push, pull, logout over TLS, by a certificate's authority in --cert-dir";
}

struct Podman {
    builder: Store,
    puller: Store,
    credentials: PathBuf,
    host: String,
    id: String,
    name: String,
    /// How the registry is spoken to.
    connection: String,
}

impl Podman {
    fn new(scene: &Scene, guarded: &Guarded) -> Result<Podman, Box<dyn Error>> {
        let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
        let id = load(scene, &builder, "layout", &[("one", 70_000), ("two", 10)])?;
        let credentials = scene.path("auth.json");
        fs::write(&credentials, "{}")?;
        let connection = guarded
            .authority_folder()
            .map_or("--tls-verify=false".to_owned(), |folder| format!("--cert-dir={folder}"));
        let (host, name) = (guarded.host(), guarded.reference("demo/app:v1"));
        Ok(Podman { builder, puller, credentials, host, id, name, connection })
    }

    fn command(&self, store: &Store, arguments: &[&str]) -> Command {
        let mut command = store.command(arguments);
        command.env("REGISTRY_AUTH_FILE", &self.credentials);
        command
    }
}

impl Client for Podman {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        let login = ["login", &self.connection, "--username", name, "--password", password, &self.host];
        vec![self.command(&self.builder, &login)]
    }

    fn logout(&self) -> Vec<Command> {
        vec![self.command(&self.builder, &["logout", &self.host])]
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        let to = format!("docker://{}", self.name);
        Ok(self.command(&self.builder, &["push", "--quiet", &self.connection, &self.id, &to]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.command(&self.puller, &["pull", "--quiet", &self.connection, &self.name]))
    }

    fn ensure_pulled(&self, said: &Finished) -> Result<(), Box<dyn Error>> {
        ensure!(said.text() == self.id, "{} was pushed, {} was pulled", self.id, said.text());
        Ok(())
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    in_and_out(&Podman::new(scene, &Guarded::start(scene, CLOSED, &[])?)?)
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Podman::new(scene, &guarded)?)
}

fn everybody_pulls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, PULL_FOR_ALL, &[])?;
    guarded::everybody_pulls(&Podman::new(scene, &guarded)?)
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start_tls(scene, Ipv4Addr::LOCALHOST.into())?;
    in_and_out(&Podman::new(scene, &guarded)?)
}
