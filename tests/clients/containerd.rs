//! containerd: its own resolver, pusher and fetcher, through `ctr` and a daemon of the step's own.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::images::{Layout, member};
use crate::process::{self, Daemon, Finished};
use crate::scene::{NotHere, Scene, ensure, steps, text};
use crate::tools;

steps! {
    "containerd" needs ["containerd", "ctr"];
    push_and_pull: "import, push, pull by tag and by digest, export the same bytes";
    resolve_by_head: "a tag is resolved by one HEAD; what is here already is not fetched";
    push_again: "push again: only HEAD requests, the same digest";
    index_all_platforms: "push an index with every platform, pull --all-platforms and one platform";
    moved_tag: "move a tag to another image; a pull follows it, the old digest stays";
    hosts_file: "push and pull by another name, which a hosts.toml maps to the registry, as on nodes";
    delete_collect_push_again: "delete by digest, collect, push again, pull exact";
    unknown_image: "pull of an unknown tag and of an unknown repository says so";
}

/// A daemon with folders and a socket of its own.
pub struct Containerd {
    /// Goes before the folder that it writes to, which is the scene's.
    _daemon: Daemon,
    folder: PathBuf,
}

impl Containerd {
    pub fn start(scene: &Scene) -> Result<Containerd, Box<dyn Error>> {
        let folder = scene.folder("containerd")?;
        let at = |name: &str| text(&folder.join(name)).to_owned();
        // Without the plugin for Kubernetes, and without the one that makes /opt/containerd.
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{}\"\n",
            at("root"),
            at("state"),
            at("socket"),
        );
        let file = folder.join("config.toml");
        fs::write(&file, config)?;
        let mut command = process::serving("containerd");
        command.arg("--config").arg(&file);
        let started = Daemon::start(command, "containerd successfully booted");
        let (daemon, _) = started.map_err(|error| NotHere(format!("containerd does not start: {error}")))?;
        Ok(Containerd { _daemon: daemon, folder })
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tools::command("ctr");
        command.arg("--address").arg(self.folder.join("socket")).args(["--namespace", "test", "images"]);
        command.args(arguments).env("CONTAINERD_SNAPSHOTTER", "native");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Result<Finished, Box<dyn Error>> {
        process::run(&mut self.command(arguments))
    }

    /// Takes the image of a layout in, as `local/NAME:image`.
    pub fn import(&self, layout: &Layout, name: &str) -> Result<String, Box<dyn Error>> {
        let archive = self.folder.join(format!("{name}.tar"));
        let mut tar = tools::command("tar");
        process::run(tar.arg("--create").arg("--file").arg(&archive).args(["-C", layout.path(), "."]))?;
        let base = format!("local/{name}");
        self.run(&["import", "--all-platforms", "--no-unpack", "--base-name", &base, text(&archive)])?;
        Ok(format!("{base}:image"))
    }

    fn push(&self, name: &str, image: &str) -> Result<(), Box<dyn Error>> {
        self.run(&["push", "--plain-http", name, image]).map(drop)
    }

    /// Forgets every image and, before it returns, every byte of them.
    pub fn forget_all(&self) -> Result<(), Box<dyn Error>> {
        let names = self.run(&["list", "--quiet"])?.text();
        let names: Vec<&str> = names.lines().collect();
        self.run(&[&["remove", "--sync"], &names[..]].concat()).map(drop)
    }

    /// Pulls what it has no part of, and demands that it is the layout's image, byte for byte.
    fn pull_exact(&self, name: &str, layout: &Layout) -> Result<(), Box<dyn Error>> {
        self.forget_all()?;
        self.run(&["pull", "--plain-http", "--all-platforms", name])?;
        let folder = self.folder.join("exported");
        fs::create_dir(&folder)?;
        let archive = self.folder.join("exported.tar");
        self.run(&["export", "--all-platforms", text(&archive), name])?;
        process::run(tools::command("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
        layout.ensure_same(&Layout::open(&folder))?;
        Ok(fs::remove_dir_all(folder)?)
    }
}

/// The requests in a dump of the traffic, such as `HEAD /v2/demo/app/manifests/v1`.
fn requests(dump: &str) -> Vec<&str> {
    let ends = dump.match_indices(" HTTP/1.1").map(|(end, _)| &dump[..end]);
    let lines = ends.filter_map(|before| before.rsplit(['"', '\n']).next());
    lines.filter(|line| line.contains(" /v2/")).collect()
}

pub fn image(scene: &Scene, name: &str) -> Result<Layout, Box<dyn Error>> {
    let layout = Layout::create(&scene.path(name))?;
    let layers = [("one", 2 << 20), (name, 3000)];
    layout.tag(&layout.put_image(scene, "amd64", &layers)?, "image")?;
    Ok(layout)
}

fn push_and_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let layout = image(scene, "layout")?;
    let local = containerd.import(&layout, "app")?;
    let repository = scene.reference("demo/app");
    containerd.push(&format!("{repository}:v1"), &local)?;
    let digest = layout.named_digest()?;
    let there = scene.registry.manifest("demo/app", "v1")?;
    ensure!(there.bytes == layout.blob(&digest)?, "the manifest has other bytes");
    containerd.pull_exact(&format!("{repository}:v1"), &layout)?;
    containerd.pull_exact(&format!("{repository}@{digest}"), &layout)
}

fn resolve_by_head(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let local = containerd.import(&image(scene, "layout")?, "app")?;
    let name = scene.reference("demo/app:v1");
    containerd.push(&name, &local)?;
    let pulled = containerd.run(&["pull", "--plain-http", "--http-dump", &name])?.everything();
    let asked = requests(&pulled);
    ensure!(asked == ["HEAD /v2/demo/app/manifests/v1"], "it asked for {asked:?}");
    Ok(())
}

fn push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let layout = image(scene, "layout")?;
    let local = containerd.import(&layout, "app")?;
    let name = scene.reference("demo/again:v1");
    containerd.push(&name, &local)?;
    let pushed = containerd.run(&["push", "--plain-http", "--http-dump", &name, &local])?.everything();
    let asked = requests(&pushed);
    // The tag, the configuration and two layers.
    ensure!(asked.len() == 4, "it asked for {asked:?}");
    ensure!(asked.iter().all(|request| request.starts_with("HEAD ")), "it asked for {asked:?}");
    ensure!(asked.contains(&"HEAD /v2/demo/again/manifests/v1"), "it asked for {asked:?}");
    let there = scene.registry.manifest("demo/again", "v1")?;
    ensure!(there.digest == layout.named_digest()?, "the tag is {}", there.digest);
    Ok(())
}

fn index_all_platforms(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let layout = Layout::create(&scene.path("layout"))?;
    let mut children = Vec::new();
    for architecture in ["amd64", "arm64", "s390x"] {
        children.push(layout.put_image(scene, architecture, &[("common", 9000), (architecture, 700)])?);
    }
    layout.tag(&layout.put_index(&children)?, "image")?;
    let local = containerd.import(&layout, "index")?;
    let name = scene.reference("demo/index:all");
    containerd.push(&name, &local)?;
    containerd.pull_exact(&name, &layout)?;
    containerd.pull_exact(&scene.reference(&format!("demo/index@{}", layout.named_digest()?)), &layout)?;
    containerd.forget_all()?;
    let pull = ["pull", "--plain-http", "--platform", "linux/s390x", "--http-dump", &name];
    let pulled = containerd.run(&pull)?.everything();
    let asked = requests(&pulled);
    for (child, wanted) in children.iter().zip([false, false, true]) {
        let digest = member(child, "digest")?;
        let fetched = asked.iter().any(|request| request.ends_with(digest));
        ensure!(fetched == wanted, "{child} was fetched: {fetched}; it asked for {asked:?}");
    }
    Ok(())
}

fn moved_tag(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let (old, new) = (image(scene, "old")?, image(scene, "new")?);
    let repository = scene.reference("demo/moved");
    let name = format!("{repository}:latest");
    for layout in [&old, &new] {
        let local = containerd.import(layout, "app")?;
        containerd.push(&name, &local)?;
        containerd.pull_exact(&name, layout)?;
    }
    containerd.pull_exact(&format!("{repository}@{}", old.named_digest()?), &old)
}

/// The line for containerd on the nodes of a Kubernetes, as it stands in the README.
const HOSTS_LINE: &str = "[host.\"http://REGISTRY:5000\"]";

fn hosts_file(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let layout = image(scene, "layout")?;
    let local = containerd.import(&layout, "app")?;
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?;
    ensure!(readme.contains(HOSTS_LINE), "the README has no {HOSTS_LINE}");
    let hosts = scene.folder("certs.d")?;
    let of_host = scene.folder("certs.d/registry.example.org:5000")?;
    fs::write(of_host.join("hosts.toml"), HOSTS_LINE.replace("REGISTRY:5000", scene.registry.addr()))?;
    let name = "registry.example.org:5000/demo/app:v1";
    containerd.run(&["push", "--hosts-dir", text(&hosts), name, &local])?;
    containerd.forget_all()?;
    containerd.run(&["pull", "--hosts-dir", text(&hosts), name])?;
    let listed = containerd.run(&["list", &format!("name=={name}")])?.text();
    ensure!(listed.contains(&layout.named_digest()?), "{listed}");
    containerd.pull_exact(&scene.reference("demo/app:v1"), &layout)
}

fn delete_collect_push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let layout = image(scene, "layout")?;
    let digest = layout.named_digest()?;
    let name = scene.reference("demo/returns:v1");
    for round in ["first", "second", "third"] {
        let local = containerd.import(&layout, round)?;
        containerd.push(&name, &local)?;
        containerd.pull_exact(&name, &layout)?;
        scene.registry.delete_manifest("demo/returns", &digest)?;
        scene.registry.collect_garbage()?;
        process::run_failing(&mut containerd.command(&["pull", "--plain-http", &name]))?;
    }
    Ok(())
}

fn unknown_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let containerd = Containerd::start(scene)?;
    let local = containerd.import(&image(scene, "layout")?, "app")?;
    containerd.push(&scene.reference("demo/known:v1"), &local)?;
    for unknown in ["demo/known:v2", "demo/unknown:v1"] {
        let pull = ["pull", "--plain-http", &scene.reference(unknown)];
        let said = process::run_failing(&mut containerd.command(&pull))?;
        ensure!(said.contains("not found"), "{unknown}: {said}");
    }
    Ok(())
}
