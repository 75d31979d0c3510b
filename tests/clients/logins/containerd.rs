//! containerd with credentials, which `ctr` takes with each command.

use std::cell::RefCell;
use std::error::Error;
use std::process::Command;

use crate::containerd::{Containerd, image};
use crate::guarded::{self, CLOSED, Client, Guarded, PULL_FOR_ALL, in_and_out};
use crate::images::Layout;
use crate::process::Finished;
use crate::scene::{Scene, ensure, steps};

steps! {
    "logins::containerd" needs ["containerd", "ctr"];
    bearer: "push and pull with --user; refused without it and with a wrong password";
    basic: "the same where the challenge is Basic";
    everybody_pulls: "pull without --user where anonymous may, push with it";
    tls: "push and pull with --user over TLS, by a certificate's authority in --tlscacert";
}

struct Ctr {
    containerd: Containerd,
    layout: Layout,
    name: String,
    connection: String,
    /// The options that say who calls.
    user: RefCell<Vec<String>>,
}

impl Ctr {
    fn new(scene: &Scene, guarded: &Guarded) -> Result<Ctr, Box<dyn Error>> {
        let (containerd, layout) = (Containerd::start(scene)?, image(scene, "layout")?);
        let connection =
            guarded.authority().map_or("--plain-http".to_owned(), |file| format!("--tlscacert={file}"));
        let (name, user) = (guarded.reference("demo/app:v1"), RefCell::default());
        Ok(Ctr { containerd, layout, name, connection, user })
    }

    fn command(&self, verb: &str, names: &[&str]) -> Command {
        let mut command = self.containerd.command(&[verb, &self.connection]);
        command.args(self.user.borrow().iter()).args(names);
        command
    }
}

impl Client for Ctr {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        self.user.replace(vec!["--user".to_owned(), format!("{name}:{password}")]);
        Vec::new()
    }

    fn logout(&self) -> Vec<Command> {
        self.user.replace(Vec::new());
        Vec::new()
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        let local = self.containerd.import(&self.layout, "app")?;
        Ok(self.command("push", &[&self.name, &local]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        self.containerd.forget_all()?;
        Ok(self.command("pull", &[&self.name]))
    }

    fn ensure_pulled(&self, _said: &Finished) -> Result<(), Box<dyn Error>> {
        let listed = self.containerd.run(&["list", &format!("name=={}", self.name)])?.text();
        ensure!(listed.contains(&self.layout.named_digest()?), "{listed}");
        let complete = self.containerd.run(&["check", &format!("name=={}", self.name)])?.text();
        ensure!(complete.contains("complete (3/3)"), "{complete}");
        Ok(())
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    in_and_out(&Ctr::new(scene, &Guarded::start(scene, CLOSED, &[])?)?)
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Ctr::new(scene, &guarded)?)
}

fn everybody_pulls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, PULL_FOR_ALL, &[])?;
    guarded::everybody_pulls(&Ctr::new(scene, &guarded)?)
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    // With 127.0.0.1 it speaks plain HTTP.
    let guarded = Guarded::start_tls(scene, guarded::own_address()?)?;
    in_and_out(&Ctr::new(scene, &guarded)?)
}
