//! `backup` and `restore`: what was acknowledged before is in it, and nothing of the registry is harmed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{answer, command};
use crate::support::process::{Finished, program, run, wait_for};
use crate::support::random::{Random, seed};
use crate::support::skip::skip;
use crate::support::{ImageBuilder, Manifest, Server, bytes, files, wait};

/// Why a test is left out.
const NO_SECOND: &str = "no second file system to write to";

const REPOSITORY: &str = "team/app";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = home.path().join("backup");
    (home, path)
}

fn back_up(server: &Server, to: &Path) -> Value {
    answer(server, &["backup", text(to)])
}

/// Checks a stopped directory, every file of it.
fn verify(data: &Path) -> Finished {
    run(&["verify", "--deep", "--data", text(data)], &[]).expect_code(0)
}

fn pushed(server: &Server, number: u64) -> Manifest {
    let image = ImageBuilder::sample(number).build();
    image.push(&server.client(), REPOSITORY, &format!("v{number}"));
    image
}

/// Ends the load when it goes, also in a panic: else that would go on for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A directory on another file system than the tests' own, where the machine has one.
fn elsewhere(data: &Path) -> Option<TempDir> {
    let found = tempfile::tempdir_in("/dev/shm").ok()?;
    let device = |path: &Path| path.metadata().expect("it is there").dev();
    (device(found.path()) != device(data)).then_some(found)
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before() {
    let server = Server::start();
    let seed = seed("backup_under_load");
    let before: Vec<_> = (0..20).map(|number| pushed(&server, 8000 + number)).collect();
    let (_home, to) = home();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..2 {
            let (server, ended) = (&server, &ended);
            scope.spawn(move || {
                let (client, mut random) = (server.client(), Random::new(seed + worker));
                while !ended.load(Ordering::Relaxed) {
                    let name = format!("busy/{worker}");
                    let image = ImageBuilder::sample(random.draw()).build();
                    image.push(&client, &name, "latest");
                    if random.one_in(2) {
                        client.delete_manifest(&name, &image.digest).expect_status(202);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                command(&server, &["gc", "--now"]).expect_code(0);
            }
        });
        let _ends = Ends(&ended);
        for _ in 0..4 {
            command(&server, &["backup", text(&to), "--verify"]).expect_code(0).expect_words(" 0 violations");
        }
    });
    assert!(files::files_under(&to.join("uploads")).is_empty());
    let copy = Server::builder().data(&to).start();
    for (number, image) in before.iter().enumerate() {
        image.assert_pullable(&copy.client(), REPOSITORY, &format!("v{}", 8000 + number));
    }
}

#[test]
fn the_next_backup_takes_what_is_new_and_drops_what_is_gone() {
    let mut server = Server::start();
    let (first, second) = (pushed(&server, 8100), pushed(&server, 8101));
    let (_home, to) = home();
    let report = back_up(&server, &to);
    let blobs = report["blobs"].as_u64().expect("a number");
    assert!(blobs > 2 && report["taken"] == blobs && report["removed"] == 0, "{report}");
    let again = back_up(&server, &to);
    assert_eq!(
        (&again["blobs"], &again["taken"], &again["taken_bytes"]),
        (&blobs.into(), &0.into(), &0.into())
    );
    assert!(again["at_ms"].as_u64() >= report["at_ms"].as_u64() && again["ledger_bytes"].as_u64() > Some(0));
    let new = server.client().push_blob(REPOSITORY, b"only this is new");
    server.client().delete_manifest(REPOSITORY, &first.digest).expect_status(202);
    command(&server, &["gc", "--now"]).expect_code(0);
    server.stop();
    // By the command itself, since nobody serves.
    let last = back_up(&server, &to);
    assert_eq!((&last["taken"], &last["taken_bytes"]), (&1.into(), &16.into()));
    assert!(last["removed"].as_u64() > Some(0), "{last}");
    assert_eq!(files::blob_files(&to, &new).len(), 1);
    let names = |data: &Path| {
        let files = files::files_under(&data.join("blobs"));
        files
            .into_iter()
            .map(|file| file.strip_prefix(data).expect("below it").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&to), names(server.data()));
    for gone in ["LOCK", "control.sock", "ledger.next", "ledger.old"] {
        assert!(!to.join(gone).exists(), "{gone}");
    }
    verify(&to).expect_words(" 0 violations");
    let copy = Server::builder().data(&to).start();
    second.assert_pullable(&copy.client(), REPOSITORY, "v8101");
    // It is a registry now, and not to be written over.
    drop(copy);
    command(&server, &["backup", text(&to)]).expect_code(2).expect_words("is no backup");
    let acts = command(&server, &["audit", "--action", "backup"]).expect_code(0);
    acts.expect_words("by local").expect_words(text(&to));
}

#[test]
fn the_original_goes_on_without_harm_to_the_backup_and_the_other_way_round() {
    let server = Server::start();
    let image = pushed(&server, 8200);
    let (_home, to) = home();
    let report = back_up(&server, &to);
    assert_eq!(report["linked"], report["taken"], "one file system has both");
    let file = files::blob_file(&to, &image.blob_digests()[0]);
    assert_eq!(file.metadata().expect("it is there").nlink(), 2);
    server.client().delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    command(&server, &["gc", "--now"]).expect_code(0);
    assert!(files::files_under(&server.data().join("blobs")).is_empty());
    verify(&to);
    // What the served backup drops, it drops alone.
    let other = pushed(&server, 8201);
    back_up(&server, &to);
    let copy = Server::builder().data(&to).start();
    copy.client().delete_manifest(REPOSITORY, &other.digest).expect_status(202);
    command(&copy, &["gc", "--now"]).expect_code(0);
    other.assert_pullable(&server.client(), REPOSITORY, "v8201");
}

#[test]
fn on_another_file_system_files_are_copied() {
    let server = Server::start();
    let image = pushed(&server, 8300);
    let Some(elsewhere) = elsewhere(server.data()) else {
        return skip("backup::on_another_file_system_files_are_copied", NO_SECOND);
    };
    let to = elsewhere.path().join("backup");
    let report = back_up(&server, &to);
    assert!(report["linked"] == 0 && report["taken"] == report["blobs"], "{report}");
    verify(&to);
    let copy = Server::builder().data(&to).start();
    image.assert_pullable(&copy.client(), REPOSITORY, "v8300");
}

#[test]
fn a_place_that_is_no_place_for_a_backup_is_refused_and_left_alone() {
    let server = Server::start();
    let image = pushed(&server, 8400);
    let (home, to) = home();
    let other = Server::start();
    let photos = home.path().join("photos");
    fs::create_dir(&photos).expect("a directory");
    fs::write(photos.join("cat"), "").expect("a file");
    let inside = server.data().join("blobs/backup");
    let around = home.path().join("around");
    std::os::unix::fs::symlink(server.data(), &around).expect("a link");
    for (to, words) in [
        (server.data(), "is the data directory"),
        (&inside, "inside it"),
        (&around, "is the data directory"),
        (other.data(), "is no backup"),
        (&photos, "is no backup"),
        (&photos.join("cat"), "is a file"),
    ] {
        command(&server, &["backup", text(to)]).expect_code(2).expect_words(words);
    }
    assert!(!inside.exists());
    assert_eq!(files::files_under(&photos).len(), 1);
    let nowhere = home.path().join("nowhere");
    run(&["backup", text(&to), "--data", text(&nowhere)], &[])
        .expect_code(2)
        .expect_words("not a data directory");
    assert!(!to.exists() && !nowhere.exists());
    // One that is served is nobody's place.
    back_up(&server, &to);
    let copy = home.path().join("copy");
    for from in [&to, &other.data().to_path_buf(), &photos] {
        let restored = run(&["restore", text(from), "--data", text(&copy)], &[]);
        assert_eq!(restored.code, Some(if *from == to { 0 } else { 2 }), "{}", restored.words());
    }
    run(&["restore", text(&to), "--data", text(&copy)], &[]).expect_code(2).expect_words("has things in it");
    let copy = Server::builder().data(&copy).start();
    image.assert_pullable(&copy.client(), REPOSITORY, "v8400");
}

/// Runs the program with a file as its input or output; says its exit code and what it said.
fn streamed(arguments: &[&str], input: Option<&Path>, output: Option<&Path>) -> (Option<i32>, String) {
    let (home, said) = home();
    let mut command = program(home.path());
    command.args(arguments).stderr(fs::File::create(&said).expect("a file"));
    if let Some(input) = input {
        command.stdin(fs::File::open(input).expect("its input"));
    }
    command.stdout(output.map_or(Stdio::null(), |output| fs::File::create(output).expect("a file").into()));
    let mut child = command.spawn().expect("it starts");
    let status = wait_for(&mut child, "a stream to end");
    (status.code(), fs::read_to_string(said).expect("what it said"))
}

#[test]
fn a_stream_goes_to_another_place_and_becomes_a_registry() {
    let server = Server::start();
    let image = pushed(&server, 8500);
    let long = server.client();
    let content = bytes::random(8501, 3 << 20);
    let digest = bytes::digest_sha512(&content);
    long.post(&format!("/v2/{REPOSITORY}/blobs/uploads/?digest={digest}"), &content).expect_status(201);
    let (home, stream) = home();
    let data = text(server.data());
    let (code, said) = streamed(&["backup", "--to-tar", "-", "--data", data], None, Some(&stream));
    assert_eq!(code, Some(0), "{said}");
    let to = home.path().join("restored");
    let restore = |from: &Path, to: &Path| streamed(&["restore", "-", "--data", text(to)], Some(from), None);
    assert_eq!(restore(&stream, &to), (Some(0), String::new()));
    verify(&to);
    let copy = Server::builder().data(&to).start();
    image.assert_pullable(&copy.client(), REPOSITORY, "v8500");
    copy.client().get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
    drop(copy);
    // Half of it is nothing, and nothing starts on what is left.
    let whole = fs::read(&stream).expect("the stream");
    fs::write(&stream, &whole[..whole.len() / 2]).expect("it is cut");
    let half = home.path().join("half");
    let (code, said) = restore(&stream, &half);
    assert!(code == Some(2) && said.contains("remove it"), "{code:?} {said}");
    run(&["serve", "--data", text(&half), "--listen", "127.0.0.1:0"], &[])
        .expect_code(2)
        .expect_words("cut off");
    // Other tools read it, too.
    fs::write(&stream, &whole).expect("it is whole again");
    let unpacked = home.path().join("unpacked");
    fs::create_dir(&unpacked).expect("a directory");
    let tar = std::process::Command::new("tar").arg("-xf").arg(&stream).arg("-C").arg(&unpacked).status();
    assert!(tar.expect("tar runs").success());
    verify(&unpacked);
}

#[test]
fn a_file_of_the_backup_that_rotted_is_found() {
    let server = Server::start();
    let image = pushed(&server, 8600);
    let Some(elsewhere) = elsewhere(server.data()) else {
        return skip("backup::a_file_of_the_backup_that_rotted_is_found", NO_SECOND);
    };
    let to = elsewhere.path().join("backup");
    back_up(&server, &to);
    let file = files::blob_file(&to, &image.blob_digests()[0]);
    let mut content = fs::read(&file).expect("its bytes");
    content[0] ^= 1;
    fs::write(&file, content).expect("it rots");
    command(&server, &["backup", text(&to)]).expect_code(0);
    command(&server, &["backup", text(&to), "--verify"]).expect_code(1).expect_words("I1: ");
    // What is removed is taken again.
    fs::remove_file(&file).expect("it was there");
    command(&server, &["backup", text(&to), "--verify"]).expect_code(0);
}

#[test]
fn a_command_that_is_killed_keeps_nothing_of_the_server() {
    let server = Server::start();
    let image = pushed(&server, 8700);
    let (home, _) = home();
    // Nobody reads the stream, so the command stands still in its middle.
    server.client().push_blob(REPOSITORY, &bytes::random(8701, 4 << 20));
    let mut child = program(home.path())
        .args(["backup", "--to-tar", "-", "--data", text(server.data())])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let copies = || {
        let names =
            fs::read_dir(server.data()).expect("a directory").map(|entry| entry.expect("one").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("ledger-copy-")).count()
    };
    wait::until_true("the point to be made", || copies() == 1);
    server.client().delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    command(&server, &["gc", "--now"]).expect_code(0).expect_words("running backup");
    let file = files::blob_file(server.data(), &image.blob_digests()[0]);
    child.kill().expect("it is killed");
    child.wait().expect("it is collected");
    wait::until_true("the server to see that", || copies() == 0);
    command(&server, &["gc", "--now"]).expect_code(0);
    assert!(!file.exists());
}
