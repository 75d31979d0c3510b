//! The question that every client asks first.

use crate::support::Server;
use crate::support::raw::Connection;

#[test]
fn the_base_answers_an_empty_object() {
    let server = Server::start();
    let reply = server.client().get("/v2/").expect_status(200).expect_body(b"{}");
    assert!(reply.header("content-type").starts_with("application/json"));
    assert_eq!(reply.header("content-length"), "2");
}

#[test]
fn the_base_without_its_slash_answers_alike() {
    let server = Server::start();
    server.client().get("/v2").expect_status(200).expect_body(b"{}");
    server.client().head("/v2").expect_status(200);
}

#[test]
fn head_of_the_base_has_the_headers_of_get() {
    let server = Server::start();
    let client = server.client();
    let (get, head) = (client.get("/v2/"), client.head("/v2/").expect_status(200));
    assert_eq!(head.stable_headers(), get.stable_headers());
}

#[test]
fn head_sends_no_body_on_the_wire() {
    let server = Server::start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("HEAD", "/v2/", &[]).send_head("GET", "/v2/", &[]);
    let head = connection.reply("HEAD").expect_status(200).expect_header("content-length", "2");
    let get = connection.reply("GET").expect_status(200).expect_body(b"{}");
    assert_ne!(head.header("x-request-id"), get.header("x-request-id"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("GET", "/v2/", &[]);
    connection.send_head("GET", "/v2/nothing/tags/list", &[]);
    connection.send_head("GET", "/v2/_catalog", &["Connection: close"]);
    connection.reply("GET").expect_status(200).expect_body(b"{}");
    connection.reply("GET").expect_error(404, "NAME_UNKNOWN");
    let catalog = connection.reply("GET").expect_status(200).json();
    assert_eq!(catalog["repositories"], serde_json::json!([]));
    connection.expect_closed();
}
