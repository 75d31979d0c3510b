//! The server on a small file system, and under `ulimit -f`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::client::Request;
use crate::support::tmpfs::Tmpfs;
use crate::support::{Client, ImageBuilder, Manifest, Reply, Server, bytes, uploads, wait};

const MIB: usize = 1 << 20;

const REPOSITORY: &str = "full/disk";

const UPLOADS: &str = "/v2/full/disk/blobs/uploads/";

/// Pieces of the journal that are small beside these disks.
const SEGMENT_BYTES: &str = "262144";

/// More files and directories than any test makes.
const NAMES: u64 = 20_000;

/// More requests than any disk here has room for.
const REQUESTS_MAX: u64 = 400;

/// A refusal that a client does not try again, and a person understands.
#[track_caller]
fn expect_no_room(reply: Reply, words: &str) {
    let reply = reply.expect_error(403, "DENIED");
    let message = reply.oci_errors()[0]["message"].as_str().expect("words").to_owned();
    assert!(message.contains(words), "no {words:?} in {message:?}");
}

fn staging_file(data: &Path, location: &str) -> PathBuf {
    data.join("uploads").join(location.rsplit('/').next().expect("a session"))
}

/// Pushes blobs of `length` bytes until one is refused; gives their digests and the refusal.
fn push_until_refused(client: &Client, length: usize) -> (Vec<String>, Reply) {
    let mut pushed = Vec::new();
    for seed in 0..REQUESTS_MAX {
        let content = bytes::random(7000 + seed, length);
        let path = uploads::with_digest(UPLOADS, &bytes::digest(&content));
        let reply = client.post(&path, &content);
        if reply.status != 201 {
            return (pushed, reply);
        }
        pushed.push(bytes::digest(&content));
    }
    panic!("{REQUESTS_MAX} blobs of {length} bytes were taken");
}

/// An image with annotations that make its manifest large.
fn image_of(base: &ImageBuilder, number: u64) -> Manifest {
    let words: String =
        bytes::random(number, 40_000).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    base.clone().annotation("org.example.words", &words).build()
}

fn put_request<'a>(client: &'a Client, image: &'a Manifest, tag: &str) -> Request<'a> {
    let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
    client.request("PUT", &path).header("content-type", &image.media_type).body(&image.bytes)
}

/// Pushes manifests until one is refused; gives those that were taken.
fn push_manifests_until_refused(client: &Client, base: &ImageBuilder, from: u64) -> Vec<Manifest> {
    let mut taken = Vec::new();
    for number in from..from + REQUESTS_MAX {
        let image = image_of(base, number);
        let reply = put_request(client, &image, &format!("v{number}")).send();
        if reply.status != 201 {
            expect_no_room(reply, "no room");
            return taken;
        }
        taken.push(image);
    }
    panic!("{REQUESTS_MAX} manifests were taken");
}

/// Sets tags until not even that finds room.
fn fill_ledger(client: &Client, image: &Manifest) {
    let set =
        |number| put_request(client, image, &format!("small{number}")).send().expect_status_in(&[201, 403]);
    let refused = (0..REQUESTS_MAX).map(set).find(|reply| reply.status == 403);
    expect_no_room(refused.expect("the ledger has no room left"), "no room");
}

/// Pulls all manifests, and the blobs that they share.
fn assert_all_pullable(client: &Client, images: &[Manifest]) {
    if let Some(first) = images.first() {
        first.assert_pullable(client, REPOSITORY, &first.digest);
    }
    for image in images {
        client.get_manifest(REPOSITORY, &image.digest).expect_status(200).expect_body(&image.bytes);
    }
}

#[test]
fn a_floor_of_free_space_refuses_first() {
    let Some(disk) =
        Tmpfs::mount("crash::full::server::a_floor_of_free_space_refuses_first", 32 << 20, NAMES)
    else {
        return;
    };
    // A quarter of the file system counts.
    let floor = 8 << 20;
    let server = Server::builder()
        .data(&disk.path().join("data"))
        .env("WHARFINGER_DRAIN_MAX_BYTES", "67108864")
        .env("WHARFINGER_LEDGER_SEGMENT_MAX_BYTES", SEGMENT_BYTES)
        .start();
    let client = server.client();
    let image = ImageBuilder::sample(1).layer(&bytes::random(2, MIB)).build();
    image.push(&client, REPOSITORY, "v1");
    let session = uploads::start(&client, REPOSITORY);
    uploads::patch_at(&client, &session, 0, &bytes::random(3, 1000)).expect_status(202);

    let (pushed, refusal) = push_until_refused(&client, 3 * MIB);
    expect_no_room(refusal, "free_space_floor_bytes");
    assert!(!pushed.is_empty() && disk.free() >= floor, "{} bytes are free", disk.free());

    // A length that is said is refused before the body; one that is not, when the floor is reached.
    let large = bytes::random(4, 20 * MIB);
    expect_no_room(client.patch(&session, &large), "announces 20971520");
    assert_eq!(uploads::offset(&client, &session), 1000);
    expect_no_room(client.request("PATCH", &session).stream(&large[..]).send(), "free_space_floor_bytes");
    assert_eq!(uploads::offset(&client, &session), 1000);
    let left = fs::metadata(staging_file(server.data(), &session)).expect("the session goes on").len();
    assert_eq!(left, 1000, "the room of what was not acknowledged is given back");

    disk.fill_to(floor - (1 << 20));
    let other = uploads::with_digest("/v2/full/other/blobs/uploads/", &pushed[0]);
    let mount = format!("/v2/full/other/blobs/uploads/?mount={}&from={REPOSITORY}", pushed[0]);
    for path in [UPLOADS, &other, &mount] {
        expect_no_room(client.post(path, b""), "free_space_floor_bytes");
    }
    expect_no_room(client.patch(&session, b"more"), "free_space_floor_bytes");
    expect_no_room(put_request(&client, &image, "v2").send(), "free_space_floor_bytes");
    // What takes no room, or gives it back, goes on.
    image.assert_pullable(&client, REPOSITORY, "v1");
    client.assert_blob_status(REPOSITORY, &pushed[0], 200);
    assert_eq!(client.tags(REPOSITORY), ["v1"]);
    uploads::finish(&client, &session, &bytes::digest(&bytes::random(3, 1000))).expect_status(201);
    client.delete_blob(REPOSITORY, &pushed[0]).expect_status(202);
    client.delete_manifest(REPOSITORY, "v1").expect_status(202);
    client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);

    disk.clear();
    image.push(&client, REPOSITORY, "v3");
    drop(server);
}

#[test]
fn a_full_disk_hurts_nothing() {
    let Some(disk) = Tmpfs::mount("crash::full::server::a_full_disk_hurts_nothing", 28 << 20, NAMES) else {
        return;
    };
    let mut server = Server::builder()
        .data(&disk.path().join("data"))
        .env("WHARFINGER_FREE_SPACE_FLOOR_BYTES", "0")
        .env("WHARFINGER_UPLOAD_CHECKPOINT_BYTES", "1048576")
        .env("WHARFINGER_LEDGER_SEGMENT_MAX_BYTES", SEGMENT_BYTES)
        .start();
    let client = server.client();
    let base = ImageBuilder::sample(1).layer(&bytes::random(2, MIB));
    let mut images = vec![image_of(&base, 0)];
    images[0].push(&client, REPOSITORY, "v0");
    let content = bytes::random(3, 3 * MIB);
    let session = uploads::start(&client, REPOSITORY);
    uploads::patch_at(&client, &session, 0, &content[..1000]).expect_status(202);

    // Enough for what is done at the end.
    disk.fill_to(disk.free() - (4 << 20));

    // The files find no room.
    let (pushed, refusal) = push_until_refused(&client, 3 * MIB);
    expect_no_room(refusal, "no room");
    expect_no_room(
        client.request("PATCH", &session).stream(&bytes::random(5, 8 * MIB)[..]).send(),
        "no room",
    );
    let offset = uploads::offset(&client, &session);
    let left = fs::metadata(staging_file(server.data(), &session)).expect("the session goes on").len();
    assert_eq!(left, offset as u64, "the room of what was not acknowledged is given back");
    client.delete(&session).expect_status(204);
    let session = uploads::start(&client, REPOSITORY);
    uploads::patch_at(&client, &session, 0, &content[..1000]).expect_status(202);

    // The ledger finds none.
    disk.fill_to(0);
    images.extend(push_manifests_until_refused(&client, &base, 1));
    fill_ledger(&client, &images[0]);
    let finished = uploads::finish(&client, &session, &bytes::digest(&content[..1000]));
    let is_open = finished.expect_status_in(&[201, 403]).status == 403;
    assert_all_pullable(&client, &images);
    let reply = client.delete_manifest(REPOSITORY, "v0").expect_status_in(&[202, 403]);
    println!(
        "a_full_disk_hurts_nothing: {} manifests; an upload is {}; a tag's deletion: {}",
        images.len(),
        if is_open { "open" } else { "finished" },
        reply.status
    );

    // A start needs no room, whatever the end before it was like.
    server.restart();
    assert_all_pullable(&server.client(), &images);
    server.kill();
    server.restart();
    let client = server.client();
    assert_all_pullable(&client, &images);
    disk.clear();
    for digest in &pushed[1..] {
        client.assert_blob_status(REPOSITORY, digest, 200);
    }
    image_of(&base, 9000).push(&client, REPOSITORY, "later");
    if is_open {
        uploads::patch_at(&client, &session, 1000, &content[1000..2000]).expect_status(202);
        uploads::finish_and_pull(&client, REPOSITORY, &session, &content[..2000]);
    }
    client.delete_manifest(REPOSITORY, &images[0].digest).expect_status(202);
    assert_all_pullable(&client, &images[1..]);
    drop(server);
}

/// What needs no privilege: files that may not grow.
#[test]
fn a_limit_on_files_refuses_and_ends_nothing() {
    let mut server = Server::builder().file_max_bytes(4 << 20).start();
    let client = server.client();
    let base = ImageBuilder::sample(1).layer(&bytes::random(2, MIB));
    let mut images = vec![image_of(&base, 0)];
    images[0].push(&client, REPOSITORY, "v0");
    let content = bytes::random(3, 6 * MIB);
    let session = uploads::start(&client, REPOSITORY);
    uploads::patch_at(&client, &session, 0, &content[..MIB]).expect_status(202);
    expect_no_room(uploads::patch_at(&client, &session, MIB, &content[MIB..]), "ulimit -f");
    assert_eq!(uploads::offset(&client, &session), MIB);
    expect_no_room(
        client.post(&uploads::with_digest(UPLOADS, &bytes::digest(&content)), &content),
        "ulimit -f",
    );

    images.extend(push_manifests_until_refused(&client, &base, 1));
    assert_all_pullable(&client, &images);
    let reply = client.delete_manifest(REPOSITORY, "v0").expect_status_in(&[202, 403]);
    println!("a_limit_on_files: {} manifests; a tag's deletion: {}", images.len(), reply.status);
    server.restart();
    let client = server.client();
    assert_all_pullable(&client, &images);
    client.delete_manifest(REPOSITORY, &images[0].digest).expect_status_in(&[202, 403]);
    assert_all_pullable(&client, &images[1..]);

    server.lift_file_limit();
    image_of(&base, 9000).push(&client, REPOSITORY, "later");
    uploads::patch_at(&client, &session, MIB, &content[MIB..]).expect_status(202);
    uploads::finish_and_pull(&client, REPOSITORY, &session, &content);
    client.delete_manifest(REPOSITORY, "later").expect_status(202);
    assert_all_pullable(&client, &images[1..]);
}

/// The file system has bytes, and no name for what is finished: the upload goes on.
#[test]
fn an_upload_that_finds_no_name_goes_on() {
    let test = "crash::full::server::an_upload_that_finds_no_name_goes_on";
    let Some(disk) = Tmpfs::mount(test, 32 << 20, 1000) else { return };
    let server = Server::builder().data(&disk.path().join("data")).start();
    let client = server.client();
    let content = bytes::random(1, MIB);
    let session = uploads::start(&client, REPOSITORY);
    uploads::patch_at(&client, &session, 0, &content[..1000]).expect_status(202);
    disk.fill_names();
    expect_no_room(client.post(UPLOADS, b""), "no room");
    let path = uploads::with_digest(&session, &bytes::digest(&content));
    expect_no_room(client.put(&path, &content[1000..]), "no room");
    assert_eq!(uploads::offset(&client, &session), 1000);
    let left = fs::metadata(staging_file(server.data(), &session)).expect("the session goes on").len();
    assert_eq!(left, 1000, "the room of what was not acknowledged is given back");
    disk.clear();
    client.put(&path, &content[1000..]).expect_status(201);
    client.get_blob(REPOSITORY, &bytes::digest(&content)).expect_status(200).expect_body(&content);
}

/// Pushes and deletes for as long as it may; gives the images that must be there at the end, and how much was
/// refused. `base` is pushed already.
fn push_and_delete(
    client: &Client,
    base: &ImageBuilder,
    number: u64,
    go_on: impl Fn() -> bool,
) -> (Vec<Manifest>, usize) {
    let (mut there, mut refused) = (Vec::new(), 0);
    let mut count = 1000 * number;
    let mut is_done = |reply: Reply, status| {
        let done = reply.expect_status_in(&[status, 403]).status == status;
        refused += usize::from(!done);
        done
    };
    while go_on() {
        count += 1;
        let blob = bytes::random(count, 50_000);
        let path = uploads::with_digest(UPLOADS, &bytes::digest(&blob));
        if is_done(client.post(&path, &blob), 201) {
            is_done(client.delete_blob(REPOSITORY, &bytes::digest(&blob)), 202);
        }
        let image = image_of(base, count);
        if is_done(put_request(client, &image, &format!("w{number}")).send(), 201) {
            there.push(image);
        }
        if there.len() > 25 && is_done(client.delete_manifest(REPOSITORY, &there[0].digest), 202) {
            there.remove(0);
        }
    }
    (there, refused)
}

#[test]
fn what_is_acknowledged_is_there_however_the_disk_fills_up() {
    let test = "what_is_acknowledged_is_there_however_the_disk_fills_up";
    let Some(disk) = Tmpfs::mount(&format!("crash::full::server::{test}"), 24 << 20, NAMES) else { return };
    let server = Server::builder()
        .data(&disk.path().join("data"))
        .env("WHARFINGER_FREE_SPACE_FLOOR_BYTES", "0")
        .start();
    let base = ImageBuilder::sample(1).layer(&bytes::random(2, MIB));
    base.build().push(&server.client(), REPOSITORY, "base");
    let over = AtomicBool::new(false);
    let address = server.addr();
    let images = thread::scope(|scope| {
        let workers: Vec<_> = (1..=4)
            .map(|number| {
                let (base, go_on) = (&base, || !over.load(Ordering::SeqCst));
                scope.spawn(move || push_and_delete(&Client::new(address), base, number, go_on))
            })
            .collect();
        for round in 0..20 {
            // Full at once, nearly full, or soon full by what is pushed.
            disk.fill_to([0, 100_000, 1_000_000][round % 3]);
            let client = Client::new(address);
            let probe = bytes::random(9999, 2 * MIB);
            let path = uploads::with_digest(UPLOADS, &bytes::digest(&probe));
            let refused = || client.post(&path, &probe).status == 403;
            wait::until_true("the disk to be full", refused);
            disk.clear();
        }
        over.store(true, Ordering::SeqCst);
        let done = workers.into_iter().map(|worker| worker.join().expect("a worker"));
        let (images, refused): (Vec<_>, Vec<_>) = done.unzip();
        println!("{test}: refused of each worker: {refused:?}");
        images.concat()
    });
    assert!(!images.is_empty());
    assert_all_pullable(&server.client(), &images);
}
