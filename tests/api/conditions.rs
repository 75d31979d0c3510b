//! Conditional requests: compare-and-swap of tags, and reads of what the client may have already.

use std::thread;

use crate::support::{Client, ImageBuilder, Manifest, Reply, Server, bytes};

const REPOSITORY: &str = "conditions";

fn quoted(digest: &str) -> String {
    format!("\"{digest}\"")
}

/// Two images whose blobs are there.
fn two_images(client: &Client) -> (Manifest, Manifest) {
    let images = (ImageBuilder::sample(800).build(), ImageBuilder::sample(801).build());
    images.0.push_blobs(client, REPOSITORY);
    images.1.push_blobs(client, REPOSITORY);
    images
}

fn put(client: &Client, image: &Manifest, reference: &str, condition: (&'static str, &str)) -> Reply {
    client
        .request("PUT", &format!("/v2/{REPOSITORY}/manifests/{reference}"))
        .header("content-type", &image.media_type)
        .header(condition.0, condition.1)
        .body(&image.bytes)
        .send()
}

#[track_caller]
fn assert_tag(client: &Client, tag: &str, image: &Manifest) {
    client
        .head_manifest(REPOSITORY, tag)
        .expect_status(200)
        .expect_header("docker-content-digest", &image.digest);
}

#[test]
fn a_tag_is_made_only_where_there_is_none() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = two_images(&client);
    put(&client, &one, "v1", ("if-none-match", "*")).expect_status(201);
    let refused = put(&client, &two, "v1", ("if-none-match", "*"));
    assert_eq!(refused.header("etag"), quoted(&one.digest));
    let refused = refused.expect_error(412, "DENIED");
    assert_eq!(refused.json()["errors"][0]["detail"]["present"], one.digest);
    assert_tag(&client, "v1", &one);
    client.get_manifest(REPOSITORY, &two.digest).expect_status(404);
}

#[test]
fn a_tag_is_moved_only_from_what_the_client_saw() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = two_images(&client);
    let reply = put(&client, &one, "v1", ("if-match", &quoted(&two.digest)));
    reply.expect_error(412, "DENIED");
    client.head_manifest(REPOSITORY, "v1").expect_status(404);
    put(&client, &one, "v1", ("if-match", "*")).expect_error(412, "DENIED");
    one.push(&client, REPOSITORY, "v1");
    put(&client, &two, "v1", ("if-match", &quoted(&two.digest))).expect_error(412, "DENIED");
    put(&client, &two, "v1", ("if-match", &format!("W/{}", quoted(&one.digest)))).expect_error(412, "DENIED");
    assert_tag(&client, "v1", &one);
    let either = format!("{}, {}", quoted(&two.digest), quoted(&one.digest));
    put(&client, &two, "v1", ("if-match", &either)).expect_status(201);
    assert_tag(&client, "v1", &two);
    put(&client, &one, "v1", ("if-match", "*")).expect_status(201);
    assert_tag(&client, "v1", &one);
}

#[test]
fn a_condition_that_cannot_be_read_is_refused() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = two_images(&client);
    one.push(&client, REPOSITORY, "v1");
    for value in [one.digest.as_str(), "\"", "", "*, \"a\"", "\"a\" \"b\""] {
        for name in ["if-match", "if-none-match"] {
            put(&client, &two, "v1", (name, value)).expect_error(400, "UNSUPPORTED");
        }
    }
    assert_tag(&client, "v1", &one);
}

#[test]
fn a_condition_is_about_every_tag_of_the_push() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = two_images(&client);
    one.push(&client, REPOSITORY, "old");
    let several = format!("{}?tag=new&tag=old", two.digest);
    put(&client, &two, &several, ("if-none-match", "*")).expect_error(412, "DENIED");
    assert_eq!(client.tags(REPOSITORY), ["old"], "all or nothing");
    let by_digest = two.digest.clone();
    put(&client, &two, &by_digest, ("if-match", "*")).expect_error(412, "DENIED");
    put(&client, &two, &by_digest, ("if-none-match", "*")).expect_status(201);
    put(&client, &two, &by_digest, ("if-none-match", "*")).expect_error(412, "DENIED");
    put(&client, &two, &by_digest, ("if-match", &quoted(&two.digest))).expect_status(201);
}

#[test]
fn a_delete_may_have_a_condition() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = two_images(&client);
    one.push(&client, REPOSITORY, "v1");
    let delete = |reference: &str, digest: &str| {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        client.request("DELETE", &path).header("if-match", &quoted(digest)).send()
    };
    delete("v1", &two.digest).expect_error(412, "DENIED");
    delete(&one.digest, &two.digest).expect_error(412, "DENIED");
    delete("absent", &two.digest).expect_error(404, "MANIFEST_UNKNOWN");
    assert_tag(&client, "v1", &one);
    delete("v1", &one.digest).expect_status(202);
    delete(&one.digest, &one.digest).expect_status(202);
}

#[test]
fn of_racing_writers_exactly_one_wins_each_round() {
    let server = Server::start();
    let client = server.client();
    let writers = 6;
    let rounds = 12;
    let images: Vec<Vec<Manifest>> = (0..rounds)
        .map(|round| {
            (0..writers).map(|writer| ImageBuilder::sample(8000 + round * 100 + writer).build()).collect()
        })
        .collect();
    images.iter().flatten().for_each(|image| image.push_blobs(&client, REPOSITORY));
    let mut history: Vec<String> = Vec::new();
    for round in &images {
        let condition =
            history.last().map_or(("if-none-match", "*".to_owned()), |last| ("if-match", quoted(last)));
        let won: Vec<&Manifest> = thread::scope(|scope| {
            let racing: Vec<_> = round
                .iter()
                .map(|image| {
                    let (server, condition) = (&server, &condition);
                    scope.spawn(move || {
                        let reply = put(&server.client(), image, "main", (condition.0, &condition.1));
                        match reply.status {
                            201 => Some(image),
                            412 => None,
                            other => panic!("{other} to a racing writer"),
                        }
                    })
                })
                .collect();
            racing.into_iter().filter_map(|writer| writer.join().expect("a writer ends")).collect()
        });
        assert_eq!(won.len(), 1, "exactly one wins");
        assert_tag(&client, "main", won[0]);
        history.push(won[0].digest.clone());
    }
    // Nobody who lost left a manifest behind.
    for image in images.iter().flatten().filter(|image| !history.contains(&image.digest)) {
        client.get_manifest(REPOSITORY, &image.digest).expect_status(404);
    }
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(802).build();
    image.push(&client, REPOSITORY, "v1");
    let blob = image.blob_digests()[1].clone();
    let other = bytes::digest_of_nothing_here();
    for (path, digest) in [
        (format!("/v2/{REPOSITORY}/manifests/v1"), &image.digest),
        (format!("/v2/{REPOSITORY}/manifests/{}", image.digest), &image.digest),
        (format!("/v2/{REPOSITORY}/blobs/{blob}"), &blob),
    ] {
        for method in ["GET", "HEAD"] {
            let read =
                |name: &'static str, value: &str| client.request(method, &path).header(name, value).send();
            let tag = quoted(digest);
            for value in [tag.clone(), format!("W/{tag}"), "*".to_owned(), format!("\"x\", {tag}")] {
                let reply = read("if-none-match", &value).expect_status(304);
                reply
                    .expect_header("etag", &tag)
                    .expect_header("docker-content-digest", digest)
                    .expect_body(b"");
            }
            for value in [quoted(&other), digest.clone(), "\"".to_owned()] {
                read("if-none-match", &value).expect_status(200).expect_header("etag", &tag);
            }
            read("if-match", &tag).expect_status(200);
            read("if-match", "*").expect_status(200);
            read("if-match", &quoted(&other)).expect_status(412);
        }
    }
    let absent = format!("/v2/{REPOSITORY}/blobs/{other}");
    client.request("GET", &absent).header("if-none-match", "*").send().expect_error(404, "BLOB_UNKNOWN");
}

#[test]
fn a_part_counts_only_of_what_the_client_has() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(803, 5000);
    let digest = client.push_blob(REPOSITORY, &content);
    let part = |if_range: &str| {
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        client.request("GET", &path).header("range", "bytes=10-19").header("if-range", if_range).send()
    };
    part(&quoted(&digest)).expect_status(206).expect_body(&content[10..20]);
    let others = [quoted(&bytes::digest_of_nothing_here()), format!("W/{}", quoted(&digest))];
    for if_range in others.iter().map(String::as_str).chain(["Tue, 24 Nov 2026 07:00:00 GMT", "\""]) {
        part(if_range).expect_status(200).expect_body(&content);
    }
}
