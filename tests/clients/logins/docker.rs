//! docker with credentials, which keeps a token of the token service in place of a password if it gets one.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dockerd::{Daemons, Docker, shared};
use crate::guarded::{self, CLOSED, Client, Guarded, PASSWORD, PULL_FOR_ALL, USER, in_and_out};
use crate::images::context;
use crate::nginx::{self, Nginx};
use crate::process::{self, Finished};
use crate::scene::{NotHere, Scene, ensure, steps};

steps! {
    "logins::docker" needs ["docker", "dockerd", "nginx", "openssl"];
    bearer: "login, push, pull by another daemon, logout; refused before and after; no password is kept";
    basic: "the same where the challenge is Basic";
    everybody_pulls: "pull without a login where anonymous may, push with one";
    robot: "a robot's token as the password; once revoked, push and pull are refused at once";
    changed_password: "after a change of the password push and pull are refused at once";
    tls: "login, push, pull, logout over TLS, by a certificate's authority in certs.d";
    trusted_proxy: "the same through nginx, which Wharfinger trusts, as documented";
    public_url: "the same through nginx, where Wharfinger knows its address by public_url alone";
}

/// Clients of two daemons with credentials of the step's own, and an image.
struct Clients {
    _daemons: Arc<Daemons>,
    builder: Docker,
    puller: Docker,
    host: String,
    name: String,
    id: String,
}

impl Clients {
    fn new(scene: &Scene, host: &str) -> Result<Clients, Box<dyn Error>> {
        let daemons = shared()?;
        let builder = daemons.builder.client(scene.path("builder"));
        let puller = daemons.puller.client(scene.path("puller"));
        let name = format!("{host}/demo/app:v1");
        let id = builder.build(&context(scene, "context", &[("one", 70_000), ("two", 10)])?, &name)?;
        Ok(Clients { _daemons: daemons, builder, puller, host: host.to_owned(), name, id })
    }

    /// What the two clients keep of their users.
    fn kept(&self) -> [String; 2] {
        [self.builder.kept(), self.puller.kept()]
    }
}

impl Client for Clients {
    fn login(&self, name: &str, password: &str) -> Vec<Command> {
        let login = ["login", "--username", name, "--password", password, &self.host];
        vec![self.builder.command(&login), self.puller.command(&login)]
    }

    fn logout(&self) -> Vec<Command> {
        [&self.builder, &self.puller].map(|client| client.command(&["logout", &self.host])).into()
    }

    fn push(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.builder.command(&["push", &self.name]))
    }

    fn pull(&self) -> Result<Command, Box<dyn Error>> {
        Ok(self.puller.command(&["pull", &self.name]))
    }

    fn ensure_pulled(&self, said: &Finished) -> Result<(), Box<dyn Error>> {
        let said = said.everything();
        ensure!(!said.contains("Already exists"), "the daemon had layers before:\n{said}");
        let pulled = self.puller.image_id(&self.name)?;
        ensure!(pulled == self.id, "image {} was pushed, {pulled} was pulled", self.id);
        Ok(())
    }
}

fn bearer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    let clients = Clients::new(scene, &guarded.host())?;
    in_and_out(&clients)?;
    for login in clients.login(USER, PASSWORD) {
        process::run(&mut { login })?;
    }
    for kept in clients.kept() {
        ensure!(kept.contains("identitytoken"), "docker keeps no token: {kept}");
        let password = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        ensure!(!kept.contains(&password), "docker keeps the password: {kept}");
    }
    Ok(())
}

fn basic(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_CHALLENGE", "basic")])?;
    in_and_out(&Clients::new(scene, &guarded.host())?)
}

fn everybody_pulls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, PULL_FOR_ALL, &[])?;
    guarded::everybody_pulls(&Clients::new(scene, &guarded.host())?)
}

fn robot(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    guarded::robots_come_and_go(&guarded, &Clients::new(scene, &guarded.host())?)
}

fn changed_password(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    guarded::changed_password(&guarded, &Clients::new(scene, &guarded.host())?)
}

/// Where daemons look for authorities, a folder for each registry. There is no option for another place.
const CERTS: &str = "/etc/docker/certs.d";

/// A folder of a registry in there, which goes again.
struct Trusted {
    folder: PathBuf,
    /// Whether the folder of all of them goes, too.
    is_first: bool,
}

impl Trusted {
    fn new(host: &str, authority: &str) -> Result<Trusted, Box<dyn Error>> {
        let (folder, is_first) = (Path::new(CERTS).join(host), !Path::new(CERTS).exists());
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| NotHere(format!("{} cannot be made: {error}", folder.display())))?;
        let trusted = Trusted { folder, is_first };
        fs::copy(authority, trusted.folder.join("ca.crt"))?;
        Ok(trusted)
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
        if self.is_first {
            // It stays if there is something else in it by now.
            fs::remove_dir(CERTS).ok();
        }
    }
}

fn tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start_tls(scene, guarded::own_address()?)?;
    let clients = Clients::new(scene, &guarded.host())?;
    let said = process::run_failing(&mut clients.login(USER, PASSWORD).remove(0))?;
    ensure!(said.contains("x509"), "docker minds nothing about an authority that it does not know:\n{said}");
    let authority = guarded.authority().ok_or("a registry with TLS has one")?;
    let _trusted = Trusted::new(&guarded.host(), authority)?;
    in_and_out(&clients)
}

fn trusted_proxy(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[("WHARFINGER_TRUSTED_PROXIES", "127.0.0.1")])?;
    let mut last = String::new();
    for _ in 0..nginx::PORT_TRIES {
        let addr = nginx::free_address()?;
        match Nginx::start_at(scene, &addr, &guarded.host(), &nginx::documented()?) {
            Ok(nginx) => return in_and_out(&Clients::new(scene, &nginx.addr)?),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("nginx does not start: {last}").into())
}

fn public_url(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let mut last = String::new();
    for _ in 0..nginx::PORT_TRIES {
        let addr = nginx::free_address()?;
        let guarded =
            Guarded::start(scene, CLOSED, &[("WHARFINGER_PUBLIC_URL", &format!("https://{addr}"))])?;
        match Nginx::start_at(scene, &addr, &guarded.host(), &nginx::documented()?) {
            Ok(nginx) => return in_and_out(&Clients::new(scene, &nginx.addr)?),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("nginx does not start: {last}").into())
}
