//! `wharfinger verify`: it finds nothing where nothing is wrong, and everything where something is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use serde_json::Value;

use crate::support::process::run;
use crate::support::{ImageBuilder, IndexBuilder, Manifest, Server, bytes, files, uploads};

/// A stopped registry with one image in it.
fn stopped(seed: u64) -> (Server, Manifest) {
    let mut server = Server::start();
    let image = ImageBuilder::sample(seed).build();
    image.push(&server.client(), "checked", "v1");
    assert!(server.stop().success());
    (server, image)
}

fn layer_of(image: &Manifest) -> String {
    image.blob_digests().pop().expect("an image has blobs")
}

fn layer_file(server: &Server, image: &Manifest) -> PathBuf {
    files::blob_file(server.data(), &layer_of(image))
}

/// Asserts that a violation is found, in words that name the digest.
#[track_caller]
fn assert_found(server: &Server, options: &[&str], digest: &str) {
    server.run_verify(options).expect_code(1).expect_words(bytes::hex(digest));
}

#[test]
fn an_empty_registry_is_clean() {
    let mut server = Server::start();
    assert!(server.stop().success());
    server.run_verify(&[]).expect_code(0);
    server.run_verify(&["--deep"]).expect_code(0);
}

#[test]
fn a_used_registry_is_clean_and_stays_so() {
    let mut server = Server::start();
    let client = server.client();
    let images = [520, 521].map(|seed| ImageBuilder::sample(seed).build());
    for image in &images {
        image.push(&client, "checked", "v1");
    }
    IndexBuilder::oci().child(&images[0]).build().push(&client, "checked", "multi");
    client.delete_manifest("checked", &images[1].digest).expect_status(202);
    client.push_blob("leased", b"leased");
    client.patch(&uploads::start(&client, "open"), b"content").expect_status(202);
    assert!(server.stop().success());
    for _ in 0..2 {
        server.run_verify(&["--deep"]).expect_code(0);
    }
    server.restart();
    images[0].assert_pullable(&server.client(), "checked", &images[0].digest);
}

#[test]
fn a_killed_registry_is_clean() {
    let mut server = Server::start();
    let client = server.client();
    ImageBuilder::sample(522).build().push(&client, "checked", "v1");
    client.patch(&uploads::start(&client, "open"), &bytes::random(523, 100_000)).expect_status(202);
    server.kill();
    server.run_verify(&["--deep"]).expect_code(0);
}

#[test]
fn what_it_says_can_be_read_by_a_script() {
    let (server, image) = stopped(524);
    let clean = server.run_verify(&["--json"]).expect_code(0);
    assert!(serde_json::from_str::<Value>(&clean.stdout).is_ok(), "JSON: {}", clean.stdout);
    fs::remove_file(layer_file(&server, &image)).expect("the file was there");
    let damaged = server.run_verify(&["--json"]).expect_code(1).expect_words(bytes::hex(&layer_of(&image)));
    assert!(serde_json::from_str::<Value>(&damaged.stdout).is_ok(), "JSON: {}", damaged.stdout);
    server.into_dirty();
}

#[test]
fn a_missing_file_is_found() {
    let (server, image) = stopped(525);
    fs::remove_file(layer_file(&server, &image)).expect("the file was there");
    assert_found(&server, &[], &layer_of(&image));
    assert_found(&server, &["--deep"], &layer_of(&image));
    server.into_dirty();
}

/// As docs/operating.md says.
#[test]
fn a_lost_file_can_be_put_back() {
    let (mut server, image) = stopped(538);
    let file = layer_file(&server, &image);
    let content = fs::read(&file).expect("a layer");
    fs::remove_file(&file).expect("the file was there");
    let place = file.strip_prefix(server.data()).expect("below the data").display().to_string();
    server.run_verify(&[]).expect_code(1).expect_words("I1: ").expect_words(&place);
    fs::write(server.data().join(&place), content).expect("the same bytes in the same place");
    server.run_verify(&["--deep"]).expect_code(0);
    server.restart();
    image.assert_pullable(&server.client(), "checked", "v1");
}

#[test]
fn a_short_file_is_found() {
    let (server, image) = stopped(526);
    let file = fs::File::options().write(true).open(layer_file(&server, &image)).expect("a file");
    file.set_len(2999).expect("shortened");
    assert_found(&server, &[], &layer_of(&image));
    server.into_dirty();
}

#[test]
fn a_long_file_is_found() {
    let (server, image) = stopped(527);
    let file = fs::File::options().write(true).open(layer_file(&server, &image)).expect("a file");
    file.set_len(3001).expect("lengthened");
    assert_found(&server, &[], &layer_of(&image));
    server.into_dirty();
}

#[test]
fn a_flipped_bit_is_found_by_a_deep_look() {
    let (server, image) = stopped(528);
    let file = fs::File::options().read(true).write(true).open(layer_file(&server, &image)).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1500).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], 1500).expect("another byte");
    server.run_verify(&[]).expect_code(0);
    assert_found(&server, &["--deep"], &layer_of(&image));
    server.into_dirty();
}

#[test]
fn a_file_without_a_row_is_found() {
    let (server, image) = stopped(529);
    let file = layer_file(&server, &image);
    let digest = bytes::digest(b"not in the ledger");
    let directory = server.data().join("blobs/sha256").join(&bytes::hex(&digest)[..2]);
    fs::create_dir_all(&directory).expect("a directory");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let stray = name.replacen(bytes::hex(&layer_of(&image)), bytes::hex(&digest), 1);
    fs::write(directory.join(stray), b"not in the ledger").expect("a file");
    assert_found(&server, &[], &digest);
    server.into_dirty();
}

#[test]
fn a_file_of_somebody_else_is_found() {
    for place in ["uploads", "blobs", "blobs/sha256", "blobs/sha256/00", "blobs/sha512/ff"] {
        let (server, _) = stopped(532);
        let stray = server.data().join(place).join("notes.txt");
        fs::write(&stray, b"shopping").expect("a file");
        server.run_verify(&[]).expect_code(1).expect_words("notes.txt");
        server.run_verify(&["--deep", "--json"]).expect_code(1).expect_words("notes.txt");
        assert!(stray.is_file(), "it is told, not taken away");
        server.into_dirty();
    }
}

#[test]
fn a_running_registry_checks_itself() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(533).build();
    image.push(&client, "checked", "v1");
    client.patch(&uploads::start(&client, "open"), b"content").expect_status(202);
    for options in [&[][..], &["--deep"], &["--json"], &["--deep", "--json"]] {
        let said = server.verify_live(options).expect_code(0);
        assert_eq!(said.stderr, "", "progress is for terminals");
        if options.contains(&"--json") {
            let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
            assert_eq!((&report["blobs"], &report["uploads"]), (&2.into(), &1.into()), "{report}");
        }
    }
    fs::remove_file(layer_file(&server, &image)).expect("the file was there");
    let tag = format!("needed by checked@{} (v1)", image.digest);
    server.verify_live(&[]).expect_code(1).expect_words(bytes::hex(&layer_of(&image))).expect_words(&tag);
    server.into_dirty();
}

/// What clients do meanwhile is no fault, whenever it is looked at.
#[test]
fn a_busy_registry_has_no_faults() {
    let server = Server::start();
    let data = server.data().to_str().expect("a path in UTF-8");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (server, is_over) = (&server, &is_over);
        let _ends = Ends(is_over);
        for worker in 0..3_u64 {
            scope.spawn(move || {
                let client = server.client();
                for round in (0_u64..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                    let image = ImageBuilder::sample(540 + worker).layer(&bytes::random(round, 9000)).build();
                    image.push(&client, &format!("busy{worker}"), "v1");
                    client.patch(&uploads::start(&client, "open"), b"content").expect_status(202);
                    client.delete_manifest(&format!("busy{worker}"), &image.digest).expect_status(202);
                }
            });
        }
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                run(&["gc", "--data", data, "--now"], &[]).expect_code(0);
            }
        });
        for options in [&[][..], &["--deep"]].iter().cycle().take(20) {
            server.verify_live(options).expect_code(0);
        }
    });
}

/// Sets the flag when it goes, also in a panic: those who work until it is set would work for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Where the server that has the directory cannot be asked, its files cannot be looked at either.
#[test]
fn a_registry_in_use_is_left_alone() {
    let server = Server::start();
    fs::remove_file(server.data().join("control.sock")).expect("the socket was there");
    for options in [&[][..], &["--deep"], &["--json"]] {
        server.verify_live(options).expect_code(2).expect_words(&server.pid().to_string());
    }
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn all_of_several_faults_are_named() {
    let (server, image) = stopped(530);
    for digest in image.blob_digests() {
        fs::remove_file(files::blob_file(server.data(), &digest)).expect("the file was there");
    }
    for digest in image.blob_digests() {
        assert_found(&server, &[], &digest);
    }
    server.into_dirty();
}

#[test]
fn a_directory_that_is_not_there_is_refused_and_not_made() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    run(&["verify", "--data", data.to_str().expect("a path in UTF-8")], &[]).expect_refusal();
    assert!(!data.exists());
}

#[test]
fn looking_changes_nothing_but_the_lock() {
    let (server, _) = stopped(531);
    let mut killed = Server::start();
    ImageBuilder::sample(534).build().push(&killed.client(), "checked", "v1");
    killed.client().patch(&uploads::start(&killed.client(), "open"), b"content").expect_status(202);
    killed.kill();
    for server in [&server, &killed] {
        // Such directories hold nothing, and a backup may have left them out.
        fs::remove_dir(empty_prefix(server)).expect("it is empty");
        let before = everything_but_the_lock(server);
        server.run_verify(&["--deep"]).expect_code(0);
        let after = everything_but_the_lock(server);
        assert!(after == before, "{:?}", after.keys().collect::<Vec<_>>());
    }
}

/// A directory for blobs that has none.
fn empty_prefix(server: &Server) -> PathBuf {
    let prefixes = fs::read_dir(server.data().join("blobs/sha512")).expect("a directory");
    let mut prefixes = prefixes.map(|entry| entry.expect("an entry").path());
    prefixes.find(|path| fs::read_dir(path).expect("a directory").next().is_none()).expect("one is empty")
}

/// Every path, with what a file holds and when it was written to.
fn everything_but_the_lock(server: &Server) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let paths = files::entries_under(server.data()).into_iter().filter(|path| !path.ends_with("LOCK"));
    let look = |path: PathBuf| {
        let written = path.metadata().expect("it is there").modified().expect("a time");
        // A directory or a socket holds nothing of its own.
        let content = if path.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        (path, (content, written))
    };
    paths.map(look).collect()
}

/// Writes rows into the ledger of a stopped server behind its back.
fn write_rows(server: &Server, table: &str, rows: &[(&[u8], &[u8])]) {
    let database = redb::Database::open(server.data().join("ledger/ledger.redb")).expect("a ledger");
    let transaction = database.begin_write().expect("nobody else has it");
    let mut open =
        transaction.open_table(redb::TableDefinition::<&[u8], &[u8]>::new(table)).expect("a table");
    for (key, value) in rows {
        open.insert(*key, *value).expect("a row");
    }
    drop(open);
    transaction.commit().expect("committed");
}

/// Only a start migrates: whoever looks would look at something else than what there is.
#[test]
fn a_ledger_that_is_to_be_migrated_is_left_to_the_start() {
    let (mut server, image) = stopped(535);
    // Version byte, number 0, no cursor.
    write_rows(&server, "schema", &[(b"", &[1, 0, 0])]);
    let before = everything_but_the_lock(&server);
    server.run_verify(&[]).expect_code(2).expect_words("schema 0").expect_words("wharfinger serve");
    assert!(everything_but_the_lock(&server) == before);
    server.restart();
    image.assert_pullable(&server.client(), "checked", "v1");
}

#[test]
fn a_row_that_cannot_be_read_hides_no_other_fault() {
    let (server, image) = stopped(536);
    let config = &image.blob_digests()[0];
    fs::remove_file(files::blob_file(server.data(), config)).expect("the file was there");
    write_rows(&server, "tag", &[(b"no key of ours", b""), (b"nor this", b"\xff\xff")]);
    write_rows(&server, "blob", &[(&[1; 33], b"\x01")]);
    write_rows(&server, "repository", &[(&[7; 8], b"")]);
    let accounts = ["user", "access_token", "signing_key"];
    for table in accounts {
        write_rows(&server, table, &[(b"no key of ours", b"")]);
    }
    for options in [&[][..], &["--deep"], &["--json"]] {
        let mut found = server.run_verify(options).expect_code(1).expect_words(bytes::hex(config));
        for table in accounts {
            found = found.expect_words(&format!("of table {table}"));
        }
        let found = found.expect_words("of table tag").expect_words("of table blob");
        found.expect_words("of table repository");
    }
    server.into_dirty();
}

#[test]
fn a_place_that_cannot_be_listed_hides_no_other_fault() {
    let (server, image) = stopped(537);
    fs::remove_file(layer_file(&server, &image)).expect("the file was there");
    let prefix = empty_prefix(&server);
    fs::remove_dir(&prefix).expect("it is empty");
    fs::write(&prefix, "in the way").expect("a file");
    let name = prefix.file_name().expect("a name").to_string_lossy().into_owned();
    assert_found(&server, &[], &layer_of(&image));
    server.run_verify(&[]).expect_code(1).expect_words(&format!("blobs/sha512/{name}"));
    server.into_dirty();
}
