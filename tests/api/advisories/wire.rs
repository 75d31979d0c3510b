//! What one request may cost, and heads that can be read in two ways.

use std::io::Read as _;

use super::{APART, Scene};
use crate::memory::{BODIES_KIB, Watched};
use crate::support::accounts::image;
use crate::support::builders::OCI_MANIFEST;
use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Server};

/// Far more than a manifest may have.
const LARGE_BYTES: u64 = 64 << 20;

/// A body without an end, in chunks and with a length that is true.
#[test]
fn cve_2017_11468_a_manifest_that_is_too_large_costs_no_memory() {
    let watched = Watched::start();
    let client = watched.server.client();
    let path = "/v2/memory/manifests/v1";
    for _ in 0..4 {
        let body = std::io::repeat(b' ').take(LARGE_BYTES);
        let request = client.request("PUT", path).header("content-type", OCI_MANIFEST).stream(body);
        // Whoever goes on sending for too long is hung up on before it reads the answer.
        if let Some(reply) = request.attempt() {
            reply.expect_status(413);
        }
        watched.assert_flat("chunks", BODIES_KIB);
    }
    let mut connection = Connection::open(watched.server.addr());
    let headers = ["Content-Type: application/json", "Content-Length: 18446744073709551615"];
    let reply = connection.send_head("PUT", path, &headers).reply("PUT");
    assert!([400, 413].contains(&reply.status), "{reply}");
    let mut connection = Connection::open(watched.server.addr());
    let headers = [&format!("Content-Type: {OCI_MANIFEST}"), "Transfer-Encoding: chunked"];
    connection.send_head("PUT", path, &headers);
    for _ in 0..5 {
        connection.send_chunk(&vec![b' '; 1 << 20]);
    }
    connection.reply("PUT").expect_error(413, "SIZE_INVALID");
    watched.assert_flat("all of them", BODIES_KIB);
}

/// The number of entries that are asked for is no number of entries to make room for.
#[test]
fn cve_2023_2253_a_large_n_costs_no_memory() {
    let watched = Watched::start();
    let client = watched.server.client();
    let image = ImageBuilder::sample(1510).build();
    image.push(&client, "memory", "v1");
    let lists = [
        "/v2/_catalog".to_owned(),
        "/v2/memory/tags/list".to_owned(),
        format!("/v2/memory/referrers/{}", image.digest),
        "/v2/memory/_oci/tag-history/v1".to_owned(),
        "/api/v1/repositories".to_owned(),
        "/api/v1/repositories/memory".to_owned(),
        "/api/v1/audit".to_owned(),
    ];
    for list in &lists {
        for n in ["2147483647", "2147483648", "4294967296", "9223372036854775807", "18446744073709551616"] {
            client.get(&format!("{list}?n={n}")).expect_status(200);
        }
        for n in ["-1", "NaN", "1e9", "0x10", "+1", "%00", "1.5"] {
            // Referrers come in pages of the server's size: what is said of it there means nothing.
            let reply = client.get(&format!("{list}?n={n}"));
            let statuses: &[u16] = if list.contains("referrers") { &[200, 400] } else { &[400] };
            reply.expect_status_in(statuses);
        }
    }
    watched.assert_flat("lists", BODIES_KIB / 2);
}

/// Two headers, of which a proxy may have looked at the other one.
#[test]
fn authorization_twice_is_nobody() {
    let Scene { _folder, server, alice, bob } = &Scene::start(APART);
    image(b"layer").push(alice, "team/app", "v1");
    let header = |client: &crate::support::Client| {
        format!("Authorization: {}", client.authorization().expect("somebody"))
    };
    let (alice, bob) = (header(alice), header(bob));
    let ask = |headers: &[&str]| {
        let mut connection = Connection::open(server.addr());
        connection.send_head("GET", "/v2/team/app/manifests/v1", headers).reply("GET")
    };
    ask(&[&alice]).expect_status(200);
    for headers in [[&*alice, &*bob], [&*bob, &*alice], [&*alice, &*alice], [&*alice, "Authorization: "]] {
        ask(&headers).expect_error(401, "UNAUTHORIZED");
    }
    ask(&[&alice.replace("Basic ", "Basic  "), "X: a"]).expect_status_in(&[200, 401]);
    ask(&[&format!("{alice}, {}", bob.replace("Authorization: ", ""))]).expect_status(401);
}

/// The longest header that is looked at has 64 KiB; above it nothing is decoded or hashed.
#[test]
fn authorization_of_64_kib_is_nobody() {
    let Scene { _folder, server, .. } = &Scene::start(APART);
    for scheme in ["Basic", "Bearer"] {
        for length in [32 << 10, 64 << 10, 100 << 10] {
            let header = format!("Authorization: {scheme} {}", "QUFB".repeat(length / 4));
            let mut connection = Connection::open(server.addr());
            let reply = connection.send_head("GET", "/v2/", &[&header]).reply("GET");
            reply.expect_error(401, "UNAUTHORIZED");
        }
        let header = format!("Authorization: {scheme} {}", "QUFB".repeat(40 << 10));
        let mut connection = Connection::open(server.addr());
        let reply = connection.send_head("GET", "/v2/", &[&header]).reply("GET");
        assert_eq!(reply.status, 431, "the head as a whole has its own end: {reply}");
    }
    server.client().get("/livez").expect_status(200);
}

/// Bytes that are a page for a browser are none here.
#[test]
fn cve_2025_32019_nothing_that_was_pushed_is_a_page() {
    let server = Server::start();
    let client = server.client();
    let page = b"<html><script>alert(1)</script></html>";
    let image = ImageBuilder::oci().layer_of_type("text/html", page);
    let image = image.annotation("org.opencontainers.image.title", "<script>alert(1)</script>").build();
    image.push(&client, "app", "v1");
    let layer = &image.blob_digests()[1];
    for accept in ["text/html", "*/*"] {
        let request = client.request("GET", &format!("/v2/app/blobs/{layer}")).header("accept", accept);
        request.send().expect_status(200).expect_header("content-type", "application/octet-stream");
    }
    let reply = client.push_manifest("app", "page", "text/html", page);
    reply.expect_status_in(&[400, 415]);
    for path in ["/%3Cscript%3E", "/v2/%3Cscript%3E/tags/list", "/v2/app/manifests/%3Cscript%3E"] {
        let reply = client.get(path).expect_status_in(&[400, 404]);
        assert!(reply.header("content-type").starts_with("application/json"), "{reply}");
    }
}
