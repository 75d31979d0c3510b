//! Docker daemons for the tests: real ones, in temporary folders, without a network of their own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use crate::process::{self, Daemon, Finished};
use crate::scene::{NotHere, ensure, text};
use crate::tools;

/// What steps with docker need.
pub const DOCKER: [&str; 2] = ["docker", "dockerd"];

/// Two daemons: what one has built and pushed, the other has never seen.
pub struct Daemons {
    pub builder: Docker,
    pub puller: Docker,
}

/// The daemons of this process, started by the first who asks and ended by the last who lets go.
/// Starting takes a second and ending several, and steps are told apart by what is in their images.
pub fn shared() -> Result<Arc<Daemons>, Box<dyn Error>> {
    static SHARED: Mutex<Weak<Daemons>> = Mutex::new(Weak::new());
    // What is in the lock is whole at any time, so a panic of another holder does not matter.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(daemons) = shared.upgrade() {
        return Ok(daemons);
    }
    let daemons = Arc::new(Daemons { builder: Docker::start()?, puller: Docker::start()? });
    *shared = Arc::downgrade(&daemons);
    Ok(daemons)
}

/// A docker client with a daemon of its own.
pub struct Docker {
    /// Goes before the folder that it writes to.
    daemon: Arc<Daemon>,
    folder: Arc<TempDir>,
    /// Where the client keeps its credentials.
    config: PathBuf,
}

/// What a push said.
pub struct Pushed {
    pub digest: String,
    pub said: String,
}

impl Docker {
    /// Starts a daemon. Containers cannot run in it: there is no bridge, and no need.
    pub fn start() -> Result<Docker, Box<dyn Error>> {
        let folder = TempDir::new()?;
        let root = folder.path();
        let mut command = process::serving("dockerd");
        command.arg("--data-root").arg(root.join("data")).arg("--exec-root").arg(root.join("exec"));
        command.arg("--pidfile").arg(root.join("pid")).arg("--host").arg(host(root));
        command.args([
            "--storage-driver",
            "vfs",
            "--bridge",
            "none",
            "--iptables=false",
            "--ip6tables=false",
        ]);
        let started = Daemon::start(command, "API listen on ");
        let (daemon, _) = started.map_err(|error| NotHere(format!("dockerd does not start: {error}")))?;
        let config = root.join("client");
        Ok(Docker { daemon: Arc::new(daemon), config, folder: Arc::new(folder) })
    }

    /// Another client of the same daemon, which keeps its credentials in this folder.
    pub fn client(&self, config: PathBuf) -> Docker {
        Docker { daemon: Arc::clone(&self.daemon), folder: Arc::clone(&self.folder), config }
    }

    /// What the client keeps: settings and credentials.
    pub fn kept(&self) -> String {
        fs::read_to_string(self.config.join("config.json")).unwrap_or_default()
    }

    /// The daemon's address, for programs that run docker themselves.
    pub fn host(&self) -> String {
        host(self.folder.path())
    }

    /// A docker command to this daemon, with no settings of the user's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tools::command("docker");
        command.args(arguments).env("DOCKER_HOST", self.host());
        command.env("DOCKER_CONFIG", &self.config);
        command.env("DOCKER_BUILDKIT", "1").env("DOCKER_CLI_EXPERIMENTAL", "enabled");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Finished, Box<dyn Error>> {
        process::run(&mut self.command(arguments))
    }

    /// Builds what the folder's Dockerfile says and returns the image's id.
    pub fn build(&self, context: &Path, name: &str) -> Result<String, Box<dyn Error>> {
        self.run(&["build", "--quiet", "--tag", name, text(context)])?;
        self.image_id(name)
    }

    pub fn push(&self, name: &str) -> Result<Pushed, Box<dyn Error>> {
        let said = self.run(&["push", name])?.everything();
        let digest = said.split("digest: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let digest = digest.ok_or_else(|| format!("push of {name} named no digest:\n{said}"))?;
        Ok(Pushed { digest: digest.to_owned(), said })
    }

    pub fn image_id(&self, name: &str) -> Result<String, Box<dyn Error>> {
        Ok(self.run(&["image", "inspect", "--format", "{{.Id}}", name])?.text())
    }

    /// Forgets an image's name, and the image with its last name.
    pub fn forget(&self, name: &str) -> Result<(), Box<dyn Error>> {
        self.run(&["image", "rm", name]).map(drop)
    }

    /// Pulls an image that this daemon has no part of, by any reference, and demands that it is the one
    /// with this id and, in its repository, this digest. Forgets it again.
    pub fn pull_exact(
        &self,
        repository: &str,
        reference: &str,
        id: &str,
        digest: &str,
    ) -> Result<(), Box<dyn Error>> {
        let separator = if reference.contains(':') { '@' } else { ':' };
        let name = format!("{repository}{separator}{reference}");
        let said = self.run(&["pull", &name])?.everything();
        ensure!(!said.contains("Already exists"), "the daemon had layers of {name} before:\n{said}");
        let pulled = self.image_id(&name)?;
        ensure!(pulled == id, "{name}: image {id} was pushed, {pulled} was pulled");
        let digests =
            self.run(&["image", "inspect", "--format", "{{join .RepoDigests \" \"}}", &name])?.text();
        let expected = format!("{repository}@{digest}");
        ensure!(digests.split(' ').any(|known| known == expected), "{name}: {digests}, not {expected}");
        self.forget(&name)
    }
}

fn host(root: &Path) -> String {
    format!("unix://{}", text(&root.join("docker.sock")))
}
