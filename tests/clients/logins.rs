//! Logging in with real clients: by password and by token, plain and over TLS, and until it is taken back.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::dockerd::{DOCKER, Docker, shared};
use crate::images::layer_file;
use crate::process::{self, run, run_failing};
use crate::scene::{Scene, ensure, steps, text};
use crate::storage::Store;
use crate::support::Server;
use crate::support::accounts::{PASSWORD, builder_with, write_users};
use crate::support::command::{answer, command};
use crate::support::server::Builder;
use crate::support::tls::{Files, Pair};
use crate::tools;

steps! {
    "logins" needs DOCKER;
    docker_by_token: "docker: log in, push, pull elsewhere, log out; Bearer";
    docker_by_password: "docker: log in, push, pull elsewhere, log out; Basic";
    docker_over_tls: "docker: log in, push, pull elsewhere, log out; over TLS";
    docker_is_shut_out_at_once: "docker: a changed password and a revoked robot are refused at the next push";
    others_by_token: "podman, skopeo, crane, oras and ctr: log in, push, pull; Bearer";
    others_by_password: "podman, skopeo, crane, oras and ctr: log in, push, pull; Basic";
    others_over_tls: "podman, skopeo, crane, oras and ctr: the same over TLS";
}

/// Everybody may pull what is public, who has an account may do more, there too.
const RULES: &str = "[{who=[\"anonymous\"], repos=[\"public/**\"], can=[\"pull\"]}, \
                     {who=[\"users\"], repos=[\"**\", \"public/**\"], can=[\"pull\", \"push\"]}]";

/// What one client does.
type Round = fn(&Scene, &Closed) -> Result<(), Box<dyn Error>>;

/// A registry that only lets in those who may, with a folder for the clients' settings.
struct Closed {
    server: Server,
    folder: TempDir,
    tls: Option<Files>,
}

impl Closed {
    fn start(change: impl FnOnce(Builder) -> Builder) -> Result<Closed, Box<dyn Error>> {
        let folder = TempDir::new()?;
        let server = change(builder_with(folder.path(), RULES)).start();
        Ok(Closed { server, folder, tls: None })
    }

    fn start_with_tls() -> Result<Closed, Box<dyn Error>> {
        let files = Files::with(&Pair::until(2040));
        let closed = Closed::start(|mut builder| {
            for (name, value) in files.settings() {
                builder = builder.env(name, &value);
            }
            builder
        })?;
        Ok(Closed { tls: Some(files), ..closed })
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.server.addr())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Docker's client with credentials of its own.
fn docker(docker: &Docker, config: &Path, arguments: &[&str]) -> Command {
    let mut command = docker.command(arguments);
    command.env("DOCKER_CONFIG", config);
    command
}

fn docker_login(client: &Docker, closed: &Closed, config: &Path, name: &str, password: &str) -> Command {
    let addr = closed.server.addr().to_string();
    docker(client, config, &["login", "--username", name, "--password", password, &addr])
}

/// An image in the daemon, by a name in the registry.
fn import(scene: &Scene, client: &Docker, label: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let layer = layer_file(scene, label, 200_000)?;
    client.run(&["import", text(&layer), name]).map(drop)
}

fn docker_round(scene: &Scene, closed: &Closed, challenge: &str) -> Result<(), Box<dyn Error>> {
    let daemons = shared()?;
    let (mine, others) = (closed.path("mine"), closed.path("others"));
    let (secret, public) = (closed.name("team/app:v1"), closed.name("public/app:v1"));
    for name in [&secret, &public] {
        import(scene, &daemons.builder, challenge, name)?;
        run_failing(&mut docker(&daemons.builder, &mine, &["push", name]))?;
    }
    run_failing(&mut docker_login(&daemons.builder, closed, &mine, "alice", "wrong"))?;
    let login = run(&mut docker_login(&daemons.builder, closed, &mine, "alice", PASSWORD))?;
    ensure!(login.everything().contains("Login Succeeded"), "{}", login.everything());
    for name in [&secret, &public] {
        run(&mut docker(&daemons.builder, &mine, &["push", name]))?;
    }
    // By one without an account only what is for all is pulled; docker gives up where Basic is asked for.
    let pull = &mut docker(&daemons.puller, &others, &["pull", &public]);
    if challenge == "basic" {
        run_failing(pull).map(drop)?;
    } else {
        run(pull).map(drop)?;
    }
    run_failing(&mut docker(&daemons.puller, &others, &["pull", &secret]))?;
    run(&mut docker_login(&daemons.puller, closed, &others, "bob", PASSWORD))?;
    run(&mut docker(&daemons.puller, &others, &["pull", &secret]))?;
    run(&mut docker(&daemons.puller, &others, &["pull", &public]))?;
    run(&mut docker(&daemons.puller, &others, &["image", "rm", &secret, &public]))?;
    let addr = closed.server.addr().to_string();
    run(&mut docker(&daemons.puller, &others, &["logout", &addr]))?;
    run_failing(&mut docker(&daemons.puller, &others, &["pull", &secret]))?;
    run(&mut docker(&daemons.builder, &mine, &["image", "rm", &secret, &public])).map(drop)
}

fn docker_by_token(scene: &Scene) -> Result<(), Box<dyn Error>> {
    docker_round(scene, &Closed::start(|builder| builder)?, "bearer")
}

fn docker_by_password(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let closed = Closed::start(|builder| builder.env("WHARFINGER_CHALLENGE", "basic"))?;
    docker_round(scene, &closed, "basic")
}

/// Docker looks at no certificate of its own machine; that others do is shown below.
fn docker_over_tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    docker_round(scene, &Closed::start_with_tls()?, "bearer over TLS")
}

fn docker_is_shut_out_at_once(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let daemons = shared()?;
    let closed = Closed::start(|builder| builder)?;
    let made =
        answer(&closed.server, &["token", "create", "builder", "--repo", "team/**", "--can", "pull,push"]);
    let secret = made["secret"].as_str().ok_or("no secret")?.to_owned();
    let (user, robot) = (closed.path("user"), closed.path("robot"));
    run(&mut docker_login(&daemons.builder, &closed, &user, "alice", PASSWORD))?;
    run(&mut docker_login(&daemons.builder, &closed, &robot, "builder", &secret))?;
    let name = |number: usize| closed.name(&format!("team/app{number}:v1"));
    for number in 0..4 {
        import(scene, &daemons.builder, &format!("shut out {number}"), &name(number))?;
    }
    let push = |config: &Path, number: usize| docker(&daemons.builder, config, &["push", &name(number)]);
    run(&mut push(&user, 0))?;
    run(&mut push(&robot, 1))?;
    write_users(&closed.path("htpasswd"), &[("alice", "another password")]);
    run_failing(&mut push(&user, 2))?;
    command(&closed.server, &["token", "revoke", "builder"]).expect_code(0);
    run_failing(&mut push(&robot, 3))?;
    let names: Vec<String> = (0..4).map(name).collect();
    let mut forget = docker(&daemons.builder, &user, &["image", "rm"]);
    run(forget.args(names)).map(drop)
}

fn others_by_token(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let closed = Closed::start(|builder| builder)?;
    others(scene, &closed)
}

fn others_by_password(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let closed = Closed::start(|builder| builder.env("WHARFINGER_CHALLENGE", "basic"))?;
    others(scene, &closed)
}

fn others_over_tls(scene: &Scene) -> Result<(), Box<dyn Error>> {
    others(scene, &Closed::start_with_tls()?)
}

/// Each client that is installed, on a repository of its own.
fn others(scene: &Scene, closed: &Closed) -> Result<(), Box<dyn Error>> {
    let clients: [(&str, Round); 5] =
        [("crane", crane), ("oras", oras), ("skopeo", skopeo), ("podman", podman), ("ctr", ctr)];
    for (client, round) in clients {
        match tools::missing(&[client]) {
            Some(reason) => tools::skip(&format!("clients::logins::{client}"), &reason),
            None => round(scene, closed).map_err(|error| format!("{client}: {error}"))?,
        }
    }
    Ok(())
}

/// Makes the client trust the registry's certificate, as programs in Go do it.
fn trusting(mut command: Command, closed: &Closed) -> Command {
    if let Some(files) = &closed.tls {
        command.env("SSL_CERT_FILE", files.certificate());
    }
    command
}

fn crane(scene: &Scene, closed: &Closed) -> Result<(), Box<dyn Error>> {
    let crane = |arguments: &[&str]| {
        let mut command = tools::command("crane");
        command.args(arguments).env("DOCKER_CONFIG", closed.path("crane"));
        trusting(command, closed)
    };
    let (name, addr) = (closed.name("crane/app:v1"), closed.server.addr().to_string());
    let layer = layer_file(scene, "crane", 90_000)?;
    let push = ["append", "--oci-empty-base", "-f", text(&layer), "-t", &name];
    run_failing(&mut crane(&push))?;
    let login =
        |password| ["auth", "login", &addr, "--username", "alice", "--password", password].map(str::to_owned);
    for password in ["wrong", PASSWORD] {
        let login = login(password);
        // It asks nobody whether the password is right; the push does.
        run(&mut crane(&login.each_ref().map(String::as_str)))?;
        if password == "wrong" {
            run_failing(&mut crane(&push))?;
        }
    }
    run(&mut crane(&push))?;
    let validated = run(&mut crane(&["validate", "--remote", &name]))?.everything();
    ensure!(validated.contains("PASS"), "{validated}");
    run(&mut crane(&["auth", "logout", &addr]))?;
    run_failing(&mut crane(&["digest", &name])).map(drop)
}

fn oras(_scene: &Scene, closed: &Closed) -> Result<(), Box<dyn Error>> {
    let folder = closed.path("oras");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("notes.txt"), b"notes")?;
    let plain = closed.tls.is_none();
    let oras = |arguments: &[&str]| {
        let mut command = tools::command("oras");
        command.args(arguments).current_dir(&folder).env("HOME", &folder).env("DOCKER_CONFIG", &folder);
        if plain {
            command.arg("--plain-http");
        }
        trusting(command, closed)
    };
    let (name, addr) = (closed.name("oras/notes:v1"), closed.server.addr().to_string());
    run_failing(&mut oras(&["push", &name, "notes.txt"]))?;
    run_failing(&mut oras(&["login", "--username", "alice", "--password", "wrong", &addr]))?;
    run(&mut oras(&["login", "--username", "alice", "--password", PASSWORD, &addr]))?;
    run(&mut oras(&["push", &name, "notes.txt"]))?;
    fs::remove_file(folder.join("notes.txt"))?;
    run(&mut oras(&["pull", &name]))?;
    ensure!(fs::read(folder.join("notes.txt"))? == b"notes", "other bytes were pulled");
    let mut logout = tools::command("oras");
    run(logout.args(["logout", &addr]).env("HOME", &folder).env("DOCKER_CONFIG", &folder))?;
    run_failing(&mut oras(&["pull", &name])).map(drop)
}

fn skopeo(_scene: &Scene, closed: &Closed) -> Result<(), Box<dyn Error>> {
    let (config, copy) = (closed.path("skopeo.json"), closed.path("copied"));
    let skopeo = |arguments: &[&str]| {
        let mut command = tools::command("skopeo");
        command.arg("--insecure-policy").args(arguments).env("REGISTRY_AUTH_FILE", &config);
        trusting(command, closed)
    };
    let verify = if closed.tls.is_some() { "true" } else { "false" };
    let (from, to) = (format!("--src-tls-verify={verify}"), format!("--dest-tls-verify={verify}"));
    let login_verify = format!("--tls-verify={verify}");
    let addr = closed.server.addr().to_string();
    let source = format!("docker://{}", closed.name("crane/app:v1"));
    let place = format!("dir:{}", text(&copy));
    run_failing(&mut skopeo(&["copy", "--quiet", &from, &source, &place]))?;
    let creds = format!("bob:{PASSWORD}");
    run(&mut skopeo(&["copy", "--quiet", "--src-creds", &creds, &from, &source, &place]))?;
    run_failing(&mut skopeo(&["login", "-u", "bob", "-p", "wrong", &login_verify, &addr]))?;
    run(&mut skopeo(&["login", "-u", "bob", "-p", PASSWORD, &login_verify, &addr]))?;
    let target = format!("docker://{}", closed.name("skopeo/app:v1"));
    // The layers are mounted from a repository that the same user may read.
    run(&mut skopeo(&["copy", "--quiet", &from, &to, &source, &target]))?;
    run(&mut skopeo(&["inspect", "--raw", &login_verify, &target]))?;
    run(&mut skopeo(&["logout", &addr]))?;
    run_failing(&mut skopeo(&["inspect", "--raw", &login_verify, &target])).map(drop)
}

fn podman(scene: &Scene, closed: &Closed) -> Result<(), Box<dyn Error>> {
    let store = Store::open(scene, "podman", &format!("podman-{}", closed.server.addr().port()))?;
    let config = closed.path("podman.json");
    let podman = |arguments: &[&str]| {
        let mut command = store.command(arguments);
        command.env("REGISTRY_AUTH_FILE", &config);
        trusting(command, closed)
    };
    let verify = format!("--tls-verify={}", closed.tls.is_some());
    let (name, target) = (closed.name("crane/app:v1"), closed.name("podman/app:v1"));
    let addr = closed.server.addr().to_string();
    run_failing(&mut podman(&["pull", "--quiet", &verify, &name]))?;
    run_failing(&mut podman(&["login", "-u", "alice", "-p", "wrong", &verify, &addr]))?;
    run(&mut podman(&["login", "-u", "alice", "-p", PASSWORD, &verify, &addr]))?;
    run(&mut podman(&["pull", "--quiet", &verify, &name]))?;
    run(&mut podman(&["push", "--quiet", &verify, &name, &target]))?;
    run(&mut podman(&["logout", &addr]))?;
    run_failing(&mut podman(&["push", "--quiet", &verify, &name, &closed.name("podman/other:v1")]))?;
    store.forget_all()
}

fn ctr(scene: &Scene, closed: &Closed) -> Result<(), Box<dyn Error>> {
    let containerd = crate::containerd::Containerd::start(scene)?;
    let user = format!("alice:{PASSWORD}");
    let hosts = closed.path("hosts");
    // It takes this machine for one without TLS, so there the registry has another name.
    let (host, how) = match &closed.tls {
        None => (closed.server.addr().to_string(), vec!["--plain-http"]),
        Some(files) => {
            let url = format!("https://{}", closed.server.addr());
            let certificate = files.certificate();
            let settings = format!("[host.\"{url}\"]\n  ca = \"{}\"\n", text(&certificate));
            fs::create_dir_all(hosts.join("registry.test"))?;
            fs::write(hosts.join("registry.test/hosts.toml"), settings)?;
            ("registry.test".to_owned(), vec!["--hosts-dir", text(&hosts)])
        }
    };
    let (name, target) = (format!("{host}/crane/app:v1"), format!("{host}/ctr/app:v1"));
    let ctr =
        |verb, login: &[&str], name: &str| containerd.command(&[&[verb], login, &how, &[name]].concat());
    run_failing(&mut ctr("pull", &[], &name))?;
    run_failing(&mut ctr("pull", &["--user", "alice:wrong"], &name))?;
    run(&mut ctr("pull", &["--user", &user], &name))?;
    run(&mut containerd.command(&["tag", &name, &target]))?;
    process::run(&mut ctr("push", &["--user", &user], &target)).map(drop)
}
