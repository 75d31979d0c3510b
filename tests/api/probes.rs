//! `/livez` and `/readyz`: what Kubernetes, Compose and load balancers ask.

use crate::support::{ImageBuilder, Server, files};

#[test]
fn a_server_is_alive_and_ready() {
    let server = Server::start();
    let client = server.client();
    client.get("/livez").expect_status(200).expect_body(b"ok\n");
    client.head("/livez").expect_status(200);
    let reply = client.get("/readyz").expect_status(200);
    assert_eq!(String::from_utf8_lossy(&reply.body).lines().count(), 1, "one line");
    let json = reply.json();
    assert_eq!((&json["status"], &json["reasons"]), (&"ready".into(), &serde_json::json!([])));
    assert!(json["last_commit_age_ms"].is_u64(), "a real commit: {json}");
    for path in ["/livez", "/readyz"] {
        client.post(path, b"").expect_error(405, "UNSUPPORTED");
    }
    for path in ["/livez/", "/readyz/x", "/healthz"] {
        client.get(path).expect_error(404, "UNSUPPORTED");
    }
}

#[test]
fn whoever_may_do_nothing_may_ask() {
    let server = Server::builder().env("WHARFINGER_ACCESS", "[]").start();
    server.client().get("/v2/").expect_error(403, "DENIED");
    server.client().get("/livez").expect_status(200);
    server.client().get("/readyz").expect_status(200);
}

#[test]
fn damaged_blobs_are_known_until_they_are_whole_again() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(990).build();
    image.push(&client, "hurt", "v1");
    let digest = image.blob_digests()[1].clone();
    std::fs::remove_file(files::blob_file(server.data(), &digest)).expect("its file");
    client.assert_blob_status("hurt", &digest, 404);
    let status = |word: &'static str| {
        crate::support::wait::until("the word of it", || {
            let json = client.get("/readyz").expect_status(200).json();
            (json["status"] == word).then_some(json)
        })
    };
    let json = status("degraded");
    assert!(json["reasons"][0].as_str().expect("words").starts_with("damaged blobs: 1;"), "{json}");
    image.push(&client, "hurt", "v1");
    status("ready");
}

#[test]
fn what_asks_all_day_does_not_fill_the_log() {
    let server = Server::start();
    let client = server.client();
    client.get("/livez").expect_status(200);
    client.get("/readyz").expect_status(200);
    client.get("/v2/").expect_status(200);
    crate::support::wait::until_true("the request to be logged", || server.log().contains("GET /v2/ 200"));
    assert!(!server.log().contains("/livez") && !server.log().contains("/readyz"), "{}", server.log());
}
