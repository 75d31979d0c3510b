//! The container image and the Compose file. Containers need not run for it: the image's own files are
//! taken out and run with the image's folder as their root and the image's user as theirs.

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dockerd::{Daemons, Docker, shared};
use crate::images::tar;
use crate::process::{self, Daemon};
use crate::scene::{Outcome, ensure, text};
use crate::tools;

/// Nobody's: neither root nor a person.
const USER: u32 = 65532;

#[test]
fn compose_file_is_accepted() {
    if let Some(reason) = tools::missing(&["docker-compose"]) {
        tools::skip("clients::packaging::compose_file_is_accepted", &reason);
        return;
    }
    let mut compose = tools::command("docker-compose");
    let file = project().join("compose.yaml");
    let config = process::run(compose.arg("--file").arg(file).arg("config")).expect("it is accepted").text();
    let expected = [
        "image: wharfinger:latest",
        "restart: unless-stopped",
        "127.0.0.1:5000:5000",
        "WHARFINGER_ANONYMOUS: pull,push,delete",
        "data:/data",
    ];
    for line in expected {
        assert!(config.contains(line), "no {line} in\n{config}");
    }
}

#[test]
fn scripts_say_how_they_are_used() {
    for script in ["test", "scripts/build-image", "scripts/install-test-tools"] {
        let mut command = Command::new(project().join(script));
        let said = process::run(command.arg("--help").current_dir("/")).expect("it ends with success").text();
        assert!(
            said.contains(&format!("  {script} [--")) || said.contains(&format!("  ./{script} [--")),
            "{said}"
        );
        assert!(!said.contains('#') && !said.contains("set -"), "only its first comment: {said}");
    }
}

#[test]
fn image_runs_from_its_own_files() {
    let missing = tools::missing(&["docker", "dockerd", "chroot", "rustc", "cc"]);
    match missing.map_or_else(|| Outcome::of(build_and_run()), Outcome::Skipped) {
        Outcome::Passed => {}
        Outcome::Failed(reason) => panic!("{reason}"),
        Outcome::Skipped(reason) => {
            tools::skip("clients::packaging::image_runs_from_its_own_files", &reason);
        }
    }
}

fn build_and_run() -> Result<(), Box<dyn Error>> {
    let daemons = shared()?;
    let name = "wharfinger:test";
    build(&daemons.builder, name)?;
    let config = daemons.builder.run(&["image", "inspect", "--format", "{{json .Config}}", name])?;
    let config: Value = serde_json::from_slice(&config.stdout)?;
    check_config(&config)?;
    let folder = TempDir::new()?;
    let root = unpack(&daemons.builder, name, folder.path())?;
    refuses_without_access(&root, &config)?;
    serves(&root, &config, &daemons)
}

/// Runs the script that users run, with the profile that the tests are built with, as it is quicker.
fn build(docker: &Docker, name: &str) -> Result<(), Box<dyn Error>> {
    let mut script = Command::new(project().join("scripts/build-image"));
    script.args(["--profile", "dev", name]).env("CARGO_PROFILE_DEV_DEBUG", "false");
    script.env("DOCKER_HOST", docker.host()).env("DOCKER_BUILDKIT", "1");
    // The script takes the docker that this finds.
    let docker_folder = tools::path("docker").ok_or("no docker")?;
    let docker_folder = docker_folder.parent().ok_or("docker is in a folder")?.to_owned();
    let search = env::var_os("PATH").unwrap_or_default();
    let folders = [docker_folder].into_iter().chain(env::split_paths(&search));
    script.env("PATH", env::join_paths(folders)?);
    process::run_build(&mut script).map(drop)
}

fn check_config(config: &Value) -> Result<(), Box<dyn Error>> {
    let expected = [
        ("User", json!(format!("{USER}:{USER}"))),
        ("Entrypoint", json!(["/wharfinger"])),
        ("Cmd", json!(["serve"])),
        ("Volumes", json!({"/data": {}})),
        ("ExposedPorts", json!({"5000/tcp": {}})),
        ("Healthcheck", json!({"Test": ["CMD", "/wharfinger", "healthcheck"]})),
    ];
    for (name, value) in expected {
        ensure!(config[name] == value, "{name} is {}", config[name]);
    }
    let environment = settings(config);
    let expected = [("WHARFINGER_DATA", "/data"), ("WHARFINGER_LISTEN", "0.0.0.0:5000")];
    // Who may do what is not the image's to decide.
    ensure!(environment == expected, "the environment is {environment:?}");
    Ok(())
}

/// The settings among the variables that the image sets.
fn settings(config: &Value) -> Vec<(&str, &str)> {
    let variables = config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    variables
        .filter(|variable| variable.starts_with("WHARFINGER_"))
        .filter_map(|it| it.split_once('='))
        .collect()
}

/// Takes the image's files out as Docker gives them to a container.
fn unpack(docker: &Docker, name: &str, folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let (archive, root) = (folder.join("image.tar"), folder.join("root"));
    let container = docker.run(&["create", name])?.text();
    docker.run(&["export", "--output", text(&archive), &container])?;
    docker.run(&["rm", &container])?;
    docker.forget(name)?;
    fs::create_dir(&root)?;
    let mut unpack = tools::command("tar");
    unpack.args(["--extract", "--same-owner", "--numeric-owner", "--same-permissions"]);
    process::run(unpack.arg("--directory").arg(&root).arg("--file").arg(&archive))?;
    let data = fs::metadata(root.join("data"))?;
    ensure!(data.uid() == USER && data.gid() == USER, "/data belongs to {}:{}", data.uid(), data.gid());
    ensure!(data.mode() & 0o777 == 0o700, "/data has mode {:o}", data.mode() & 0o777);
    Ok(root)
}

/// The image's program with its files and its user, and with nothing from here.
fn inside(mut command: Command, root: &Path) -> Command {
    command.arg(format!("--userspec={USER}:{USER}")).arg(root).arg("/wharfinger").env_clear();
    command
}

fn refuses_without_access(root: &Path, config: &Value) -> Result<(), Box<dyn Error>> {
    let arguments = config["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut serve = inside(tools::command("chroot"), root);
    let said = process::run_failing(serve.args(arguments).envs(settings(config)))?;
    ensure!(said.contains("WHARFINGER_ANONYMOUS"), "the refusal does not name the cure: {said}");
    Ok(())
}

/// As in a container that sets another address, by the one variable that its health check reads, too.
fn serves(root: &Path, config: &Value, daemons: &Daemons) -> Result<(), Box<dyn Error>> {
    let mut serve = inside(process::serving("chroot"), root);
    serve.arg("serve").envs(settings(config)).env("WHARFINGER_LISTEN", "127.0.0.1:0");
    serve.env("WHARFINGER_ANONYMOUS", "pull,push,delete");
    let (_server, line) = Daemon::start(serve, "http://127.0.0.1:")?;
    let port = line.split("http://127.0.0.1:").nth(1).unwrap_or_default();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let addr = format!("127.0.0.1:{port}");
    let mut healthcheck = inside(tools::command("chroot"), root);
    process::run(healthcheck.arg("healthcheck").env("WHARFINGER_LISTEN", &addr))?;
    let folder = TempDir::new()?;
    let archive = folder.path().join("root.tar");
    fs::write(&archive, tar(&[("proof", root.as_os_str().as_encoded_bytes())]))?;
    let repository = format!("{addr}/from/image");
    let name = format!("{repository}:v1");
    daemons.builder.run(&["import", text(&archive), &name])?;
    let id = daemons.builder.image_id(&name)?;
    let digest = daemons.builder.push(&name)?.digest;
    daemons.puller.pull_exact(&repository, "v1", &id, &digest)
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
