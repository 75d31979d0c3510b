//! Many clients at once. What was acknowledged to any of them is there for all.

use std::sync::Barrier;
use std::thread;

use crate::support::uploads::with_digest;
use crate::support::{ImageBuilder, IndexBuilder, Server, bytes, files, uploads, wait};

const CLIENTS: u64 = 16;

#[test]
fn many_images_are_pushed_at_once() {
    let server = Server::start();
    let images: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let layer = bytes::random(400 + number, 200_000);
            ImageBuilder::sample(420 + number).layer(b"shared by all").layer(&layer).build()
        })
        .collect();
    thread::scope(|scope| {
        for (number, image) in images.iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                let client = server.client();
                let repository = format!("parallel/{}", number % 4);
                image.push(&client, &repository, &format!("v{number}"));
                image.assert_pullable(&client, &repository, &format!("v{number}"));
            });
        }
    });
    let client = server.client();
    for (number, image) in images.iter().enumerate() {
        image.assert_pullable(&client, &format!("parallel/{}", number % 4), &format!("v{number}"));
    }
    assert_eq!(client.catalog().len(), 4);
    assert_eq!(client.tags("parallel/0").len(), images.len() / 4);
}

#[test]
fn clients_that_upload_the_same_all_succeed_and_one_file_stays() {
    let server = Server::start();
    let content = bytes::random(440, 500_000);
    let digest = bytes::digest(&content);
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8 {
            let (server, content, digest, start) = (&server, &content, &digest, &start);
            scope.spawn(move || {
                let client = server.client();
                let repository = ["one", "two"][number % 2];
                let location = uploads::start(&client, repository);
                client.patch(&location, content).expect_status(202);
                start.wait();
                let reply = client.put(&with_digest(&location, digest), b"").expect_status(201);
                assert_eq!(reply.header("docker-content-digest"), digest);
            });
        }
    });
    for repository in ["one", "two"] {
        server.client().get_blob(repository, &digest).expect_status(200).expect_body(&content);
    }
    wait::until_true("the losers' files to go", || files::blob_files(server.data(), &digest).len() == 1);
    let staging = server.data().join("uploads");
    wait::until_true("no staging file to be left", || files::files_under(&staging).is_empty());
}

#[test]
fn a_manifest_pushed_by_many_at_once_is_one_manifest() {
    let server = Server::start();
    let image = ImageBuilder::sample(441).build();
    image.push_blobs(&server.client(), "same");
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8 {
            let (server, image, start) = (&server, &image, &start);
            scope.spawn(move || {
                let client = server.client();
                start.wait();
                let reference = if number % 2 == 0 { "latest" } else { &image.digest };
                image.push_document(&client, "same", reference);
            });
        }
    });
    image.assert_pullable(&server.client(), "same", "latest");
    assert_eq!(server.client().tags("same"), ["latest"]);
}

#[test]
fn a_contested_tag_names_one_of_the_pushed() {
    let server = Server::start();
    let images: Vec<_> = (0..8).map(|number| ImageBuilder::sample(450 + number).build()).collect();
    let start = Barrier::new(images.len());
    thread::scope(|scope| {
        for image in &images {
            let (server, start) = (&server, &start);
            scope.spawn(move || {
                let client = server.client();
                image.push_blobs(&client, "contested");
                start.wait();
                image.push_document(&client, "contested", "latest");
            });
        }
    });
    let client = server.client();
    let winner = client.head_manifest("contested", "latest").expect_status(200);
    let winner = winner.header("docker-content-digest");
    assert!(images.iter().any(|image| image.digest == winner), "{winner} was never pushed");
    for image in &images {
        image.assert_pullable(&client, "contested", &image.digest);
    }
}

#[test]
fn a_push_holds_against_a_delete_of_the_same() {
    const ROUNDS: usize = 12;
    let server = Server::start();
    let image = ImageBuilder::sample(460).build();
    thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            let client = server.client();
            for _ in 0..ROUNDS {
                // The lease of an upload holds whatever happens to a manifest meanwhile.
                image.push(&client, "fought", "latest");
            }
        });
        let client = server.client();
        while !pusher.is_finished() {
            client.delete_manifest("fought", &image.digest).expect_status_in(&[202, 404]);
        }
    });
    let client = server.client();
    if client.head_manifest("fought", "latest").status == 200 {
        image.assert_pullable(&client, "fought", "latest");
        client.delete_manifest("fought", &image.digest).expect_status(202);
    }
    image.push(&client, "fought", "latest");
    image.assert_pullable(&client, "fought", "latest");
}

#[test]
fn an_index_and_the_delete_of_its_child_have_one_order() {
    let server = Server::start();
    for round in 0..8 {
        let client = server.client();
        let child = ImageBuilder::sample(470 + round).build();
        child.push_untagged(&client, "ordered");
        let index = IndexBuilder::oci().child(&child).build();
        let start = Barrier::new(2);
        let (pushed, deleted) = thread::scope(|scope| {
            let push = scope.spawn(|| {
                start.wait();
                server.client().push_manifest("ordered", "multi", &index.media_type, &index.bytes).status
            });
            start.wait();
            let deleted = client.delete_manifest("ordered", &child.digest).status;
            (push.join().expect("an answer"), deleted)
        });
        match (pushed, deleted) {
            // Deleted first, the child was still there for the push, which brought it back.
            (201, 405 | 202) => index.assert_pullable(&client, "ordered", "multi"),
            other => panic!("neither before the other: {other:?}"),
        }
    }
}

#[test]
fn readers_see_a_whole_image_or_none() {
    let server = Server::start();
    let image = ImageBuilder::sample(480).build();
    let client = server.client();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let client = server.client();
            for _ in 0..10 {
                image.push(&client, "seen", "latest");
                client.delete_manifest("seen", &image.digest).expect_status(202);
            }
        });
        while !writer.is_finished() {
            let reply = client.get_manifest("seen", "latest").expect_status_in(&[200, 404]);
            if reply.status == 200 {
                reply.expect_body(&image.bytes);
            }
            for (digest, blob) in image.blob_digests().iter().zip(&image.blobs) {
                let reply = client.get_blob("seen", digest).expect_status_in(&[200, 404]);
                if reply.status == 200 {
                    reply.expect_body(blob);
                }
            }
        }
    });
    assert!(client.catalog().is_empty());
}
