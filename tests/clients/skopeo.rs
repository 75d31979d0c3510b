//! skopeo: copies between layouts, archives, folders and the registry without a daemon.

use std::error::Error;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::images::{Layout, digest_of, member};
use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

steps! {
    "skopeo" needs ["skopeo"];
    oci_round_trip: "copy an OCI layout in and out, the same bytes";
    index_round_trip: "copy --all a multi-arch index in and out, by tag and by digest";
    copy_between_repositories: "copy --all an index to another repository of the registry";
    docker_archive_round_trip: "copy a docker-archive in and out, the same image";
    dir_round_trip: "copy a dir in and out, the same files";
    compressed_layers: "copy with gzip and with zstd layers in, out as they are";
    inspect_and_tags: "inspect, inspect --raw and list-tags";
    delete_and_copy_again: "delete, collect, copy again, out exact";
    sync_out_and_in: "sync every tag to a dir, and from it to another repository";
    sync_to_mirror: "sync --all from one repository to another, index and tags";
}

pub fn skopeo(arguments: &[&str]) -> Command {
    let mut command = tools::command("skopeo");
    // Debian's policy file is only a recommendation of the package, so none is asked for.
    command.arg("--insecure-policy").args(arguments);
    command
}

/// `skopeo copy` that keeps every manifest as it is.
fn copy(options: &[&str], from: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let mut command = skopeo(&["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    process::run(command.args(options).arg(from).arg(to)).map(drop)
}

fn remote(scene: &Scene, name: &str) -> String {
    format!("docker://{}", scene.reference(name))
}

/// An image of two layers in a layout, named `image`.
pub fn image(scene: &Scene, name: &str) -> Result<Layout, Box<dyn Error>> {
    let layout = Layout::create(&scene.path(name))?;
    let layers = [("one", 700_000), (name, 2000)];
    layout.tag(&layout.put_image(scene, "amd64", &layers)?, "image")?;
    Ok(layout)
}

/// An index of three images that share a layer, with an index in it, named `image`.
fn nested_index(scene: &Scene, name: &str) -> Result<Layout, Box<dyn Error>> {
    let layout = Layout::create(&scene.path(name))?;
    let mut children = Vec::new();
    for architecture in ["amd64", "arm64", "s390x"] {
        children.push(layout.put_image(scene, architecture, &[("common", 50_000), (architecture, 3000)])?);
    }
    layout.tag(&layout.put_index(&children)?, "image")?;
    Ok(layout)
}

/// Copies a layout into the registry and out again, and compares.
fn there_and_back(
    scene: &Scene,
    layout: &Layout,
    options: &[&str],
    name: &str,
) -> Result<(), Box<dyn Error>> {
    copy(options, &format!("oci:{}:image", layout.path()), &remote(scene, name))?;
    back(scene, layout, options, name)
}

fn back(scene: &Scene, layout: &Layout, options: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    let folder = scene.path(&format!("back-{}", name.replace(['/', ':', '@'], "-")));
    let returned = Layout::create(&folder)?;
    copy(options, &remote(scene, name), &format!("oci:{}:image", returned.path()))?;
    layout.ensure_same(&returned)
}

fn oci_round_trip(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = image(scene, "layout")?;
    there_and_back(scene, &layout, &["--preserve-digests"], "oci/app:v1")?;
    back(scene, &layout, &[], &format!("oci/app@{}", layout.named_digest()?))
}

fn index_round_trip(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = nested_index(scene, "layout")?;
    let digest = layout.named_digest()?;
    there_and_back(scene, &layout, &["--all", "--preserve-digests"], "oci/index:v1")?;
    back(scene, &layout, &["--all"], &format!("oci/index@{digest}"))?;
    let there = scene.registry.manifest("oci/index", "v1")?;
    ensure!(there.bytes == layout.blob(&digest)?, "the index has other bytes");
    for child in there.json()?["manifests"].as_array().ok_or("no manifests")? {
        let digest = member(child, "digest")?;
        let manifest = scene.registry.manifest("oci/index", digest)?;
        ensure!(manifest.bytes == layout.blob(digest)?, "child {digest} has other bytes");
    }
    Ok(())
}

fn copy_between_repositories(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = nested_index(scene, "layout")?;
    let all = ["--all", "--preserve-digests"];
    there_and_back(scene, &layout, &all, "oci/first:v1")?;
    copy(&all, &remote(scene, "oci/first:v1"), &remote(scene, "oci/second:v1"))?;
    scene.registry.delete_manifest("oci/first", &layout.named_digest()?)?;
    scene.registry.collect_garbage()?;
    back(scene, &layout, &all, "oci/second:v1")
}

fn docker_archive_round_trip(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = image(scene, "layout")?;
    let (before, after) = (scene.path("before.tar"), scene.path("after.tar"));
    let archive = |path| format!("docker-archive:{}:demo/app:v1", text(path));
    copy(&[], &format!("oci:{}:image", layout.path()), &archive(&before))?;
    copy(&[], &archive(&before), &remote(scene, "archive/app:v1"))?;
    copy(&[], &remote(scene, "archive/app:v1"), &archive(&after))?;
    let config = |path| process::run(&mut skopeo(&["inspect", "--config", "--raw", &archive(path)]));
    let (before, after) = (config(&before)?.stdout, config(&after)?.stdout);
    ensure!(before == after, "the image's configuration changed");
    let there = scene.registry.manifest("archive/app", "v1")?.json()?;
    let config = member(&there["config"], "digest")?;
    ensure!(scene.registry.blob("archive/app", config)? == before, "the registry has another configuration");
    Ok(())
}

fn dir_round_trip(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = image(scene, "layout")?;
    let (before, after) = (scene.folder("before")?, scene.folder("after")?);
    let keep = ["--preserve-digests"];
    copy(&keep, &format!("oci:{}:image", layout.path()), &format!("dir:{}", text(&before)))?;
    copy(&keep, &format!("dir:{}", text(&before)), &remote(scene, "dir/app:v1"))?;
    copy(&keep, &remote(scene, "dir/app:v1"), &format!("dir:{}", text(&after)))?;
    let mut files = 0;
    for entry in fs::read_dir(&before)? {
        let name = entry?.file_name();
        ensure!(fs::read(before.join(&name))? == fs::read(after.join(&name))?, "{name:?} changed");
        files += 1;
    }
    ensure!(files >= 5, "a dir of {files} files is no image");
    Ok(())
}

fn compressed_layers(scene: &Scene) -> Result<(), Box<dyn Error>> {
    for format in ["gzip", "zstd"] {
        // An image each: skopeo remembers blobs, and takes another compression of one that it knows.
        let layout = Layout::create_plain(&scene.path(&format!("{format}-before")))?;
        layout.tag(&layout.put_image(scene, "amd64", &[(format, 90_000)])?, "image")?;
        let source = format!("oci:{}:image", layout.path());
        let name = format!("packed/{format}:v1");
        copy(&["--dest-compress-format", format], &source, &remote(scene, &name))?;
        let folder = scene.path(format);
        copy(&["--preserve-digests"], &remote(scene, &name), &format!("oci:{}:image", text(&folder)))?;
        let there = scene.registry.manifest(&format!("packed/{format}"), "v1")?;
        let returned = Layout::open(&folder);
        ensure!(returned.named_digest()? == there.digest, "the digest changed on the way out");
        for layer in there.json()?["layers"].as_array().ok_or("no layers")? {
            let (digest, media_type) = (member(layer, "digest")?, member(layer, "mediaType")?);
            ensure!(media_type.ends_with(&format!("+{format}")), "a layer is {media_type}");
            ensure!(digest_of(&returned.blob(digest)?) == digest, "layer {digest} changed");
        }
    }
    Ok(())
}

fn inspect_and_tags(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = image(scene, "layout")?;
    for tag in ["v2", "v10", "V1", "a_b.c-d"] {
        copy(&[], &format!("oci:{}:image", layout.path()), &remote(scene, &format!("many/tags:{tag}")))?;
    }
    let ask = |arguments: &[&str]| process::run(skopeo(arguments).arg("--tls-verify=false"));
    let name = remote(scene, "many/tags:v2");
    let inspected: Value = serde_json::from_slice(&ask(&["inspect", &name])?.stdout)?;
    ensure!(inspected["Digest"] == layout.named_digest()?.as_str(), "another digest: {inspected}");
    let layers = inspected["Layers"].as_array().map_or(0, Vec::len);
    ensure!(layers == 2, "{layers} layers instead of 2");
    let sorted = json!(["V1", "a_b.c-d", "v10", "v2"]);
    ensure!(inspected["RepoTags"] == sorted, "the tags are {}", inspected["RepoTags"]);
    let raw = ask(&["inspect", "--raw", &name])?.stdout;
    ensure!(raw == layout.blob(&layout.named_digest()?)?, "the manifest has other bytes");
    let listed = ask(&["list-tags", &remote(scene, "many/tags")])?;
    let listed: Value = serde_json::from_slice(&listed.stdout)?;
    ensure!(listed["Tags"] == sorted, "the tags are {}", listed["Tags"]);
    Ok(())
}

fn delete_and_copy_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layout = nested_index(scene, "layout")?;
    let name = remote(scene, "oci/returns:v1");
    for _ in 0..2 {
        there_and_back(scene, &layout, &["--all", "--preserve-digests"], "oci/returns:v1")?;
        process::run(&mut skopeo(&["delete", "--tls-verify=false", &name]))?;
        process::run_failing(&mut skopeo(&["inspect", "--tls-verify=false", &name]))?;
        scene.registry.collect_garbage()?;
    }
    there_and_back(scene, &layout, &["--all", "--preserve-digests"], "oci/returns:v1")
}

fn sync(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut command = skopeo(&["sync", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    process::run(command.args(arguments)).map(drop)
}

fn sync_out_and_in(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let folder = scene.folder("synced")?;
    for tag in ["v1", "v2"] {
        let layout = image(scene, tag)?;
        copy(&[], &format!("oci:{}:image", layout.path()), &remote(scene, &format!("sync/app:{tag}")))?;
    }
    sync(&["--src", "docker", "--dest", "dir", &scene.reference("sync/app"), text(&folder)])?;
    sync(&["--src", "dir", "--dest", "docker", text(&folder), &scene.reference("restored")])?;
    for tag in ["v1", "v2"] {
        let there = scene.registry.manifest("restored/app", tag)?;
        let before = scene.registry.manifest("sync/app", tag)?;
        ensure!(there.bytes == before.bytes, "{tag} changed on its way");
        back(scene, &Layout::open(&scene.path(tag)), &[], &format!("restored/app:{tag}"))?;
    }
    Ok(())
}

fn sync_to_mirror(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let layouts = [("one", image(scene, "one")?), ("all", nested_index(scene, "all")?)];
    for (tag, layout) in &layouts {
        there_and_back(scene, layout, &["--all"], &format!("library/app:{tag}"))?;
    }
    let mirror = scene.reference("mirror");
    sync(&["--all", "--src", "docker", "--dest", "docker", &scene.reference("library/app"), &mirror])?;
    let tags = scene.registry.tags("mirror/app")?;
    ensure!(tags == ["all", "one"], "the tags are {tags:?}");
    for (tag, layout) in &layouts {
        back(scene, layout, &["--all"], &format!("mirror/app:{tag}"))?;
    }
    Ok(())
}
