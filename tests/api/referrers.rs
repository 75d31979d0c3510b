//! What was attached to an image.

use serde_json::{Value, json};

use crate::support::builders::{OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST};
use crate::support::{Client, ImageBuilder, IndexBuilder, Manifest, Reply, Server, bytes};

const REPOSITORY: &str = "attached";
const SBOM: &str = "application/vnd.example.sbom+json";
const SIGNATURE: &str = "application/vnd.example.signature";

/// An artifact of a type, attached to `subject`, unlike any with another `note`.
fn artifact(subject: &Manifest, artifact_type: &str, note: &str) -> Manifest {
    let builder = ImageBuilder::oci().config_type(OCI_EMPTY).artifact_type(artifact_type);
    builder.annotation("note", note).subject(subject.descriptor()).build()
}

#[track_caller]
fn referrers(client: &Client, digest: &str, query: &str) -> Reply {
    client.get(&format!("/v2/{REPOSITORY}/referrers/{digest}{query}")).expect_status(200)
}

/// Asserts the form of the answer and gives the digests in it.
#[track_caller]
fn digests_in(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.header("content-type"), OCI_INDEX);
    let body = reply.json();
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    let digest = |entry: &Value| entry["digest"].as_str().expect("a digest").to_owned();
    body["manifests"].as_array().expect("manifests is a list").iter().map(digest).collect()
}

#[track_caller]
fn assert_empty(reply: Reply) {
    let reply = reply.expect_status(200).expect_header("content-type", OCI_INDEX).expect_no_header("link");
    assert_eq!(reply.json(), json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }));
}

fn sorted(mut digests: Vec<String>) -> Vec<String> {
    digests.sort();
    digests
}

#[test]
fn an_unknown_subject_has_none() {
    let server = Server::start();
    let client = server.client();
    let unknown = bytes::digest_of_nothing_here();
    assert_empty(client.get(&format!("/v2/never/seen/referrers/{unknown}")));
    let image = ImageBuilder::sample(300).build();
    image.push(&client, REPOSITORY, "v1");
    assert_empty(client.get(&format!("/v2/{REPOSITORY}/referrers/{unknown}")));
    assert_empty(client.get(&format!("/v2/{REPOSITORY}/referrers/{}", image.digest)));
    assert_empty(client.get(&format!("/v2/{REPOSITORY}/referrers/{}", bytes::digest_sha512(b"x"))));
}

#[test]
fn a_digest_that_is_none_is_refused() {
    let server = Server::start();
    let client = server.client();
    for wrong in ["sha256:baddigest", "latest", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:"] {
        client.get(&format!("/v2/{REPOSITORY}/referrers/{wrong}")).expect_error(400, "DIGEST_INVALID");
    }
}

#[test]
fn a_subject_is_acknowledged() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(301).build();
    image.push_blobs(&client, REPOSITORY);
    let reply = client.push_manifest(REPOSITORY, "v1", &image.media_type, &image.bytes);
    reply.expect_status(201).expect_no_header("oci-subject");
    let signature = artifact(&image, SIGNATURE, "one");
    signature.push_blobs(&client, REPOSITORY);
    let reply = client.push_manifest(REPOSITORY, &signature.digest, OCI_MANIFEST, &signature.bytes);
    reply.expect_status(201).expect_header("oci-subject", &image.digest);
}

#[test]
fn a_subject_need_not_be_there() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(302).build();
    let signature = artifact(&image, SIGNATURE, "early");
    signature.push_blobs(&client, REPOSITORY);
    let reply = client.push_manifest(REPOSITORY, "sig", OCI_MANIFEST, &signature.bytes).expect_status(201);
    assert_eq!(reply.header("oci-subject"), image.digest);
    assert_eq!(digests_in(&referrers(&client, &image.digest, "")), [signature.digest.as_str()]);
    image.push(&client, REPOSITORY, "v1");
    assert_eq!(digests_in(&referrers(&client, &image.digest, "")), [signature.digest.as_str()]);
}

#[test]
fn a_descriptor_tells_what_it_is() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(303).build();
    let sbom = ImageBuilder::oci()
        .config_type(OCI_EMPTY)
        .artifact_type(SBOM)
        .annotation("org.example.a", "1")
        .annotation("org.example.b", "\"quoted\" \u{1f6a2}")
        .subject(image.descriptor())
        .build();
    sbom.push(&client, REPOSITORY, "sbom");
    let found = client.referrers(REPOSITORY, &image.digest);
    let expected = json!({
        "mediaType": OCI_MANIFEST,
        "digest": sbom.digest,
        "size": sbom.bytes.len(),
        "artifactType": SBOM,
        "annotations": { "org.example.a": "1", "org.example.b": "\"quoted\" \u{1f6a2}" },
    });
    assert_eq!(found, [expected]);
}

#[test]
fn the_type_of_an_artifact_may_be_that_of_its_config() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(304).build();
    let custom =
        ImageBuilder::oci().config_type("application/vnd.example.config").subject(image.descriptor());
    let plain = ImageBuilder::oci().config(b"{\"os\":\"linux\"}").subject(image.descriptor());
    let index = IndexBuilder::oci().subject(image.descriptor()).annotation("kind", "index");
    let typed = IndexBuilder::oci().subject(image.descriptor()).artifact_type(SBOM);
    let expected = [
        (custom.build(), Some("application/vnd.example.config")),
        (plain.build(), Some(OCI_CONFIG)),
        (index.build(), None),
        (typed.build(), Some(SBOM)),
    ];
    for (document, _) in &expected {
        document.push_untagged(&client, REPOSITORY);
    }
    let found = client.referrers(REPOSITORY, &image.digest);
    assert_eq!(found.len(), expected.len());
    for (document, artifact_type) in &expected {
        let entry = found.iter().find(|entry| entry["digest"] == document.digest).expect("it is listed");
        let told = entry.get("artifactType").and_then(Value::as_str).filter(|told| !told.is_empty());
        assert_eq!(told, *artifact_type, "{entry}");
        assert_eq!(entry["mediaType"], document.media_type);
    }
}

#[test]
fn one_type_may_be_asked_for() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(305).build();
    let sboms = ["one", "two"].map(|note| artifact(&image, SBOM, note));
    let signature = artifact(&image, SIGNATURE, "three");
    for document in sboms.iter().chain([&signature]) {
        document.push_untagged(&client, REPOSITORY);
    }
    let expected = sorted(sboms.iter().map(|sbom| sbom.digest.clone()).collect());
    let raw = SBOM.to_owned();
    let escaped = SBOM.replace('+', "%2B").replace('/', "%2F");
    for spelling in [raw, escaped] {
        let reply = referrers(&client, &image.digest, &format!("?artifactType={spelling}"));
        assert_eq!(reply.header("oci-filters-applied"), "artifactType");
        assert_eq!(sorted(digests_in(&reply)), expected, "{spelling}");
    }
    let reply = referrers(&client, &image.digest, &format!("?artifactType={SIGNATURE}"));
    assert_eq!(digests_in(&reply), [signature.digest.as_str()]);
    let reply = referrers(&client, &image.digest, "?artifactType=application/vnd.example.none");
    assert_empty(reply.expect_header("oci-filters-applied", "artifactType"));
    let all = referrers(&client, &image.digest, "").expect_no_header("oci-filters-applied");
    assert_eq!(digests_in(&all).len(), 3);
}

#[test]
fn pages_are_linked() {
    let server =
        Server::builder().env("WHARFINGER_PAGE_MAX", "3").env("WHARFINGER_REFERRERS_PAGE_MAX", "3").start();
    let client = server.client();
    let image = ImageBuilder::sample(306).build();
    client.push_blob(REPOSITORY, b"{}");
    let attach = |artifact_type: &str, number: usize| {
        let document = artifact(&image, artifact_type, &number.to_string());
        document.push_document(&client, REPOSITORY, &document.digest);
        document.digest
    };
    let sboms: Vec<_> = (0..7).map(|number| attach(SBOM, number)).collect();
    let signatures: Vec<_> = (0..6).map(|number| attach(SIGNATURE, number)).collect();
    let all = sorted([sboms.clone(), signatures].concat());
    assert_eq!(sorted(walk(&client, &image.digest, "", 3)), all);
    let filter = format!("?artifactType={}", SBOM.replace('+', "%2B"));
    assert_eq!(sorted(walk(&client, &image.digest, &filter, 3)), sorted(sboms));
}

/// oras reads no more than so many bytes of an answer.
#[test]
fn a_page_ends_before_it_has_too_many_bytes() {
    const PAGE_BYTES: usize = 2048;
    let server =
        Server::builder().env("WHARFINGER_REFERRERS_PAGE_MAX_BYTES", &PAGE_BYTES.to_string()).start();
    let client = server.client();
    let image = ImageBuilder::sample(313).build();
    client.push_blob(REPOSITORY, b"{}");
    let mut expected = Vec::new();
    for number in 0..6 {
        let document = artifact(&image, SBOM, &format!("{number}{}", "x".repeat(700)));
        document.push_document(&client, REPOSITORY, &document.digest);
        expected.push(document.digest);
    }
    let first = referrers(&client, &image.digest, "");
    assert!(first.body.len() <= PAGE_BYTES, "{} bytes", first.body.len());
    assert!(first.next_page().is_some(), "there are more: {first}");
    assert_eq!(sorted(walk(&client, &image.digest, "", 2)), sorted(expected));
}

/// U+0001 is one byte, and six in JSON: clients count the latter.
#[test]
fn a_page_is_measured_as_it_is_sent() {
    const PAGE_BYTES: usize = 2 << 20;
    let server = Server::builder().env("WHARFINGER_REFERRER_ANNOTATIONS_MAX_BYTES", "1048576").start();
    let client = server.client();
    let image = ImageBuilder::sample(314).build();
    client.push_blob(REPOSITORY, b"{}");
    let mut expected = Vec::new();
    for number in 0..6 {
        let document = artifact(&image, SBOM, &format!("{number}{}", "\u{1}".repeat(100 << 10)));
        document.push_document(&client, REPOSITORY, &document.digest);
        expected.push(document.digest);
    }
    let first = referrers(&client, &image.digest, "");
    assert!(first.body.len() <= PAGE_BYTES, "{} bytes", first.body.len());
    assert_eq!(digests_in(&first).len(), 3, "and not much less");
    assert_eq!(sorted(walk(&client, &image.digest, "", 3)), sorted(expected));
}

#[test]
fn annotations_are_limited_as_they_are_listed() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(315).build();
    client.push_blob(REPOSITORY, b"{}");
    let large = artifact(&image, SBOM, &"\u{1}".repeat(50 << 10));
    let reply = client.push_manifest(REPOSITORY, &large.digest, OCI_MANIFEST, &large.bytes);
    let reply = reply.expect_error(400, "MANIFEST_INVALID");
    assert!(String::from_utf8_lossy(&reply.body).contains("at most 262144 bytes"), "{reply}");
    let fitting = artifact(&image, SBOM, &"\u{1}".repeat(40 << 10));
    fitting.push_document(&client, REPOSITORY, &fitting.digest);
    let listed = client.referrers(REPOSITORY, &image.digest);
    assert_eq!(listed[0]["annotations"]["note"], "\u{1}".repeat(40 << 10));
}

/// Follows Link to the end; every page of a filtered list says so.
#[track_caller]
fn walk(client: &Client, digest: &str, query: &str, size: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut reply = referrers(client, digest, query);
    loop {
        let page = digests_in(&reply);
        assert!(page.len() <= size, "at most {size} on a page: {page:?}");
        assert_eq!(reply.find_header("oci-filters-applied").is_some(), !query.is_empty());
        all.extend(page);
        match reply.next_page() {
            Some(next) => reply = client.get(&next).expect_status(200),
            None => return all,
        }
    }
}

#[test]
fn a_deleted_referrer_is_gone() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(307).build();
    image.push(&client, REPOSITORY, "v1");
    let (one, two) = (artifact(&image, SBOM, "one"), artifact(&image, SBOM, "two"));
    one.push_untagged(&client, REPOSITORY);
    two.push_untagged(&client, REPOSITORY);
    client.delete_manifest(REPOSITORY, &one.digest).expect_status(202);
    assert_eq!(digests_in(&referrers(&client, &image.digest, "")), [two.digest.as_str()]);
    client.delete_manifest(REPOSITORY, &two.digest).expect_status(202);
    assert_empty(referrers(&client, &image.digest, ""));
    one.push_untagged(&client, REPOSITORY);
    assert_eq!(digests_in(&referrers(&client, &image.digest, "")), [one.digest.as_str()]);
}

#[test]
fn referrers_of_repositories_do_not_mix() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(308).build();
    let signature = artifact(&image, SIGNATURE, "here");
    signature.push_untagged(&client, REPOSITORY);
    image.push(&client, "elsewhere", "v1");
    assert_empty(client.get(&format!("/v2/elsewhere/referrers/{}", image.digest)));
    assert_eq!(client.referrers(REPOSITORY, &image.digest).len(), 1);
}

#[test]
fn pushing_a_referrer_again_lists_it_once() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(309).build();
    let signature = artifact(&image, SIGNATURE, "again");
    for reference in ["sig", "sig", signature.digest.as_str(), "other"] {
        signature.push(&client, REPOSITORY, reference);
    }
    assert_eq!(digests_in(&referrers(&client, &image.digest, "")), [signature.digest.as_str()]);
}

/// A registry that takes the tag for the digest shows an image its own children as referrers.
#[test]
fn the_tag_of_the_fallback_scheme_is_only_a_tag() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(310).build();
    image.push(&client, REPOSITORY, "v1");
    let tag = image.digest.replace(':', "-");
    client.get_manifest(REPOSITORY, &tag).expect_error(404, "MANIFEST_UNKNOWN");
    let fallback = IndexBuilder::oci().child(&image).build();
    fallback.push(&client, REPOSITORY, &tag);
    fallback.assert_pullable(&client, REPOSITORY, &tag);
    image.assert_pullable(&client, REPOSITORY, &image.digest);
}

#[test]
fn a_referrer_of_a_sha512_subject_is_found() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(311).build();
    let mut subject = image.descriptor();
    subject["digest"] = bytes::digest_sha512(&image.bytes).into();
    let signature = ImageBuilder::oci().subject(subject).layer(b"signature").build();
    signature.push_untagged(&client, REPOSITORY);
    let found = digests_in(&referrers(&client, &bytes::digest_sha512(&image.bytes), ""));
    assert_eq!(found, [signature.digest.as_str()]);
}

#[test]
fn a_chain_of_referrers_is_followed_link_by_link() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(312).build();
    let sbom = artifact(&image, SBOM, "of the image");
    let signature = artifact(&sbom, SIGNATURE, "of the bill");
    for document in [&image, &sbom, &signature] {
        document.push_untagged(&client, REPOSITORY);
    }
    assert_eq!(digests_in(&referrers(&client, &image.digest, "")), [sbom.digest.as_str()]);
    assert_eq!(digests_in(&referrers(&client, &sbom.digest, "")), [signature.digest.as_str()]);
    assert_empty(referrers(&client, &signature.digest, ""));
}

/// What clients kept under a fallback tag while a registry had no list of referrers comes with the manifests
/// themselves; the index of such a tag may lack or misstate what they are (cosign#4641).
#[test]
fn what_a_fallback_tag_lists_is_listed_as_its_manifests_say() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(90).build();
    image.push(&client, REPOSITORY, "v1");
    let sbom = artifact(&image, SBOM, "by fallback");
    sbom.push_untagged(&client, REPOSITORY);
    let index = IndexBuilder::oci().entry(sbom.descriptor()).build();
    let fallback = image.digest.replace(':', "-");
    index.push_document(&client, REPOSITORY, &fallback);
    let listed = client.referrers(REPOSITORY, &image.digest);
    assert_eq!(listed.len(), 1, "once: {listed:?}");
    assert_eq!(listed[0]["digest"], sbom.digest);
    assert_eq!(listed[0]["artifactType"], SBOM);
    assert_eq!(listed[0]["annotations"]["note"], "by fallback");
    // The tag stays what it is to clients that know nothing else.
    client.get_manifest(REPOSITORY, &fallback).expect_status(200).expect_body(&index.bytes);
}
