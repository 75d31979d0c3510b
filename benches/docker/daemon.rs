//! A docker daemon with a folder of its own, and its client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a daemon takes to start, at most.
const START_MAX: Duration = Duration::from_secs(60);

/// A daemon that ends when it is dropped.
pub struct Daemon {
    child: Child,
    home: PathBuf,
    /// Its storage driver.
    pub driver: String,
    /// Whether layers are not copied for those above them.
    pub shares_layers: bool,
}

impl Daemon {
    /// Starts one, with overlay2 where the kernel has that.
    pub fn start(home: &Path) -> Self {
        for driver in ["overlay2", "vfs"] {
            let folder = home.join(driver);
            if let Some(child) = start(&folder, driver) {
                let shares_layers = driver == "overlay2";
                return Self { child, home: folder, driver: driver.to_owned(), shares_layers };
            }
        }
        panic!("dockerd does not start; it needs root and is in the package docker.io");
    }

    /// Runs docker and gives what it says.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = client(&self.home).args(arguments).output().expect("docker can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn client(home: &Path) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_HOST", socket(home)).env("DOCKER_CONFIG", home.join("client"));
    // The builder of the daemon itself: buildx may not be there.
    command.env("DOCKER_BUILDKIT", "0");
    command
}

fn socket(home: &Path) -> String {
    format!("unix://{}", home.join("docker.sock").display())
}

fn start(home: &Path, driver: &str) -> Option<Child> {
    fs::create_dir_all(home).expect("a directory");
    let mut command = Command::new("dockerd");
    command.arg("--data-root").arg(home.join("data")).arg("--exec-root").arg(home.join("exec"));
    command.arg("--pidfile").arg(home.join("pid")).arg("--host").arg(socket(home));
    command.args(["--storage-driver", driver, "--bridge", "none", "--iptables=false", "--ip6tables=false"]);
    let log = fs::File::create(home.join("log")).expect("a file");
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().expect("dockerd is installed");
    let began = Instant::now();
    while began.elapsed() < START_MAX {
        if client(home).arg("version").output().is_ok_and(|output| output.status.success()) {
            return Some(child);
        }
        if child.try_wait().expect("it is ours").is_some() {
            return None;
        }
        std::thread::yield_now();
    }
    end(&mut child);
    None
}

/// As the daemon's own containerd ends with it only if it is asked to.
fn end(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
    child.wait().ok();
}
