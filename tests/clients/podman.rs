//! podman: builds, pushes and pulls without a daemon, in either format, with lists for several platforms.

use std::error::Error;
use std::path::PathBuf;

use crate::images::{Layout, OCI_INDEX, OCI_MANIFEST, context, layer_file, member};
use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::storage::{Store, ensure_files};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const FILES: [(&str, usize); 3] = [("one", 2 << 20), ("two", 70_000), ("three", 0)];

steps! {
    "podman" needs ["podman"];
    build_push_pull: "build three layers, push, pull by tag and by digest, the same files";
    push_again: "push again, and to a second repository that outlives the first: the same digest";
    formats: "push as OCI, as Docker's format and with zstd layers, pull each";
    manifest_list: "manifest create and push --all in either format, pull by platform and by digest";
    delete_collect_push_again: "delete by digest, collect, push again, pull exact";
    unknown_image: "pull of an unknown tag and of an unknown repository says so";
}

pub fn open(scene: &Scene, name: &str) -> Result<Store, Box<dyn Error>> {
    Store::open(scene, "podman", name)
}

/// Builds an image of three layers, which takes seconds, and returns its id.
fn build(scene: &Scene, store: &Store) -> Result<String, Box<dyn Error>> {
    let context = context(scene, "context", &FILES)?;
    Ok(store.run(&["build", "--quiet", "--isolation", "chroot", text(&context)])?.text())
}

/// Takes an image with a layer for each file out of a layout, and returns its id.
pub fn load(
    scene: &Scene,
    store: &Store,
    name: &str,
    files: &[(&str, usize)],
) -> Result<String, Box<dyn Error>> {
    let layout = Layout::create(&scene.path(name))?;
    layout.tag(&layout.put_image(scene, "amd64", files)?, "image")?;
    // It makes a name of the path, and takes capitals, as temporary folders have, for an error.
    let mut pull = store.command(&["pull", "--quiet", &format!("oci:{name}:image")]);
    Ok(process::run(pull.current_dir(scene.path("")))?.text())
}

/// Pulls into a store that has none of the image, and demands this id, this digest and the files.
fn pull_exact(
    scene: &Scene,
    store: &Store,
    name: &str,
    id: &str,
    digest: &str,
) -> Result<(), Box<dyn Error>> {
    let pulled = store.pull(name, &[])?;
    ensure!(pulled == id, "{name}: image {id} was pushed, {pulled} was pulled");
    let known = store.run(&["image", "inspect", "--format", "{{.Digest}}", &pulled])?.text();
    ensure!(known == digest, "{name}: {digest} was pushed, {known} was pulled");
    ensure_mounted(scene, store, &pulled, &FILES)?;
    store.forget_all()
}

fn ensure_mounted(
    scene: &Scene,
    store: &Store,
    id: &str,
    files: &[(&str, usize)],
) -> Result<(), Box<dyn Error>> {
    let mounted = PathBuf::from(store.run(&["image", "mount", id])?.text());
    ensure_files(scene, &mounted, files)?;
    store.run(&["image", "unmount", id]).map(drop)
}

fn build_push_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let id = build(scene, &builder)?;
    let repository = scene.reference("demo/app");
    let digest = builder.push(&id, &format!("{repository}:v1"), &[])?;
    let there = scene.registry.manifest("demo/app", "v1")?;
    ensure!(there.digest == digest, "{digest} was pushed, {} is there", there.digest);
    ensure!(there.media_type == OCI_MANIFEST, "the media type is {}", there.media_type);
    pull_exact(scene, &puller, &format!("{repository}:v1"), &id, &digest)?;
    pull_exact(scene, &puller, &format!("{repository}@{digest}"), &id, &digest)
}

fn push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let id = load(scene, &builder, "layout", &FILES)?;
    let (first, second) = (scene.reference("demo/first:v1"), scene.reference("demo/second/deep:v1"));
    let digest = builder.push(&id, &first, &[])?;
    for name in [&first, &second] {
        let again = builder.push(&id, name, &[])?;
        ensure!(again == digest, "{name}: the digest changed from {digest} to {again}");
    }
    scene.registry.delete_manifest("demo/first", &digest)?;
    scene.registry.collect_garbage()?;
    pull_exact(scene, &puller, &second, &id, &digest)
}

fn formats(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let formats: [(&str, &[&str], &str, &str); 3] = [
        ("oci", &["--format", "oci"], OCI_MANIFEST, "+gzip"),
        ("v2s2", &["--format", "v2s2"], DOCKER_MANIFEST, ".gzip"),
        ("zstd", &["--format", "oci", "--compression-format", "zstd"], OCI_MANIFEST, "+zstd"),
    ];
    for (repository, options, media_type, layer_type) in formats {
        // An image each: podman remembers blobs, and takes another compression of one that it knows.
        let files = [(repository, 500_000)];
        let id = load(scene, &builder, &format!("layout-{repository}"), &files)?;
        let name = scene.reference(&format!("{repository}:v1"));
        let digest = builder.push(&id, &name, options)?;
        let there = scene.registry.manifest(repository, "v1")?;
        ensure!(there.digest == digest, "{name}: {digest} was pushed, {} is there", there.digest);
        ensure!(there.media_type == media_type, "{name}: the media type is {}", there.media_type);
        let json = there.json()?;
        for layer in json["layers"].as_array().ok_or("no layers")? {
            ensure!(member(layer, "mediaType")?.ends_with(layer_type), "{name}: {layer}");
        }
        let id = puller.pull(&name, &[])?;
        ensure!(member(&json["config"], "digest")?.ends_with(&id), "{name}: {id} was pulled");
        ensure_mounted(scene, &puller, &id, &files)?;
    }
    Ok(())
}

fn manifest_list(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let mut ids = Vec::new();
    builder.run(&["manifest", "create", "list"])?;
    for architecture in ["amd64", "s390x"] {
        let archive = layer_file(scene, architecture, 40_000)?;
        let import = ["import", "--quiet", "--arch", architecture, text(&archive), architecture];
        ids.push((architecture, builder.run(&import)?.text().trim_start_matches("sha256:").to_owned()));
        let image = format!("containers-storage:localhost/{architecture}");
        builder.run(&["manifest", "add", "list", &image])?;
    }
    for (format, media_type) in [("oci", OCI_INDEX), ("v2s2", DOCKER_LIST)] {
        let repository = scene.reference(&format!("list/{format}"));
        let digest = builder.push_list("list", &format!("{repository}:all"), &["--format", format])?;
        let there = scene.registry.manifest(&format!("list/{format}"), "all")?;
        ensure!(there.digest == digest, "{format}: {digest} was pushed, {} is there", there.digest);
        ensure!(there.media_type == media_type, "{format}: the media type is {}", there.media_type);
        for name in [format!("{repository}:all"), format!("{repository}@{digest}")] {
            for (architecture, id) in &ids {
                let got = puller.pull(&name, &["--platform", &format!("linux/{architecture}")])?;
                ensure!(got == *id, "{name} for {architecture}: {id} was pushed, {got} was pulled");
                puller.forget_all()?;
            }
        }
    }
    Ok(())
}

fn delete_collect_push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let id = load(scene, &builder, "layout", &FILES)?;
    let name = scene.reference("demo/returns:v1");
    let first = builder.push(&id, &name, &[])?;
    for _ in 0..2 {
        scene.registry.delete_manifest("demo/returns", &first)?;
        process::run_failing(&mut puller.command(&["pull", "--quiet", "--tls-verify=false", &name]))?;
        scene.registry.collect_garbage()?;
        let again = builder.push(&id, &name, &[])?;
        ensure!(again == first, "the digest changed to {again}");
        pull_exact(scene, &puller, &name, &id, &first)?;
    }
    Ok(())
}

fn unknown_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let store = open(scene, "store")?;
    let id = load(scene, &store, "layout", &FILES)?;
    store.push(&id, &scene.reference("demo/known:v1"), &[])?;
    for unknown in ["demo/known:v2", "demo/unknown:v1"] {
        let pull = ["pull", "--quiet", "--tls-verify=false", &scene.reference(unknown)];
        let said = process::run_failing(&mut store.command(&pull))?;
        ensure!(said.contains("manifest unknown") || said.contains("not found"), "{unknown}: {said}");
    }
    Ok(())
}
