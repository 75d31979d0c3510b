//! The registries that steps run against, and a plain HTTP view of them.

use std::error::Error;
use std::fmt::{self, Display};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::images::digest_of;
use crate::process::{self, Daemon};
use crate::scene::{ensure, text};
use crate::{support, tools};

/// Far more than any test's blob.
const BODY_LIMIT: u64 = 1 << 30;
/// What a client that takes anything sends.
const ANY_MANIFEST: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Which registry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Wharfinger,
    /// Debian's docker-registry (2.8.2 in bookworm), with deleting switched on.
    DockerRegistry,
}

impl Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Wharfinger => "wharfinger",
            Kind::DockerRegistry => "docker-registry",
        })
    }
}

impl Kind {
    /// Its name and version.
    pub fn version(self) -> Result<String, Box<dyn Error>> {
        if self == Kind::Wharfinger {
            return Ok(format!("{self} {}", env!("CARGO_PKG_VERSION")));
        }
        let said = process::run(tools::command("docker-registry").arg("--version"))?.text();
        Ok(format!("{self} {}", said.split_whitespace().last().unwrap_or_default()))
    }

    /// Why it cannot be had here, if so.
    pub fn missing(self) -> Option<String> {
        match self {
            Kind::Wharfinger => None,
            Kind::DockerRegistry => tools::missing(&["docker-registry"]),
        }
    }
}

enum Running {
    Wharfinger {
        server: support::Server,
    },
    /// The folder goes last: the daemon writes to it until it has ended.
    DockerRegistry {
        _daemon: Daemon,
        folder: TempDir,
    },
}

/// A registry on a free port of this machine with nothing in it.
pub struct Registry {
    running: Running,
    addr: String,
}

/// A manifest as the registry gave it, its digest checked.
pub struct Manifest {
    pub media_type: String,
    pub digest: String,
    pub bytes: Vec<u8>,
}

impl Manifest {
    /// The manifest's JSON.
    pub fn json(&self) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&self.bytes)?)
    }
}

impl Registry {
    pub fn start(kind: Kind) -> Result<Registry, Box<dyn Error>> {
        match kind {
            Kind::Wharfinger => {
                let server = support::Server::start();
                let addr = server.addr().to_string();
                Ok(Registry { running: Running::Wharfinger { server }, addr })
            }
            Kind::DockerRegistry => start_docker_registry(),
        }
    }

    pub fn kind(&self) -> Kind {
        match self.running {
            Running::Wharfinger { .. } => Kind::Wharfinger,
            Running::DockerRegistry { .. } => Kind::DockerRegistry,
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Frees what was deleted, while the registry runs. Wharfinger does so by itself, but not so soon.
    pub fn collect_garbage(&self) -> Result<(), Box<dyn Error>> {
        let mut collect = match &self.running {
            Running::DockerRegistry { folder, .. } => {
                let mut collect = tools::command("docker-registry");
                let config = folder.path().join("config.yml");
                collect.args(["garbage-collect", "-m", text(&config)]);
                collect
            }
            Running::Wharfinger { server } => {
                let mut collect = support::process::program(server.data());
                collect.args(["gc", "--now", "--data"]).arg(server.data());
                collect
            }
        };
        process::run(&mut collect).map(drop)
    }

    /// Flips a byte of a stored blob, as a failing disk might.
    pub fn flip_byte(&self, digest: &str) -> Result<(), Box<dyn Error>> {
        let path = match &self.running {
            Running::Wharfinger { server } => support::files::blob_file(server.data(), digest),
            Running::DockerRegistry { folder, .. } => {
                let hex = support::bytes::hex(digest);
                let blobs = folder.path().join("data/docker/registry/v2/blobs/sha256");
                blobs.join(&hex[..2]).join(hex).join("data")
            }
        };
        let mut bytes = fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Ok(fs::write(path, bytes)?)
    }

    /// Lets the running registry look for damaged files. The peer has no command for that.
    pub fn find_damage(&self, digest: &str) -> Result<(), Box<dyn Error>> {
        let Running::Wharfinger { server } = &self.running else { return Ok(()) };
        let found = server.verify_live(&["--deep"]);
        ensure!(found.code == Some(1) && found.words().contains(digest), "not found: {}", found.words());
        Ok(())
    }

    /// The files that hold a digest in the registry's folder.
    pub fn files_of(&self, digest: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        match &self.running {
            Running::Wharfinger { server } => Ok(support::files::blob_files(server.data(), digest)),
            Running::DockerRegistry { folder, .. } => {
                let hex = digest.strip_prefix("sha256:").ok_or("a digest of sha256")?;
                let blobs = folder.path().join("data/docker/registry/v2/blobs/sha256");
                let path = blobs.join(&hex[..2]).join(hex).join("data");
                Ok(if path.exists() { vec![path] } else { Vec::new() })
            }
        }
    }

    /// A manifest's bytes, checked against the digest that the registry names.
    pub fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, Box<dyn Error>> {
        let path = format!("{repository}/manifests/{reference}");
        let mut response = self.get(&path, ANY_MANIFEST)?;
        ensure!(response.status() == 200, "GET {path} gave {}", response.status());
        let header = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(ToOwned::to_owned).ok_or(format!("GET {path} gave no {name}"))
        };
        let (media_type, digest) = (header("Content-Type")?, header("Docker-Content-Digest")?);
        let bytes = response.body_mut().with_config().limit(BODY_LIMIT).read_to_vec()?;
        ensure!(digest == digest_of(&bytes), "GET {path} gave bytes that are not {digest}");
        Ok(Manifest { media_type, digest, bytes })
    }

    /// A blob's bytes.
    pub fn blob(&self, repository: &str, digest: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let path = format!("{repository}/blobs/{digest}");
        let mut response = self.get(&path, "*/*")?;
        ensure!(response.status() == 200, "GET {path} gave {}", response.status());
        Ok(response.body_mut().with_config().limit(BODY_LIMIT).read_to_vec()?)
    }

    /// The status that a GET of something under `/v2/` gives.
    pub fn status(&self, path: &str) -> Result<u16, Box<dyn Error>> {
        Ok(self.get(path, ANY_MANIFEST)?.status().as_u16())
    }

    /// The repository's tags, sorted.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let mut response = self.get(&format!("{repository}/tags/list"), "*/*")?;
        ensure!(response.status() == 200, "tags/list of {repository} gave {}", response.status());
        let listed: Value = serde_json::from_slice(&response.body_mut().read_to_vec()?)?;
        let tags = listed["tags"].as_array().ok_or("tags/list has no list")?;
        let mut tags: Vec<String> =
            tags.iter().filter_map(|tag| tag.as_str().map(ToOwned::to_owned)).collect();
        tags.sort();
        Ok(tags)
    }

    /// The descriptors of what refers to a manifest, of one type unless that is empty.
    pub fn referrers(
        &self,
        repository: &str,
        subject: &str,
        kind: &str,
    ) -> Result<Vec<Value>, Box<dyn Error>> {
        let filter = if kind.is_empty() { String::new() } else { format!("?artifactType={kind}") };
        let path = format!("{repository}/referrers/{subject}{filter}");
        let mut response = self.get(&path, "*/*")?;
        ensure!(response.status() == 200, "GET {path} gave {}", response.status());
        let listed: Value = serde_json::from_slice(&response.body_mut().read_to_vec()?)?;
        Ok(listed["manifests"].as_array().ok_or("no list of referrers")?.clone())
    }

    /// Deletes a manifest by its digest.
    pub fn delete_manifest(&self, repository: &str, digest: &str) -> Result<(), Box<dyn Error>> {
        let url = format!("http://{}/v2/{repository}/manifests/{digest}", self.addr);
        let status = agent().delete(&url).call()?.status();
        ensure!(status == 202, "DELETE of {repository}@{digest} gave {status}");
        let after = self.status(&format!("{repository}/manifests/{digest}"))?;
        ensure!(after == 404, "GET of {repository}@{digest} after its DELETE gave {after}");
        Ok(())
    }

    fn get(&self, path: &str, accept: &str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        agent().get(format!("http://{}/v2/{path}", self.addr)).header("Accept", accept).call()
    }
}

fn agent() -> ureq::Agent {
    let limited = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60)));
    // A proxy of the environment is for elsewhere.
    limited.http_status_as_error(false).proxy(None).build().into()
}

fn start_docker_registry() -> Result<Registry, Box<dyn Error>> {
    let folder = TempDir::new()?;
    let config = folder.path().join("config.yml");
    let storage = format!("filesystem: {{rootdirectory: {}}}", text(&folder.path().join("data")));
    let settings = "delete: {enabled: true}, cache: {blobdescriptor: inmemory}";
    fs::write(
        &config,
        format!("version: 0.1\nstorage: {{{storage}, {settings}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n"),
    )?;
    let mut command = process::serving("docker-registry");
    command.arg("serve").arg(&config);
    let (daemon, line) = Daemon::start(command, "listening on ")?;
    let addr = line.split("listening on ").nth(1).and_then(|rest| rest.split('"').next());
    let addr = addr.ok_or_else(|| format!("no address in {line}"))?.to_owned();
    Ok(Registry { running: Running::DockerRegistry { _daemon: daemon, folder }, addr })
}
