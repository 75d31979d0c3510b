//! Limits on connections, bodies, answers and requests: whoever is slow or many holds up nobody else.

use std::net::{SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::raw::{Connection, connect};
use crate::support::skip::say;
use crate::support::{Client, Server, bytes, uploads, wait};

/// Far more than what kernels keep of a connection that nobody reads from.
const LARGE: usize = 32 << 20;

/// How often a limit was met, by its setting.
fn met(client: &Client, setting: &str) -> u64 {
    value(client, &format!("wharfinger_limits_met_total{{limit=\"{setting}\"}}"))
}

fn value(client: &Client, sample: &str) -> u64 {
    let text = client.get("/metrics").expect_status(200).body;
    let text = String::from_utf8(text).expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{sample} in {text}")).parse().expect("a whole number")
}

/// A listener of the server that has its own count of connections.
fn watched(server: &Server) -> Client {
    let address: SocketAddr = wait::until("the second address", || {
        let output = server.output();
        let (_, rest) = output.split_once("its numbers are at http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    });
    Client::new(address)
}

/// Whether the server answers on a connection of its own.
fn is_served(address: SocketAddr) -> bool {
    let mut connection = Connection::open(address);
    let reply = connection.send_head("GET", "/v2/", &["Connection: close"]).reply_before_end("GET");
    reply.is_some_and(|reply| reply.status == 200)
}

#[test]
fn no_more_connections_are_open_than_there_may_be() {
    let server = Server::builder()
        .env("WHARFINGER_CONNECTIONS_MAX", "5")
        .env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0")
        .start();
    let watched = watched(&server);
    let mut open: Vec<_> = (0..5).map(|_| Connection::open(server.addr())).collect();
    for connection in &mut open {
        connection.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);
    }
    for _ in 0..3 {
        Connection::open(server.addr()).expect_closed();
    }
    assert_eq!(met(&watched, "connections_max"), 3);
    assert_eq!(value(&watched, "wharfinger_connections_open"), 6, "one of them asks this");
    open[0].send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);
    open.pop();
    wait::until_true("room for another", || is_served(server.addr()));
    let log = server.log();
    assert_eq!(log.matches("connections are refused").count(), 1, "once a minute: {log}");
}

#[test]
fn one_client_has_a_part_of_them() {
    let server = Server::builder().env("WHARFINGER_CONNECTIONS_PER_ADDRESS_MAX", "2").start();
    let mut open: Vec<_> = (0..2).map(|_| Connection::open(server.addr())).collect();
    for connection in &mut open {
        connection.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);
    }
    Connection::open(server.addr()).expect_closed();
    let reply = open[0].send_head("GET", "/metrics", &[]).reply("GET").expect_status(200);
    let text = String::from_utf8(reply.body).expect("text");
    assert!(
        text.contains("wharfinger_limits_met_total{limit=\"connections_per_address_max\"} 1\n"),
        "{text}"
    );
    // Another address of this machine is another client.
    assert!(is_served_from([127, 0, 0, 9], server.addr()));
    drop(open);
    wait::until_true("room for others", || is_served(server.addr()));

    let server = Server::builder()
        .env("WHARFINGER_CONNECTIONS_PER_ADDRESS_MAX", "2")
        .env("WHARFINGER_ANONYMOUS", "admin")
        .env("WHARFINGER_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let open: Vec<_> = (0..5).map(|_| Connection::open(server.addr())).collect();
    assert!(is_served(server.addr()), "a proxy has any number");
    drop(open);
}

fn is_served_from(source: [u8; 4], server: SocketAddr) -> bool {
    use socket2::{Domain, Socket, Type};
    use std::io::{Read as _, Write as _};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this machine");
    socket.connect(&server.into()).expect("the server accepts");
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok();
    answer.starts_with("HTTP/1.1 200")
}

/// Raises the limit on this process's own files, and says how many connections it allows.
fn connections_allowed(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    // Other tests of this process have files, too.
    limit.map_or(wanted, |limit| wanted.min(limit.saturating_sub(500)))
}

#[test]
fn thousands_of_slow_connections_hold_up_nobody() {
    const WANTED: usize = 2000;
    let count = connections_allowed(WANTED);
    if count < WANTED {
        say(&format!("limits: this process may have only {count} of {WANTED} slow connections"));
    }
    let server = Server::builder().env("WHARFINGER_CONNECTIONS_PER_ADDRESS_MAX", "10000").start();
    let client = server.client();
    let mut slow: Vec<_> = (0..count).map(|_| connect(server.addr())).collect();
    for (i, stream) in slow.iter_mut().enumerate() {
        use std::io::Write as _;
        let head = "POST /v2/slow/blobs/uploads/?digest=sha256:0 HTTP/1.1\r\nHost: a\r\nContent-Le";
        stream.write_all(&head.as_bytes()[..20 + i % 50]).expect("the server reads");
    }
    let is_open = |open| open >= u64::try_from(count).expect("a small number");
    wait::until_true("all of them", || is_open(value(&client, "wharfinger_connections_open")));
    let content = bytes::random(1300, 1 << 20);
    let digest = client.push_blob("quick", &content);
    assert!(client.get_blob("quick", &digest).expect_status(200).body == content);
    drop(slow);
    wait::until_true("their end", || value(&client, "wharfinger_connections_open") < 10);
}

/// Begins an upload whose body has `length` bytes, and says where.
fn begin(server: &Server, repository: &str, length: &str) -> (Connection, String) {
    let location = uploads::start(&server.client(), repository);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &[length]);
    (connection, location)
}

#[test]
fn a_body_that_stops_ends_and_its_upload_can_go_on() {
    let server = Server::builder().env("WHARFINGER_BODY_IDLE_SECS", "1").start();
    let client = server.client();
    let content = bytes::random(1301, 300_000);
    let (mut connection, location) = begin(&server, "idle", "Content-Length: 300000");
    connection.send(&content[..100_000]);
    let reply = connection.reply("PATCH").expect_error(408, "BLOB_UPLOAD_INVALID");
    assert_eq!((reply.header("range"), reply.header("location")), ("0-99999", location.as_str()));
    connection.expect_closed();
    assert_eq!(client.get(&location).expect_status(204).header("range"), "0-99999");

    // actix-http would read the rest of chunks for good.
    let mut chunked = Connection::open(server.addr());
    chunked
        .send_head("PATCH", &location, &["Transfer-Encoding: chunked"])
        .send_chunk(&content[100_000..200_000]);
    chunked.send(b"ffff\r\nand no more");
    let reply = chunked.reply("PATCH");
    reply.expect_error(408, "BLOB_UPLOAD_INVALID").expect_header("connection", "close");
    chunked.expect_closed();
    let range = client.get(&location).expect_status(204).header("range").to_owned();
    assert_eq!(range, "0-200010", "what came is there");
    assert_eq!(met(&client, "body_idle_secs"), 2);
    client.delete(&location).expect_status(204);

    let mut manifest = Connection::open(server.addr());
    let headers = ["Content-Length: 100", "Content-Type: application/vnd.oci.image.manifest.v1+json"];
    manifest.send_head("PUT", "/v2/idle/manifests/v1", &headers).send(b"{");
    manifest.reply("PUT").expect_error(408, "MANIFEST_INVALID");
}

#[test]
fn a_monolithic_upload_that_stops_leaves_nothing() {
    let server = Server::builder().env("WHARFINGER_BODY_IDLE_SECS", "1").start();
    let path = format!("/v2/idle/blobs/uploads/?digest={}", bytes::digest(b"whatever"));
    let mut connection = Connection::open(server.addr());
    connection.send_head("POST", &path, &["Content-Length: 8"]).send(b"what");
    connection.reply("POST").expect_error(408, "BLOB_UPLOAD_INVALID");
    assert_eq!(value(&server.client(), "wharfinger_open_uploads"), 0);
}

#[test]
fn a_body_that_trickles_ends() {
    let server = Server::builder()
        .env("WHARFINGER_BODY_MIN_BYTES_PER_SEC", "1000")
        .env("WHARFINGER_BODY_RATE_SECS", "1")
        .start();
    let (mut connection, location) = begin(&server, "slow", "Content-Length: 300000");
    let client = server.client();
    wait::until_true("its end", || {
        connection.send(b"byte");
        met(&client, "body_min_bytes_per_sec") == 1
    });
    connection.reply("PATCH").expect_error(408, "BLOB_UPLOAD_INVALID");
    let range = client.get(&location).expect_status(204).header("range").to_owned();
    assert!(range.starts_with("0-"), "{range}");
    // One that is fast enough is none of these, however small its pieces are.
    let content = bytes::random(1302, 100_000);
    let digest = bytes::digest(&content);
    let location = uploads::start(&client, "slow");
    let request = client.request("PUT", &uploads::with_digest(&location, &digest)).stream(&content[..]);
    assert_eq!(request.send().expect_status(201).header("docker-content-digest"), digest);
}

#[test]
fn whoever_takes_nothing_of_the_answer_is_left() {
    let server = Server::builder().env("WHARFINGER_WRITE_STALL_SECS", "1").start();
    let client = server.client();
    let digest = client.push_blob("large", &bytes::random(1303, LARGE));
    let mut connection = Connection::open(server.addr());
    connection.send_head("GET", &format!("/v2/large/blobs/{digest}"), &[]);
    wait::until_true("the connection to be closed", || met(&client, "write_stall_secs") == 1);
    assert!(connection.rest().len() < LARGE, "its end cannot be there");
    client.get_blob("large", &digest).expect_status(200);
}

#[test]
fn whoever_takes_nothing_over_tls_is_left() {
    use crate::support::tls::{Files, Pair};
    let pair = Pair::until(2100);
    let builder = Server::builder().env("WHARFINGER_WRITE_STALL_SECS", "1");
    let builder = builder.env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0");
    let files = Files::with(&pair);
    let server = files
        .settings()
        .into_iter()
        .fold(builder, |builder, (name, value)| builder.env(name, &value))
        .start();
    let content = bytes::random(1304, LARGE);
    let digest = bytes::digest(&content);
    let path = format!("/v2/large/blobs/uploads/?digest={digest}");
    let mut connection = pair.connect(server.addr());
    connection.send_head("POST", &path, &[&format!("Content-Length: {LARGE}")]).send(&content);
    connection.reply("POST").expect_status(201);
    connection.send_head("GET", &format!("/v2/large/blobs/{digest}"), &[]);
    let watched = watched(&server);
    wait::until_true("the connection to be closed", || met(&watched, "write_stall_secs") == 1);
}

#[test]
fn a_later_head_has_its_time_too() {
    let server = Server::builder()
        .env("WHARFINGER_HEAD_READ_SECS", "1")
        .env("WHARFINGER_KEEP_ALIVE_SECS", "1")
        .env("WHARFINGER_WRITE_STALL_SECS", "1")
        .start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);
    connection.send(b"GET /v2/ HTTP/1.1\r\nX-Slow: ");
    let client = server.client();
    wait::until_true("its end", || {
        connection.send(b"x");
        met(&client, "keep_alive_secs") >= 1
    });
}

#[test]
fn a_head_that_is_too_large_is_answered() {
    let server = Server::start();
    let mut connection = Connection::open(server.addr());
    let many: Vec<_> = (0..200).map(|i| format!("X-Header-{i}: a")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    connection.send_head("GET", "/v2/", &many);
    assert_eq!(connection.reply("GET").status, 431);
    connection.expect_closed();
    let mut connection = Connection::open(server.addr());
    let beginning = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Long: ";
    connection.send(beginning).send(&vec![b'a'; (128 << 10) - beginning.len()]);
    assert_eq!(connection.reply("GET").status, 431);
    connection.expect_closed();
    server.client().get("/v2/").expect_status(200);
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("actix"), "{log}");
}

#[test]
fn no_more_requests_are_worked_on_than_there_may_be() {
    let server = Server::builder().env("WHARFINGER_REQUESTS_IN_FLIGHT_MAX", "2").start();
    let client = server.client();
    let mut running: Vec<_> = (0..2).map(|_| begin(&server, "busy", "Content-Length: 8").0).collect();
    let in_flight = "wharfinger_http_requests_in_flight";
    wait::until_true("both of them", || value(&client, in_flight) == 2);
    let reply = client.post("/v2/busy/blobs/uploads/", b"x").expect_error(429, "TOOMANYREQUESTS");
    assert_eq!(reply.header("retry-after"), "1");
    // What waits for others' bodies keeps nobody from pulling.
    client.get("/v2/").expect_status(200);
    client.get("/livez").expect_status(200);
    client.get("/readyz").expect_status(200);
    assert_eq!(met(&client, "requests_in_flight_max"), 1);
    for connection in &mut running {
        connection.send(b"content!").reply("PATCH").expect_status(202);
    }
    wait::until_true("room for another", || value(&client, in_flight) == 0);
    client.get("/v2/").expect_status(200);
}

#[test]
fn connections_that_cannot_all_have_files_are_warned_of() {
    let server = Server::builder().env("WHARFINGER_CONNECTIONS_MAX", "1000000").start();
    let limit = getrlimit(Resource::Nofile).maximum;
    if limit.is_some_and(|limit| limit < 2_000_000) {
        assert!(server.log().contains("connections_max is 1000000, which may need"), "{}", server.log());
    }
    // Of the same process as the one that listens: its soft limit is its hard one.
    let raised = value(&server.client(), "process_max_fds");
    assert!(limit.is_none_or(|limit| limit == raised), "{raised} of {limit:?}");
}
