//! crane: go-containerregistry's client, which uploads in streams and mounts between repositories.

use std::error::Error;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::images::{Layout, digest_of, layer_file, member};
use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

steps! {
    "crane" needs ["crane"];
    append_and_read: "append a layer, digest, manifest, config, blob, export, validate";
    push_and_pull_oci: "push an OCI layout, pull it as one, the same bytes";
    push_and_pull_tarball: "pull a tarball, push it elsewhere, the same image";
    index_append: "index append three images, copy the index, pull by platform";
    copy_and_tag: "copy to another repository, tag, ls";
    copy_all_tags: "copy --all-tags to another repository";
    mutate_and_flatten: "mutate, append to it, flatten";
    catalog: "catalog lists every repository in order";
    delete_and_push_again: "delete by digest, collect, push again, validate, out exact";
}

pub fn crane(arguments: &[&str]) -> Command {
    let mut command = tools::command("crane");
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    Ok(process::run(&mut crane(arguments))?.text())
}

/// Pushes an image with one layer of the scene's bytes and returns its digest.
fn append(scene: &Scene, label: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let layer = layer_file(scene, label, 120_000)?;
    let said = run(&["append", "--oci-empty-base", "-f", text(&layer), "-t", &scene.reference(name)])?;
    let digest = said.split('@').nth(1).ok_or_else(|| format!("append named no digest: {said}"))?;
    Ok(digest.to_owned())
}

fn validate(name: &str) -> Result<(), Box<dyn Error>> {
    let validated = process::run(&mut crane(&["validate", "--remote", name]))?.everything();
    ensure!(validated.contains("PASS"), "{validated}");
    Ok(())
}

fn append_and_read(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = scene.reference("demo/app:v1");
    let digest = append(scene, "root", "demo/app:v1")?;
    ensure!(run(&["digest", &name])? == digest, "crane digest gives another than {digest}");
    let there = scene.registry.manifest("demo/app", "v1")?;
    ensure!(process::run(&mut crane(&["manifest", &name]))?.stdout == there.bytes, "other bytes");
    let json = there.json()?;
    let config = process::run(&mut crane(&["config", &name]))?.stdout;
    ensure!(digest_of(&config) == member(&json["config"], "digest")?, "another configuration");
    let layer = member(&json["layers"][0], "digest")?;
    let blob = process::run(&mut crane(&["blob", &scene.reference(&format!("demo/app@{layer}"))]))?.stdout;
    ensure!(digest_of(&blob) == layer, "another layer");
    let exported = scene.path("exported.tar");
    run(&["export", &name, text(&exported)])?;
    let content = scene.bytes("root", 120_000);
    let exported = fs::read(exported)?;
    ensure!(exported.windows(content.len()).any(|window| window == content), "export lacks the file");
    validate(&name)
}

fn push_and_pull_oci(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = Layout::create(&scene.path("layout"))?;
    let image = layout.put_image(scene, "amd64", &[("one", 3 << 20), ("two", 10)])?;
    layout.tag(&image, "image")?;
    let name = scene.reference("oci/app:v1");
    run(&["push", layout.path(), &name])?;
    let digest = layout.named_digest()?;
    for reference in [name.clone(), scene.reference(&format!("oci/app@{digest}"))] {
        let folder = scene.path(&reference.replace(['/', ':', '@'], "-"));
        run(&["pull", "--format", "oci", &reference, text(&folder)])?;
        layout.ensure_same(&Layout::open(&folder))?;
    }
    validate(&name)
}

fn push_and_pull_tarball(scene: &Scene) -> Result<(), Box<dyn Error>> {
    append(scene, "root", "demo/app:v1")?;
    let (name, other) = (scene.reference("demo/app:v1"), scene.reference("demo/other:v1"));
    let tarball = scene.path("image.tar");
    run(&["pull", &name, text(&tarball)])?;
    run(&["push", text(&tarball), &other])?;
    ensure!(run(&["config", &name])? == run(&["config", &other])?, "another configuration came back");
    validate(&other)
}

fn index_append(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = |tag: &str| scene.reference(&format!("demo/index:{tag}"));
    let mut digests = Vec::new();
    for architecture in ["amd64", "arm64", "s390x"] {
        let tag = format!("demo/index:{architecture}");
        append(scene, architecture, &tag)?;
        let platform = format!("linux/{architecture}");
        run(&["mutate", "--set-platform", &platform, "-t", &name(architecture), &name(architecture)])?;
        digests.push(run(&["digest", &name(architecture)])?);
    }
    let parts = [name("amd64"), name("arm64"), name("s390x")];
    let all = name("all");
    let mut arguments = vec!["index", "append", "-t", &all];
    arguments.extend(parts.iter().flat_map(|part| ["-m", part.as_str()]));
    run(&arguments)?;
    let listed = scene.registry.manifest("demo/index", "all")?;
    let json = listed.json()?;
    let children = json["manifests"].as_array().ok_or("no manifests")?;
    let listed_digests: Vec<&Value> = children.iter().map(|child| &child["digest"]).collect();
    ensure!(listed_digests == digests.iter().collect::<Vec<_>>(), "{digests:?} became {json}");
    let copied = scene.reference("demo/copied:all");
    run(&["copy", &all, &copied])?;
    ensure!(run(&["digest", &copied])? == listed.digest, "the copy has another digest");
    let arm = run(&["digest", "--platform", "linux/arm64", &copied])?;
    ensure!(arm == digests[1], "linux/arm64 is {arm}, not {}", digests[1]);
    validate(&copied)
}

fn copy_and_tag(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let digest = append(scene, "root", "demo/first:v1")?;
    let (first, second) = (scene.reference("demo/first:v1"), scene.reference("demo/second:v1"));
    run(&["copy", &first, &second])?;
    ensure!(run(&["digest", &second])? == digest, "the copy has another digest");
    for tag in ["latest", "stable"] {
        run(&["tag", &second, tag])?;
    }
    let listed = run(&["ls", &scene.reference("demo/second")])?;
    ensure!(listed.lines().eq(["latest", "stable", "v1"]), "the tags are {listed:?}");
    ensure!(scene.registry.manifest("demo/second", "stable")?.digest == digest, "the tag is another image");
    validate(&second)
}

fn copy_all_tags(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let mut digests = Vec::new();
    for tag in ["a", "b", "c"] {
        digests.push((tag, append(scene, tag, &format!("demo/from:{tag}"))?));
    }
    run(&["copy", "--all-tags", &scene.reference("demo/from"), &scene.reference("demo/to")])?;
    for (tag, digest) in digests {
        ensure!(scene.registry.manifest("demo/to", tag)?.digest == digest, "{tag} is another image");
        validate(&scene.reference(&format!("demo/to:{tag}")))?;
    }
    Ok(())
}

fn mutate_and_flatten(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let digest = append(scene, "root", "demo/app:v1")?;
    let name = |tag: &str| scene.reference(&format!("demo/app:{tag}"));
    let more = layer_file(scene, "more", 4000)?;
    let labels = ["--label", "owner=tests", "--annotation", "note=kept", "--append", text(&more)];
    run(&[&["mutate", "-t", &name("v2")], &labels[..], &[&name("v1")]].concat())?;
    let config: Value = serde_json::from_str(&run(&["config", &name("v2")])?)?;
    ensure!(config["config"]["Labels"]["owner"] == "tests", "{config}");
    let mutated = scene.registry.manifest("demo/app", "v2")?.json()?;
    ensure!(mutated["annotations"]["note"] == "kept", "{mutated}");
    run(&["flatten", "-t", &name("v3"), &name("v2")])?;
    let flat = scene.registry.manifest("demo/app", "v3")?.json()?;
    ensure!(flat["layers"].as_array().is_some_and(|layers| layers.len() == 1), "{flat}");
    ensure!(scene.registry.manifest("demo/app", "v1")?.digest == digest, "v1 changed");
    validate(&name("v2"))?;
    validate(&name("v3"))
}

fn catalog(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let repositories = ["a/b/c/d/e/f/g/h/i/j", "a--b/c__d", "zoo", "b.c", "a/manifests/x", "tags"];
    for repository in repositories {
        append(scene, "root", &format!("{repository}:v1"))?;
    }
    let mut sorted = repositories;
    sorted.sort_unstable();
    let listed = run(&["catalog", scene.registry.addr()])?;
    ensure!(listed.lines().eq(sorted), "the catalog is {listed:?}");
    for repository in repositories {
        validate(&scene.reference(&format!("{repository}:v1")))?;
    }
    Ok(())
}

fn delete_and_push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let name = scene.reference("demo/returns:v1");
    let digest = append(scene, "root", "demo/returns:v1")?;
    let saved = scene.path("saved");
    run(&["pull", "--format", "oci", &name, text(&saved)])?;
    let by_digest = scene.reference(&format!("demo/returns@{digest}"));
    for round in ["first", "second"] {
        run(&["delete", &by_digest])?;
        process::run_failing(&mut crane(&["manifest", &name]))?;
        process::run_failing(&mut crane(&["manifest", &by_digest]))?;
        scene.registry.collect_garbage()?;
        let again = append(scene, "root", "demo/returns:v1")?;
        ensure!(again == digest, "the digest changed to {again}");
        validate(&name)?;
        let returned = scene.path(round);
        run(&["pull", "--format", "oci", &name, text(&returned)])?;
        Layout::open(&saved).ensure_same(&Layout::open(&returned))?;
    }
    Ok(())
}
