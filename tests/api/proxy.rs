//! Behind a proxy: whose word on the client counts.

use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Server, wait};

const CLIENT: &str = "192.0.2.7";

/// The line that the log has on a request, by the request's id.
fn line(server: &Server, id: &str) -> String {
    wait::until("its line in the log", || {
        server.log().lines().find(|line| line.contains(id)).map(ToOwned::to_owned)
    })
}

/// The line on a request with these headers.
fn line_on(server: &Server, headers: &[(&str, &str)]) -> String {
    let client = server.client();
    let mut request = client.request("GET", "/v2/");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let reply = request.send().expect_status(200);
    line(server, reply.header("x-request-id"))
}

#[test]
fn from_everybody_else_the_headers_mean_nothing() {
    let server = Server::builder()
        .env("WHARFINGER_ANONYMOUS", "admin")
        .env("WHARFINGER_TRUSTED_PROXIES", "192.0.2.0/24, 127.0.0.2")
        .start();
    let line = line_on(&server, &[("x-forwarded-for", CLIENT)]);
    assert!(line.contains(" 127.0.0.1:") && !line.contains(CLIENT), "{line}");
    let image = ImageBuilder::sample(1200).build();
    image.push_blobs(&server.client(), "a");
    let client = server.client();
    let put = client.request("PUT", "/v2/a/manifests/v1").header("x-forwarded-for", CLIENT);
    put.header("content-type", &image.media_type).body(&image.bytes).send().expect_status(201);
    let history = client.get("/v2/a/_oci/tag-history/v1").expect_status(200).json().to_string();
    assert!(history.contains("anonymous@127.0.0.1") && !history.contains(CLIENT), "{history}");
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let server = Server::builder()
        .env("WHARFINGER_ANONYMOUS", "admin")
        .env("WHARFINGER_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")
        .start();
    let list = format!("6.6.6.6, {CLIENT}, 10.0.0.3");
    let line = line_on(&server, &[("x-forwarded-for", &list)]);
    assert!(line.contains(&format!(" {CLIENT} anonymous GET /v2/ ")), "without the proxy's port: {line}");
    assert!(line_on(&server, &[]).contains(" 127.0.0.1:"));
    let image = ImageBuilder::sample(1201).build();
    image.push_blobs(&server.client(), "a");
    let client = server.client();
    let put = client.request("PUT", "/v2/a/manifests/v1").header("x-forwarded-for", CLIENT);
    put.header("content-type", &image.media_type).body(&image.bytes).send().expect_status(201);
    let history = client.get("/v2/a/_oci/tag-history/v1").expect_status(200).json().to_string();
    assert!(history.contains(&format!("anonymous@{CLIENT}")), "{history}");
}

#[test]
fn what_is_no_address_stays_out_of_the_log() {
    let server = Server::builder()
        .env("WHARFINGER_ANONYMOUS", "admin")
        .env("WHARFINGER_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let endless = "1".repeat(10_000);
    for value in ["unknown", "<script>", "1.2.3.4.5", "_hidden", "\"192.0.2.7\"", "192.0.2.7 x", &endless] {
        let line = line_on(&server, &[("x-forwarded-for", value)]);
        assert!(line.contains(" 127.0.0.1:") && line.len() < 300, "{value}: {line}");
    }
    let mut connection = Connection::open(server.addr());
    let reply = connection.send_head("GET", "/v2/", &["X-Forwarded-For: \u{fc}\u{1f}x"]).reply("GET");
    assert!([200, 400].contains(&reply.status), "{reply}");
    let log = server.log();
    assert!(log.chars().all(|character| character == '\n' || !character.is_control()), "{log:?}");
}

#[test]
fn nothing_is_local_that_comes_through_a_proxy() {
    let server = Server::start();
    let client = server.client();
    client.get("/metrics").expect_status(200);
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "via", "x-real-ip"]
    {
        let reply = client.request("GET", "/metrics").header(name, "127.0.0.1").send();
        reply.expect_error(403, "DENIED");
    }
    // Not even what has no header: not every proxy adds one.
    let server = Server::builder()
        .env("WHARFINGER_ANONYMOUS", "admin")
        .env("WHARFINGER_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    for path in ["/metrics", "/api/v1/repositories"] {
        server.client().get(path).expect_error(403, "DENIED");
    }
    let reply = server.client().request("GET", "/metrics").header("x-forwarded-for", "127.0.0.1").send();
    reply.expect_error(403, "DENIED");
}

#[test]
fn a_reload_changes_whom_to_trust() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("w.toml");
    std::fs::write(&file, "anonymous = \"admin\"\n").expect("written");
    let server = Server::builder().arg("--config").arg(file.to_str().expect("UTF-8")).start();
    assert!(!line_on(&server, &[("x-forwarded-for", CLIENT)]).contains(CLIENT));
    std::fs::write(&file, "anonymous = \"admin\"\ntrusted_proxies = \"127.0.0.1\"\n").expect("written");
    server.hang_up();
    wait::until_true("the reload", || server.log().contains("trusted_proxies was nothing and is 127.0.0.1"));
    assert!(line_on(&server, &[("x-forwarded-for", CLIENT)]).contains(CLIENT));
}
