//! The clients' steps against Wharfinger and against Debian's docker-registry, side by side.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::registry::Kind;
use crate::scene::{Outcome, Step};
use crate::{
    buildah, buildkit, conformance, containerd, cosign, crane, docker, dockerd, helm, nginx, oras, podman,
    skopeo, tools,
};

const CLIENTS: [&[Step]; 12] = [
    docker::STEPS,
    nginx::STEPS,
    podman::STEPS,
    buildah::STEPS,
    containerd::STEPS,
    skopeo::STEPS,
    crane::STEPS,
    oras::STEPS,
    helm::STEPS,
    cosign::STEPS,
    buildkit::STEPS,
    conformance::STEPS,
];
/// What the peer does not hold: it still believes to have what was deleted and collected.
const STORY: &str = "docker::delete_collect_push_again";
/// A table's cell shows the beginning of a reason.
const REASON_LEN_MAX: usize = 140;

#[test]
fn steps_side_by_side() {
    if let Some(reason) = Kind::DockerRegistry.missing() {
        tools::skip("clients::peer::steps_side_by_side", &reason);
        return;
    }
    // Held so that the daemons are not started anew for each step.
    let _daemons = tools::missing(&dockerd::DOCKER).is_none().then(dockerd::shared);
    let [ours, theirs] = [Kind::Wharfinger, Kind::DockerRegistry].map(Kind::version);
    let (ours, theirs) = (ours.expect("ours is built in"), theirs.expect("the peer says its version"));
    let mut table = format!("| step | {ours} | {theirs} |\n| --- | --- | --- |\n");
    let mut wrong = Vec::new();
    for step in CLIENTS.into_iter().flatten() {
        let theirs = step.run_on(Kind::DockerRegistry);
        let ours = step.ours();
        writeln!(table, "| {}: {} | {} | {} |", step.client, step.title, cell(&ours), cell(&theirs))
            .expect("a string takes all");
        if let Outcome::Failed(reason) = &ours {
            wrong.push(format!("{} fails: {reason}", step.id()));
        }
        if step.id() == STORY && !fails_as_known(&theirs) {
            wrong.push(format!("{STORY} on the peer: {}, not the known failure", cell(&theirs)));
        }
    }
    tools::say(&table);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&target).expect("target/ can be made");
    fs::write(target.join("peer-steps.md"), table).expect("target/peer-steps.md can be written");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The pushed manifest is not there although the push said so; or the step could not run here.
fn fails_as_known(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Passed => false,
        Outcome::Failed(reason) => reason.contains("manifest unknown"),
        Outcome::Skipped(_) => true,
    }
}

fn cell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passes".to_owned(),
        Outcome::Failed(reason) => format!("fails: {}", shortened(reason)),
        Outcome::Skipped(reason) => format!("not run: {}", shortened(reason)),
    }
}

/// The last line of a reason, which is where clients say what went wrong, without skopeo's date and level.
fn shortened(reason: &str) -> String {
    let line = reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let line = line.split_once(" msg=").map_or(line, |(_, message)| message);
    let line = line.trim().replace('|', "/");
    let mut shown: String = line.chars().take(REASON_LEN_MAX).collect();
    if shown.len() < line.len() {
        shown.push_str("...");
    }
    shown
}
