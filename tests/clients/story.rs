//! The story that this project exists for, with real docker: push, delete by digest, collect, push again and
//! pull, all on one process. Debian's docker-registry loses the image, and says nothing. Wharfinger does not.
//!
//! What docker said is printed, and left in target/story-*.txt.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::dockerd::{DOCKER, shared};
use crate::images::{context, member};
use crate::process;
use crate::registry::Kind;
use crate::scene::{Outcome, Scene, Step, ensure};
use crate::tools;

const ROUNDS: usize = 5;

/// The image's layers and their sizes.
const LAYERS: [(&str, usize); 3] = [("base", 200_000), ("library", 70_000), ("app", 9_000)];

const OURS: Step = Step {
    client: "story",
    name: "ours",
    title: "delete by digest, collect, push again: all is uploaded and the pull is exact, five times",
    needs: &DOCKER,
    run: image_returns,
};

const THEIRS: Step = Step {
    client: "story",
    name: "theirs",
    title: "delete by digest, collect, push again: it exists already, and is not there",
    needs: &DOCKER,
    run: image_is_lost,
};

/// An image that was pushed, deleted by its digest and collected.
struct Collected {
    name: String,
    id: String,
    digest: String,
    /// Manifest, config and layers.
    digests: Vec<String>,
}

/// Pushes an image that the puller can have, and collects it again.
fn push_delete_collect(scene: &Scene) -> Result<Collected, Box<dyn Error>> {
    let docker = shared()?;
    let repository = scene.reference("demo/app");
    let name = format!("{repository}:v1");
    let id = docker.builder.build(&context(scene, "context", &LAYERS)?, &name)?;
    let digest = docker.builder.push(&name)?.digest;
    docker.puller.pull_exact(&repository, "v1", &id, &digest)?;
    let json = scene.registry.manifest("demo/app", "v1")?.json()?;
    let layers = json["layers"].as_array().ok_or("no layers")?;
    let mut digests = vec![digest.clone(), member(&json["config"], "digest")?.to_owned()];
    for layer in layers {
        digests.push(member(layer, "digest")?.to_owned());
    }
    ensure!(digests.len() == 2 + LAYERS.len(), "a digest for each part: {digests:?}");
    let collected = Collected { name, id, digest, digests };
    delete_and_collect(scene, &collected)?;
    Ok(collected)
}

/// Deletes the image by its digest and collects: no file of it is left.
fn delete_and_collect(scene: &Scene, image: &Collected) -> Result<(), Box<dyn Error>> {
    scene.registry.delete_manifest("demo/app", &image.digest)?;
    scene.registry.collect_garbage()?;
    for digest in &image.digests {
        let files = scene.registry.files_of(digest)?;
        ensure!(files.is_empty(), "{digest} was collected, and is in {files:?}");
    }
    Ok(())
}

fn image_returns(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let image = push_delete_collect(scene)?;
    let mut transcript = String::new();
    for round in 1..=ROUNDS {
        let again = docker.builder.push(&image.name)?;
        ensure!(again.digest == image.digest, "round {round}: the digest changed to {}", again.digest);
        let uploaded = again.said.matches(": Pushed").count();
        ensure!(uploaded == LAYERS.len(), "round {round}: {uploaded} layers were uploaded:\n{}", again.said);
        let exists = again.said.contains("Layer already exists");
        ensure!(!exists, "round {round}: something existed that was collected:\n{}", again.said);
        for digest in &image.digests[1..] {
            let files = scene.registry.files_of(digest)?.len();
            ensure!(files == 1, "round {round}: {digest} has {files} files");
        }
        if round == 1 {
            let pulled = docker.puller.run(&["pull", &image.name])?.everything();
            docker.puller.forget(&image.name)?;
            transcript = said(&["push", "pull"], &[&again.said, &pulled], scene);
        }
        let repository = scene.reference("demo/app");
        docker.puller.pull_exact(&repository, "v1", &image.id, &image.digest)?;
        delete_and_collect(scene, &image)?;
    }
    // What is checked at the end of the process is an image, too.
    docker.builder.push(&image.name)?;
    docker.builder.forget(&image.name)?;
    keep(Kind::Wharfinger, &transcript)
}

fn image_is_lost(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let docker = shared()?;
    let image = push_delete_collect(scene)?;
    let again = docker.builder.push(&image.name)?;
    let existing = again.said.matches("Layer already exists").count();
    ensure!(existing == LAYERS.len(), "{existing} layers were said to exist:\n{}", again.said);
    for digest in &image.digests[1..] {
        let files = scene.registry.files_of(digest)?;
        ensure!(files.is_empty(), "{digest} was said to exist, and does: {files:?}");
    }
    let pulled = process::run_failing(&mut docker.puller.command(&["pull", &image.name]))?;
    ensure!(pulled.contains("manifest unknown"), "the pull failed otherwise:\n{pulled}");
    docker.builder.forget(&image.name)?;
    keep(Kind::DockerRegistry, &said(&["push", "pull"], &[&again.said, &pulled], scene))
}

/// What docker said to commands on the image, without the lines of progress.
fn said(verbs: &[&str], words: &[&str], scene: &Scene) -> String {
    const PASSING: [&str; 5] =
        [": Preparing", ": Waiting", ": Pulling fs layer", ": Verifying Checksum", ": Download complete"];
    let mut lines = Vec::new();
    for (verb, words) in verbs.iter().zip(words) {
        lines.push(format!("$ docker {verb} {}", scene.reference("demo/app:v1")));
        let said = words.lines().filter(|line| PASSING.iter().all(|passing| !line.contains(passing)));
        lines.extend(said.map(str::to_owned));
    }
    lines.join("\n").replace(scene.registry.addr(), "127.0.0.1:5000")
}

fn keep(kind: Kind, transcript: &str) -> Result<(), Box<dyn Error>> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&target)?;
    let text = format!("{}:\n{transcript}\n", kind.version()?);
    tools::say(&text);
    Ok(fs::write(target.join(format!("story-{kind}.txt")), text)?)
}

#[test]
fn the_story_side_by_side() {
    for (step, kind) in [(THEIRS, Kind::DockerRegistry), (OURS, Kind::Wharfinger)] {
        match step.run_on(kind) {
            Outcome::Passed => {}
            Outcome::Failed(reason) => panic!("{kind}: {}: {reason}", step.title),
            Outcome::Skipped(reason) => tools::skip(&format!("clients::{}", step.id()), &reason),
        }
    }
}
