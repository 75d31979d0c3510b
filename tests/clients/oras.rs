//! oras: artifacts of any type, their referrers, single blobs and manifests.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::images::{Layout, OCI_MANIFEST, digest_of};
use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

steps! {
    "oras" needs ["oras"];
    push_and_pull: "push files as an artifact, pull them, the same bytes";
    attach_and_discover: "attach two levels of artifacts and discover them";
    referrers_api: "the same by the referrers API alone, filtered, with no fallback tag";
    delete_a_referrer: "delete a referrer: it is discovered no more, the subject stays";
    manifest_by_hand: "blob push, manifest push, fetch both by digest and by tag";
    single_blob: "push, fetch and delete one blob that no manifest names";
    copy_with_referrers: "cp -r to another repository: the artifact and its referrers";
    layout_round_trip: "cp to an OCI layout and back, the same bytes";
    list_repositories_and_tags: "tag, repo ls, repo tags";
    delete_and_push_again: "manifest delete, collect, push again, pull exact";
    backup_and_restore: "backup a repository, restore it to another";
}

const ARTIFACT: &str = "application/vnd.example.thing+json";
const SIGNATURE: &str = "application/vnd.example.signature";
const REPORT: &str = "application/vnd.example.report+v1";
const BY_API: [&str; 2] = ["--distribution-spec", "v1.1-referrers-api"];

pub fn oras(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = tools::command("oras");
    // The files' names go into the artifact as they are given, so oras runs where the files are.
    command.args(arguments).current_dir(folder);
    // Neither the user's credentials nor the user's cache.
    command.env("HOME", folder).env("DOCKER_CONFIG", folder).env_remove("ORAS_CACHE");
    command
}

/// Runs oras in the scene's folder.
fn run(scene: &Scene, arguments: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(process::run(&mut oras(&scene.path(""), arguments))?.stdout)
}

fn run_json(scene: &Scene, arguments: &[&str]) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&run(scene, &[arguments, &["--format", "json"]].concat())?)?)
}

fn digest_in(said: &Value) -> Result<String, Box<dyn Error>> {
    Ok(said["digest"].as_str().ok_or_else(|| format!("no digest in {said}"))?.to_owned())
}

/// Pushes an artifact of two files of the scene's bytes and returns its digest.
fn push(scene: &Scene, name: &str) -> Result<String, Box<dyn Error>> {
    scene.file("data.bin", 1_500_000)?;
    scene.file("notes.txt", 300)?;
    // Without a fixed date each push would be another artifact.
    let date = "org.opencontainers.image.created=2026-01-01T00:00:00Z";
    let name = scene.reference(name);
    let options = ["push", "--plain-http", "--artifact-type", ARTIFACT, "--annotation", date, &name];
    digest_in(&run_json(scene, &[&options[..], &["data.bin", "notes.txt:text/plain"]].concat())?)
}

fn attach(
    scene: &Scene,
    subject: &str,
    artifact_type: &str,
    options: &[&str],
) -> Result<String, Box<dyn Error>> {
    let file = format!("{}.txt", artifact_type.replace(['/', '.', '+'], "-"));
    scene.file(&file, 900)?;
    let basic = ["attach", "--plain-http", "--artifact-type", artifact_type, subject, &file];
    digest_in(&run_json(scene, &[&basic[..], options].concat())?)
}

fn pull_exact(scene: &Scene, name: &str, into: &str) -> Result<(), Box<dyn Error>> {
    let folder = scene.folder(into)?;
    process::run(&mut oras(&folder, &["pull", "--plain-http", &scene.reference(name)]))?;
    for (file, len) in [("data.bin", 1_500_000), ("notes.txt", 300)] {
        ensure!(fs::read(folder.join(file))? == scene.bytes(file, len), "{file} of {name} changed");
    }
    Ok(())
}

/// The digests that `oras discover` finds for a subject, with those that refer to them in turn.
fn discover(scene: &Scene, name: &str, options: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    fn collect(node: &Value, found: &mut Vec<String>) {
        for referrer in node["referrers"].as_array().into_iter().flatten() {
            found.extend(referrer["digest"].as_str().map(ToOwned::to_owned));
            collect(referrer, found);
        }
    }
    let name = scene.reference(name);
    let discovered = run_json(scene, &[&["discover", "--plain-http", &name], options].concat())?;
    let mut found = Vec::new();
    collect(&discovered, &mut found);
    found.sort();
    Ok(found)
}

/// An artifact with a signature and a report attached, and a signature attached to the report.
/// Returns the digest of the artifact and the sorted ones of all that refers to it.
fn tree(scene: &Scene, repository: &str, options: &[&str]) -> Result<(String, Vec<String>), Box<dyn Error>> {
    let subject = push(scene, &format!("{repository}:v1"))?;
    let at = |digest: &str| scene.reference(&format!("{repository}@{digest}"));
    let signature = attach(scene, &at(&subject), SIGNATURE, options)?;
    let report = attach(scene, &at(&subject), REPORT, options)?;
    let second = attach(scene, &at(&report), SIGNATURE, options)?;
    let mut all = vec![signature, report, second];
    all.sort();
    Ok((subject, all))
}

fn push_and_pull(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let digest = push(scene, "demo/thing:v1")?;
    pull_exact(scene, "demo/thing:v1", "by-tag")?;
    pull_exact(scene, &format!("demo/thing@{digest}"), "by-digest")?;
    let there = scene.registry.manifest("demo/thing", "v1")?;
    ensure!(there.digest == digest, "{digest} was pushed, {} is there", there.digest);
    ensure!(there.media_type == OCI_MANIFEST, "the media type is {}", there.media_type);
    Ok(())
}

fn attach_and_discover(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (_, attached) = tree(scene, "demo/tree", &[])?;
    let found = discover(scene, "demo/tree:v1", &[])?;
    ensure!(found == attached, "{attached:?} were attached, {found:?} are found");
    Ok(())
}

fn referrers_api(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (_, attached) = tree(scene, "demo/api", &BY_API)?;
    let found = discover(scene, "demo/api:v1", &BY_API)?;
    ensure!(found == attached, "{attached:?} were attached, {found:?} are found");
    let filtered = [&BY_API[..], &["--artifact-type", REPORT, "--depth", "1"]].concat();
    let found = discover(scene, "demo/api:v1", &filtered)?;
    ensure!(found.len() == 1 && attached.contains(&found[0]), "the filter finds {found:?}");
    let tags = scene.registry.tags("demo/api")?;
    ensure!(tags == ["v1"], "the tags are {tags:?}");
    Ok(())
}

fn delete_a_referrer(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let subject = push(scene, "demo/signed:v1")?;
    let signature = attach(scene, &scene.reference("demo/signed:v1"), SIGNATURE, &[])?;
    ensure!(discover(scene, "demo/signed:v1", &[])? == [signature.clone()], "the signature is not found");
    let name = scene.reference(&format!("demo/signed@{signature}"));
    run(scene, &["manifest", "delete", "--plain-http", "--force", &name])?;
    let found = discover(scene, &format!("demo/signed@{subject}"), &[])?;
    ensure!(found.is_empty(), "the deleted signature is found: {found:?}");
    pull_exact(scene, "demo/signed:v1", "pulled")
}

fn manifest_by_hand(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let repository = scene.reference("demo/hand");
    let blob = scene.bytes("layer", 70_000);
    fs::write(scene.path("layer"), &blob)?;
    fs::write(scene.path("empty"), "{}")?;
    for file in ["layer", "empty"] {
        run(scene, &["blob", "push", "--plain-http", &repository, file])?;
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": digest_of(&blob), "size": blob.len()}],
    });
    // Spaces and line ends must come back as they went.
    let manifest = format!("{manifest:#}\n");
    fs::write(scene.path("manifest.json"), &manifest)?;
    let names = format!("{repository}:v1,v2,latest");
    run(scene, &["manifest", "push", "--plain-http", &names, "manifest.json"])?;
    let digest = digest_of(manifest.as_bytes());
    for name in [format!("{repository}:v2"), format!("{repository}@{digest}")] {
        let fetched = run(scene, &["manifest", "fetch", "--plain-http", "--output", "-", &name])?;
        ensure!(fetched == manifest.as_bytes(), "{name} has other bytes");
    }
    let name = format!("{repository}@{}", digest_of(&blob));
    let fetched = run(scene, &["blob", "fetch", "--plain-http", "--output", "-", &name])?;
    ensure!(fetched == blob, "the blob has other bytes");
    Ok(())
}

fn single_blob(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let repository = scene.reference("demo/loose");
    let blob = scene.bytes("loose", 5 << 20);
    fs::write(scene.path("loose"), &blob)?;
    let name = format!("{repository}@{}", digest_of(&blob));
    let fetch = ["blob", "fetch", "--plain-http", "--output", "fetched", &name];
    for _ in 0..2 {
        run(scene, &["blob", "push", "--plain-http", &repository, "loose"])?;
        run(scene, &fetch)?;
        ensure!(fs::read(scene.path("fetched"))? == blob, "the blob has other bytes");
        run(scene, &["blob", "delete", "--plain-http", "--force", &name])?;
        process::run_failing(&mut oras(&scene.path(""), &fetch))?;
    }
    Ok(())
}

fn copy_with_referrers(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (subject, attached) = tree(scene, "demo/from", &[])?;
    let (from, to) = (scene.reference("demo/from:v1"), scene.reference("demo/to:copied"));
    run(scene, &["cp", "-r", "--from-plain-http", "--to-plain-http", &from, &to])?;
    let there = scene.registry.manifest("demo/to", "copied")?;
    ensure!(there.digest == subject, "{subject} was copied, {} is there", there.digest);
    let found = discover(scene, "demo/to:copied", &[])?;
    ensure!(found == attached, "{attached:?} were copied, {found:?} are found");
    pull_exact(scene, "demo/to:copied", "pulled")
}

fn layout_round_trip(scene: &Scene) -> Result<(), Box<dyn Error>> {
    push(scene, "demo/out:v1")?;
    let (from, to) = (scene.reference("demo/out:v1"), scene.reference("demo/in:v1"));
    run(scene, &["cp", "--from-plain-http", "--to-oci-layout", &from, "first:v1"])?;
    run(scene, &["cp", "--from-oci-layout", "--to-plain-http", "first:v1", &to])?;
    run(scene, &["cp", "--from-plain-http", "--to-oci-layout", &to, "second:v1"])?;
    Layout::open(&scene.path("first")).ensure_same(&Layout::open(&scene.path("second")))
}

fn list_repositories_and_tags(scene: &Scene) -> Result<(), Box<dyn Error>> {
    for name in ["demo/one:v1", "demo/two:v1", "other:v1"] {
        push(scene, name)?;
    }
    run(scene, &["tag", "--plain-http", &scene.reference("demo/one:v1"), "v1.1", "latest"])?;
    let tags = run(scene, &["repo", "tags", "--plain-http", &scene.reference("demo/one")])?;
    let tags = String::from_utf8(tags)?;
    ensure!(tags.lines().eq(["latest", "v1", "v1.1"]), "the tags are {tags:?}");
    let all = String::from_utf8(run(scene, &["repo", "ls", "--plain-http", scene.registry.addr()])?)?;
    ensure!(all.lines().eq(["demo/one", "demo/two", "other"]), "the repositories are {all:?}");
    Ok(())
}

fn delete_and_push_again(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let first = push(scene, "demo/returns:v1")?;
    let name = scene.reference(&format!("demo/returns@{first}"));
    for round in ["first", "second"] {
        run(scene, &["manifest", "delete", "--plain-http", "--force", &name])?;
        process::run_failing(&mut oras(&scene.path(""), &["manifest", "fetch", "--plain-http", &name]))?;
        scene.registry.collect_garbage()?;
        let again = push(scene, "demo/returns:v1")?;
        ensure!(again == first, "the digest changed to {again}");
        pull_exact(scene, "demo/returns:v1", round)?;
        pull_exact(scene, &format!("demo/returns@{first}"), &format!("{round}-by-digest"))?;
    }
    Ok(())
}

fn backup_and_restore(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (_, attached) = tree(scene, "demo/kept", &[])?;
    let (kept, restored) = (scene.reference("demo/kept:v1"), scene.reference("demo/restored"));
    run(scene, &["backup", "--plain-http", "--include-referrers", "--output", "kept", &kept])?;
    run(scene, &["restore", "--plain-http", "--input", text(&scene.path("kept")), &restored])?;
    let found = discover(scene, "demo/restored:v1", &[])?;
    ensure!(found == attached, "{attached:?} were kept, {found:?} are restored");
    pull_exact(scene, "demo/restored:v1", "pulled")
}
