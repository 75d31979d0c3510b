//! oras with credentials, kept in a file of the step's own.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::guarded::{CLOSED, Client, Guarded, in_and_out};
use crate::oras::oras;
use crate::process::Finished;
use crate::scene::{Scene, ensure, steps, text};

steps! {
    "logins::oras" needs ["oras"];
    bearer: "login, push, pull, logout; refused before and after";
    basic: "the same where the challenge is Basic";
    tls: "the same over TLS, by a certificate's authority in --ca-file";
}

const FILE: &str = "data.bin";

struct Oras<'a> {
    scene: &'a Scene,
    pushed: PathBuf,
    pulled: PathBuf,
    host: String,
    name: String,
    connection: Vec<String>,
}

impl<'a> Oras<'a> {
    fn new(scene: &'a Scene, guarded: &Guarded) -> Result<Oras<'a>, Box<dyn Error>> {
        let pushed = scene.file(FILE, 70_000)?;
        let connection = guarded
            .authority()
            .map_or(vec!["--plain-http".to_owned()], |file| vec!["--ca-file".to_owned(), file.to_owned()]);
        let (host, name) = (guarded.host(), guarded.reference("demo/thing:v1"));
        Ok(Oras { scene, pushed, pulled: scene.folder("pulled")?, host, name, connection })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = oras(&self.scene.path(""), arguments);
        command.args(&self.connection);
        command
    }
}

impl Client for Oras<'_> {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        vec![self.command(&["login", &self.host, "--username", name, "--password", password])]
    }

    fn logout(&self) -> Vec<Command> {
        // It asks nobody, so it takes no word on the connection.
        vec![oras(&self.scene.path(""), &["logout", &self.host])]
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.command(&["push", &self.name, FILE]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.command(&["pull", "--output", text(&self.pulled), &self.name]))
    }

    fn ensure_pulled(&self, _said: &Finished) -> Result<(), Box<dyn Error>> {
        ensure!(fs::read(&self.pushed)? == fs::read(self.pulled.join(FILE))?, "the file has other bytes");
        Ok(())
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    in_and_out(&Oras::new(scene, &Guarded::start(scene, CLOSED, &[])?)?)
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Oras::new(scene, &guarded)?)
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start_tls(scene, Ipv4Addr::LOCALHOST.into())?;
    in_and_out(&Oras::new(scene, &guarded)?)
}
