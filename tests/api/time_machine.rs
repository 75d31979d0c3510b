//! What tags named before, and taking deletions back: by commands, on a running server and a stopped one.

use crate::support::command::{answer, command};
use crate::support::{ImageBuilder, IndexBuilder, Manifest, Server};

const REPOSITORY: &str = "team/app";

/// Two pushes to one tag.
fn pushed_twice(server: &Server) -> (Manifest, Manifest) {
    let client = server.client();
    let (first, second) = (ImageBuilder::sample(950).build(), ImageBuilder::sample(951).build());
    first.push(&client, REPOSITORY, "v1");
    second.push(&client, REPOSITORY, "v1");
    (first, second)
}

#[test]
fn a_deleted_image_comes_back_with_what_lived_with_it() {
    let mut server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(952).build();
    image.push_untagged(&client, REPOSITORY);
    let index = IndexBuilder::oci().child(&image).build();
    index.push(&client, REPOSITORY, "v1");
    let signature = ImageBuilder::oci().subject(index.descriptor()).layer(b"signature").build();
    signature.push_untagged(&client, REPOSITORY);
    client.delete_manifest(REPOSITORY, &index.digest).expect_status(202);
    client.get_manifest(REPOSITORY, &image.digest).expect_status(404);

    let done = answer(&server, &["undelete", "team/app:v1"]);
    assert_eq!(done["manifests"], 3);
    assert_eq!(done["tags"], serde_json::json!(["v1"]));
    index.assert_pullable(&client, REPOSITORY, "v1");
    image.assert_pullable(&client, REPOSITORY, &image.digest);
    assert_eq!(client.referrers(REPOSITORY, &index.digest).len(), 1);

    command(&server, &["undelete", "team/app:v1"]).expect_code(1).expect_words("in use");
    client.delete_manifest(REPOSITORY, &index.digest).expect_status(202);
    server.stop();
    let by_digest = format!("team/app@{}", index.digest);
    command(&server, &["undelete", &by_digest]).expect_code(0).expect_words("brought back 3 manifests");
    server.restart();
    index.assert_pullable(&server.client(), REPOSITORY, "v1");
    server.client().delete_manifest(REPOSITORY, &index.digest).expect_status(202);
    command(&server, &["gc", "--now"]).expect_code(0);
    command(&server, &["undelete", &by_digest]).expect_code(1).expect_words("nothing deleted");
    command(&server, &["undelete", "team/app:v1"]).expect_code(1).expect_words("gone for good");
    command(&server, &["undelete", "other"]).expect_code(1).expect_words("not known");
    command(&server, &["undelete", "team/app:v 1"]).expect_code(2);
}

#[test]
fn a_tag_is_set_back_to_what_it_named() {
    let server = Server::start();
    let (first, second) = pushed_twice(&server);
    let client = server.client();
    let history = answer(&server, &["tag", "history", "team/app:v1"]);
    let changes = history["changes"].as_array().expect("a list");
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (&changes[0]["before"], &changes[0]["after"]),
        (&changes[1]["after"], &second.digest.as_str().into())
    );
    assert_eq!(changes[1]["after"], first.digest);
    assert_eq!(changes[0]["who"], "anonymous@127.0.0.1");
    let then_ms = changes[1]["at_ms"].as_u64().expect("a time");
    let now_ms = changes[0]["at_ms"].as_u64().expect("a time");
    assert!(then_ms < now_ms, "two pushes of layers within a millisecond");

    client.delete_manifest(REPOSITORY, &first.digest).expect_status(202);
    let text = |ms: u64| {
        let ms = i64::try_from(ms).expect("a time");
        jiff::Timestamp::from_millisecond(ms).expect("a time").to_string()
    };
    let restore = |at: &str| command(&server, &["tag", "restore", "team/app:v1", "--at", at]);
    restore(&text(now_ms - 1)).expect_code(0).expect_words(&first.digest).expect_words("brought back 1");
    first.assert_pullable(&client, REPOSITORY, "v1");
    restore(&text(then_ms - 1)).expect_code(1).expect_words("does not remember");
    restore("someday").expect_code(2).expect_words("expected a time");
    command(&server, &["tag", "history", "team/app:v1"]).expect_code(0).expect_words("(restore by local)");
    command(&server, &["tag", "history", "team/app"]).expect_code(2).expect_words("expected REPOSITORY:TAG");
}

#[test]
fn the_history_is_served_in_pages() {
    let server = Server::start();
    let (first, second) = pushed_twice(&server);
    let client = server.client();
    client.delete_manifest(REPOSITORY, "v1").expect_status(202);
    let path = "/v2/team/app/_oci/tag-history/v1";
    let reply = client.get(path).expect_status(200);
    assert_eq!(reply.header("content-type"), "application/vnd.oci.image.index.v1+json");
    let index = reply.json();
    let digests: Vec<_> =
        index["manifests"].as_array().expect("a list").iter().map(|entry| &entry["digest"]).collect();
    assert_eq!(digests, [&second.digest, &first.digest]);
    let newest = &index["manifests"][0];
    assert_eq!(newest["size"], second.bytes.len());
    assert!(newest["annotations"]["dev.wharfinger.ref.ended"].is_string(), "the tag was deleted");

    let mut next = format!("{path}?n=1");
    let mut seen = Vec::new();
    loop {
        let reply = client.get(&next).expect_status(200);
        let page = reply.json()["manifests"].as_array().expect("a list").clone();
        assert!(page.len() <= 1);
        seen.extend(page.iter().map(|entry| entry["digest"].as_str().expect("a digest").to_owned()));
        let Some(link) = reply.find_header("link") else { break };
        next = link.trim_start_matches('<').split('>').next().expect("a link").to_owned();
    }
    assert_eq!(seen, [second.digest.as_str(), first.digest.as_str()]);

    for nothing in ["/v2/team/app/_oci/tag-history/other", "/v2/no/such/_oci/tag-history/v1"] {
        assert_eq!(client.get(nothing).expect_status(200).json()["manifests"], serde_json::json!([]));
    }
    client.get(&format!("{path}?last=x")).expect_error(400, "PAGINATION_NUMBER_INVALID");
}

#[test]
fn a_pinned_image_is_there_whatever_happens() {
    let server = Server::start();
    let (first, _) = pushed_twice(&server);
    let client = server.client();
    let by_digest = format!("team/app@{}", first.digest);
    command(&server, &["pin", "add", &by_digest]).expect_code(0);
    command(&server, &["pin", "ls"]).expect_code(0).expect_words(&by_digest);
    command(&server, &["gc", "--explain", &first.digest]).expect_code(0).expect_words("pinned in team/app");
    command(&server, &["repo", "delete", "team/app"]).expect_code(1).expect_words("pin rm");
    client.delete_manifest(REPOSITORY, &first.digest).expect_status(202);
    command(&server, &["gc", "--now"]).expect_code(0);
    command(&server, &["undelete", &by_digest]).expect_code(0);
    first.assert_pullable(&client, REPOSITORY, &first.digest);
    command(&server, &["pin", "rm", &by_digest]).expect_code(0);
    command(&server, &["pin", "rm", &by_digest]).expect_code(1).expect_words("pin ls");
    command(&server, &["pin", "add", "team/app:none"]).expect_code(1);
    command(&server, &["pin", "add", "team/app"]).expect_code(2);
}
