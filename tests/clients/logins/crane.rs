//! crane with credentials, kept as docker keeps them.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use crate::crane::crane;
use crate::guarded::{CLOSED, Client, Guarded, in_and_out};
use crate::images::Layout;
use crate::process::Finished;
use crate::scene::{Scene, steps, text};

steps! {
    "logins::crane" needs ["crane"];
    bearer: "auth login, push, pull, auth logout; refused before and after";
    basic: "the same where the challenge is Basic";
    tls: "the same over TLS, by a certificate's authority in SSL_CERT_FILE";
}

struct Crane {
    layout: Layout,
    returned: PathBuf,
    config: PathBuf,
    host: String,
    name: String,
    authority: Option<String>,
}

impl Crane {
    fn new(scene: &Scene, guarded: &Guarded) -> Result<Crane, Box<dyn Error>> {
        let layout = Layout::create(&scene.path("layout"))?;
        layout.tag(&layout.put_image(scene, "amd64", &[("one", 70_000), ("two", 10)])?, "image")?;
        Ok(Crane {
            layout,
            returned: scene.path("returned"),
            config: scene.folder("config")?,
            host: guarded.host(),
            name: guarded.reference("demo/app:v1"),
            authority: guarded.authority().map(ToOwned::to_owned),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crane(arguments);
        command.env("DOCKER_CONFIG", &self.config);
        if let Some(file) = &self.authority {
            command.env("SSL_CERT_FILE", file);
        }
        command
    }
}

impl Client for Crane {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        vec![self.command(&["auth", "login", &self.host, "--username", name, "--password", password])]
    }

    fn logout(&self) -> Vec<Command> {
        vec![self.command(&["auth", "logout", &self.host])]
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.command(&["push", self.layout.path(), &self.name]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.command(&["pull", "--format", "oci", &self.name, text(&self.returned)]))
    }

    fn asks_at_login(&self) -> bool {
        false
    }

    fn ensure_pulled(&self, _said: &Finished) -> Result<(), Box<dyn Error>> {
        self.layout.ensure_same(&Layout::open(&self.returned))
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    in_and_out(&Crane::new(scene, &Guarded::start(scene, CLOSED, &[])?)?)
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Crane::new(scene, &guarded)?)
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start_tls(scene, Ipv4Addr::LOCALHOST.into())?;
    in_and_out(&Crane::new(scene, &guarded)?)
}
