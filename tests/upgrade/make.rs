//! Makes the directory of a release.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::golden::home;
use crate::support::command::{command, command_with_input};
use crate::support::{Client, ImageBuilder, IndexBuilder, Manifest, Server, bytes, files, uploads, wait};

/// Frames after which there is a snapshot, in bytes: the least that the setting takes.
const SNAPSHOT_BYTES: usize = 64 * 1024;

/// Says less of each repository than it has.
const REPOSITORIES: [&str; 3] = ["team/app", "team/base", "tools"];

/// What is recorded of the directory while it is filled.
#[derive(Default)]
struct Record {
    manifests: Vec<Value>,
    referrers: Vec<Value>,
    gone: Vec<Value>,
}

impl Record {
    fn note(&mut self, repository: &str, manifest: &Manifest) {
        self.manifests.push(json!({
            "repository": repository,
            "digest": manifest.digest,
            "media_type": manifest.media_type,
            "blobs": manifest.blob_digests(),
        }));
    }

    fn push(&mut self, client: &Client, repository: &str, tag: &str, manifest: &Manifest) {
        manifest.push(client, repository, tag);
        self.note(repository, manifest);
    }

    fn delete(&mut self, client: &Client, repository: &str, manifest: &Manifest) {
        client.delete_manifest(repository, &manifest.digest).expect_status(202);
        self.manifests.retain(|noted| noted["digest"] != manifest.digest);
        self.gone.push(json!({"repository": repository, "digest": manifest.digest}));
    }
}

/// Rows and files of most kinds that there are.
fn fill(server: &Server, record: &mut Record) {
    let client = server.client();
    let shared = bytes::random(1, 2000);
    let images: Vec<_> = (10..14).map(|seed| ImageBuilder::sample(seed).layer(&shared).build()).collect();
    record.push(&client, "team/app", "v1", &images[0]);
    record.push(&client, "team/app", "v2", &images[1]);
    // A tag with a history, and an image that no tag names any more.
    record.push(&client, "team/app", "latest", &images[0]);
    images[1].push_document(&client, "team/app", "latest");
    record.push(&client, "team/app", "old", &images[2]);
    client.delete_manifest("team/app", "old").expect_status(202);
    let index = IndexBuilder::oci().child(&images[0]).child(&images[1]).build();
    record.push(&client, "team/app", "all", &index);
    let docker = ImageBuilder::docker().config(b"{}").layer(&bytes::random(2, 900)).build();
    record.push(&client, "team/base", "docker", &docker);
    let signature = ImageBuilder::sample(20).subject(images[0].descriptor()).artifact_type("text/x").build();
    signature.push_untagged(&client, "team/app");
    record.note("team/app", &signature);
    let descriptors = client.referrers("team/app", &images[0].digest);
    record.referrers.push(json!({
        "repository": "team/app", "subject": images[0].digest, "descriptors": descriptors,
    }));
    record.push(&client, "tools", "gone", &images[3]);
    record.delete(&client, "tools", &images[3]);
    let pinned = format!("team/base@{}", docker.digest);
    command(server, &["pin", "add", &pinned]).expect_code(0);
}

/// Writes until there is a snapshot.
fn until_a_snapshot(server: &Server, record: &mut Record) {
    let words = "all work and no play ".repeat(SNAPSHOT_BYTES / 20);
    let large = ImageBuilder::sample(30).annotation("org.example.words", &words).build();
    record.push(&server.client(), "tools", "large", &large);
    let ledger = server.data().join("ledger");
    let is_snapshot = |path: &Path| path.to_string_lossy().contains("/snapshot-");
    wait::until_true("a snapshot", || files::files_under(&ledger).iter().any(|path| is_snapshot(path)));
}

fn add_user(server: &Server, name: &str, password: &str) {
    let words = ["user", "add", name, "--password-stdin"];
    command_with_input(server, &words, &format!("{password}\n")).expect_code(0);
}

fn tags(client: &Client) -> Value {
    let digest = |repository: &str, tag: &str| {
        let reply = client.head_manifest(repository, tag).expect_status(200);
        Value::from(reply.header("docker-content-digest"))
    };
    let of = |repository: &str| -> Map<String, Value> {
        client.tags(repository).iter().map(|tag| (tag.clone(), digest(repository, tag))).collect()
    };
    REPOSITORIES.iter().map(|&name| (name.to_owned(), Value::from(of(name)))).collect::<Map<_, _>>().into()
}

/// Everything but what each start makes anew: of what is unpacked the database would be no original, and is
/// made again.
fn pack(data: &Path, archive: &Path) {
    let mut archive = tar::Builder::new(File::create(archive).expect("an archive"));
    archive.mode(tar::HeaderMode::Deterministic);
    for path in files::files_under(data) {
        let name = path.strip_prefix(data).expect("it is below");
        let is_made = ["LOCK", "control.sock", "ledger/ledger.redb", "ledger/IDENTITY"];
        if !is_made.iter().any(|made| name == Path::new(made)) {
            archive.append_path_with_name(&path, name).expect("it is packed");
        }
    }
    archive.finish().expect("it is whole");
}

#[test]
#[ignore = "it makes the directory of a release: README.md says when"]
fn make() {
    let version =
        std::env::var("WHARFINGER_GOLDEN").expect("WHARFINGER_GOLDEN is the version of the release");
    let archive = home().join(format!("{version}.tar"));
    assert!(!archive.exists(), "{} is there; what was released does not change", archive.display());
    let mut server = Server::builder().env("WHARFINGER_LEDGER_SNAPSHOT_BYTES", "65536").start();
    let mut record = Record::default();
    fill(&server, &mut record);
    add_user(&server, "alice", "golden password of alice");
    until_a_snapshot(&server, &mut record);
    // Behind the snapshot, some of the same.
    let client = server.client();
    let late = [40, 41].map(|seed| ImageBuilder::sample(seed).build());
    record.push(&client, "team/app", "late", &late[0]);
    record.push(&client, "team/app", "brief", &late[1]);
    record.delete(&client, "team/app", &late[1]);
    add_user(&server, "bob", "golden password of bob");
    let session = uploads::start(&client, "team/app");
    uploads::patch_at(&client, &session, 0, &bytes::random(3, 500)).expect_status(202);
    let Record { manifests, referrers, gone } = record;
    let record = json!({
        "program": version,
        "manifests": manifests,
        "tags": tags(&client),
        "catalog": client.catalog(),
        "referrers": referrers,
        "gone": gone,
        "users": [
            {"name": "alice", "password": "golden password of alice"},
            {"name": "bob", "password": "golden password of bob"},
        ],
    });
    assert!(server.stop().success(), "a clean stop");
    pack(server.data(), &archive);
    let text = serde_json::to_string_pretty(&record).expect("JSON");
    fs::write(archive.with_extension("json"), text + "\n").expect("what is in it is written");
}
