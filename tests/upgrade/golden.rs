//! What a released program left behind, and what it said that is there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::strings;
use crate::support::{Client, Server, bytes};

/// All that is checked in, in bytes.
const GOLDEN_MAX_BYTES: u64 = 300 * 1024;

/// Where the directories are kept.
pub fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade")
}

/// The versions of the programs whose directories are here.
fn versions() -> Vec<String> {
    let entries = fs::read_dir(home()).expect("a directory").map(|entry| entry.expect("a name").path());
    let archives = entries.filter(|path| path.extension().is_some_and(|extension| extension == "tar"));
    let mut versions: Vec<String> =
        archives.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    versions.sort();
    versions
}

/// A copy of the directory of a released program.
pub struct Golden {
    home: TempDir,
    /// What is in it, as the program answered.
    pub record: Value,
}

impl Golden {
    pub fn unpack(version: &str) -> Self {
        let archive = home().join(format!("{version}.tar"));
        let record = fs::read(archive.with_extension("json")).expect("what is in it");
        let record: Value = serde_json::from_slice(&record).expect("JSON");
        assert_eq!(record["program"], version);
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut archive = tar::Archive::new(File::open(archive).expect("an archive"));
        archive.unpack(home.path().join("data")).expect("it is unpacked");
        Self { home, record }
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The files of its ledger whose names begin so.
    fn ledger_files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data().join("ledger")).expect("a ledger");
        let paths = entries.map(|entry| entry.expect("a name").path());
        let is_wanted =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        paths.filter(is_wanted).collect()
    }

    /// Pulls all that is on record by its digest, and looks for what is not to be there.
    fn check(&self, server: &Server) {
        let client = server.client();
        for manifest in list(&self.record["manifests"]) {
            check_manifest(&client, manifest);
        }
        for (repository, tags) in self.record["tags"].as_object().expect("repositories") {
            let tags = tags.as_object().expect("tags");
            assert_eq!(client.tags(repository), tags.keys().cloned().collect::<Vec<_>>());
            for (tag, digest) in tags {
                let reply = client.head_manifest(repository, tag).expect_status(200);
                assert_eq!(reply.header("docker-content-digest"), digest.as_str().expect("a digest"));
            }
        }
        assert_eq!(client.catalog(), strings(&self.record["catalog"]));
        for subject in list(&self.record["referrers"]) {
            let found = client.referrers(text(&subject["repository"]), text(&subject["subject"]));
            assert_eq!(Value::Array(found), subject["descriptors"]);
        }
        for gone in list(&self.record["gone"]) {
            client.get_manifest(text(&gone["repository"]), text(&gone["digest"])).expect_status(404);
        }
        for user in list(&self.record["users"]) {
            let (name, password) = (text(&user["name"]), text(&user["password"]));
            client.with_password(name, password).get("/v2/").expect_status(200);
            client.with_password(name, "another").get("/v2/").expect_status(401);
        }
        server.verify_live(&["--deep"]).expect_code(0);
    }
}

fn check_manifest(client: &Client, manifest: &Value) {
    let (repository, digest) = (text(&manifest["repository"]), text(&manifest["digest"]));
    let reply = client.get_manifest(repository, digest).expect_status(200);
    assert_eq!(reply.header("content-type"), text(&manifest["media_type"]));
    assert_eq!(bytes::digest(&reply.body), digest, "{repository}");
    for blob in strings(&manifest["blobs"]) {
        let reply = client.get_blob(repository, &blob).expect_status(200);
        assert_eq!(bytes::digest(&reply.body), blob, "{repository}");
    }
}

/// A list of the record.
fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// A text of the record.
fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn what_released_programs_left_is_served_and_goes_on() {
    let versions = versions();
    assert!(!versions.is_empty(), "there is the directory of a release");
    for version in versions {
        let golden = Golden::unpack(&version);
        let mut server = Server::builder().data(&golden.data()).start();
        golden.check(&server);
        let pushed = server.client().push_blob("after/the/upgrade", version.as_bytes());
        assert!(server.stop().success(), "a clean stop");
        server.verify();
        // From now on it is an original of this program's.
        server.restart();
        golden.check(&server);
        server.client().assert_blob_status("after/the/upgrade", &pushed, 200);
    }
}

/// A ledger is read from a snapshot and the frames behind it: those before it would not be seen to fail.
#[test]
fn the_journal_of_released_programs_says_it_all_by_itself() {
    for version in versions() {
        let golden = Golden::unpack(&version);
        let snapshots = golden.ledger_files("snapshot-");
        assert!(!snapshots.is_empty() && !golden.ledger_files("journal-").is_empty(), "{version} has both");
        for snapshot in snapshots {
            fs::remove_file(snapshot).expect("it was there");
        }
        golden.check(&Server::builder().data(&golden.data()).start());
    }
}

#[test]
fn the_directories_of_all_releases_stay_small() {
    let entries = fs::read_dir(home()).expect("a directory");
    let sizes = entries.map(|entry| entry.expect("a name").metadata().expect("a file").len());
    let bytes: u64 = sizes.sum();
    assert!(bytes <= GOLDEN_MAX_BYTES, "{bytes} bytes in tests/upgrade");
}
