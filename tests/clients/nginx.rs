//! docker through nginx, which is set as docs/operating.md says, with other addresses and files.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::docker::pull_both;
use crate::dockerd::shared;
use crate::images::context;
use crate::process::{self, Daemon};
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

steps! {
    "nginx" needs ["nginx", "openssl", "docker", "dockerd"];
    push_and_pull: "docker pushes 4 layers, one of 12 MiB, through nginx and TLS, pulls by tag and by digest";
    cancel_and_push_again: "docker ends a push amid a layer, through nginx; the next one is whole";
    passwords: "nginx asks for a password: docker is refused until it logs in, then pushes and pulls";
}

/// The addresses and files of docs/operating.md.
const LISTEN: &str = "listen 443 ssl;";
const CERTIFICATE: &str = "/etc/ssl/registry.pem";
const KEY: &str = "/etc/ssl/registry.key";
const UPSTREAM: &str = "server 127.0.0.1:5000;";
const PASSWORDS: &str = "/etc/nginx/registry.htpasswd";
/// How often a port may be taken by another before nginx has it.
pub const PORT_TRIES: usize = 3;

/// The settings of nginx in the section of docs/operating.md on proxies.
pub fn documented() -> Result<String, Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let text = fs::read_to_string(file)?;
    let section = text.split("\n## Behind a proxy\n").nth(1).ok_or("no section on proxies")?;
    let block = section.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    Ok(block.ok_or("no settings of nginx in its section")?.to_owned())
}

#[test]
fn documented_settings_let_layers_through() {
    let settings = documented().expect("docs/operating.md has them");
    for setting in [
        "client_max_body_size 0;",
        "proxy_request_buffering off;",
        "proxy_http_version 1.1;",
        "location = /token {",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
    ] {
        assert!(settings.contains(setting), "no {setting} in\n{settings}");
    }
    for place in [LISTEN, CERTIFICATE, KEY, UPSTREAM, PASSWORDS] {
        assert_eq!(settings.matches(place).count(), 1, "{place} in\n{settings}");
    }
}

/// An nginx of the step's own before the scene's registry.
pub struct Nginx {
    daemon: Daemon,
    pub addr: String,
}

impl Nginx {
    /// With the documented settings.
    fn start(scene: &Scene) -> Result<Nginx, Box<dyn Error>> {
        Nginx::start_with(scene, &documented()?)
    }

    fn start_with(scene: &Scene, settings: &str) -> Result<Nginx, Box<dyn Error>> {
        let mut last = String::new();
        for _ in 0..PORT_TRIES {
            let addr = free_address()?;
            match Nginx::start_at(scene, &addr, scene.registry.addr(), settings) {
                Ok(nginx) => return Ok(nginx),
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("nginx does not start: {last}").into())
    }

    /// At this address, before the registry at that one.
    pub fn start_at(
        scene: &Scene,
        addr: &str,
        registry: &str,
        settings: &str,
    ) -> Result<Nginx, Box<dyn Error>> {
        let folder = scene.folder("nginx")?;
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let mut openssl = tools::command("openssl");
        openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-days", "2", "-subj", "/CN=registry.example.org"]);
        process::run(openssl.arg("-out").arg(&certificate).arg("-keyout").arg(&key))?;
        let mut server = settings.replace(CERTIFICATE, text(&certificate)).replace(KEY, text(&key));
        server = server.replace(UPSTREAM, &format!("server {registry};"));
        server = server.replace(LISTEN, &format!("listen {addr} ssl;"));
        Ok(Nginx { daemon: start(&folder, &server)?, addr: addr.to_owned() })
    }
}

/// An address of this machine that nobody has at the moment.
pub fn free_address() -> Result<String, Box<dyn Error>> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Starts nginx with nothing of the machine's settings and all of its files in the folder.
fn start(folder: &Path, server: &str) -> Result<Daemon, Box<dyn Error>> {
    let at = |name: &str| text(&folder.join(name)).to_owned();
    let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", at(kind)))
        .into();
    // The user is root's name for itself: the worker must reach the folder, which is the test's alone.
    let config = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {};\nerror_log stderr notice;\nevents {{}}\n\
         http {{\naccess_log /dev/stderr;\n{}\n{server}}}\n",
        at("pid"),
        temporary.join("\n"),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let mut command = process::serving("nginx");
    command.arg("-p").arg(folder).args(["-e", "stderr", "-c"]).arg(file);
    Ok(Daemon::start(command, "start worker process ")?.0)
}

fn push_and_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (docker, nginx) = (shared()?, Nginx::start(scene)?);
    let repository = format!("{}/demo/app", nginx.addr);
    let name = format!("{repository}:v1");
    let layers = [("small", 700), ("empty", 0), ("large", 12 << 20), ("more", 2 << 20)];
    let id = docker.builder.build(&context(scene, "context", &layers)?, &name)?;
    let pushed = docker.builder.push(&name)?;
    let there = scene.registry.manifest("demo/app", "v1")?;
    ensure!(there.digest == pushed.digest, "{} was pushed, {} is there", pushed.digest, there.digest);
    let again = docker.builder.push(&name)?;
    let existing = again.said.matches("Layer already exists").count();
    ensure!(existing == layers.len(), "{existing} layers existed:\n{}", again.said);
    pull_both(&docker.puller, &repository, "v1", &id, &pushed.digest)
}

fn cancel_and_push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (docker, nginx) = (shared()?, Nginx::start(scene)?);
    let repository = format!("{}/demo/cancelled", nginx.addr);
    let name = format!("{repository}:v1");
    // Docker compresses it on its way, which takes the better part of a second.
    let layers = [("large", 32 << 20)];
    let id = docker.builder.build(&context(scene, "context", &layers)?, &name)?;
    let (push, _) = Daemon::start(docker.builder.command(&["push", &name]), "Preparing")?;
    nginx.daemon.await_line("\"POST /v2/demo/cancelled/blobs/uploads/")?;
    drop(push);
    let ended = nginx.daemon.await_line("\"PATCH /v2/demo/cancelled/blobs/uploads/")?;
    ensure!(!ended.contains("\" 202 "), "the layer was whole before the push ended: {ended}");
    let status = scene.registry.status("demo/cancelled/manifests/v1")?;
    ensure!(status == 404, "the tag is there after a push that was ended: {status}");
    let pushed = docker.builder.push(&name)?;
    pull_both(&docker.puller, &repository, "v1", &id, &pushed.digest)?;
    docker.builder.forget(&name)
}

fn passwords(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let mut hash = tools::command("openssl");
    let hash = process::run(hash.args(["passwd", "-apr1", "only for this test"]))?.text();
    let file = scene.path("htpasswd");
    fs::write(&file, format!("tester:{hash}\n"))?;
    let asking = documented()?.replace("#auth_basic", "auth_basic").replace(PASSWORDS, text(&file));
    let nginx = Nginx::start_with(scene, &asking)?;
    let repository = format!("{}/demo/closed", nginx.addr);
    let name = format!("{repository}:v1");
    let id = docker.builder.build(&context(scene, "context", &[("one", 2 << 20), ("two", 10)])?, &name)?;
    process::run_failing(&mut docker.builder.command(&["push", &name]))?;
    process::run_failing(&mut docker.puller.command(&["pull", &name]))?;
    let login = |password| ["login", "--username", "tester", "--password", password, &nginx.addr];
    process::run_failing(&mut docker.builder.command(&login("another")))?;
    for client in [&docker.builder, &docker.puller] {
        client.run(&login("only for this test"))?;
    }
    let pushed = docker.builder.push(&name)?;
    pull_both(&docker.puller, &repository, "v1", &id, &pushed.digest)
}
