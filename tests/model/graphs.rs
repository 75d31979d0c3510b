//! Random graphs of manifests in three repositories: images with shared layers, indexes of indexes, chains of
//! referrers. They are deleted in random orders and collected; what went is exactly what a mark phase, which
//! reads the manifests that are left, does not reach.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use wharfinger::config::Config;
use wharfinger::oci::{Algorithm, Digest, Reference};
use wharfinger::registry::{Condition, Round};

use crate::place::{Place, digest, name};
use crate::sequences::runner;
use crate::support::random;
use crate::support::{ImageBuilder, IndexBuilder, Manifest, bytes};

const GRAPHS: u32 = 40;
const NODES: usize = 16;
const LAYERS: usize = 9;
const NAMES: [&str; 3] = ["one", "two", "two/deep"];

/// How a manifest is made: out of those before it in its repository.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Image,
    Index,
    Referrer,
}

/// Numbers that a graph follows from.
#[derive(Clone, Debug)]
struct Choice {
    repository: usize,
    kind: Kind,
    picks: Vec<usize>,
    is_tagged: bool,
}

fn any_choice() -> impl Strategy<Value = Choice> {
    let kind = prop_oneof![3 => Just(Kind::Image), 2 => Just(Kind::Index), 2 => Just(Kind::Referrer)];
    let picks = prop::collection::vec(0..1000_usize, 1..5);
    (0..NAMES.len(), kind, picks, prop::bool::weighted(0.5))
        .prop_map(|(repository, kind, picks, is_tagged)| Choice { repository, kind, picks, is_tagged })
}

struct Node {
    repository: usize,
    manifest: Manifest,
    is_tagged: bool,
    children: Vec<usize>,
    subject: Option<usize>,
    is_living: bool,
}

fn layer(number: usize) -> Vec<u8> {
    bytes::random(7_000 + number as u64, 30 + number)
}

/// Pushes a manifest, which is like no other, and what it needs.
fn push(place: &Place, nodes: &mut Vec<Node>, choice: &Choice) {
    let repository = choice.repository;
    let before: Vec<usize> = (0..nodes.len()).filter(|&node| nodes[node].repository == repository).collect();
    let pick = |raw: &usize| before[raw % before.len()];
    let number = nodes.len().to_string();
    let (mut children, mut subject) = (Vec::new(), None);
    let manifest = match choice.kind {
        Kind::Index if !before.is_empty() => {
            let picked: BTreeSet<usize> = choice.picks.iter().map(pick).collect();
            children.extend(picked);
            let index = IndexBuilder::oci().annotation("number", &number);
            children.iter().fold(index, |index, &child| index.child(&nodes[child].manifest)).build()
        }
        kind => {
            let layers: BTreeSet<usize> = choice.picks.iter().map(|raw| raw % LAYERS).collect();
            let image = ImageBuilder::oci().config(&layer(choice.picks[0] % LAYERS));
            let mut image = layers.iter().fold(image, |image, number| image.layer(&layer(*number)));
            if matches!(kind, Kind::Referrer) && !before.is_empty() {
                subject = Some(pick(&choice.picks[0]));
                image = image.subject(nodes[pick(&choice.picks[0])].manifest.descriptor());
            }
            image.annotation("number", &number).build()
        }
    };
    for blob in &manifest.blobs {
        place.push_blob(NAMES[repository], blob);
    }
    let tag = format!("n{number}");
    let by = choice.is_tagged.then_some(tag.as_str());
    place.put(NAMES[repository], &manifest, by).expect("all that it needs is there");
    let is_tagged = choice.is_tagged;
    nodes.push(Node { repository, manifest, is_tagged, children, subject, is_living: true });
}

/// Whether a manifest may be deleted: no index lists it.
fn may_go(nodes: &[Node], node: usize) -> bool {
    let mut living = nodes.iter().filter(|other| other.is_living);
    nodes[node].is_living && living.all(|other| !other.children.contains(&node))
}

/// What goes with a manifest: whatever neither a tag nor anything outside keeps, in as many steps as it
/// takes.
fn family(nodes: &[Node], root: usize) -> BTreeSet<usize> {
    let mut going = BTreeSet::from([root]);
    loop {
        let is_outside = |node: usize| nodes[node].is_living && !going.contains(&node);
        let belongs = |node: &usize| {
            let lists = |index: &usize| nodes[*index].children.contains(node);
            let subject = nodes[*node].subject;
            let lives_with = going.iter().any(lists) || subject.is_some_and(|it| going.contains(&it));
            let is_kept = (0..nodes.len()).any(|index| is_outside(index) && lists(&index))
                || subject.is_some_and(is_outside);
            is_outside(*node) && lives_with && !nodes[*node].is_tagged && !is_kept
        };
        let more: Vec<usize> = (0..nodes.len()).filter(belongs).collect();
        if more.is_empty() {
            return going;
        }
        going.extend(more);
    }
}

fn delete(place: &Place, nodes: &mut [Node], raw: usize) {
    let candidates: Vec<usize> = (0..nodes.len()).filter(|&node| may_go(nodes, node)).collect();
    if candidates.is_empty() {
        return;
    }
    let root = candidates[raw % candidates.len()];
    let node = &nodes[root];
    let (repository, it) = (name(NAMES[node.repository]), digest(&node.manifest.digest));
    let deleted = place.registry().delete_manifest(&repository, it, Condition::default(), "deleter");
    let deleted = deleted.expect("it can be deleted");
    let going = family(nodes, root);
    assert_eq!(deleted.tags.len(), usize::from(node.is_tagged));
    assert_eq!(deleted.manifests, going.len() as u64);
    for node in going {
        nodes[node].is_living = false;
    }
}

/// The digests of the blobs that can be reached from the manifests of a repository, read from their bytes.
fn mark(place: &Place, repository: &str, manifest: &str, reached: &mut BTreeSet<String>) {
    let reference = Reference::Digest(digest(manifest));
    let found = place.registry().manifest(&name(repository), &reference);
    let json: Value = serde_json::from_slice(&found.expect("what is named is there").bytes).expect("JSON");
    let named = |value: &Value| value["digest"].as_str().expect("a digest").to_owned();
    let list = |member: &str| json[member].as_array().cloned().unwrap_or_default();
    for child in list("manifests") {
        mark(place, repository, &named(&child), reached);
    }
    reached.extend(list("layers").iter().map(named));
    if !json["config"].is_null() {
        reached.insert(named(&json["config"]));
    }
}

fn assert_exact(place: &Place, nodes: &[Node]) {
    let mut reached = BTreeSet::new();
    for node in nodes {
        let repository = NAMES[node.repository];
        if node.is_living {
            mark(place, repository, &node.manifest.digest, &mut reached);
        } else {
            let reference = Reference::Digest(digest(&node.manifest.digest));
            assert!(place.registry().manifest(&name(repository), &reference).is_err(), "it was deleted");
        }
    }
    for number in 0..LAYERS {
        let it = Digest::of(Algorithm::Sha256, &layer(number));
        let stored = place.registry().explain(it).expect("an explanation").blob_bytes;
        let expected = reached.contains(&it.to_string()).then(|| layer(number).len() as u64);
        assert_eq!(stored, expected, "layer {number}: its size, or that it is gone");
    }
    assert_eq!(place.stored(), reached.into_iter().collect::<Vec<_>>(), "a file for each blob");
    place.assert_in_order();
}

fn play(choices: &[Choice], deletions: &[usize]) {
    let mut config = Config::default();
    config.settings.free_space_floor_bytes = 0;
    let mut place = Place::new(1_700_000_000_000, config);
    let mut nodes = Vec::new();
    for choice in choices {
        push(&place, &mut nodes, choice);
    }
    for (number, raw) in deletions.iter().enumerate() {
        delete(&place, &mut nodes, *raw);
        match raw % 5 {
            0 => drop(place.registry().collect_now().expect("it collects")),
            1 => drop(place.registry().collect(Round { ends_keeping: true, steps: 2 }).expect("a part")),
            2 if number % 3 == 0 => place.open(),
            _ => {}
        }
    }
    place.registry().collect_now().expect("it collects");
    assert_exact(&place, &nodes);
}

#[test]
fn exactly_what_is_not_reached_goes() {
    let choices = prop::collection::vec(any_choice(), 1..=NODES);
    let deletions = prop::collection::vec(0..1000_usize, 0..=NODES);
    let outcome = runner(random::seed("exactly_what_is_not_reached_goes"), 0, GRAPHS).run(
        &(choices, deletions),
        |(choices, deletions)| {
            play(&choices, &deletions);
            Ok(())
        },
    );
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
