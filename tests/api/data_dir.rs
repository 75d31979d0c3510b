//! What a data directory has to be, and what is said where it is not.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::support::process::{Finished, limited_program, run, wait_for};
use crate::support::skip::skip;
use crate::support::{ImageBuilder, Server, files, uploads};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Starts a server on the directory, which has to be refused.
#[track_caller]
fn refused(data: &Path) -> Finished {
    run(&["serve", "--data", text(data), "--listen", "127.0.0.1:0"], &[]).expect_code(2)
}

/// The stopped data directory of a server with an image.
fn used(seed: u64) -> Server {
    let mut server = Server::start();
    ImageBuilder::sample(seed).build().push(&server.client(), "kept", "v1");
    assert!(server.stop().success());
    server
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    for part in ["uploads", "blobs", "ledger", "blobs/sha256", "blobs/sha512/ff"] {
        let home = tempfile::tempdir().expect("a temporary directory");
        let place = home.path().join("data").join(part);
        fs::create_dir_all(place.parent().expect("a directory")).expect("made");
        fs::write(&place, "in the way").expect("a file");
        refused(&home.path().join("data")).expect_words(text(&place)).expect_words("is not a directory");
        assert_eq!(fs::read(&place).expect("it is still there"), b"in the way");
    }
}

#[test]
fn who_holds_the_lock_is_named_only_when_it_is_certain() {
    let server = used(610);
    let path = server.data().join("LOCK");
    let lock = File::options().write(true).open(&path).expect("LOCK");
    flock(&lock, FlockOperation::LockExclusive).expect("nobody has it");
    // As between a start's lock and its word: the file still names an earlier process.
    fs::write(&path, "1\n").expect("written");
    let said = refused(server.data()).expect_words("in use").expect_words("fuser").words();
    assert!(!said.contains("kill"), "{said}");
    fs::write(&path, format!("{}\n", std::process::id())).expect("written");
    refused(server.data()).expect_words(&format!("kill {}", std::process::id()));
}

#[test]
fn what_a_start_that_was_cut_off_left_of_its_probe_is_taken_away() {
    let mut server = used(611);
    let leftovers = ["uploads/link-probe", "blobs/sha256/link-probe", "blobs/sha512/link-probe"];
    for path in leftovers {
        fs::write(server.data().join(path), "").expect("a file");
    }
    server.verify();
    server.restart();
    for path in leftovers {
        assert!(!server.data().join(path).exists(), "{path}");
    }
}

/// Two mounts of one file system have the same device number, and no link goes from one to the other.
#[test]
fn a_mount_within_is_refused() {
    const TEST: &str = "api: data_dir::a_mount_within_is_refused";
    let own = ["--mount", "--propagation", "private"];
    let tried = Command::new("unshare").args(own).args(["mount", "--bind", "/tmp", "/tmp"]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        return skip(TEST, &format!("it needs to be root and allowed to mount: {tried:?}"));
    }
    let server = used(612);
    for part in ["uploads", "blobs", "blobs/sha512"] {
        let script =
            "mount --bind \"$1/$2\" \"$1/$2\" && exec \"$0\" serve --data \"$1\" --listen 127.0.0.1:0";
        let home = tempfile::tempdir().expect("a temporary directory");
        let log = home.path().join("log");
        let mut child = Command::new("unshare")
            .args(own)
            .args(["sh", "-c", script, env!("CARGO_BIN_EXE_wharfinger"), text(server.data()), part])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file for its log"))
            .spawn()
            .expect("unshare");
        let status = wait_for(&mut child, "the server to refuse");
        let said = fs::read_to_string(&log).expect("its log");
        assert_eq!(status.code(), Some(2), "{part}: {said}");
        assert!(said.contains("one file system (mount the whole data directory"), "{part}: {said}");
    }
}

/// All that is acknowledged is below the directory, so its own name has to be as durable.
#[test]
fn every_directory_that_is_made_is_synced_where_it_is_named() {
    const TEST: &str = "api: data_dir::every_directory_that_is_made_is_synced_where_it_is_named";
    let tried = Command::new("strace").args(["-f", "true"]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        return skip(TEST, &format!("it needs strace, and to be allowed to trace: {tried:?}"));
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    let root = home.path().canonicalize().expect("a real path");
    let (data, trace) = (root.join("a/b/data"), root.join("trace"));
    // It ends by itself: once the directory is made, there is no room for the ledger.
    let serve = limited_program(&root, 0);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", "trace=fsync", "-o", text(&trace)]);
    command.arg(serve.get_program()).args(serve.get_args());
    command.args(["serve", "--data", text(&data), "--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().expect("strace");
    assert_eq!(wait_for(&mut child, "the server to refuse").code(), Some(2));
    let calls = fs::read_to_string(&trace).expect("a trace");
    for parent in ["", "/a", "/a/b", "/a/b/data"] {
        let synced = format!("<{}{parent}>)", text(&root));
        let seen = calls.lines().any(|line| line.contains(&synced) && line.ends_with("= 0"));
        assert!(seen, "{synced} in {calls}");
    }
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("file");
    fs::write(&file, "in the way").expect("a file");
    let words = format!("{} is a file, not a directory", text(&file));
    refused(&file).expect_words(&words);
    refused(&file.join("data")).expect_words(&words);
    run(&["verify", "--data", text(&file)], &[]).expect_code(2).expect_words(&words);
}

#[test]
fn where_the_directory_cannot_be_made_is_said() {
    refused(Path::new("/proc/none/data")).expect_words("cannot create /proc/none/data in /proc: ");
}

#[test]
fn a_directory_with_other_things_in_it_is_not_taken() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path();
    fs::write(data.join("thesis.txt"), "years of work").expect("a file");
    refused(data).expect_words("thesis.txt").expect_words("nothing of a registry");
    assert_eq!(fs::read_dir(data).expect("a directory").count(), 1, "nothing is added");
    // What a fresh file system has at its root does not count.
    fs::remove_file(data.join("thesis.txt")).expect("it was there");
    fs::create_dir(data.join("lost+found")).expect("a directory");
    fs::write(data.join(".keep"), "").expect("a file");
    drop(Server::builder().data(data).start());
}

/// A program that a user other than root runs: root may do everything, so nothing would be refused.
fn as_nobody(arguments: &[&str]) -> Option<Finished> {
    let home = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    // The test's own may lie where nobody may go.
    let program = home.path().join("wharfinger");
    fs::copy(env!("CARGO_BIN_EXE_wharfinger"), &program).expect("a copy");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program).args(arguments);
    let output = command.stdin(Stdio::null()).env_clear().output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let started = stderr.contains("wharfinger:");
    started.then_some(Finished { code: output.status.code(), stdout, stderr })
}

#[test]
fn what_another_user_has_is_said_with_the_cure() {
    const TEST: &str = "api: data_dir::what_another_user_has_is_said_with_the_cure";
    let server = used(613);
    let listen = ["--listen", "127.0.0.1:0"];
    let open = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let data = open.path().join("data");
    let Some(said) = as_nobody(&["serve", "--data", text(&data), listen[0], listen[1]]) else {
        return skip(TEST, "it needs setpriv, and to be root");
    };
    let cure = "chown -R 65534:65534";
    let made = format!("cannot create {} in {}: Permission denied", text(&data), text(open.path()));
    said.expect_code(2).expect_words(&made).expect_words(cure);
    // Its mode is 0700.
    for command in ["serve", "verify"] {
        let arguments = [command, "--data", text(server.data())];
        let listen = if command == "serve" { &listen[..] } else { &[] };
        let said = as_nobody(&[&arguments[..], listen].concat()).expect("it ran before");
        let said = said.expect_code(2).expect_words("Permission denied").expect_words(cure).words();
        assert!(!said.contains("no ledger"), "{said}");
    }
}

/// Every mode of a directory, its files and what is in it, but for the socket's.
#[track_caller]
fn assert_modes(server: &Server, directories: u32, others: u32) {
    let entries = files::entries_under(server.data());
    assert!(entries.len() > 500, "the directories of blobs are there: {}", entries.len());
    assert_eq!(files::mode(server.data()), directories);
    for entry in entries {
        let expected = match (entry.is_dir(), entry.ends_with("control.sock")) {
            (true, _) => directories,
            (false, true) => 0o600,
            (false, false) => others,
        };
        assert_eq!(files::mode(&entry), expected, "{}", entry.display());
    }
}

fn fill(server: &Server, seed: u64) {
    let client = server.client();
    ImageBuilder::sample(seed).build().push(&client, "kept", "v1");
    client.patch(&uploads::start(&client, "kept"), b"content").expect_status(202);
}

#[test]
fn the_group_may_read_where_that_is_said() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let config = home.path().join("w.toml");
    let say = |value: u8| fs::write(&config, format!("data_group_readable = {value}\n")).expect("written");
    say(1);
    let mut server = Server::builder().arg("--config").arg(text(&config)).start();
    fill(&server, 614);
    assert_modes(&server, 0o750, 0o640);
    // What was made for the owner alone is opened, and what was opened is closed at its parts.
    say(0);
    server.restart();
    for part in ["", "ledger", "uploads", "blobs"] {
        assert_eq!(files::mode(&server.data().join(part)), 0o700, "{part}");
    }
    fill(&server, 615);
    say(1);
    server.restart();
    assert_modes(&server, 0o750, 0o640);
    assert!(server.log().contains("its files are gone through once"), "{}", server.log());
    // A command without the configuration leaves it.
    assert!(server.stop().success());
    let gc = run(&["gc", "--data", text(server.data())], &[]);
    gc.expect_code(0);
    server.restart();
    assert_modes(&server, 0o750, 0o640);
}
