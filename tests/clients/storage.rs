//! Stores of podman and of buildah: folders of the test's own, with no settings of the user's.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Finished};
use crate::scene::{NotHere, Scene, ensure, text};
use crate::tools;

/// A store that one of the two programs works on.
pub struct Store {
    program: &'static str,
    folder: PathBuf,
}

impl Store {
    /// An empty store in the scene's folder.
    pub fn open(scene: &Scene, program: &'static str, name: &str) -> Result<Store, Box<dyn Error>> {
        let store = Store { program, folder: scene.folder(name)? };
        // Nothing but a try shows whether the kernel allows what the program does at each start.
        let tried = process::finish(&mut store.command(&["images"]))?;
        if !tried.status.success() {
            return Err(NotHere(format!("{program} does not work here: {}", tried.everything())).into());
        }
        Ok(store)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tools::command(self.program);
        command.arg("--root").arg(self.folder.join("root"));
        command.arg("--runroot").arg(self.folder.join("run")).args(["--storage-driver", "vfs"]);
        if self.program == "podman" {
            // Else it would keep its state in /run, beside that of other users of podman.
            command.arg("--tmpdir").arg(self.folder.join("tmp"));
        }
        command.args(arguments).env("HOME", &self.folder);
        command.env_remove("XDG_RUNTIME_DIR").env_remove("REGISTRY_AUTH_FILE");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Finished, Box<dyn Error>> {
        process::run(&mut self.command(arguments))
    }

    /// Pushes an image of the store and returns the digest that the program says it has pushed.
    pub fn push(&self, image: &str, name: &str, options: &[&str]) -> Result<String, Box<dyn Error>> {
        let to = format!("docker://{name}");
        self.push_by(&["push"], options, image, &to)
    }

    /// Pushes a manifest list of the store with all its images, and returns the digest.
    pub fn push_list(&self, list: &str, name: &str, options: &[&str]) -> Result<String, Box<dyn Error>> {
        let to = format!("docker://{name}");
        self.push_by(&["manifest", "push", "--all"], options, list, &to)
    }

    fn push_by(
        &self,
        verb: &[&str],
        options: &[&str],
        what: &str,
        to: &str,
    ) -> Result<String, Box<dyn Error>> {
        let said = self.folder.join("digest");
        let basic = ["--quiet", "--tls-verify=false", "--digestfile", text(&said)];
        self.run(&[verb, &basic[..], options, &[what, to]].concat())?;
        Ok(fs::read_to_string(said)?.trim().to_owned())
    }

    /// Pulls an image and returns its id.
    pub fn pull(&self, name: &str, options: &[&str]) -> Result<String, Box<dyn Error>> {
        let pulled = self.run(&[&["pull", "--quiet", "--tls-verify=false"], options, &[name]].concat())?;
        Ok(pulled.text())
    }

    /// Forgets every image, so that a later pull has to fetch all of it.
    pub fn forget_all(&self) -> Result<(), Box<dyn Error>> {
        self.run(&["rmi", "--all", "--force"]).map(drop)
    }
}

/// Demands that a folder has, for each label, a file of the scene's bytes.
pub fn ensure_files(scene: &Scene, folder: &Path, files: &[(&str, usize)]) -> Result<(), Box<dyn Error>> {
    for (label, len) in files {
        let same = fs::read(folder.join(label))? == scene.bytes(label, *len);
        ensure!(same, "{label} has other bytes than were pushed");
    }
    Ok(())
}
