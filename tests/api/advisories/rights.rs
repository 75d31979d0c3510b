//! Who may do what: rights that were lost, forgotten or gone round.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::{APART, Scene, seen};
use crate::support::accounts::{PASSWORD, builder_with, by_token, image, text, write_users};
use crate::support::builders::{OCI_INDEX, OCI_LAYER, OCI_MANIFEST, descriptor};
use crate::support::command::answer;
use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Reply, Server, bytes, uploads, wait};

/// One store for all repositories, and a right to one of them opens nothing of another.
#[test]
fn cve_2024_39897_a_digest_opens_no_blob_of_another_repository() {
    let Scene { _folder, server, alice, bob } = Scene::start(APART);
    let image = ImageBuilder::sample(1500).build();
    image.push(&bob, "secret/app", "v1");
    let layer = image.blob_digests().pop().expect("a layer");
    let nothing = bytes::digest_of_nothing_here();
    for repository in ["secret/app", "team/app"] {
        for kind in ["blobs", "manifests", "referrers"] {
            for (digest, method) in
                [(&layer, "HEAD"), (&layer, "GET"), (&image.digest, "HEAD"), (&image.digest, "GET")]
            {
                let ask = |digest: &str| {
                    let path = format!("/v2/{repository}/{kind}/{digest}");
                    seen(&alice.request(method, &path).send(), digest)
                };
                assert_eq!(ask(digest), ask(&nothing), "{method} {kind} of {repository}");
            }
        }
        // Nor by the way of a token for both.
        let token = by_token(&alice, &["repository:secret/app:pull", "repository:team/app:pull,push"]);
        token.head_blob(repository, &layer).expect_status_in(&[401, 404]);
    }
    drop(server);
}

/// To say that bytes are there already is to give them away.
#[test]
fn cve_2026_28740_no_upload_is_skipped_by_what_others_have() {
    let Scene { _folder, alice, bob, .. } = &Scene::start(APART);
    let image = ImageBuilder::sample(1501).build();
    image.push(bob, "secret/app", "v1");
    let layer = image.blob_digests().pop().expect("a layer");
    for from in ["", "&from=secret/app", "&from=team/app", "&from=team/none"] {
        let mount = |digest: &str| {
            let path = format!("/v2/team/app/blobs/uploads/?mount={digest}{from}");
            alice.post(&path, b"").expect_status(202)
        };
        let (there, not) = (mount(&layer), mount(&bytes::digest_of_nothing_here()));
        let names = |reply: &Reply| {
            let headers = reply.stable_headers().into_iter();
            headers.map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&there), names(&not));
    }
    // Nobody becomes the owner of bytes whose digest is all that is known of them.
    let closed = alice.put(&uploads::with_digest(&uploads::start(alice, "team/app"), &layer), b"");
    closed.expect_error(400, "DIGEST_INVALID");
    let whole = alice.post(&format!("/v2/team/app/blobs/uploads/?digest={layer}"), b"");
    whole.expect_error(400, "DIGEST_INVALID");
    let document = alice.push_manifest("team/app", "v1", &image.media_type, &image.bytes);
    document.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    alice.head_blob("team/app", &layer).expect_status(404);
    assert!(alice.catalog().is_empty());
}

/// Every way to change something, by somebody who may only read: nothing is changed.
#[test]
fn cve_2026_41888_who_may_only_read_changes_nothing() {
    let rules = "[{who=[\"alice\"], repos=[\"**\"], can=[\"pull\",\"push\",\"delete\"]}, \
                 {who=[\"bob\"], repos=[\"**\"], can=[\"pull\"]}]";
    let Scene { _folder, server, alice, bob } = Scene::start(rules);
    let image = image(b"layer");
    image.push(&alice, "team/app", "v1");
    let open = uploads::start(&alice, "team/app");
    let before = alice.get("/api/v1/repositories/team/app").expect_status(200).json();
    let layer = &image.blob_digests()[1];
    let digest = &image.digest;
    for (method, path) in [
        ("DELETE", "/v2/team/app/manifests/v1".to_owned()),
        ("DELETE", format!("/v2/team/app/manifests/{digest}")),
        ("DELETE", format!("/v2/team/app/blobs/{layer}")),
        ("PUT", "/v2/team/app/manifests/v1".to_owned()),
        ("PUT", "/v2/team/app/manifests/v2".to_owned()),
        ("PUT", format!("/v2/team/app/manifests/{digest}?tag=v3")),
        ("POST", "/v2/team/app/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/team/other/blobs/uploads/?mount={layer}&from=team/app")),
        ("POST", format!("/v2/team/app/blobs/uploads/?digest={layer}")),
        ("PATCH", open.clone()),
        ("PUT", uploads::with_digest(&open, layer)),
        ("DELETE", open.clone()),
    ] {
        let request = bob.request(method, &path).header("content-type", &image.media_type);
        request.body(&image.bytes).send().expect_error(403, "DENIED");
        let scopes = ["repository:team/app:pull,push,delete", "repository:team/other:pull,push"];
        let bearer = by_token(&bob, &scopes);
        let request = bearer.request(method, &path).header("content-type", &image.media_type);
        request.body(&image.bytes).send().expect_status_in(&[401, 403]);
    }
    image.assert_pullable(&bob, "team/app", "v1");
    assert_eq!(alice.get("/api/v1/repositories/team/app").expect_status(200).json(), before);
    assert_eq!(alice.catalog(), ["team/app"]);
    assert_eq!(uploads::offset(&alice, &open), 0);
    drop(server);
}

/// Who is taken out of a group is out, with every token that was got before.
#[test]
fn cve_2025_23208_who_leaves_a_group_is_out_at_once() {
    let folder = TempDir::new().expect("a temporary directory");
    let (file, users) = (folder.path().join("w.toml"), folder.path().join("htpasswd"));
    write_users(&users, &[("alice", PASSWORD)]);
    let write = |members: &str| {
        let rules = "access = [{who=[\"group:team\"], repos=[\"team/**\"], can=[\"pull\",\"push\"]}]";
        let users = users.to_str().expect("a path in UTF-8");
        let text = format!("htpasswd = \"{users}\"\n{rules}\n[groups]\nteam = [{members}]\n");
        fs::write(&file, text).expect("the folder can be written to");
    };
    write("\"alice\"");
    let server = Server::builder().arg("--config").arg(file.to_str().expect("a path in UTF-8")).start();
    let alice = server.client().with_password("alice", PASSWORD);
    let bearer = by_token(&alice, &["repository:team/app:pull,push"]);
    image(b"layer").push(&alice, "team/app", "v1");
    bearer.get_manifest("team/app", "v1").expect_status(200);
    write("\"bob\"");
    server.hang_up();
    wait::until_true("the group to be read", || alice.get_manifest("team/app", "v1").status != 200);
    for client in [&alice, &bearer] {
        client.get_manifest("team/app", "v1").expect_status(404);
        client.post("/v2/team/app/blobs/uploads/", b"").expect_status(403);
    }
    let token = crate::support::accounts::token(&alice, &["repository:team/app:pull"]);
    server.client().with_token(&token).get_manifest("team/app", "v1").expect_status(404);
}

/// What a robot may is the same however it comes: by its secret as a password, as a token, or by tokens of
/// the token service, which it may ask for by both.
#[test]
fn cve_2025_68944_a_robot_may_the_same_by_every_way() {
    let rules = "[{who=[\"alice\"], repos=[\"**\"], can=[\"pull\",\"push\",\"delete\"]}]";
    for (can, pulls, pushes, deletes) in [
        ("pull", true, false, false),
        ("push", false, true, false),
        ("pull,delete", true, false, true),
        ("pull,push,delete", true, true, true),
    ] {
        let Scene { _folder, server, alice, .. } = &Scene::start(rules);
        let made = answer(server, &["token", "create", "builder", "--repo", "team/*", "--can", can]);
        let secret = text(&made, "secret");
        let basic = server.client().with_password("builder", &secret);
        let scope = "repository:team/app:pull,push,delete";
        let form = format!(
            "grant_type=password&service=wharfinger&username=builder&password={secret}&scope={scope}"
        );
        let posted = server.client().post("/token", form.as_bytes()).expect_status(200).json();
        let ways = [
            ("Basic", basic.clone()),
            ("Bearer", server.client().with_token(&secret)),
            ("GET /token", by_token(&basic, &[scope])),
            ("POST /token", server.client().with_token(&text(&posted, "access_token"))),
        ];
        for (way, client) in &ways {
            let image = image(b"layer");
            image.push(alice, "team/app", "v1");
            let may = |status: u16| !matches!(status, 401 | 403 | 404);
            let what = format!("{can} by {way}");
            assert_eq!(may(client.get_manifest("team/app", "v1").status), pulls, "{what}");
            assert_eq!(may(client.head_blob("team/app", &image.blob_digests()[0]).status), pulls, "{what}");
            assert_eq!(may(client.post("/v2/team/app/blobs/uploads/", b"").status), pushes, "{what}");
            assert_eq!(may(client.delete_manifest("team/app", &image.digest).status), deletes, "{what}");
            assert!(!may(client.post("/v2/other/app/blobs/uploads/", b"").status), "{what}");
            assert!(!may(client.get_manifest("other/app", "v1").status), "{what}");
        }
    }
}

/// Whether somebody may is decided by what the head says, before there is a body to look at.
#[test]
fn cve_2024_41110_the_body_has_no_part_in_the_decision() {
    let Scene { _folder, server, bob, .. } = &Scene::start(APART);
    let encoded = bob.authorization().expect("bob logs in");
    for (method, path) in [("PUT", "/v2/team/app/manifests/v1"), ("POST", "/v2/team/app/blobs/uploads/")] {
        for length in ["Content-Length: 4000000", "Transfer-Encoding: chunked"] {
            let headers = [format!("Authorization: {encoded}"), length.to_owned()];
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            // The answer comes though no byte of the body does.
            let reply = Connection::open(server.addr()).send_head(method, path, &headers).reply(method);
            reply.expect_error(403, "DENIED");
        }
    }
}

/// One document that two readers would take for two things.
#[test]
fn cve_2021_41190_a_manifest_is_of_one_kind() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(1502).build();
    image.push(&client, "app", "v1");
    let mut both = ImageBuilder::sample(1502).json();
    both["manifests"] = json!([image.descriptor()]);
    let put = |media_type: &str, document: &serde_json::Value| {
        client.push_manifest("app", "evil", media_type, document.to_string().as_bytes())
    };
    for media_type in [OCI_MANIFEST, OCI_INDEX] {
        let mut document = both.clone();
        document["mediaType"] = media_type.into();
        put(media_type, &document).expect_error(400, "MANIFEST_INVALID");
        document.as_object_mut().expect("an object").remove("mediaType");
        put(media_type, &document).expect_error(400, "MANIFEST_INVALID");
    }
    put(OCI_INDEX, &ImageBuilder::sample(1502).json()).expect_error(400, "MANIFEST_INVALID");
    client.get_manifest("app", "evil").expect_status(404);
    // What is served is what was stored, whatever a client would rather have.
    for accept in [OCI_INDEX, "text/html", "*/*"] {
        let request = client.request("GET", "/v2/app/manifests/v1").header("accept", accept);
        request.send().expect_status(200).expect_header("content-type", &image.media_type);
    }
}

/// A layer that is said to lie elsewhere is no reason to send anybody there, with or without credentials.
#[test]
fn cve_2020_15157_nobody_is_sent_to_another_host() {
    let Scene { _folder, alice, .. } = &Scene::start(APART);
    let mut layer = descriptor(OCI_LAYER, b"never pushed");
    layer["urls"] = json!(["https://evil.example/layer"]);
    layer["mediaType"] = crate::support::builders::OCI_NONDISTRIBUTABLE_LAYER.into();
    let digest = layer["digest"].as_str().expect("a digest").to_owned();
    ImageBuilder::oci().layer_elsewhere(layer).build().push(alice, "team/app", "v1");
    for method in ["GET", "HEAD"] {
        let path = format!("/v2/team/app/blobs/{digest}");
        alice.request(method, &path).send().expect_status(404).expect_no_header("location");
    }
    for (name, value) in [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")] {
        let request = alice.request("POST", "/v2/team/app/blobs/uploads/").header(name, value);
        uploads::location(&request.body(b"").send().expect_status(202));
        let anybody = alice.without_login();
        let reply = anybody.request("GET", "/v2/").header(name, value).send().expect_status(401);
        assert!(!reply.to_string().contains("evil.example"), "{reply}");
    }
}

/// There is nothing to log in with until somebody makes it.
#[test]
fn cve_2026_4404_no_account_is_there_from_the_start() {
    let folder = TempDir::new().expect("a temporary directory");
    let server = builder_with(folder.path(), APART)
        .env("WHARFINGER_FAILED_LOGINS_MAX", "1000000")
        .env("WHARFINGER_FAILED_LOGIN_DELAY_MAX_MS", "0")
        .start();
    write_users(&folder.path().join("htpasswd"), &[("alice", PASSWORD)]);
    for name in ["admin", "root", "wharfinger", "registry", "bob", ""] {
        for password in ["", "admin", "password", "Harbor12345", name] {
            let client = server.client().with_password(name, password);
            client.get("/v2/").expect_error(401, "UNAUTHORIZED");
        }
    }
}
