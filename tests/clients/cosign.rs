//! cosign: signatures beside images, without a network. Only `./test --extra` builds it.

use std::error::Error;
use std::fs;
use std::process::Command;

use crate::images::{Layout, member};
use crate::process;
use crate::scene::{Scene, ensure, steps};
use crate::tools;

steps! {
    "cosign" needs ["cosign", "crane"];
    sign_and_verify: "sign an image as a referrer, verify, no fallback tag";
    sign_and_verify_by_tag: "sign an image the old way, by a tag, and verify";
    sign_recursively: "sign an index and its images as referrers, verify each";
    attest_and_verify: "attest as a referrer, verify, tree finds it, no fallback tag";
    attest_and_verify_by_tag: "attest the old way, by a tag, and verify";
    save_and_load: "save a signed image, load it into another repository, verify there";
    clean: "clean takes the signatures of both ways, the image stays";
}

/// An empty configuration names no service to ask.
const AS_REFERRER: [&str; 2] = ["--signing-config", "services.json"];
const BY_TAG: [&str; 3] = ["--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"];
const OLD: [&str; 1] = ["--new-bundle-format=false"];

fn cosign(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = tools::command("cosign");
    command.args(arguments).current_dir(scene.path(""));
    command.env("HOME", scene.path("")).env("COSIGN_PASSWORD", "only for this test");
    command
}

fn run(scene: &Scene, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    Ok(process::run(&mut cosign(scene, arguments))?.everything())
}

/// Pushes a layout and makes what signing needs; returns the name by digest.
fn prepare(scene: &Scene, layout: &Layout) -> Result<String, Box<dyn Error>> {
    let mut push = tools::command("crane");
    process::run(push.args(["push", "--index", layout.path(), &scene.reference("demo/signed:v1")]))?;
    run(scene, &["generate-key-pair"])?;
    run(scene, &["generate-key-pair", "--output-key-prefix", "other"])?;
    run(scene, &["signing-config", "create", "--out", "services.json"])?;
    fs::write(scene.path("predicate.json"), r#"{"checked": "yes"}"#)?;
    Ok(scene.reference(&format!("demo/signed@{}", layout.named_digest()?)))
}

fn image(scene: &Scene) -> Result<String, Box<dyn Error>> {
    let layout = Layout::create(&scene.path("layout"))?;
    layout.tag(&layout.put_image(scene, "amd64", &[("one", 5000)])?, "image")?;
    prepare(scene, &layout)
}

fn sign(scene: &Scene, options: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    let basic = ["sign", "--yes", "--key", "cosign.key", "--allow-http-registry"];
    run(scene, &[&basic[..], options, &[name]].concat()).map(drop)
}

fn attest(scene: &Scene, options: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    let basic = ["attest", "--yes", "--key", "cosign.key", "--allow-http-registry", "--type", "custom"];
    let options = [options, &["--predicate", "predicate.json", name]].concat();
    run(scene, &[&basic[..], &options].concat()).map(drop)
}

/// The command that checks by a key, of which only `cosign` is the right one.
fn verification(scene: &Scene, verb: &str, key: &str, options: &[&str], name: &str) -> Command {
    let key = format!("{key}.pub");
    let basic = [verb, "--key", &key, "--insecure-ignore-tlog", "--allow-http-registry"];
    cosign(scene, &[&basic[..], options, &[name]].concat())
}

/// Demands that the key's owner signed it, and that another key says otherwise.
fn verify(scene: &Scene, options: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    process::run(&mut verification(scene, "verify", "cosign", options, name))?;
    process::run_failing(&mut verification(scene, "verify", "other", options, name)).map(drop)
}

fn verify_attestation(scene: &Scene, options: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    let options = [options, &["--type", "custom"]].concat();
    process::run(&mut verification(scene, "verify-attestation", "cosign", &options, name))?;
    process::run_failing(&mut verification(scene, "verify-attestation", "other", &options, name)).map(drop)
}

/// Demands these tags: of an image that is signed by a referrer, none but its own.
fn ensure_tags(scene: &Scene, expected: &[&str]) -> Result<(), Box<dyn Error>> {
    let tags = scene.registry.tags("demo/signed")?;
    ensure!(tags == expected, "the tags are {tags:?}");
    Ok(())
}

/// The tag of the old way for what is beside an image.
fn tag_beside(name: &str, suffix: &str) -> Result<String, Box<dyn Error>> {
    let hex = name.split("sha256:").nth(1).ok_or("not a name by digest")?;
    Ok(format!("sha256-{hex}.{suffix}"))
}

fn sign_and_verify(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image(scene)?;
    sign(scene, &AS_REFERRER, &name)?;
    verify(scene, &[], &name)?;
    ensure_tags(scene, &["v1"])
}

fn sign_and_verify_by_tag(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image(scene)?;
    sign(scene, &BY_TAG, &name)?;
    verify(scene, &OLD, &name)?;
    ensure_tags(scene, &[&tag_beside(&name, "sig")?, "v1"])
}

fn sign_recursively(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = Layout::create(&scene.path("layout"))?;
    let mut children = Vec::new();
    for architecture in ["amd64", "arm64"] {
        children.push(layout.put_image(scene, architecture, &[(architecture, 5000)])?);
    }
    layout.tag(&layout.put_index(&children)?, "image")?;
    let index = prepare(scene, &layout)?;
    sign(scene, &[&["--recursive"], &AS_REFERRER[..]].concat(), &index)?;
    verify(scene, &[], &index)?;
    for child in &children {
        verify(scene, &[], &scene.reference(&format!("demo/signed@{}", member(child, "digest")?)))?;
    }
    ensure_tags(scene, &["v1"])
}

fn attest_and_verify(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image(scene)?;
    attest(scene, &AS_REFERRER, &name)?;
    verify_attestation(scene, &[], &name)?;
    let tree = run(scene, &["tree", "--allow-http-registry", &name])?;
    ensure!(tree.contains("via OCI referrer"), "{tree}");
    ensure_tags(scene, &["v1"])
}

fn attest_and_verify_by_tag(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image(scene)?;
    attest(scene, &BY_TAG, &name)?;
    verify_attestation(scene, &OLD, &name)?;
    ensure_tags(scene, &[&tag_beside(&name, "att")?, "v1"])
}

fn save_and_load(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image(scene)?;
    sign(scene, &BY_TAG, &name)?;
    let loaded = scene.reference("demo/loaded:v1");
    run(scene, &["save", "--allow-http-registry", "--dir", "saved", &name])?;
    run(scene, &["load", "--allow-http-registry", "--dir", "saved", &loaded])?;
    verify(scene, &OLD, &loaded)
}

fn clean(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = image(scene)?;
    sign(scene, &AS_REFERRER, &name)?;
    sign(scene, &BY_TAG, &name)?;
    attest(scene, &AS_REFERRER, &name)?;
    run(scene, &["clean", "--force", "--allow-http-registry", "--type", "all", &name])?;
    for options in [&[][..], &OLD] {
        process::run_failing(&mut verification(scene, "verify", "cosign", options, &name))?;
    }
    ensure_tags(scene, &["v1"])
}
