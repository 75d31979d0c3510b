//! Every error is said in the form that clients read. The client of the tests asserts the form itself.

use std::collections::HashSet;

use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Server, bytes};

#[test]
fn an_unknown_path_is_not_found() {
    let server = Server::start();
    let client = server.client();
    let paths = [
        "/",
        "/v1/",
        "/v3/",
        "/favicon.ico",
        "/v2/x",
        "/v2/x/",
        "/v2/x/y/z",
        "/v2/x/tags",
        "/v2/x/tags/",
        "/v2/x/tags/lists",
        "/v2/x/manifests",
        "/v2/_nothing",
    ];
    for path in paths {
        client.get(path).expect_status(404).oci_error();
        client.head(path).expect_status(404);
    }
}

#[test]
fn a_path_that_ends_too_early_is_an_error() {
    let server = Server::start();
    let client = server.client();
    for path in ["/v2/x/manifests/", "/v2/x/blobs/", "/v2/x/referrers/", "/v2/manifests/v1", "/v2/tags/list"]
    {
        client.get(path).expect_status_in(&[400, 404]).oci_error();
        client.head(path).expect_status_in(&[400, 404]);
        client.delete(path).expect_status_in(&[400, 404, 405]);
    }
}

#[test]
fn a_method_that_a_path_does_not_know_is_refused() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest_of_nothing_here();
    let cases = [
        ("POST", "/v2/".to_owned()),
        ("DELETE", "/v2/".to_owned()),
        ("PUT", "/v2/_catalog".to_owned()),
        ("DELETE", "/v2/_catalog".to_owned()),
        ("POST", "/v2/x/tags/list".to_owned()),
        ("DELETE", "/v2/x/tags/list".to_owned()),
        ("POST", "/v2/x/manifests/v1".to_owned()),
        ("PATCH", "/v2/x/manifests/v1".to_owned()),
        ("PUT", format!("/v2/x/blobs/{digest}")),
        ("PATCH", format!("/v2/x/blobs/{digest}")),
        ("POST", format!("/v2/x/blobs/{digest}")),
        ("POST", format!("/v2/x/referrers/{digest}")),
        ("DELETE", format!("/v2/x/referrers/{digest}")),
        ("POST", "/v2/x/blobs/uploads/0123456789abcdef0123456789abcdef".to_owned()),
    ];
    for (method, path) in cases {
        let reply = client.request(method, &path).send().expect_error(405, "UNSUPPORTED");
        let allowed: Vec<_> = reply.header("allow").split(',').map(str::trim).collect();
        assert!(!allowed.is_empty() && !allowed.contains(&method), "{method} {path}: Allow {allowed:?}");
    }
}

#[test]
fn allow_names_what_works() {
    let server = Server::start();
    let client = server.client();
    let digest = bytes::digest_of_nothing_here();
    let cases = [
        ("/v2/".to_owned(), vec!["GET", "HEAD"]),
        ("/v2/_catalog".to_owned(), vec!["GET"]),
        ("/v2/x/tags/list".to_owned(), vec!["GET"]),
        ("/v2/x/manifests/v1".to_owned(), vec!["DELETE", "GET", "HEAD", "PUT"]),
        (format!("/v2/x/blobs/{digest}"), vec!["DELETE", "GET", "HEAD"]),
        (format!("/v2/x/referrers/{digest}"), vec!["GET"]),
        ("/v2/x/blobs/uploads/".to_owned(), vec!["POST"]),
        (
            "/v2/x/blobs/uploads/0123456789abcdef0123456789abcdef".to_owned(),
            vec!["DELETE", "GET", "PATCH", "PUT"],
        ),
    ];
    for (path, expected) in cases {
        let reply = client.request("BREW", &path).send().expect_error(405, "UNSUPPORTED");
        let allowed: HashSet<_> = reply.header("allow").split(',').map(str::trim).collect();
        for method in expected {
            assert!(allowed.contains(method), "{method} {path}: Allow {allowed:?}");
        }
    }
}

#[test]
fn a_uri_that_is_too_long_is_said_to_be() {
    let server = Server::start();
    let (name, digest) = ("x".repeat(40_000), bytes::digest_of_nothing_here());
    for path in [
        format!("/{name}"),
        format!("/v2/{name}"),
        format!("/v2/{name}/tags/list"),
        format!("/v2/x/manifests/{name}"),
        format!("/v2/x/blobs/uploads/?digest={name}"),
        format!("/v2/x/referrers/{digest}?artifactType={name}"),
        format!("/v2/?{name}"),
    ] {
        for method in ["GET", "HEAD", "PUT", "OPTIONS", "BREW"] {
            let mut connection = Connection::open(server.addr());
            let reply = connection.send_head(method, &path, &[]).reply(method).expect_status(414);
            if method != "HEAD" {
                assert_eq!(reply.oci_error(), "UNSUPPORTED");
            }
            assert_eq!(connection.send_head("GET", "/v2/", &[]).reply("GET").status, 200);
        }
    }
    let fitting = format!("/v2/_catalog?n=1&{}", "x".repeat(32_000));
    server.client().get(&fitting).expect_status(200);
}

/// docs/errors.md says so: these heads are refused before there is a request to answer.
#[test]
fn a_head_that_cannot_be_read_is_answered_without_a_word() {
    let server = Server::builder().env("WHARFINGER_HEAD_READ_SECS", "1").start();
    let target = "x".repeat(70_000);
    let header = format!("X-Long: {}", "x".repeat(140_000));
    for (head, expected) in [
        (format!("GET /v2/{target} HTTP/1.1\r\nHost: x\r\n\r\n"), 400),
        ("GET /v2/ HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        (format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n"), 431),
        ("GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(), 408),
    ] {
        let mut connection = Connection::open(server.addr());
        let reply = connection.send(head.as_bytes()).reply("GET");
        assert_eq!((reply.status, reply.body.len()), (expected, 0), "{}", &head[..40]);
        connection.expect_closed();
    }
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let server = Server::start();
    let client = server.client();
    let paths = ["/v2/", "/v2/x/tags/list", "/v2/_catalog", "/nothing", "/v2/x/manifests/v1"];
    let mut ids = HashSet::new();
    for _ in 0..20 {
        for path in paths {
            ids.insert(client.get(path).header("x-request-id").to_owned());
            ids.insert(client.head(path).header("x-request-id").to_owned());
        }
        ids.insert(client.post("/v2/x/tags/list", b"").header("x-request-id").to_owned());
    }
    assert_eq!(ids.len(), 20 * (2 * paths.len() + 1));
}

#[test]
fn every_answer_names_the_version_of_the_api() {
    let server = Server::start();
    for (method, path) in [("GET", "/v2/"), ("GET", "/v2/x/tags/list"), ("BREW", "/v2/"), ("GET", "/v2/%ff")]
    {
        let mut connection = Connection::open(server.addr());
        let reply = connection.send_head(method, path, &[]).reply(method);
        assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0", "{method} {path}");
        assert!(!reply.header("x-request-id").is_empty(), "{method} {path}");
    }
}

#[test]
fn an_error_leaves_the_connection_usable() {
    let server = Server::start();
    let image = ImageBuilder::sample(350).build();
    image.push(&server.client(), "x", "v1");
    let mut connection = Connection::open(server.addr());
    for _ in 0..3 {
        connection.send_head("GET", "/nothing", &[]).reply("GET").expect_status(404);
        connection.send_head("BREW", "/v2/", &[]).reply("BREW").expect_status(405);
        connection.send_head("GET", "/v2/x/manifests/v2", &[]).reply("GET").expect_status(404);
        let reply = connection.send_head("GET", "/v2/x/manifests/v1", &[]).reply("GET");
        reply.expect_status(200).expect_body(&image.bytes);
    }
}

#[test]
fn a_body_nobody_wants_does_not_become_the_next_request() {
    let server = Server::start();
    let hidden = b"GET /v2/x/tags/list HTTP/1.1\r\nHost: hidden\r\n\r\n";
    let length = format!("Content-Length: {}", hidden.len());
    for (method, path) in
        [("POST", "/nothing"), ("BREW", "/v2/"), ("GET", "/v2/"), ("DELETE", "/v2/x/manifests/v1")]
    {
        let mut connection = Connection::open(server.addr());
        connection.send_head(method, path, &[&length]).send(hidden);
        connection.send_head("GET", "/v2/", &[]);
        let first = connection.reply(method);
        if first.find_header("connection") == Some("close") {
            connection.expect_closed();
        } else {
            connection.reply("GET").expect_status(200).expect_body(b"{}");
            connection.send_head("GET", "/v2/", &["Connection: close"]);
            connection.reply("GET").expect_status(200).expect_body(b"{}");
            connection.expect_closed();
        }
    }
}

#[test]
fn nothing_inside_is_told() {
    let server = Server::start();
    let client = server.client();
    let data = server.data().to_str().expect("a path in UTF-8").to_owned();
    let replies = [
        client.get("/v2/x/manifests/v1"),
        client.get(&format!("/v2/x/blobs/{}", bytes::digest_of_nothing_here())),
        client.put("/v2/x/manifests/v1", b"{"),
        client.get("/v2/x/blobs/uploads/0123456789abcdef0123456789abcdef"),
        client.get("/nothing"),
    ];
    for reply in replies {
        let words = String::from_utf8_lossy(&reply.body).into_owned();
        for secret in [data.as_str(), "redb", "src/", "panicked", "actix"] {
            assert!(!words.contains(secret), "{secret} in {reply}");
        }
    }
}
