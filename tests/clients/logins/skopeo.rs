//! skopeo with credentials, kept in a file of the step's own or given with each copy.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::guarded::{self, CLOSED, Client, Guarded, PASSWORD, USER, in_and_out, refused};
use crate::images::Layout;
use crate::process::{self, Finished};
use crate::scene::{Scene, steps};
use crate::skopeo::{image, skopeo};

steps! {
    "logins::skopeo" needs ["skopeo"];
    bearer: "login, copy in and out, logout; refused before and after";
    basic: "the same where the challenge is Basic";
    creds: "copy in and out with --dest-creds and --src-creds; wrong ones are refused";
    robot: "a robot's token as the password; once revoked, copies are refused at once";
    tls: "login, copy, logout over TLS, by a certificate's authority in --cert-dir";
}

struct Skopeo {
    layout: Layout,
    returned: PathBuf,
    credentials: PathBuf,
    host: String,
    name: String,
    /// How the registry is spoken to, without the dashes that differ with the command.
    connection: String,
}

impl Skopeo {
    fn new(scene: &Scene, guarded: &Guarded) -> Result<Skopeo, Box<dyn Error>> {
        let credentials = scene.path("auth.json");
        fs::write(&credentials, "{}")?;
        let connection = guarded
            .authority_folder()
            .map_or("tls-verify=false".to_owned(), |folder| format!("cert-dir={folder}"));
        let (host, name) = (guarded.host(), format!("docker://{}", guarded.reference("demo/app:v1")));
        let (layout, returned) = (image(scene, "layout")?, scene.path("returned"));
        Ok(Skopeo { layout, returned, credentials, host, name, connection })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = skopeo(arguments);
        command.env("REGISTRY_AUTH_FILE", &self.credentials);
        command
    }

    fn copy_in(&self, options: &[&str]) -> Command {
        let from = format!("oci:{}:image", self.layout.path());
        let connection = format!("--dest-{}", self.connection);
        self.command(&[&["copy", "--quiet", &connection], options, &[&from, &self.name]].concat())
    }

    fn copy_out(&self, options: &[&str]) -> Command {
        let to = format!("oci:{}:image", self.returned.display());
        let connection = format!("--src-{}", self.connection);
        self.command(&[&["copy", "--quiet", &connection], options, &[&self.name, &to]].concat())
    }
}

impl Client for Skopeo {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        let connection = format!("--{}", self.connection);
        vec![self.command(&["login", &connection, "-u", name, "-p", password, &self.host])]
    }

    fn logout(&self) -> Vec<Command> {
        vec![self.command(&["logout", &self.host])]
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.copy_in(&["--preserve-digests"]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.copy_out(&["--preserve-digests"]))
    }

    fn ensure_pulled(&self, _said: &Finished) -> Result<(), Box<dyn Error>> {
        self.layout.ensure_same(&Layout::open(&self.returned))
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    in_and_out(&Skopeo::new(scene, &Guarded::start(scene, CLOSED, &[])?)?)
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Skopeo::new(scene, &guarded)?)
}

fn creds(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    let skopeo = Skopeo::new(scene, &guarded)?;
    let (right, wrong) = (format!("{USER}:{PASSWORD}"), format!("{USER}:wrong"));
    refused(skopeo.copy_in(&["--dest-creds", &wrong]))?;
    process::run(&mut skopeo.copy_in(&["--dest-creds", &right]))?;
    refused(skopeo.copy_out(&["--src-creds", &wrong]))?;
    skopeo.ensure_pulled(&process::run(&mut skopeo.copy_out(&["--src-creds", &right]))?)
}

fn robot(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    guarded::robots_come_and_go(&guarded, &Skopeo::new(scene, &guarded)?)
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start_tls(scene, Ipv4Addr::LOCALHOST.into())?;
    in_and_out(&Skopeo::new(scene, &guarded)?)
}
