//! buildah: builds images step by step or from a Dockerfile, and keeps a cache of layers in the registry.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::images::{OCI_INDEX, context, member, write_context};
use crate::scene::{Scene, ensure, steps, text};
use crate::storage::{Store, ensure_files};

const FILES: [(&str, usize); 2] = [("one", 2 << 20), ("two", 3000)];

steps! {
    "buildah" needs ["buildah"];
    from_scratch: "from scratch, copy, config, commit, push; pull by tag and by digest, the same files";
    base_image: "build FROM an image in the registry, push, pull, the files of both";
    registry_cache: "build --cache-to a repository; another store takes every layer --cache-from it";
    manifest_list: "manifest create and push --all, pull each image by its digest";
}

fn open(scene: &Scene, name: &str) -> Result<Store, Box<dyn Error>> {
    Store::open(scene, "buildah", name)
}

/// Makes an image by buildah's own commands and returns its id.
fn make(scene: &Scene, store: &Store, name: &str, architecture: &str) -> Result<String, Box<dyn Error>> {
    let container = store.run(&["from", "scratch"])?.text();
    for (label, len) in FILES {
        let file = scene.file(label, len)?;
        store.run(&["copy", "--quiet", &container, text(&file), &format!("/{label}")])?;
    }
    let config = ["--arch", architecture, "--cmd", "[\"/none\"]", "--label", "made=by hand"];
    store.run(&[&["config"], &config[..], &[&container]].concat())?;
    Ok(store.run(&["commit", "--quiet", "--rm", &container, name])?.text())
}

/// Pulls into a store that has none of the image, and demands this id and the files.
fn pull_exact(
    scene: &Scene,
    store: &Store,
    name: &str,
    id: &str,
    files: &[(&str, usize)],
) -> Result<(), Box<dyn Error>> {
    let pulled = store.pull(name, &[])?;
    ensure!(pulled == id, "{name}: image {id} was pushed, {pulled} was pulled");
    let container = store.run(&["from", "--pull-never", &pulled])?.text();
    let mounted = PathBuf::from(store.run(&["mount", &container])?.text());
    ensure_files(scene, &mounted, files)?;
    store.run(&["rm", &container])?;
    store.forget_all()
}

fn from_scratch(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let id = make(scene, &builder, "made", "amd64")?;
    let repository = scene.reference("demo/made");
    let digest = builder.push("made", &format!("{repository}:v1"), &[])?;
    let there = scene.registry.manifest("demo/made", "v1")?;
    ensure!(there.digest == digest, "{digest} was pushed, {} is there", there.digest);
    pull_exact(scene, &puller, &format!("{repository}:v1"), &id, &FILES)?;
    pull_exact(scene, &puller, &format!("{repository}@{digest}"), &id, &FILES)?;
    puller.pull(&format!("{repository}:v1"), &[])?;
    let inspect = ["inspect", "--type", "image", "--format", "{{.OCIv1.Config.Labels}}", &id];
    let labels = puller.run(&inspect)?.text();
    ensure!(labels.contains("made:by hand"), "the labels are {labels}");
    Ok(())
}

/// Builds from a Dockerfile, with a layer for each line, and returns what buildah said.
fn build(store: &Store, folder: &Path, name: &str, options: &[&str]) -> Result<String, Box<dyn Error>> {
    let basic = ["build", "--isolation", "chroot", "--layers", "--tls-verify=false", "--tag", name];
    Ok(store.run(&[&basic[..], options, &[text(folder)]].concat())?.everything())
}

fn image_id(store: &Store, name: &str) -> Result<String, Box<dyn Error>> {
    Ok(store.run(&["inspect", "--type", "image", "--format", "{{.FromImageID}}", name])?.text())
}

fn base_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    let base = scene.reference("demo/base:v1");
    make(scene, &builder, "made", "amd64")?;
    builder.push("made", &base, &[])?;
    builder.forget_all()?;
    let own = scene.bytes("own", 5000);
    let dockerfile = format!("FROM {base}\nCOPY own /own\n");
    let folder = write_context(&scene.path("derived"), &dockerfile, &[("own", &own)])?;
    build(&builder, &folder, "derived", &[])?;
    let name = scene.reference("demo/derived:v1");
    builder.push("derived", &name, &[])?;
    let files = [&FILES[..], &[("own", 5000)]].concat();
    pull_exact(scene, &puller, &name, &image_id(&builder, "derived")?, &files)
}

fn registry_cache(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (first, second) = (open(scene, "first")?, open(scene, "second")?);
    let folder = context(scene, "context", &FILES)?;
    let cache = scene.reference("demo/cache");
    let said = build(&first, &folder, "built", &["--cache-to", &cache])?;
    ensure!(said.contains("Pushing cache"), "no layer went to the cache:\n{said}");
    let said = build(&second, &folder, "built", &["--cache-from", &cache])?;
    let taken = said.matches("Cache pulled from remote").count();
    ensure!(taken >= FILES.len(), "{taken} layers came from the cache:\n{said}");
    let name = scene.reference("demo/cached:v1");
    second.push("built", &name, &[])?;
    let id = image_id(&second, "built")?;
    second.forget_all()?;
    pull_exact(scene, &second, &name, &id, &FILES)
}

fn manifest_list(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (builder, puller) = (open(scene, "builder")?, open(scene, "puller")?);
    builder.run(&["manifest", "create", "list"])?;
    let mut ids = Vec::new();
    for architecture in ["amd64", "arm64"] {
        ids.push(make(scene, &builder, architecture, architecture)?);
        let image = format!("containers-storage:localhost/{architecture}");
        builder.run(&["manifest", "add", "list", &image])?;
    }
    let digest = builder.push_list("list", &scene.reference("demo/list:all"), &[])?;
    let there = scene.registry.manifest("demo/list", "all")?;
    ensure!(there.digest == digest, "{digest} was pushed, {} is there", there.digest);
    ensure!(there.media_type == OCI_INDEX, "the media type is {}", there.media_type);
    let json = there.json()?;
    let children = json["manifests"].as_array().ok_or("no manifests")?;
    ensure!(children.len() == ids.len(), "{} images are listed", children.len());
    for (child, id) in children.iter().zip(&ids) {
        let name = scene.reference(&format!("demo/list@{}", member(child, "digest")?));
        pull_exact(scene, &puller, &name, id, &FILES)?;
    }
    Ok(())
}
