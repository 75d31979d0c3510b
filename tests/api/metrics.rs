//! `/metrics`: what Prometheus reads.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use crate::support::raw::Connection;
use crate::support::skip::skip;
use crate::support::{Client, ImageBuilder, Server, bytes, uploads, wait};

fn scrape(client: &Client) -> String {
    let reply = client.get("/metrics").expect_status(200);
    let reply = reply.expect_header("content-type", "text/plain; version=0.0.4; charset=utf-8");
    String::from_utf8(reply.body).expect("text")
}

/// The value of a sample; none if there is no such one.
fn find(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

#[track_caller]
fn value(text: &str, sample: &str) -> u64 {
    let found = find(text, sample).unwrap_or_else(|| panic!("{sample} in {text}"));
    format!("{found:.0}").parse().expect("a whole number")
}

#[test]
fn the_contents_are_counted() {
    let server = Server::start();
    let client = server.client();
    let (shared, own) = (bytes::random(970, 5000), bytes::random(971, 3000));
    let one = ImageBuilder::oci().layer(&shared).layer(&own).build();
    one.push(&client, "team/one", "v1");
    ImageBuilder::oci().layer(&shared).build().push(&client, "team/other", "v1");
    uploads::start(&client, "team/one");
    let text = scrape(&client);
    for (name, expected) in [
        ("wharfinger_repositories", 2),
        ("wharfinger_manifests", 2),
        ("wharfinger_tags", 2),
        ("wharfinger_blob_bytes", 8002),
        ("wharfinger_stored_bytes", 8002),
        ("wharfinger_open_uploads", 1),
        ("wharfinger_damaged_blobs", 0),
        ("wharfinger_kept_manifests", 0),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    assert!(value(&text, "wharfinger_commits_total") > 0);
    assert!(value(&text, "wharfinger_commit_duration_seconds_count") > 0);
    for name in ["wharfinger_disk_free_bytes", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(value(&text, name) > 0, "{name}");
    }
    let version = format!("wharfinger_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&text, &version), 1);

    client.delete_manifest("team/one", &one.digest).expect_status(202);
    let text = scrape(&client);
    assert_eq!(value(&text, "wharfinger_kept_manifests"), 1);
    assert_eq!(value(&text, "wharfinger_unneeded_bytes"), 3000);
    crate::support::command::command(&server, &["gc", "--now"]).expect_code(0);
    let text = scrape(&client);
    assert_eq!(value(&text, "wharfinger_collected_manifests_total"), 1);
    assert_eq!(value(&text, "wharfinger_collected_bytes_total"), 3000);
    // Two files came a second time, of blobs that were there already.
    assert_eq!(value(&text, "wharfinger_unlinked_files_total"), 3);
}

#[test]
fn requests_are_counted_by_route_and_never_by_path() {
    let server = Server::start();
    let client = server.client();
    client.push_blob("secret-name", &bytes::random(972, 100_000));
    client.get("/v2/secret-name/manifests/v1").expect_status(404);
    client.get("/nothing/secret-name").expect_status(404);
    let text = scrape(&client);
    assert!(!text.contains("secret-name"), "{text}");
    let requests = |route: &str, method: &str, code: &str| {
        let labels = format!("{{route=\"{route}\",method=\"{method}\",code=\"{code}\"}}");
        value(&text, &format!("wharfinger_http_requests_total{labels}"))
    };
    assert_eq!(requests("manifest", "GET", "4xx"), 1);
    assert_eq!(requests("none", "GET", "4xx"), 1);
    let labels = "{route=\"manifest\",method=\"GET\",le=\"+Inf\"}";
    assert_eq!(value(&text, &format!("wharfinger_http_request_duration_seconds_bucket{labels}")), 1);
    assert!(value(&text, "wharfinger_http_received_bytes_total") > 100_000);
    assert!(value(&text, "wharfinger_http_sent_bytes_total") > 100);
}

#[test]
fn pulls_are_counted_by_what_was_pulled() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::oci().layer(&bytes::random(973, 5000)).build();
    image.push(&client, "team/app", "v1");
    let layer = image.blob_digests().pop().expect("a layer");
    client.get_manifest("team/app", "v1").expect_status(200);
    client.get_manifest("team/app", &image.digest).expect_status(200);
    client.head_manifest("team/app", "v1").expect_status(200);
    client.get_manifest("team/app", "v2").expect_status(404);
    client.get_blob("team/app", &layer).expect_status(200);
    client.head_blob("team/app", &layer).expect_status(200);
    for range in ["bytes=0-99", "bytes=100-4999"] {
        let path = format!("/v2/team/app/blobs/{layer}");
        client.request("GET", &path).header("range", range).send().expect_status(206);
    }
    let text = scrape(&client);
    assert_eq!(value(&text, "wharfinger_pulls_total{kind=\"manifest\"}"), 2);
    assert_eq!(value(&text, "wharfinger_pulls_total{kind=\"blob\"}"), 2, "two ranges are one pull");
}

#[test]
fn many_who_ask_whether_it_is_ready_cost_few_commits() {
    let server = Server::start();
    let client = server.client();
    client.get("/readyz").expect_status(200);
    let before = value(&scrape(&client), "wharfinger_commits_total");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = server.client();
                for _ in 0..50 {
                    client.get("/readyz").expect_status(200);
                }
            });
        }
    });
    let made = value(&scrape(&client), "wharfinger_commits_total") - before;
    assert!(made < 20, "{made} commits for 200 questions");
}

#[test]
fn without_a_listener_of_their_own_they_are_for_this_machine() {
    let server = Server::builder().env("WHARFINGER_ANONYMOUS", "push").start();
    let client = server.client();
    scrape(&client);
    for (name, value) in [("x-forwarded-for", "10.0.0.1"), ("host", "evil.example")] {
        client.request("GET", "/metrics").header(name, value).send().expect_error(403, "DENIED");
    }
}

/// The address of the second listener, as the server says it.
fn watched(server: &Server) -> SocketAddr {
    wait::until("the second address", || {
        let output = server.output();
        let (_, rest) = output.split_once("its numbers are at http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    })
}

#[test]
fn a_listener_of_their_own_has_nothing_else() {
    let server = Server::builder().env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0").start();
    let client = Client::new(watched(&server));
    let reply = client.request("GET", "/metrics").header("host", "registry.example").send();
    reply.expect_status(200);
    client.get("/livez").expect_status(200);
    client.get("/readyz").expect_status(200);
    for path in ["/v2/", "/v2/_catalog", "/api/v1/repositories", "/"] {
        client.get(path).expect_error(404, "UNSUPPORTED");
    }
    client.post("/v2/a/blobs/uploads/", b"").expect_error(404, "UNSUPPORTED");
}

#[test]
fn a_listener_that_cannot_be_had_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let arguments = ["serve", "--data", data.to_str().expect("UTF-8"), "--listen", "127.0.0.1:0"];
    let finished = crate::support::process::run(&arguments, &[("WHARFINGER_METRICS_LISTEN", &address)]);
    finished.expect_code(2).expect_words(&address).expect_words("WHARFINGER_METRICS_LISTEN");
    assert!(!data.exists());
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let mut server = Server::builder().env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0").start();
    let watched = watched(&server);
    let content = bytes::random(973, 500_000);
    let path = format!("/v2/late/blobs/uploads/?digest={}", bytes::digest(&content));
    let mut upload = Connection::open(server.addr());
    let length = format!("Content-Length: {}", content.len());
    upload.send_head("POST", &path, &[&length]).send(&content[..300_000]);
    let open = server.data().join("uploads");
    wait::until_true("the upload", || std::fs::read_dir(&open).is_ok_and(|list| list.count() > 0));
    server.terminate();
    let reply = wait::until("it to stop", || {
        let reply = Connection::open(watched).send_head("GET", "/readyz", &[]).reply("GET");
        (reply.status == 503).then_some(reply)
    });
    assert_eq!(reply.json()["reasons"], serde_json::json!(["the server is stopping"]));
    Connection::open(watched).send_head("GET", "/livez", &[]).reply("GET").expect_status(200);
    upload.send(&content[300_000..]);
    upload.reply("POST").expect_status(201);
    assert!(server.wait_for_end().success());
}

#[test]
fn promtool_finds_nothing_wrong() {
    let tool = |word: &str| {
        let mut command = Command::new("promtool");
        command.arg(word).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if tool("--version").output().is_err() {
        skip(
            "metrics::promtool_finds_nothing_wrong",
            "promtool is not here: Debian has it in the package prometheus",
        );
        return;
    }
    let server = Server::builder().env("WHARFINGER_SCRUB_INTERVAL_SECS", "0").start();
    let client = server.client();
    ImageBuilder::sample(974).build().push(&client, "checked", "v1");
    wait::until_true("a whole scrub", || scrape(&client).contains("wharfinger_scrub_round_end"));
    let text = scrape(&client);
    let mut child = tool("check").arg("metrics").spawn().expect("it ran before");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let words = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&words));
    assert!(words.is_empty(), "{}\n{text}", String::from_utf8_lossy(&words));
}
