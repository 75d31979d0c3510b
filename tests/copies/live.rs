//! Copies of the directory of a running server, in every way, opened by starting on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::copies;
use crate::scene::{Scene, builder, kill_a_start, open_copy};
use crate::support::random::{self, Random};
use crate::support::{bytes, files, process, skip};
use crate::ways::{Order, WAYS, Way};

/// One in so many copies is looked at by `verify` before anybody starts on it.
const VERIFIED_FIRST: usize = 4;

/// The first start on one in so many copies is killed, after less than so long.
const KILLED_ONE_IN: usize = 4;
const START_MAX_MS: usize = 600;

/// Size, time and, in the ledger, contents of each file. LOCK names whoever looked last.
fn fingerprint(data: &Path) -> BTreeMap<PathBuf, (u64, SystemTime, String)> {
    let mut paths = files::files_under(data);
    paths.retain(|path| *path != data.join("LOCK") && path.is_file());
    let look = |path: PathBuf| {
        let found = fs::metadata(&path).expect("nobody changes a copy");
        let modified = found.modified().expect("files have times");
        let is_ledger = path.starts_with(data.join("ledger"));
        let content = is_ledger.then(|| bytes::digest(&fs::read(&path).expect("it can be read")));
        (path, (found.len(), modified, content.unwrap_or_default()))
    };
    paths.into_iter().map(look).collect()
}

/// `verify` says as of when the copy is, and changes nothing.
fn verify_unopened(copy: &Path) {
    let before = fingerprint(copy);
    let data = copy.to_str().expect("a path in UTF-8");
    process::run(&["verify", "--data", data], &[]).expect_code(0).expect_words("as of");
    assert_eq!(fingerprint(copy), before, "a look changes nothing");
}

#[test]
fn every_copy_of_a_running_server_opens() {
    let test = "every_copy_of_a_running_server_opens";
    let mut random = Random::new(random::seed(test));
    let mut scene = Scene::new(&mut random);
    let first = random.below(VERIFIED_FIRST);
    for number in 0..copies() {
        let way = WAYS[number % WAYS.len()];
        if !way.is_here() {
            skip::skip(test, &format!("{way:?}: rsync is not installed"));
            continue;
        }
        let (copy, collects) = (scene.place("copy"), random.one_in(2));
        let mut chance = Random::new(random.draw());
        let acknowledged = scene.acknowledged();
        let span = scene.copy(&mut random, collects, |data| way.copy(data, &copy, &mut chance));
        let (time, requests) = (span.ended - span.began, scene.acknowledged() - acknowledged);
        println!("{test}: {number}, {way:?} in {time:.1?}, {requests} requests, gc --now: {collects}");
        if number % VERIFIED_FIRST == first {
            verify_unopened(&copy);
        }
        let server = if random.one_in(KILLED_ONE_IN) {
            kill_a_start(&copy, random.below(START_MAX_MS));
            builder(&copy).start()
        } else {
            open_copy(&copy)
        };
        let (undecided, newer) = scene.check_copy(server, &span, &mut random);
        println!("{test}: {undecided} things changed meanwhile, {newer} of them are newer in the copy");
        scene.forget();
    }
    let acknowledged = scene.acknowledged();
    assert!(acknowledged > 10 * copies(), "only {acknowledged} requests during {} copies", copies());
}

/// A copy that was opened is like any other directory: it goes on, is stopped and started, and copied again.
/// What is deleted meanwhile goes at once.
#[test]
fn a_copy_of_a_copy_opens() {
    let mut random = Random::new(random::seed("a_copy_of_a_copy_opens"));
    let mut scene = Scene::that_keeps_nothing(&mut random);
    for order in [Order::LedgerFirst, Order::LedgerLast, Order::Random] {
        let (way, copy) = (Way::Slow(order), scene.place("copy"));
        let mut chance = Random::new(random.draw());
        let span = scene.copy(&mut random, false, |data| way.copy(data, &copy, &mut chance));
        scene.go_on_with(&copy);
        scene.check_and_go_on(&span, &mut random);
    }
}
