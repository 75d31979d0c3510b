//! docker: pushes and pulls through a real daemon, which also holds a BuildKit and its client.

use std::error::Error;
use std::thread;

use serde_json::Value;

use crate::dockerd::{DOCKER, Docker, shared};
use crate::images::{context, digest_of, layer_file, member, write_context};
use crate::process;
use crate::scene::{Scene, ensure, steps, text};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

steps! {
    "docker" needs DOCKER;
    build_push_pull: "build three layers, push, pull by tag and by digest";
    import_push_pull: "import a tar, push, pull by tag and by digest";
    push_again: "push again: every layer exists already, the same digest";
    retag: "move a tag to another image; the old one keeps its own tag";
    mount_across_repositories: "push to a second repository: layers are mounted from the first";
    delete_collect_push_again: "delete by digest, collect, push again, pull exact";
    damaged_layer_pushed_again: "a flipped byte is found, not served, healed by a push, pull exact";
    many_layers_one_large: "push and pull 12 layers, one of 48 MiB";
    three_pushes_at_once: "three pushes at once that share a layer";
    manifest_list: "manifest create and push a list, pull it by tag and by digest";
    manifest_inspect: "manifest inspect of an image and a list, amend, annotate, push again by digest";
    base_image: "BuildKit builds FROM an image in the registry";
    inline_cache: "BuildKit takes a pushed inline cache";
    unknown_image: "pull of an unknown tag and of an unknown repository says so";
}

/// Pulls by the tag and by the digest on a daemon that has none of it.
pub fn pull_both(
    puller: &Docker,
    repository: &str,
    tag: &str,
    id: &str,
    digest: &str,
) -> Result<(), Box<dyn Error>> {
    puller.pull_exact(repository, tag, id, digest)?;
    puller.pull_exact(repository, digest, id, digest)
}

fn build_push_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/app");
    let name = format!("{repository}:v1");
    let layers = [("one", 1 << 20), ("two", 70_000), ("three", 0)];
    let id = docker.builder.build(&context(scene, "context", &layers)?, &name)?;
    let pushed = docker.builder.push(&name)?;
    let manifest = scene.registry.manifest("demo/app", "v1")?;
    ensure!(manifest.digest == pushed.digest, "{} was pushed, {} is there", pushed.digest, manifest.digest);
    ensure!(manifest.media_type == DOCKER_MANIFEST, "the media type is {}", manifest.media_type);
    let json = manifest.json()?;
    ensure!(member(&json["config"], "digest")? == id, "the config is not image {id}: {json}");
    for layer in json["layers"].as_array().ok_or("no layers")? {
        let digest = member(layer, "digest")?;
        let bytes = scene.registry.blob("demo/app", digest)?;
        ensure!(digest_of(&bytes) == digest, "the bytes of layer {digest} are others");
    }
    pull_both(&docker.puller, &repository, "v1", &id, &pushed.digest)?;
    docker.builder.forget(&name)?;
    docker.builder.run(&["pull", &name])?;
    ensure!(docker.builder.image_id(&name)? == id, "the builder pulled another image");
    Ok(())
}

fn import_push_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("import");
    let name = format!("{repository}:latest");
    docker.builder.run(&["import", text(&layer_file(scene, "root", 300_000)?), &name])?;
    let id = docker.builder.image_id(&name)?;
    let pushed = docker.builder.push(&name)?;
    docker.builder.forget(&name)?;
    pull_both(&docker.puller, &repository, "latest", &id, &pushed.digest)?;
    pull_both(&docker.builder, &repository, "latest", &id, &pushed.digest)
}

fn push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let name = scene.reference("demo/again:v1");
    docker.builder.build(&context(scene, "context", &[("one", 9000), ("two", 9000)])?, &name)?;
    let first = docker.builder.push(&name)?;
    let second = docker.builder.push(&name)?;
    ensure!(second.digest == first.digest, "the digest changed: {} {}", first.digest, second.digest);
    let existing = second.said.matches("Layer already exists").count();
    ensure!(existing == 2, "{existing} of 2 layers existed:\n{}", second.said);
    Ok(())
}

fn retag(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/retag");
    let name = |tag: &str| format!("{repository}:{tag}");
    let builder = &docker.builder;
    let old = builder.build(&context(scene, "old", &[("base", 5000), ("old", 5000)])?, &name("v1"))?;
    let new = builder.build(&context(scene, "new", &[("base", 5000), ("new", 5000)])?, &name("v2"))?;
    let pushed_old = builder.push(&name("v1"))?;
    builder.run(&["tag", &name("v1"), &name("latest")])?;
    let latest = builder.push(&name("latest"))?;
    ensure!(latest.digest == pushed_old.digest, "another tag gave another digest: {}", latest.digest);
    docker.puller.pull_exact(&repository, "latest", &old, &pushed_old.digest)?;
    let pushed_new = builder.push(&name("v2"))?;
    builder.run(&["tag", &name("v2"), &name("latest")])?;
    builder.push(&name("latest"))?;
    docker.puller.pull_exact(&repository, "latest", &new, &pushed_new.digest)?;
    pull_both(&docker.puller, &repository, "v1", &old, &pushed_old.digest)?;
    let tags = scene.registry.tags("demo/retag")?;
    ensure!(tags == ["latest", "v1", "v2"], "the tags are {tags:?}");
    Ok(())
}

fn mount_across_repositories(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let (first, second) = (scene.reference("demo/first:v1"), scene.reference("demo/second/deep:v1"));
    let layers = [("one", 40_000), ("two", 40_000)];
    let id = docker.builder.build(&context(scene, "context", &layers)?, &first)?;
    let pushed = docker.builder.push(&first)?;
    docker.builder.run(&["tag", &first, &second])?;
    let mounted = docker.builder.push(&second)?;
    let count = mounted.said.matches("Mounted from demo/first").count();
    ensure!(count == 2, "{count} of 2 layers were mounted:\n{}", mounted.said);
    ensure!(mounted.digest == pushed.digest, "the digest changed to {}", mounted.digest);
    scene.registry.delete_manifest("demo/first", &pushed.digest)?;
    scene.registry.collect_garbage()?;
    pull_both(&docker.puller, &scene.reference("demo/second/deep"), "v1", &id, &pushed.digest)
}

/// The story that this project exists for, on one process.
fn delete_collect_push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/returns");
    let name = format!("{repository}:v1");
    let layers = [("one", 60_000), ("two", 60_000)];
    let id = docker.builder.build(&context(scene, "context", &layers)?, &name)?;
    let first = docker.builder.push(&name)?;
    docker.puller.pull_exact(&repository, "v1", &id, &first.digest)?;
    for _ in 0..3 {
        scene.registry.delete_manifest("demo/returns", &first.digest)?;
        process::run_failing(&mut docker.puller.command(&["pull", &name]))?;
        scene.registry.collect_garbage()?;
        let again = docker.builder.push(&name)?;
        ensure!(again.digest == first.digest, "the digest changed to {}", again.digest);
        pull_both(&docker.puller, &repository, "v1", &id, &first.digest)?;
    }
    Ok(())
}

/// What damages a file does not know of the registry: nothing but reading all of it finds that.
fn damaged_layer_pushed_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/damaged");
    let name = format!("{repository}:v1");
    let id = docker.builder.build(&context(scene, "context", &[("one", 60_000), ("two", 60_000)])?, &name)?;
    let first = docker.builder.push(&name)?;
    let manifest = scene.registry.manifest("demo/damaged", "v1")?.json()?;
    for part in [&manifest["layers"][1], &manifest["config"]] {
        let digest = member(part, "digest")?;
        scene.registry.flip_byte(digest)?;
        scene.registry.find_damage(digest)?;
        let status = scene.registry.status(&format!("demo/damaged/blobs/{digest}"))?;
        ensure!(status == 404, "GET of the damaged blob {digest} gave {status}");
        process::run_failing(&mut docker.puller.command(&["pull", &name]))?;
        let again = docker.builder.push(&name)?;
        ensure!(again.digest == first.digest, "the digest changed to {}", again.digest);
        pull_both(&docker.puller, &repository, "v1", &id, &first.digest)?;
    }
    Ok(())
}

fn many_layers_one_large(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/large");
    let name = format!("{repository}:v1");
    let labels: Vec<String> = (0..12).map(|number| format!("layer{number}")).collect();
    let sizes = (0..12).map(|number| if number == 5 { 48 << 20 } else { 100_000 + number });
    let layers: Vec<(&str, usize)> = labels.iter().map(String::as_str).zip(sizes).collect();
    let id = docker.builder.build(&context(scene, "context", &layers)?, &name)?;
    let pushed = docker.builder.push(&name)?;
    docker.puller.pull_exact(&repository, "v1", &id, &pushed.digest)?;
    docker.builder.forget(&name)
}

fn three_pushes_at_once(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let mut images = Vec::new();
    for own in ["red", "green", "blue"] {
        let repository = scene.reference(&format!("demo/{own}"));
        let layers = [("common", 2 << 20), (own, 30_000)];
        let id = docker.builder.build(&context(scene, own, &layers)?, &format!("{repository}:v1"))?;
        images.push((repository, id));
    }
    let builder = &docker.builder;
    let pushed: Vec<Result<String, String>> = thread::scope(|scope| {
        let push = |repository: &str| {
            let pushed = builder.push(&format!("{repository}:v1"));
            pushed.map(|pushed| pushed.digest).map_err(|error| error.to_string())
        };
        let pushes: Vec<_> =
            images.iter().map(|(repository, _)| scope.spawn(move || push(repository))).collect();
        pushes.into_iter().map(|push| push.join().expect("a push does not panic")).collect()
    });
    for ((repository, id), digest) in images.iter().zip(pushed) {
        docker.puller.pull_exact(repository, "v1", id, &digest?)?;
    }
    Ok(())
}

fn manifest_list(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/list");
    let name = |tag: &str| format!("{repository}:{tag}");
    let id = docker.builder.build(&context(scene, "here", &[("here", 7000)])?, &name("here"))?;
    docker.builder.build(&context(scene, "other", &[("other", 7000)])?, &name("other"))?;
    docker.builder.push(&name("here"))?;
    let other = docker.builder.push(&name("other"))?;
    let run = |arguments: &[&str]| docker.builder.run(arguments);
    run(&["manifest", "create", "--insecure", &name("all"), &name("here"), &name("other")])?;
    let annotate = ["manifest", "annotate", "--os", "linux", "--arch", "s390x"];
    run(&[&annotate[..], &[&name("all"), &name("other")]].concat())?;
    let digest = run(&["manifest", "push", "--insecure", "--purge", &name("all")])?.text();
    let manifest = scene.registry.manifest("demo/list", "all")?;
    ensure!(manifest.digest == digest, "{digest} was pushed, {} is there", manifest.digest);
    ensure!(manifest.media_type == DOCKER_LIST, "the media type is {}", manifest.media_type);
    let listed = manifest.json()?;
    let digests: Vec<_> = listed["manifests"].as_array().ok_or("no list")?.iter().collect();
    ensure!(digests.iter().any(|child| child["digest"] == other.digest.as_str()), "{listed}");
    pull_both(&docker.puller, &repository, "all", &id, &digest)
}

/// What `docker manifest inspect` reads from the registry, with or without the details of each image.
fn inspected(docker: &Docker, name: &str, options: &[&str]) -> Result<Value, Box<dyn Error>> {
    let inspect = ["manifest", "inspect", "--insecure"];
    Ok(serde_json::from_slice(&docker.run(&[&inspect[..], options, &[name]].concat())?.stdout)?)
}

fn manifest_inspect(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/inspected");
    let name = |tag: &str| format!("{repository}:{tag}");
    let mut digests = Vec::new();
    for part in ["one", "two", "three"] {
        docker.builder.build(&context(scene, part, &[(part, 7000)])?, &name(part))?;
        digests.push(docker.builder.push(&name(part))?.digest);
    }
    let there = scene.registry.manifest("demo/inspected", "one")?.json()?;
    ensure!(inspected(&docker.puller, &name("one"), &[])? == there, "inspect shows another manifest");
    let details = inspected(&docker.puller, &name("one"), &["--verbose"])?;
    ensure!(details["Descriptor"]["digest"] == digests[0].as_str(), "{details}");
    let run = |arguments: &[&str]| docker.builder.run(arguments);
    let parts: Vec<String> = digests.iter().map(|digest| format!("{repository}@{digest}")).collect();
    let create = ["manifest", "create", "--insecure"];
    run(&[&create[..], &[&name("all"), &parts[0], &parts[1]]].concat())?;
    run(&[&create[..], &["--amend", &name("all"), &parts[2]]].concat())?;
    let annotate = ["manifest", "annotate", "--os", "linux", "--arch", "arm", "--variant", "v7"];
    run(&[&annotate[..], &[&name("all"), &parts[2]]].concat())?;
    let digest = run(&["manifest", "push", "--insecure", &name("all")])?.text();
    for reference in [name("all"), format!("{repository}@{digest}")] {
        let listed = inspected(&docker.puller, &reference, &[])?;
        let children = listed["manifests"].as_array().ok_or("no list")?;
        ensure!(children.len() == 3, "{reference} lists {listed}");
        let arm = children.iter().find(|child| child["digest"] == digests[2].as_str());
        let platform = &arm.ok_or_else(|| format!("{} is not in {listed}", digests[2]))?["platform"];
        ensure!(platform["architecture"] == "arm" && platform["variant"] == "v7", "{platform}");
    }
    let again = run(&["manifest", "push", "--insecure", "--purge", &name("all")])?.text();
    ensure!(again == digest, "the digest changed from {digest} to {again}");
    let mut unknown = docker.puller.command(&["manifest", "inspect", "--insecure", &name("none")]);
    let said = process::run_failing(&mut unknown)?;
    ensure!(said.contains("no such manifest"), "{said}");
    Ok(())
}

fn base_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let base = scene.reference("demo/base:v1");
    docker.builder.build(&context(scene, "base", &[("base", 80_000)])?, &base)?;
    docker.builder.push(&base)?;
    let own = scene.bytes("own", 5000);
    let dockerfile = format!("FROM {base}\nCOPY own /own\n");
    let derived = write_context(&scene.path("derived"), &dockerfile, &[("own", &own)])?;
    let name = scene.reference("demo/derived:v1");
    // The puller has no part of the base: its BuildKit fetches it with containerd's client.
    let id = docker.puller.build(&derived, &name)?;
    let pushed = docker.puller.push(&name)?;
    ensure!(pushed.said.contains("Mounted from demo/base"), "the base was not mounted:\n{}", pushed.said);
    docker.builder.run(&["pull", &name])?;
    ensure!(docker.builder.image_id(&name)? == id, "another image came back");
    Ok(())
}

fn inline_cache(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let name = scene.reference("demo/cached:v1");
    let context = context(scene, "context", &[("one", 9000), ("two", 9000)])?;
    let inline = "BUILDKIT_INLINE_CACHE=1";
    docker.builder.run(&["build", "--build-arg", inline, "--tag", &name, text(&context)])?;
    docker.builder.push(&name)?;
    let build = ["build", "--progress", "plain", "--cache-from", &name, "--tag", "cached", text(&context)];
    let said = docker.puller.run(&build)?.everything();
    let cached = said.lines().filter(|line| line.ends_with(" CACHED")).count();
    ensure!(cached == 2, "{cached} of 2 layers came from the cache:\n{said}");
    Ok(())
}

fn unknown_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let name = scene.reference("demo/known:v1");
    docker.builder.build(&context(scene, "context", &[("one", 100)])?, &name)?;
    docker.builder.push(&name)?;
    for unknown in ["demo/known:v2", "demo/unknown:v1"] {
        let said = process::run_failing(&mut docker.puller.command(&["pull", &scene.reference(unknown)]))?;
        ensure!(said.contains("manifest unknown") || said.contains("not found"), "{unknown}: {said}");
    }
    Ok(())
}
