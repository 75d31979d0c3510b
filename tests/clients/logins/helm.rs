//! helm with credentials. Only `./test --extra` builds it.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::guarded::{self, CLOSED, Client, Guarded, PULL_FOR_ALL, in_and_out};
use crate::helm::{helm, package};
use crate::process::Finished;
use crate::scene::{Scene, ensure, steps, text};

steps! {
    "logins::helm" needs ["helm"];
    bearer: "registry login, push, pull, registry logout; refused before and after";
    basic: "the same where the challenge is Basic";
    everybody_pulls: "pull without a login where anonymous may, push with one";
    tls: "the same over TLS, by a certificate's authority in --ca-file";
}

struct Helm<'a> {
    scene: &'a Scene,
    package: PathBuf,
    pulled: PathBuf,
    host: String,
    connection: Vec<String>,
}

impl<'a> Helm<'a> {
    fn new(scene: &'a Scene, guarded: &Guarded) -> Result<Helm<'a>, Box<dyn Error>> {
        let (package, pulled) = (package(scene, "1.0.0", "a chart")?, scene.folder("pulled")?);
        let connection = guarded
            .authority()
            .map_or(vec!["--plain-http".to_owned()], |file| vec!["--ca-file".to_owned(), file.to_owned()]);
        Ok(Helm { scene, package, pulled, host: guarded.host(), connection })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = helm(self.scene, arguments);
        command.args(&self.connection).env("DOCKER_CONFIG", self.scene.path("docker"));
        command
    }
}

impl Client for Helm<'_> {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        let login = ["registry", "login", &self.host, "--username", name, "--password", password];
        vec![self.command(&login)]
    }

    fn logout(&self) -> Vec<Command> {
        // It asks nobody, so it takes no word on the connection.
        let mut logout = helm(self.scene, &["registry", "logout", &self.host]);
        logout.env("DOCKER_CONFIG", self.scene.path("docker"));
        vec![logout]
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.command(&["push", text(&self.package), &format!("oci://{}/demo", self.host)]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        let name = format!("oci://{}/demo/demo", self.host);
        Ok(self.command(&["pull", "--version", "1.0.0", "--destination", text(&self.pulled), &name]))
    }

    fn ensure_pulled(&self, _said: &Finished) -> Result<(), Box<dyn Error>> {
        let same = fs::read(&self.package)? == fs::read(self.pulled.join("demo-1.0.0.tgz"))?;
        ensure!(same, "the chart has other bytes");
        Ok(())
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    in_and_out(&Helm::new(scene, &Guarded::start(scene, CLOSED, &[])?)?)
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Helm::new(scene, &guarded)?)
}

fn everybody_pulls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, PULL_FOR_ALL, &[])?;
    guarded::everybody_pulls(&Helm::new(scene, &guarded)?)
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start_tls(scene, Ipv4Addr::LOCALHOST.into())?;
    in_and_out(&Helm::new(scene, &guarded)?)
}
