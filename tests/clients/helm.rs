//! helm: charts as OCI artifacts. Only `./test --extra` builds it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Finished};
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

steps! {
    "helm" needs ["helm"];
    push_and_pull: "push two versions of a chart, pull each, the same bytes";
    by_digest: "pull, show and template a chart by its digest, also after its tag has moved";
    version_ranges: "template by a range of versions and by one with a plus sign";
    dependency: "dependency update takes a chart out of the registry";
}

/// In tags, which cannot have a plus sign, helm writes `_` for it.
const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0-rc.1+build.7", "1.2.0"];

pub fn helm(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = tools::command("helm");
    command.args(arguments).env("HOME", scene.path("home"));
    command
}

fn run(scene: &Scene, arguments: &[&str]) -> Result<Finished, Box<dyn Error>> {
    process::run(&mut helm(scene, arguments))
}

fn charts(scene: &Scene) -> String {
    format!("oci://{}", scene.reference("charts"))
}

/// Packages a version of the chart and returns the package.
pub fn package(scene: &Scene, version: &str, note: &str) -> Result<PathBuf, Box<dyn Error>> {
    let (chart, packed) = (scene.folder("chart")?, scene.folder("packed")?);
    fs::create_dir_all(chart.join("templates"))?;
    let template = "kind: ConfigMap\ndata: {version: \"{{ .Chart.Version }}\"}\n";
    fs::write(chart.join("templates/note.yaml"), format!("# {note}\n{template}"))?;
    fs::write(chart.join("Chart.yaml"), format!("apiVersion: v2\nname: demo\nversion: {version}\n"))?;
    run(scene, &["package", "--destination", text(&packed), text(&chart)])?;
    Ok(packed.join(format!("demo-{version}.tgz")))
}

/// Pushes a package and returns its digest.
fn push(scene: &Scene, package: &Path) -> Result<String, Box<dyn Error>> {
    let said = run(scene, &["push", "--plain-http", text(package), &charts(scene)])?.everything();
    let digest = said.split("Digest: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(digest.ok_or_else(|| format!("push named no digest:\n{said}"))?.to_owned())
}

fn push_and_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let pulled = scene.folder("pulled")?;
    for version in &VERSIONS[..2] {
        let packed = package(scene, version, "a chart")?;
        let digest = push(scene, &packed)?;
        let tag = version.replace('+', "_");
        let there = scene.registry.manifest("charts/demo", &tag)?;
        ensure!(there.digest == digest, "{digest} was pushed, {} is there", there.digest);
        let pull = ["pull", "--plain-http", "--version", version, "--destination", text(&pulled)];
        process::run(helm(scene, &pull).arg(format!("{}/demo", charts(scene))))?;
        let same = fs::read(&packed)? == fs::read(pulled.join(format!("demo-{version}.tgz")))?;
        ensure!(same, "{version} changed");
    }
    Ok(())
}

fn by_digest(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let pulled = scene.folder("pulled")?;
    let packed = package(scene, "1.0.0", "the first")?;
    let (digest, first) = (push(scene, &packed)?, fs::read(&packed)?);
    let moved = push(scene, &package(scene, "1.0.0", "the second")?)?;
    ensure!(moved != digest, "both packages are {digest}");
    let name = format!("{}/demo@{digest}", charts(scene));
    run(scene, &["pull", "--plain-http", "--destination", text(&pulled), &name])?;
    let file = fs::read_dir(&pulled)?.next().ok_or("nothing was pulled")??.path();
    ensure!(fs::read(file)? == first, "the chart has other bytes");
    let shown = run(scene, &["show", "chart", "--plain-http", &name])?.text();
    ensure!(shown.contains("version: 1.0.0"), "{shown}");
    let made = run(scene, &["template", "--plain-http", "release", &name])?.text();
    ensure!(made.contains("# the first"), "{made}");
    Ok(())
}

fn version_ranges(scene: &Scene) -> Result<(), Box<dyn Error>> {
    for version in VERSIONS {
        push(scene, &package(scene, version, "a chart")?)?;
    }
    let name = format!("{}/demo", charts(scene));
    for (range, expected) in [("^1.0.0", VERSIONS[2]), ("~1.0.0", VERSIONS[0]), (VERSIONS[1], VERSIONS[1])] {
        let made = run(scene, &["template", "--plain-http", "--version", range, "release", &name])?.text();
        ensure!(made.contains(&format!("version: \"{expected}\"")), "{range} gives\n{made}");
    }
    Ok(())
}

fn dependency(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let packed = package(scene, "1.0.3", "a chart")?;
    push(scene, &packed)?;
    let parent = scene.folder("parent")?;
    let needs = format!("- {{name: demo, version: ~1.0.0, repository: \"{}\"}}\n", charts(scene));
    let about = format!("apiVersion: v2\nname: parent\nversion: 0.1.0\ndependencies:\n{needs}");
    fs::write(parent.join("Chart.yaml"), about)?;
    run(scene, &["dependency", "update", "--plain-http", text(&parent)])?;
    let taken = fs::read(parent.join("charts/demo-1.0.3.tgz"))?;
    ensure!(taken == fs::read(packed)?, "the dependency has other bytes");
    Ok(())
}
