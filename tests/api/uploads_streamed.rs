//! PATCH without a length: how docker, skopeo and crane send layers.

use crate::support::raw::Connection;
use crate::support::{Server, bytes, uploads};

const REPOSITORY: &str = "streams";

#[test]
fn a_stream_without_a_length_makes_the_blob() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(20, 3 << 20);
    let location = uploads::start(&client, REPOSITORY);
    let reply = client.request("PATCH", &location).stream(content.as_slice()).send().expect_status(202);
    assert_eq!(reply.header("range"), format!("0-{}", content.len() - 1));
    uploads::finish_and_pull(&client, REPOSITORY, &uploads::location(&reply), &content);
}

#[test]
fn several_streams_are_appended() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(21, 100_000);
    let mut location = uploads::start(&client, REPOSITORY);
    for part in content.chunks(40_000) {
        let reply = client.request("PATCH", &location).stream(part).send().expect_status(202);
        location = uploads::location(&reply);
    }
    assert_eq!(uploads::offset(&client, &location), content.len());
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn a_stream_may_say_where_it_begins_and_ends() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(22, 30_000);
    let location = uploads::start(&client, REPOSITORY);
    let request = client.request("PATCH", &location).header("content-range", "0-29999");
    request.stream(content.as_slice()).send().expect_status(202).expect_header("range", "0-29999");
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

/// Also not what came before the end, where the length shows.
#[test]
fn a_stream_of_another_length_than_its_range_changes_nothing() {
    let server = Server::builder().env("WHARFINGER_UPLOAD_CHECKPOINT_BYTES", "1048576").start();
    let client = server.client();
    let content = bytes::random(25, 4 << 20);
    let mut location = uploads::start(&client, REPOSITORY);
    location = uploads::location(&client.patch(&location, &content[..100]).expect_status(202));
    for (range, sent) in [("100-4194303", 3 << 20), ("100-3145728", 4 << 20)] {
        let request = client.request("PATCH", &location).header("content-range", range);
        let reply = request.stream(&content[100..sent]).send().expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(reply.header("range"), "0-99");
        assert_eq!(uploads::offset(&client, &location), 100);
    }
    let request = client.request("PATCH", &location).header("content-range", "100-4194303");
    request.stream(&content[100..]).send().expect_status(202);
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn an_empty_stream_changes_nothing() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    let reply = client.request("PATCH", &location).stream(std::io::empty()).send();
    reply.expect_status(202).expect_header("range", "0-0");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"");
}

#[test]
fn the_last_part_may_be_streamed_by_put() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(23, 64_000);
    let digest = bytes::digest(&content);
    let location = uploads::start(&client, REPOSITORY);
    client.patch(&location, &content[..10_000]).expect_status(202);
    let path = uploads::with_digest(&location, &digest);
    client.request("PUT", &path).stream(&content[10_000..]).send().expect_status(201);
    client.get_blob(REPOSITORY, &digest).expect_status(200).expect_body(&content);
}

#[test]
fn chunks_of_one_byte_on_the_wire_are_taken() {
    let server = Server::start();
    let client = server.client();
    let content = bytes::random(24, 300);
    let location = uploads::start(&client, REPOSITORY);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Transfer-Encoding: chunked"]);
    for byte in content.chunks(1) {
        connection.send_chunk(byte);
    }
    connection.send_last_chunk().reply("PATCH").expect_status(202).expect_header("range", "0-299");
    uploads::finish_and_pull(&client, REPOSITORY, &location, &content);
}

#[test]
fn extensions_of_a_chunk_are_no_part_of_the_blob() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Transfer-Encoding: chunked"]);
    connection.send(b"5;name=value\r\nhello\r\n").send_last_chunk();
    connection.reply("PATCH").expect_status(202).expect_header("range", "0-4");
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"hello");
}

#[test]
fn a_stream_with_a_broken_chunk_does_not_reach_the_blob() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, REPOSITORY);
    client.patch(&location, b"good").expect_status(202);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Transfer-Encoding: chunked"]);
    connection.send(b"zz\r\nhello\r\n0\r\n\r\n");
    // actix-http takes a chunk without a size for a broken connection: it closes it and answers nothing.
    connection.expect_closed();
    assert_eq!(uploads::offset(&client, &location), 4);
    uploads::finish_and_pull(&client, REPOSITORY, &location, b"good");
}
