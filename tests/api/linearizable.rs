//! Clients that push, move, delete and read a few tags at once are answered as if one had come after the
//! other.
//!
//! Every answer is recorded with the times at which it was asked for and given, and a search finds an order
//! that explains all of them (`checker`) by a repository for one client at a time (`model`). There is none
//! where an answer came from a state that was over, or from one that was not yet whole.

mod checker;
mod model;
mod round;

use std::fmt::Write as _;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use checker::Event;
use model::{Condition, MANIFESTS, Operation, Outcome, TAGS};
use round::{Things, play};

use crate::support::random::{self, Random};
use crate::support::uploads::with_digest;
use crate::support::{ImageBuilder, Server, bytes, files, uploads, wait};

const ROUNDS: usize = 40;
const CLIENTS: usize = 4;
/// Of each client. What all have together has to fit the checker's 64 bits.
const OPERATIONS: usize = 12;

fn any_operation(random: &mut Random) -> Operation {
    let (tag, manifest, head) = (random.below(TAGS), random.below(MANIFESTS), random.one_in(2));
    match random.below(13) {
        0..=3 => Operation::PutTag { tag, manifest, condition: any_condition(random) },
        4 => Operation::PutDigest { manifest },
        5..=7 => Operation::ReadTag { tag, head },
        8 => Operation::ReadDigest { manifest, head },
        9 => Operation::ListTags,
        10 => Operation::DeleteTag { tag },
        _ => Operation::DeleteDigest { manifest },
    }
}

fn any_condition(random: &mut Random) -> Condition {
    match random.below(4) {
        0 => Condition::Absent,
        1 | 2 => Condition::Names(random.below(MANIFESTS)),
        _ => Condition::Always,
    }
}

/// Asserts that there is an order, or shows what all clients saw.
#[track_caller]
fn assert_linearizable(history: &mut [Event], round: &str) {
    if checker::order(history).is_some() {
        return;
    }
    history.sort_by_key(|event| event.asked);
    let mut lines = String::new();
    for Event { client, operation, outcome, asked, answered } in history {
        writeln!(lines, "{asked:>12.1?} to {answered:>12.1?}, client {client}: {operation:?}: {outcome:?}")
            .expect("memory takes it");
    }
    panic!("{round}: no order explains what the clients saw:\n{lines}");
}

#[test]
fn random_operations_have_an_order() {
    let seed = random::seed("random_operations_have_an_order");
    let (server, things) = (Server::start(), Things::new());
    let mut random = Random::new(seed);
    for round in 0..ROUNDS {
        let scripts: Vec<Vec<_>> =
            (0..CLIENTS).map(|_| (0..OPERATIONS).map(|_| any_operation(&mut random)).collect()).collect();
        let mut history = play(&server, &format!("linear/{round}"), &things, &scripts);
        assert_linearizable(&mut history, &format!("WHARFINGER_SEED={seed}, round {round}"));
        assert_changes_are_found(&history);
    }
}

/// Asserts that the checker does not take everything: what was answered last, when all was quiet, cannot be
/// answered otherwise a moment later.
fn assert_changes_are_found(history: &[Event]) {
    let last = history.iter().max_by_key(|event| event.answered).expect("events");
    let outcome = match last.outcome {
        Outcome::Missing => Outcome::Found(0),
        _ => Outcome::Missing,
    };
    let later = last.answered + Duration::from_millis(1);
    let wrong = Event { outcome, asked: later, answered: later, ..*last };
    assert!(checker::order(&[history, &[wrong]].concat()).is_none(), "{wrong:?} is no answer");
}

/// Scripts for one tag that is fought over from its first write on.
fn fights() -> Vec<(&'static str, Vec<Vec<Operation>>)> {
    let put = |manifest| Operation::PutTag { tag: 0, manifest, condition: Condition::Always };
    let delete = |manifest| Operation::DeleteDigest { manifest };
    let read = Operation::ReadTag { tag: 0, head: false };
    let untag = Operation::DeleteTag { tag: 0 };
    vec![
        ("moved while its digest is deleted", vec![vec![put(0), put(1)], vec![delete(0), read, read]]),
        ("moved back and forth", vec![vec![put(0), put(1)], vec![put(1), put(0)], vec![read, read, read]]),
        ("pushed twice", vec![vec![put(0), read], vec![put(0), read]]),
        ("deleted twice", vec![vec![put(0), delete(0)], vec![put(0), delete(0)]]),
        ("deleted as a tag and as a digest", vec![vec![put(0), untag, read], vec![delete(0), read]]),
        (
            "pushed by digest while it goes",
            vec![
                vec![put(0), delete(0), Operation::ListTags],
                vec![Operation::PutDigest { manifest: 0 }, read],
            ],
        ),
    ]
}

#[test]
fn a_tag_that_is_fought_over_has_a_history() {
    let (server, things) = (Server::start(), Things::new());
    for (number, (title, scripts)) in fights().iter().enumerate() {
        for round in 0..15 {
            let mut history = play(&server, &format!("fight/{number}/{round}"), &things, scripts);
            assert_linearizable(&mut history, title);
        }
    }
}

#[test]
fn two_clients_that_finish_one_digest_at_once_both_have_it() {
    let server = Server::start();
    for round in 0..15 {
        let content = bytes::random(700 + round, 20_000);
        let (digest, start) = (bytes::digest(&content), Barrier::new(2));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let client = server.client();
                    let location = uploads::start(&client, "twins");
                    client.patch(&location, &content).expect_status(202);
                    start.wait();
                    let reply = client.put(&with_digest(&location, &digest), b"").expect_status(201);
                    assert_eq!(reply.header("docker-content-digest"), digest);
                });
            }
        });
        server.client().get_blob("twins", &digest).expect_status(200).expect_body(&content);
        wait::until_true("one file to be left", || files::blob_files(server.data(), &digest).len() == 1);
    }
    let staging = server.data().join("uploads");
    wait::until_true("no staging file to be left", || files::files_under(&staging).is_empty());
}

/// The first of the two takes the leases of the blobs; the second has to find them linked all the same.
#[test]
fn two_clients_that_put_one_manifest_at_once_both_have_it() {
    let server = Server::start();
    for round in 0..15 {
        let image = ImageBuilder::sample(720 + round).build();
        image.push_blobs(&server.client(), "twins");
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for reference in ["latest", &image.digest] {
                let (server, image, start) = (&server, &image, &start);
                scope.spawn(move || {
                    let client = server.client();
                    client.get("/v2/").expect_status(200);
                    start.wait();
                    image.push_document(&client, "twins", reference);
                });
            }
        });
        image.assert_pullable(&server.client(), "twins", "latest");
    }
}
