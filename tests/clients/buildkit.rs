//! BuildKit's own daemon: caches in the registry, images with attestations, base images.
//! Only `./test --extra` builds it. What a build runs, it runs in containers of runc.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::images::{OCI_INDEX, OCI_MANIFEST, context, member, write_context};
use crate::process::{self, Daemon};
use crate::scene::{NotHere, Scene, ensure, steps, text};
use crate::tools;

/// The type of an attestation's manifest, and of each statement in it.
const ATTESTATION: &str = "application/vnd.docker.attestation.manifest.v1+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const FILES: [(&str, usize); 2] = [("one", 2 << 20), ("two", 3000)];

steps! {
    "buildkit" needs ["buildkitd", "buildctl", "runc"];
    cache_as_image: "export a cache, mode=max, as an image manifest; collect; a second build takes it";
    cache_as_index: "export a cache, mode=max, as an index of layers; collect; a second build takes it";
    cache_overwritten: "export a cache again under its tag; the second build takes the new one";
    attestations: "push two platforms with provenance: unknown/unknown children, whole by digest";
    attestations_as_referrers: "the referrers of each platform are its attestations, filtered by type";
    base_image: "build FROM an image with attestations in the registry, push it to another repository";
    sbom: "push with an SBOM by a scanner that BuildKit pulls from the registry";
}

/// A daemon with a folder and a socket of its own.
struct BuildKit {
    /// Goes before the folder that it writes to, which is the scene's.
    _daemon: Daemon,
    folder: PathBuf,
}

impl BuildKit {
    fn start(scene: &Scene) -> Result<BuildKit, Box<dyn Error>> {
        let folder = scene.folder("buildkit")?;
        // An empty one keeps it from the machine's.
        fs::write(folder.join("buildkitd.toml"), "")?;
        let runc = tools::path("runc").ok_or("no runc")?;
        let mut command = process::serving("buildkitd");
        command.arg("--config").arg(folder.join("buildkitd.toml")).arg("--root").arg(folder.join("root"));
        command.arg("--addr").arg(address(&folder)).arg("--otel-socket-path").arg(folder.join("otel"));
        command.args(["--cdi-disabled", "--containerd-worker=false", "--oci-worker=true"]);
        command.args(["--oci-worker-snapshotter", "native", "--oci-worker-net", "host"]);
        command.arg("--oci-worker-binary").arg(runc);
        let started = Daemon::start(command, "running server on");
        let (daemon, _) = started.map_err(|error| NotHere(format!("buildkitd does not start: {error}")))?;
        Ok(BuildKit { _daemon: daemon, folder })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tools::command("buildctl");
        command.arg("--addr").arg(address(&self.folder)).args(arguments);
        command.env("HOME", &self.folder).env("DOCKER_CONFIG", &self.folder);
        command
    }

    fn build_command(&self, context: &Path, options: &[&str]) -> Command {
        let mut command = self.command(&["build", "--progress", "plain", "--frontend", "dockerfile.v0"]);
        for place in ["context", "dockerfile"] {
            command.arg("--local").arg(format!("{place}={}", text(context)));
        }
        command.args(options);
        command
    }

    /// Builds what the folder's Dockerfile says, and returns what BuildKit said.
    fn build(&self, context: &Path, options: &[&str]) -> Result<String, Box<dyn Error>> {
        Ok(process::run(&mut self.build_command(context, options))?.everything())
    }

    /// Forgets all that was built and pulled, so that a later build has to fetch it.
    fn forget_all(&self) -> Result<(), Box<dyn Error>> {
        process::run(&mut self.command(&["prune", "--all"])).map(drop)
    }
}

fn address(folder: &Path) -> String {
    format!("unix://{}", text(&folder.join("socket")))
}

/// What `--output` takes to push an image.
fn pushed(name: &str) -> String {
    format!("type=image,name={name},push=true")
}

/// A build in two stages, where only a cache of mode=max has the first one: `last` goes into the second.
fn staged(scene: &Scene, last: &str) -> Result<PathBuf, Box<dyn Error>> {
    let contents = [scene.bytes("one", 2 << 20), scene.bytes("two", 3000), scene.bytes(last, 500)];
    let files = [("one", &contents[0][..]), ("two", &contents[1][..]), (last, &contents[2][..])];
    let first = "FROM scratch AS first\nCOPY one /one\nCOPY two /two\n";
    let dockerfile = format!("{first}FROM scratch\nCOPY --from=first /two /two\nCOPY {last} /{last}\n");
    write_context(&scene.path(last), &dockerfile, &files)
}

/// Whether BuildKit says of the act with these words that it came from the cache.
fn cached(said: &str, act: &str) -> bool {
    let line = said.lines().find(|line| line.starts_with('#') && line.ends_with(act));
    let number = line.and_then(|line| line.split(' ').next());
    number.is_some_and(|number| said.lines().any(|line| line == format!("{number} CACHED")))
}

/// Exports a cache, forgets everything, and demands that another build's first stage comes out of it.
fn export_and_import(scene: &Scene, form: &str) -> Result<(), Box<dyn Error>> {
    let buildkit = BuildKit::start(scene)?;
    let cache = format!("type=registry,ref={}", scene.reference("demo/cache:main"));
    buildkit.build(&staged(scene, "before")?, &["--export-cache", &format!("{cache},mode=max,{form}")])?;
    scene.registry.collect_garbage()?;
    take(scene, &buildkit, &cache, "after")
}

fn take(scene: &Scene, buildkit: &BuildKit, cache: &str, last: &str) -> Result<(), Box<dyn Error>> {
    buildkit.forget_all()?;
    let output = scene.path(&format!("output-{last}"));
    let output = format!("type=local,dest={}", text(&output));
    let said = buildkit.build(&staged(scene, last)?, &["--import-cache", cache, "--output", &output])?;
    for act in ["COPY one /one", "COPY two /two"] {
        ensure!(cached(&said, act), "{act} was done again:\n{said}");
    }
    ensure!(!cached(&said, &format!("COPY {last} /{last}")), "the last file cannot be cached:\n{said}");
    let built = fs::read(scene.path(&format!("output-{last}")).join("two"))?;
    ensure!(built == scene.bytes("two", 3000), "the file out of the cache has other bytes");
    Ok(())
}

fn cache_as_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    export_and_import(scene, "image-manifest=true")?;
    let there = scene.registry.manifest("demo/cache", "main")?;
    ensure!(there.media_type == OCI_MANIFEST, "the cache is a {}", there.media_type);
    Ok(())
}

fn cache_as_index(scene: &Scene) -> Result<(), Box<dyn Error>> {
    export_and_import(scene, "image-manifest=false,oci-mediatypes=true")?;
    let there = scene.registry.manifest("demo/cache", "main")?;
    ensure!(there.media_type == OCI_INDEX, "the cache is a {}", there.media_type);
    // Its children are no manifests but layers and a configuration.
    let json = there.json()?;
    let children = json["manifests"].as_array().ok_or("no manifests")?;
    ensure!(!children.is_empty(), "the cache is empty");
    for child in children {
        scene.registry.blob("demo/cache", member(child, "digest")?)?;
    }
    Ok(())
}

fn cache_overwritten(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let buildkit = BuildKit::start(scene)?;
    let cache = format!("type=registry,ref={}", scene.reference("demo/cache:main"));
    let export = format!("{cache},mode=max,image-manifest=true");
    let mut digests = Vec::new();
    for last in ["before", "between"] {
        buildkit.build(&staged(scene, last)?, &["--export-cache", &export, "--import-cache", &cache])?;
        digests.push(scene.registry.manifest("demo/cache", "main")?.digest);
    }
    ensure!(digests[0] != digests[1], "the cache did not change");
    scene.registry.delete_manifest("demo/cache", &digests[0])?;
    scene.registry.collect_garbage()?;
    take(scene, &buildkit, &cache, "after")
}

/// Pushes an image for two platforms with provenance, and returns the index.
fn push_attested(scene: &Scene, buildkit: &BuildKit, name: &str) -> Result<(), Box<dyn Error>> {
    let context = context(scene, "context", &FILES)?;
    let options = ["--opt", "platform=linux/amd64,linux/arm64", "--opt", "attest:provenance=mode=max"];
    let output = pushed(&scene.reference(name));
    buildkit.build(&context, &[&options[..], &["--output", &output]].concat()).map(drop)
}

/// The children of an index: those for a platform, and the attestations.
fn children(scene: &Scene, repository: &str) -> Result<(Vec<Value>, Vec<Value>), Box<dyn Error>> {
    let there = scene.registry.manifest(repository, "v1")?;
    ensure!(there.media_type == OCI_INDEX, "the image is a {}", there.media_type);
    let listed = there.json()?["manifests"].as_array().ok_or("no manifests")?.clone();
    let nowhere = json!({"architecture": "unknown", "os": "unknown"});
    Ok(listed.into_iter().partition(|child| child["platform"] != nowhere))
}

/// Demands that an attestation is about the image, and returns the kinds of its statements.
fn statements(
    scene: &Scene,
    repository: &str,
    image: &Value,
    attestation: &Value,
) -> Result<Vec<String>, Box<dyn Error>> {
    let about = &attestation["annotations"]["vnd.docker.reference.digest"];
    ensure!(*about == image["digest"], "{attestation} is not about {image}");
    let manifest = scene.registry.manifest(repository, member(attestation, "digest")?)?.json()?;
    let mut kinds = Vec::new();
    for layer in manifest["layers"].as_array().ok_or("no layers")? {
        ensure!(layer["mediaType"] == STATEMENT, "a statement is {layer}");
        let statement = scene.registry.blob(repository, member(layer, "digest")?)?;
        let statement: Value = serde_json::from_slice(&statement)?;
        let subject = statement["subject"][0]["digest"]["sha256"].as_str().ok_or("no subject")?;
        ensure!(image["digest"] == format!("sha256:{subject}"), "the statement is about {subject}");
        kinds.push(member(&statement, "predicateType")?.to_owned());
    }
    Ok(kinds)
}

fn attestations(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let buildkit = BuildKit::start(scene)?;
    push_attested(scene, &buildkit, "demo/attested:v1")?;
    let (images, attestations) = children(scene, "demo/attested")?;
    ensure!(images.len() == 2 && attestations.len() == 2, "{images:?} {attestations:?}");
    scene.registry.collect_garbage()?;
    for (image, attestation) in images.iter().zip(&attestations) {
        scene.registry.manifest("demo/attested", member(image, "digest")?)?;
        let kinds = statements(scene, "demo/attested", image, attestation)?;
        ensure!(kinds.len() == 1 && kinds[0].contains("slsa.dev/provenance"), "{kinds:?}");
    }
    Ok(())
}

fn attestations_as_referrers(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let buildkit = BuildKit::start(scene)?;
    push_attested(scene, &buildkit, "demo/attested:v1")?;
    let (images, attestations) = children(scene, "demo/attested")?;
    for (image, attestation) in images.iter().zip(&attestations) {
        for (filter, wanted) in [("", 1), (ATTESTATION, 1), ("application/vnd.example.other", 0)] {
            let subject = member(image, "digest")?;
            let found = scene.registry.referrers("demo/attested", subject, filter)?;
            ensure!(found.len() == wanted, "{filter:?} finds {found:?}");
            let exact = found.iter().all(|referrer| referrer["digest"] == attestation["digest"]);
            ensure!(exact, "{found:?} is not {attestation}");
        }
    }
    Ok(())
}

fn base_image(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let buildkit = BuildKit::start(scene)?;
    push_attested(scene, &buildkit, "demo/base:v1")?;
    buildkit.forget_all()?;
    let own = scene.bytes("own", 5000);
    let dockerfile = format!("FROM {}\nCOPY own /own\n", scene.reference("demo/base:v1"));
    let derived = write_context(&scene.path("derived"), &dockerfile, &[("own", &own)])?;
    let output = pushed(&scene.reference("demo/derived:v1"));
    let plain = ["--opt", "platform=linux/arm64", "--output", &output];
    buildkit.build(&derived, &plain)?;
    let (images, _) = children(scene, "demo/base")?;
    let base = scene.registry.manifest("demo/base", member(&images[1], "digest")?)?.json()?;
    let base = base["layers"].as_array().ok_or("no layers")?;
    let there = scene.registry.manifest("demo/derived", "v1")?.json()?;
    let layers = there["layers"].as_array().ok_or("no layers")?;
    ensure!(layers.len() == 3 && layers.starts_with(base), "{layers:?} is not on top of {base:?}");
    for layer in layers {
        scene.registry.blob("demo/derived", member(layer, "digest")?)?;
    }
    Ok(())
}

/// The scanner that BuildKit runs: it may look at the image, and writes statements into a folder.
const SCANNER: &str = r#"#!/bin/busybox sh
set -e
test -s "$BUILDKIT_SCAN_SOURCE/one"
/bin/busybox cat > "$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json" <<END
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
 "predicate": {"spdxVersion": "SPDX-2.3", "name": "demo", "packages": []}}
END
"#;

fn sbom(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let busybox = tools::path("busybox").ok_or_else(|| NotHere("busybox is not installed".to_owned()))?;
    let buildkit = BuildKit::start(scene)?;
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY --chmod=755 scan /bin/scan\n\
                      RUN [\"/bin/busybox\", \"true\"]\nENTRYPOINT [\"/bin/scan\"]\n";
    let files = [("busybox", &fs::read(busybox)?[..]), ("scan", SCANNER.as_bytes())];
    let folder = write_context(&scene.path("scanner"), dockerfile, &files)?;
    process::run(tools::command("chmod").arg("755").arg(folder.join("busybox")))?;
    let scanner = scene.reference("tools/scanner:v1");
    let made = process::finish(&mut buildkit.build_command(&folder, &["--output", &pushed(&scanner)]))?;
    if made.everything().contains("runc run failed") || made.everything().contains("exec format error") {
        return Err(NotHere(format!("no container runs here: {}", made.everything())).into());
    }
    ensure!(made.status.success(), "the scanner was not pushed:\n{}", made.everything());
    buildkit.forget_all()?;
    let generator = format!("attest:sbom=generator={scanner}");
    let output = pushed(&scene.reference("demo/scanned:v1"));
    buildkit.build(&context(scene, "context", &FILES)?, &["--opt", &generator, "--output", &output])?;
    let (images, attestations) = children(scene, "demo/scanned")?;
    ensure!(images.len() == 1 && attestations.len() == 1, "{images:?} {attestations:?}");
    let mut kinds = statements(scene, "demo/scanned", &images[0], &attestations[0])?;
    kinds.retain(|kind| kind == "https://spdx.dev/Document");
    ensure!(kinds.len() == 1, "the attestation has no SBOM");
    Ok(())
}
