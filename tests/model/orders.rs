//! The registry's orders hold in every state that a search comes to, and each of the wrong orders that people
//! have thought of is found out.

use std::fmt::Write as _;

use crate::protocol::{Broken, Protocol};
use crate::search::{self, Seen};
use crate::support::skip::say;

/// Two clients that push to their own repositories and mount from each other; the process may be killed.
const APART: Protocol =
    Protocol { shared: false, pushes: 1, ticks: 2, deletes: 1, crashes: 1, damages: 0, broken: None };

/// Two clients that push to one repository.
const TOGETHER: Protocol = Protocol { shared: true, ticks: 3, ..APART };

/// More deletes and time, and no crash.
const LONGER: Protocol = Protocol { ticks: 5, deletes: 3, crashes: 0, ..APART };

/// Each pushes the image twice.
const AGAIN: Protocol = Protocol { pushes: 2, ticks: 1, deletes: 1, crashes: 0, ..TOGETHER };

/// A file is found damaged, and the next upload replaces it.
const DAMAGED: Protocol = Protocol { damages: 1, ticks: 0, ..TOGETHER };

/// Searches all states and says how many there were.
fn assert_holds(name: &str, model: Protocol) -> Seen {
    let (seen, found) = search::all(&model);
    if let Some(found) = found {
        panic!("{name}: {}:\n{}", found.words, found.way);
    }
    say(&format!("model {name}: {seen}"));
    assert!(seen.ends > 0, "{name} comes to an end");
    seen
}

/// Asserts that the search took each of these actions: what never happens shows nothing.
fn assert_taken(seen: &Seen, actions: &[&str]) {
    for action in actions {
        assert!(seen.taken.contains_key(*action), "{action} never happened: {:?}", seen.taken);
    }
}

const ALWAYS: [&str; 14] = [
    "Tick",
    "Head",
    "Begin",
    "Publish",
    "Commit",
    "FollowCommit",
    "Push",
    "DeleteImage",
    "DeleteBlob",
    "DropKept",
    "DropBlob",
    "Unlink",
    "DropTombstone",
    "GiveUp",
];

#[test]
fn two_repositories_hold() {
    let seen = assert_holds("two repositories", APART);
    assert_taken(&seen, &ALWAYS);
    assert_taken(&seen, &["Mount", "Crash", "Settle", "Serve", "EndUpload"]);
}

#[test]
fn one_repository_holds() {
    let seen = assert_holds("one repository", TOGETHER);
    assert_taken(&seen, &ALWAYS);
    assert_taken(&seen, &["EndLease", "Crash", "Settle", "Serve", "EndUpload"]);
}

#[test]
fn more_deletes_and_time_hold() {
    let seen = assert_holds("more deletes and time", LONGER);
    assert_taken(&seen, &ALWAYS);
    assert_taken(&seen, &["Mount", "EndLease"]);
}

#[test]
fn pushing_again_holds() {
    assert_taken(&assert_holds("pushing again", AGAIN), &["Head", "DeleteImage", "UnlinkSecond", "GiveUp"]);
}

#[test]
fn a_damaged_file_is_replaced() {
    assert_taken(&assert_holds("a damaged file", DAMAGED), &["Damage", "Crash", "DropTombstone"]);
}

/// The wrong order, where it is looked for, and what comes of it.
const BROKEN: [(Broken, Protocol, &str); 17] = [
    (Broken::CheckApartFromDrop, APART, "a visible manifest lacks its blob"),
    (Broken::UnlinkBeforeCommit, APART, "a file is unlinked under a row that names it"),
    (Broken::TombstoneDroppedFirst, APART, "nothing knows a file"),
    (Broken::DropWithoutTombstone, APART, "nothing knows a file"),
    (Broken::NameUsedAgain, AGAIN, "a blob's file has a tombstone"),
    (Broken::Janitor, APART, "a row lacks its file"),
    (
        Broken::HeadWithoutMargin,
        TOGETHER,
        "a client was told that the blob is there, and then that it is not",
    ),
    (Broken::HeadFromCache, TOGETHER, "a client was told that the blob is there, and then that it is not"),
    (Broken::PushInTwo, APART, "a visible manifest lacks its blob"),
    (Broken::MountInTwo, APART, "a client was told that the blob is there, and then that it is not"),
    (Broken::KeptDoesNotCount, TOGETHER, "a client was told that the blob is there, and then that it is not"),
    (Broken::RowBeforeFile, APART, "a row lacks its file"),
    (Broken::SecondCopyWithoutTombstone, APART, "nothing knows a file"),
    (Broken::ReplacedFileForgotten, DAMAGED, "nothing knows a file"),
    (Broken::NobodyTellsTheCollector, APART, "nothing needs the blob, and the collector does not know"),
    (Broken::StartLeavesUploads, APART, "a file stays for ever"),
    (Broken::StartRemovesUploads, APART, "a file is unlinked under a row that names it"),
];

#[test]
fn wrong_orders_are_found_out() {
    let mut unexpected = String::new();
    for (broken, model, words) in BROKEN {
        let (seen, found) = search::all(&Protocol { broken: Some(broken), ..model });
        let (is, way) = found.map_or(("nothing", String::new()), |found| (found.words, found.way));
        say(&format!("model {broken:?}: {is} after {seen}"));
        if is != words {
            writeln!(unexpected, "{broken:?}: expected {words:?}, found {is:?}:\n{way}").expect("a string");
        }
    }
    assert!(unexpected.is_empty(), "{unexpected}");
}
