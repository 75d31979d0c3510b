//! helm: charts as OCI artifacts. Only `./test --extra` builds it.

use std::error::Error;
use std::fs;
use std::process::Command;

use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

steps! {
    "helm" needs ["helm"];
    push_and_pull: "push two versions of a chart, pull each, the same bytes";
}

fn helm(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = tools::command("helm");
    command.args(arguments).env("HOME", scene.path("home"));
    command
}

fn push_and_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let chart = scene.folder("chart")?;
    fs::create_dir(chart.join("templates"))?;
    fs::write(chart.join("templates/note.yaml"), "kind: ConfigMap\n")?;
    let (packed, pulled) = (scene.folder("packed")?, scene.folder("pulled")?);
    for version in ["1.0.0", "1.1.0-rc.1+build.7"] {
        let about = format!("apiVersion: v2\nname: demo\nversion: {version}\n");
        fs::write(chart.join("Chart.yaml"), about)?;
        process::run(&mut helm(scene, &["package", "--destination", text(&packed), text(&chart)]))?;
        let file = format!("demo-{version}.tgz");
        let charts = format!("oci://{}", scene.reference("charts"));
        process::run(&mut helm(scene, &["push", "--plain-http", text(&packed.join(&file)), &charts]))?;
        let pull = ["pull", "--plain-http", "--version", version, "--destination", text(&pulled)];
        process::run(helm(scene, &pull).arg(format!("{charts}/demo")))?;
        ensure!(fs::read(packed.join(&file))? == fs::read(pulled.join(&file))?, "{file} changed");
    }
    Ok(())
}
