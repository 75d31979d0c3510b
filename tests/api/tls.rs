//! TLS: what is served over it is the same, and a renewed certificate needs no restart.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use crate::support::process::run;
use crate::support::raw::{self, Connection};
use crate::support::server::Builder;
use crate::support::tls::{Files, Pair, handshake, put};
use crate::support::{Client, ImageBuilder, Server, bytes, wait};

/// A server with this certificate.
fn builder(files: &Files) -> Builder {
    files.settings().into_iter().fold(Server::builder(), |builder, (name, value)| builder.env(name, &value))
}

/// One request on a connection of its own.
fn get(pair: &Pair, address: SocketAddr, path: &str) -> crate::support::Reply {
    pair.connect(address).send_head("GET", path, &[]).reply("GET")
}

/// The certificate that a client is shown.
fn shown(address: SocketAddr, pairs: &[&Pair]) -> Option<usize> {
    pairs.iter().position(|pair| handshake(address, pair.trust(rustls::ALL_VERSIONS)).is_ok())
}

fn metric(pair: &Pair, address: SocketAddr, name: &str) -> f64 {
    let text = String::from_utf8(get(pair, address, "/metrics").expect_status(200).body).expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} in {text}")).parse().expect("a number")
}

#[test]
fn an_image_goes_in_and_out_over_tls() {
    let pair = Pair::until(2100);
    let files = Files::with(&pair);
    let server = builder(&files).start();
    assert!(
        server.output().contains(&format!("listens on https://{}", server.addr())),
        "{}",
        server.output()
    );
    let layer = bytes::random(1100, 3 << 20);
    let image = ImageBuilder::oci().layer(&layer).build();
    let mut connection = pair.connect(server.addr());
    let mut send = |method: &str, path: &str, content_type: &str, body: &[u8]| {
        let length = format!("Content-Length: {}", body.len());
        let content_type = format!("Content-Type: {content_type}");
        connection.send_head(method, path, &[&length, &content_type]).send(body).reply(method)
    };
    for content in &image.blobs {
        let path = format!("/v2/safe/app/blobs/uploads/?digest={}", bytes::digest(content));
        let reply = send("POST", &path, "application/octet-stream", content).expect_status(201);
        assert!(reply.header("location").starts_with("/v2/"), "relative: {reply}");
    }
    send("PUT", "/v2/safe/app/manifests/v1", &image.media_type, &image.bytes).expect_status(201);
    assert_eq!(send("GET", "/v2/safe/app/manifests/v1", "", b"").expect_status(200).body, image.bytes);
    let path = format!("/v2/safe/app/blobs/{}", bytes::digest(&layer));
    assert!(send("GET", &path, "", b"").expect_status(200).body == layer);
}

#[test]
fn both_versions_are_spoken_and_no_protocol_but_http() {
    let pair = Pair::until(2100);
    let server = builder(&Files::with(&pair)).start();
    for version in rustls::ALL_VERSIONS {
        let stream = handshake(server.addr(), pair.trust(&[version])).expect("a handshake");
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
    }
    let offering = |protocols: &[&[u8]]| {
        let mut config = (*pair.trust(rustls::ALL_VERSIONS)).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        handshake(server.addr(), config.into())
    };
    let stream = offering(&[b"h2", b"http/1.1"]).expect("a handshake");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(offering(&[b"h2"]).is_err());
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_wrong_one_is_not() {
    let (first, second, third) = (Pair::until(2100), Pair::until(2101), Pair::until(2102));
    let pairs = [&first, &second, &third];
    let files = Files::with(&first);
    let server = builder(&files).start();
    let is_shown = |number| shown(server.addr(), &pairs) == Some(number);
    assert!(is_shown(0));
    let name = "wharfinger_tls_certificate_expiry_seconds";
    let before = metric(&first, server.addr(), name);
    // One that is connected already is not disturbed.
    let mut old = first.connect(server.addr());
    files.replace(&second);
    wait::until_true("the renewed certificate", || is_shown(1));
    assert!(metric(&second, server.addr(), name) > before + 300.0 * 86400.0);
    old.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);

    put(&files.key(), &third.key);
    wait::until_true("a word on it", || server.log().contains("is not that of the first certificate"));
    put(&files.certificate(), "nothing");
    wait::until_true("a word on it", || server.log().contains("cert.pem has no certificate"));
    std::fs::remove_file(files.certificate()).expect("removed");
    wait::until_true("a word on it", || server.log().contains("cert.pem cannot be read"));
    assert!(is_shown(1));
    put(&files.certificate(), &third.certificate);
    wait::until_true("the pair", || is_shown(2));
    let log = server.log();
    assert_eq!(log.matches("the certificate before stays in force").count(), 3, "one line each: {log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn sighup_takes_the_certificate_up_too() {
    let (first, second) = (Pair::until(2100), Pair::until(2101));
    let files = Files::with(&first);
    let server = builder(&files).start();
    files.replace(&second);
    server.hang_up();
    wait::until_true("the renewed certificate", || shown(server.addr(), &[&first, &second]) == Some(1));
}

#[test]
fn the_log_warns_of_the_end() {
    let pair = Pair::until(2000);
    let mut server = builder(&Files::with(&pair)).start();
    wait::until_true("a warning", || server.log().contains("ended 2000-12-31"));
    assert!(server.stop().success());
    let files = Files::with(&Pair::until(2100));
    let server = builder(&files).env("WHARFINGER_CERTIFICATE_WARN_DAYS", "366").start();
    wait::until_true("the end in the log", || server.log().contains("valid until 2100-12-31"));
    assert!(!server.log().contains("WARN"), "{}", server.log());
}

#[test]
fn files_that_cannot_be_served_are_refused_at_the_start() {
    let (pair, other) = (Pair::until(2100), Pair::until(2100));
    let files = Files::with(&pair);
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let refused = |environment: &[(&str, &str)]| {
        run(&["serve", "--data", data, "--listen", "127.0.0.1:0"], environment).expect_code(2)
    };
    let [(certificate, certificate_path), (key, key_path)] = files.settings();
    refused(&[(certificate, &certificate_path)]).expect_words("expected tls_key beside it");
    refused(&[(key, &key_path)]).expect_words("expected tls_certificate beside it");
    refused(&[(certificate, &certificate_path), (key, "/nowhere/key.pem")])
        .expect_words("/nowhere/key.pem cannot be read");
    let both = [(certificate, certificate_path.as_str()), (key, key_path.as_str())];
    put(&files.key(), &other.key);
    refused(&both).expect_words("is not that of the first certificate").expect_words("tls_key");
    put(&files.key(), &other.certificate);
    refused(&both).expect_words("key.pem has no private key");
    assert!(!std::path::Path::new(data).exists(), "nothing is left of it");
}

#[test]
fn plain_http_is_dropped_without_a_word() {
    let pair = Pair::until(2100);
    let mut server = builder(&Files::with(&pair)).start();
    for _ in 0..3 {
        let answer = Connection::open(server.addr()).send_head("GET", "/v2/", &[]).rest();
        assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    }
    let failed = "wharfinger_tls_handshakes_failed_total";
    wait::until_true("they are counted", || metric(&pair, server.addr(), failed) >= 3.0);
    assert!(server.stop().success());
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("WARN") && !log.contains("actix"), "{log}");
}

#[test]
fn a_slow_handshake_holds_up_nobody_and_ends() {
    let pair = Pair::until(2100);
    let server = builder(&Files::with(&pair))
        .env("WHARFINGER_HTTP_WORKERS", "1")
        .env("WHARFINGER_TLS_HANDSHAKE_SECS", "2")
        .start();
    let mut slow: Vec<_> = (0..50).map(|_| raw::connect(server.addr())).collect();
    for stream in &mut slow {
        stream.write_all(b"\x16\x03\x01").expect("the server reads");
    }
    get(&pair, server.addr(), "/v2/").expect_status(200);
    for stream in &mut slow {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).ok();
        assert!(rest.is_empty(), "{rest:?}");
    }
    let met = "wharfinger_limits_met_total{limit=\"tls_handshake_secs\"}";
    wait::until_true("they are counted", || metric(&pair, server.addr(), met) >= 50.0);
}

#[test]
fn an_end_of_the_server_does_not_wait_for_handshakes() {
    let pair = Pair::until(2100);
    let files = Files::with(&pair);
    let mut server = builder(&files).env("WHARFINGER_TLS_HANDSHAKE_SECS", "3600").start();
    let _slow = raw::connect(server.addr());
    get(&pair, server.addr(), "/v2/").expect_status(200);
    // Without that it would take shutdown_grace_secs, more than anybody waits for here.
    assert!(server.stop().success());
}

#[test]
fn the_health_is_asked_over_tls_and_numbers_are_plain() {
    let pair = Pair::until(2000);
    let files = Files::with(&pair);
    let server = builder(&files).env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0").start();
    let address = server.addr().to_string();
    let [(certificate, certificate_path), (key, key_path)] = files.settings();
    let both = [(certificate, certificate_path.as_str()), (key, key_path.as_str())];
    let finished = run(&["healthcheck", "--listen", &address], &both).expect_code(0);
    finished.expect_words(&format!("https://{address}/v2/ answers 200"));
    run(&["healthcheck", "--listen", &address], &[]).expect_code(1);
    let watched = wait::until("the second address", || {
        let output = server.output();
        let (_, rest) = output.split_once("its numbers are at http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    });
    Client::new(watched).get("/metrics").expect_status(200);
}
