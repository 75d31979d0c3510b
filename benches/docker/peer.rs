//! Debian's docker-registry, as it is installed, on a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One that ends when it is dropped.
pub struct Peer {
    child: Child,
    pub address: String,
}

impl Peer {
    /// Starts one on the data below `dir`.
    pub fn start(dir: &Path) -> Self {
        let config = dir.join("config.yml");
        let data = dir.join("data");
        let words = format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: info}}\nstorage: {{filesystem: \
             {{rootdirectory: {}}}, cache: {{blobdescriptor: inmemory}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n",
            data.display()
        );
        fs::write(&config, words).expect("a file");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the package docker-registry is installed");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let listening = lines.by_ref().map_while(Result::ok).find(|line| line.contains("listening on "));
        let listening = listening.expect("it says where it listens");
        let address = listening.split("listening on ").nth(1).and_then(|rest| rest.split('"').next());
        let address = address.expect("an address").to_owned();
        // Whatever it says, it is not held up by that.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
