//! `DATA/control.sock`: commands that talk to the running server, at once and at length.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::support::process::{Finished, run};
use crate::support::{ImageBuilder, Server, bytes, files, uploads, wait};

fn connect(server: &Server) -> UnixStream {
    UnixStream::connect(server.data().join("control.sock")).expect("the server listens")
}

fn gc(server: &Server) -> Finished {
    run(&["gc", "--data", server.data().to_str().expect("a path in UTF-8")], &[])
}

#[test]
fn a_check_says_how_far_it_is() {
    let server = Server::start();
    ImageBuilder::oci().layer(&bytes::random(1020, 3 << 20)).build().push(&server.client(), "team/app", "v1");
    let mut stream = connect(&server);
    stream.write_all(b"{\"verify\":{\"deep\":true}}\n").expect("it is read");
    let lines: Vec<Value> = BufReader::new(stream)
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"))
        .collect();
    let (last, before) = lines.split_last().expect("an answer");
    assert_eq!(last["report"]["violations"], Value::Array(Vec::new()), "{last}");
    assert_eq!(last["report"]["blobs"], 2);
    assert!(!before.is_empty() && before.iter().all(|line| line["progress"]["files"].is_u64()), "{before:?}");
}

#[test]
fn who_hangs_up_and_who_says_nothing_holds_up_nobody() {
    let server = Server::start();
    let mut gone = connect(&server);
    gone.write_all(b"{\"verify\":{\"deep\":true}}\n").expect("it is read");
    drop(gone);
    // One place is left for others.
    let silent: Vec<_> = (0..7).map(|_| connect(&server)).collect();
    wait::until_true("the one that hung up to be over", || gc(&server).code == Some(0));
    let last = connect(&server);
    gc(&server).expect_code(1).expect_words("busy").expect_words("again");
    drop((silent, last));
    wait::until_true("the silent ones to be over", || gc(&server).code == Some(0));
    let mut strange = connect(&server);
    strange.write_all(b"{\"unheard\":1}\n").expect("it is read");
    let mut answer = String::new();
    BufReader::new(strange).read_line(&mut answer).expect("an answer");
    assert!(answer.contains("cannot be read"), "{answer}");
}

#[test]
fn a_long_report_arrives_whole() {
    let server = Server::start();
    let client = server.client();
    for number in 0..300_u32 {
        let content = number.to_be_bytes();
        let place = format!("{}?digest={}", "/v2/many/blobs/uploads/", bytes::digest(&content));
        client.post(&place, &content).expect_status(201);
    }
    for file in files::files_under(&server.data().join("blobs")) {
        fs::remove_file(file).expect("the file was there");
    }
    let said = server.verify_live(&["--json"]).expect_code(1);
    assert!(said.stdout.len() > 64 << 10, "{} bytes", said.stdout.len());
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(report["violations"].as_array().expect("a list").len(), 300);
    server.into_dirty();
}

#[test]
fn a_check_that_runs_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let client = server.client();
    ImageBuilder::oci().layer(&bytes::random(1021, 32 << 20)).build().push(&client, "team/app", "v1");
    client.patch(&uploads::start(&client, "open"), b"content").expect_status(202);
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"{\"verify\":{\"deep\":true}}\n").expect("it is read");
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).expect("it has begun");
            stream
        })
        .collect();
    assert!(server.stop().success());
    drop(streams);
}
