//! cosign: signatures beside images, without a network. Only `./test --extra` builds it.

use std::error::Error;
use std::process::Command;

use crate::images::Layout;
use crate::process;
use crate::scene::{Scene, ensure, steps};
use crate::tools;

steps! {
    "cosign" needs ["cosign", "crane"];
    sign_and_verify: "sign an image as a referrer, verify, no fallback tag";
    sign_and_verify_by_tag: "sign an image the old way, by a tag, and verify";
}

fn cosign(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = tools::command("cosign");
    command.args(arguments).current_dir(scene.path(""));
    command.env("HOME", scene.path("")).env("COSIGN_PASSWORD", "only for this test");
    command
}

fn run(scene: &Scene, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    Ok(process::run(&mut cosign(scene, arguments))?.everything())
}

/// Pushes an image and makes a key pair; returns the image's name by digest.
fn image_and_key(scene: &Scene) -> Result<String, Box<dyn Error>> {
    let layout = Layout::create(&scene.path("layout"))?;
    layout.tag(&layout.put_image(scene, "amd64", &[("one", 5000)])?, "image")?;
    let push = ["push", layout.path(), &scene.reference("demo/signed:v1")];
    process::run(tools::command("crane").args(push))?;
    run(scene, &["generate-key-pair"])?;
    Ok(scene.reference(&format!("demo/signed@{}", layout.named_digest()?)))
}

fn verify(scene: &Scene, options: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    let basic = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"];
    run(scene, &[&basic[..], options, &[name]].concat()).map(drop)
}

fn sign_and_verify(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image_and_key(scene)?;
    // An empty configuration names no service to ask.
    run(scene, &["signing-config", "create", "--out", "services.json"])?;
    let sign = ["sign", "--yes", "--signing-config", "services.json", "--key", "cosign.key"];
    run(scene, &[&sign[..], &["--allow-http-registry", &name]].concat())?;
    verify(scene, &[], &name)?;
    let tags = scene.registry.tags("demo/signed")?;
    ensure!(tags == ["v1"], "the tags are {tags:?}");
    Ok(())
}

fn sign_and_verify_by_tag(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image_and_key(scene)?;
    let sign = ["sign", "--yes", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false"];
    run(scene, &[&sign[..], &["--new-bundle-format=false", "--allow-http-registry", &name]].concat())?;
    verify(scene, &["--new-bundle-format=false"], &name)
}
