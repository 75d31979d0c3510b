//! Copies put back over the directory they came from or over an older copy, and directories that were moved
//! or linked. Each start shows one state of the registry as a whole, or refuses in words.

use std::fs;
use std::path::Path;

use crate::history::Span;
use crate::restore_rounds;
use crate::scene::{Scene, builder, expect_refusal, open_copy, pass};
use crate::support::process::Finished;
use crate::support::random::{self, Random};
use crate::support::{Server, skip};
use crate::ways::{OVERS, Over, Way, cp, is_rsync_here};

/// rsync leaves a file alone whose size and time of change, in seconds, are those of its source: so long
/// nothing changes behind a copy that it is to compare with.
const SECOND_MS: usize = 1100;

/// How long the clients go on after that, beside the usual.
const LATER_MS: usize = 500;

/// Puts a copy over the original, which went on after it and then was ended; then goes on with what was
/// opened. Where it may be refused and is, goes on with the copy in an empty directory.
fn restore_over(scene: &mut Scene, over: Over, is_killed: bool, random: &mut Random) {
    let copy = scene.place("copy");
    let mut chance = Random::new(random.draw());
    let collects = random.one_in(2);
    let span = scene.copy(random, collects, |data| Way::CpArchive.copy(data, &copy, &mut chance));
    pass(SECOND_MS);
    scene.work(random, false, |_| pass(LATER_MS));
    scene.end(random, is_killed);
    let data = scene.data();
    over.put(&copy, &data);
    if let Err(refusal) = scene.server.try_restart() {
        assert!(!over.deletes(), "{over:?}, killed: {is_killed}: what is left is the copy: {refusal:?}");
        println!("{over:?}, killed: {is_killed}: refused: {}", refusal.words());
        expect_refusal(refusal, &data);
        fs::remove_dir_all(&data).expect("what was refused can be removed");
        Way::CpArchive.copy(&copy, &data, &mut chance);
        scene.server.restart();
    }
    let (undecided, newer) = scene.check_and_go_on(&span, random);
    println!("{over:?}, killed: {is_killed}: {newer} of {undecided} changes made it into the copy");
}

#[test]
fn a_copy_put_over_the_original_is_opened_or_refused() {
    let test = "a_copy_put_over_the_original_is_opened_or_refused";
    let mut random = Random::new(random::seed(test));
    let mut scene = Scene::new(&mut random);
    for round in 0..restore_rounds() {
        for (number, over) in OVERS.into_iter().enumerate() {
            if over.is_here() {
                restore_over(&mut scene, over, (round + number) % 2 == 0, &mut random);
            } else {
                skip::skip(test, &format!("{over:?}: rsync is not installed"));
            }
        }
    }
}

/// The backup of a day, to where that of the day before is. `is_used`: somebody started on that meanwhile,
/// and pushed to it.
fn back_up_again(scene: &mut Scene, over: Over, is_used: bool, random: &mut Random) {
    let backup = scene.place("backup");
    let mut chance = Random::new(random.draw());
    let before = scene.copy(random, true, |data| Way::Rsync.copy(data, &backup, &mut chance));
    if is_used {
        scene.check_copy(open_copy(&backup), &before, random);
    }
    pass(SECOND_MS);
    scene.work(random, false, |_| pass(LATER_MS));
    let span = scene.copy(random, true, |data| over.put(data, &backup));
    match builder(&backup).attempt() {
        Ok(server) => {
            let (undecided, newer) = scene.check_copy(server, &span, random);
            println!("{over:?}, used: {is_used}: {newer} of {undecided} changes made it into the backup");
        }
        Err(refusal) => {
            assert!(is_used && !over.deletes(), "{over:?}, used: {is_used}: it is one backup: {refusal:?}");
            println!("{over:?}, used: {is_used}: refused: {}", refusal.words());
            expect_refusal(refusal, &backup);
        }
    }
}

#[test]
fn a_backup_onto_that_of_yesterday_is_opened_or_refused() {
    let test = "a_backup_onto_that_of_yesterday_is_opened_or_refused";
    if !is_rsync_here() {
        return skip::skip(test, "rsync is not installed");
    }
    let mut random = Random::new(random::seed(test));
    let mut scene = Scene::new(&mut random);
    for _ in 0..restore_rounds() {
        for over in [Over::Rsync, Over::RsyncDelete] {
            for is_used in [false, true] {
                back_up_again(&mut scene, over, is_used, &mut random);
            }
        }
    }
}

/// Whatever was acknowledged is there under another name of the directory.
fn move_away_and_back(scene: &mut Scene, is_killed: bool, random: &mut Random) {
    scene.end(random, is_killed);
    let span = Span::now();
    let moved = scene.place("moved");
    fs::rename(scene.data(), &moved).expect("a rename");
    let server = builder(&moved).start();
    scene.check(&server, &span, random);
    // Stopped and verified.
    drop(server);
    fs::rename(&moved, scene.data()).expect("a rename");
    scene.server.restart();
    scene.check_and_go_on(&Span::now(), random);
}

/// A copy whose files are those of the original, by other names: neither changes what the other has.
fn link_and_use_both(scene: &mut Scene, is_killed: bool, random: &mut Random) {
    scene.end(random, is_killed);
    let (span, linked) = (Span::now(), scene.place("linked"));
    cp(&["-al"], &scene.data(), &linked);
    check_linked(scene, builder(&linked).attempt(), &linked, &span, random);
    scene.server.restart();
    scene.check_and_go_on(&Span::now(), random);
}

/// The same while the original goes on, whose journal grows in both.
fn link_while_it_runs(scene: &mut Scene, random: &mut Random) {
    let linked = scene.place("linked");
    let copied = scene.copy(random, false, |data| cp(&["-al"], data, &linked));
    let mut attempt = None;
    let started = scene.copy(random, false, |_| attempt = Some(builder(&linked).attempt()));
    let span = Span { began: copied.began, ended: started.ended };
    check_linked(scene, attempt.expect("it was tried"), &linked, &span, random);
    scene.end(random, true);
    scene.server.restart();
    scene.check_and_go_on(&Span::now(), random);
}

/// Checks and uses a hard-linked copy that was opened, or how it was refused.
fn check_linked(
    scene: &Scene,
    attempt: Result<Server, Finished>,
    linked: &Path,
    span: &Span,
    random: &mut Random,
) {
    match attempt {
        Ok(server) => {
            scene.check_copy(server, span, random);
        }
        Err(refusal) => {
            println!("a hard-linked copy is refused: {}", refusal.words());
            expect_refusal(refusal, linked);
        }
    }
}

#[test]
fn a_directory_that_was_moved_or_linked_loses_nothing() {
    let mut random = Random::new(random::seed("a_directory_that_was_moved_or_linked_loses_nothing"));
    let mut scene = Scene::new(&mut random);
    for _ in 0..restore_rounds() {
        for is_killed in [true, false] {
            move_away_and_back(&mut scene, is_killed, &mut random);
            link_and_use_both(&mut scene, is_killed, &mut random);
        }
        link_while_it_runs(&mut scene, &mut random);
    }
}
