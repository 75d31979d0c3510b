//! `wharfinger serve`: how it starts, what it refuses, how it stops.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{Finished, run};
use crate::support::raw::Connection;
use crate::support::{ImageBuilder, Server, bytes, files, uploads, wait};

/// Runs a server that must refuse to start.
#[track_caller]
fn refused(arguments: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let mut all = vec!["serve", "--data", data.to_str().expect("a path in UTF-8")];
    all.extend(arguments);
    run(&all, &[]).expect_refusal()
}

#[test]
fn it_says_where_it_listens_and_keeps_its_data() {
    let server = Server::start();
    let data = server.data().to_str().expect("a path in UTF-8");
    wait::until_true("the data directory to be named", || server.output().contains(data));
    wait::until_true("commands to try", || server.output().contains("docker push"));
    assert!(server.output().contains(&server.url()), "{}", server.output());
    assert!(server.data().join("ledger/ledger.redb").is_file());
    for directory in ["blobs/sha256", "blobs/sha512", "uploads"] {
        assert!(server.data().join(directory).is_dir(), "{directory}");
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused_by_name() {
    let server = Server::start();
    let data = server.data().to_str().expect("a path in UTF-8");
    run(&["serve", "--data", data, "--listen", "127.0.0.1:0"], &[])
        .expect_refusal()
        .expect_words(&server.pid().to_string());
    let image = ImageBuilder::sample(500).build();
    image.push(&server.client(), "still", "here");
    image.assert_pullable(&server.client(), "still", "here");
}

#[test]
fn the_lock_names_the_process() {
    let server = Server::start();
    let lock = fs::read_to_string(server.data().join("LOCK")).expect("LOCK is text");
    assert!(lock.contains(&server.pid().to_string()), "{lock:?}");
}

#[test]
fn the_lock_of_a_killed_server_is_only_a_file() {
    let mut server = Server::start();
    server.kill();
    server.restart();
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn a_port_in_use_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let arguments = ["serve", "--data", data.to_str().expect("a path in UTF-8")];
    let by_argument = run(&[&arguments[..], &["--listen", &address]].concat(), &[]);
    let by_variable = run(&arguments, &[("WHARFINGER_LISTEN", &address)]);
    for (finished, place) in [(by_argument, "--listen"), (by_variable, "WHARFINGER_LISTEN")] {
        let finished = finished.expect_code(2).expect_words(&port).expect_words(place);
        assert!(finished.words().contains("use"), "what is wrong with it: {}", finished.words());
        assert!(!data.exists(), "a start that cannot have its address leaves nothing behind");
    }
}

#[test]
fn a_second_server_on_the_same_data_and_port_is_refused_by_name() {
    let server = Server::start();
    let data = server.data().to_str().expect("a path in UTF-8");
    run(&["serve", "--data", data, "--listen", &server.addr().to_string()], &[])
        .expect_code(2)
        .expect_words(&format!("{data} is in use"))
        .expect_words(&format!("kill {}", server.pid()));
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn an_address_that_is_none_is_said() {
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:99999", ":::", ":5001", "5001"] {
        refused(&["--listen", address]).expect_words("expected an address and a port, such as");
    }
    run(&["serve", "--nonsense"], &[]).expect_code(2);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let home = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(home.path().join("ledger")).expect("a directory");
    fs::write(home.path().join("ledger/ledger.redb"), "not a ledger").expect("a file");
    let data = home.path().to_str().expect("a path in UTF-8");
    run(&["serve", "--data", data, "--listen", "127.0.0.1:0"], &[]).expect_refusal();
    let kept = fs::read_to_string(home.path().join("ledger/ledger.redb")).expect("still there");
    assert_eq!(kept, "not a ledger");
}

#[test]
fn the_world_is_not_let_in_by_silence() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        refused(&["--listen", address]).expect_words("--anonymous").expect_words("WHARFINGER_ANONYMOUS");
    }
}

#[test]
fn rights_that_are_none_are_refused() {
    for rights in ["everything", "pull,fly", "PULL"] {
        refused(&["--listen", "127.0.0.1:0", "--anonymous", rights]);
    }
}

#[test]
fn loopback_needs_no_word_about_access() {
    let server = Server::start();
    let image = ImageBuilder::sample(501).build();
    image.push(&server.client(), "open", "v1");
    server.client().delete_manifest("open", "v1").expect_status(202);
}

#[test]
fn who_may_only_pull_changes_nothing() {
    let mut server = Server::start();
    let image = ImageBuilder::sample(502).build();
    image.push(&server.client(), "shown", "v1");
    let open = uploads::start(&server.client(), "shown");
    server.set_args(&["--anonymous", "pull"]);
    server.restart();
    let client = server.client();
    image.assert_pullable(&client, "shown", "v1");
    assert_eq!(client.tags("shown"), ["v1"]);
    assert_eq!(client.catalog(), ["shown"]);
    assert!(client.referrers("shown", &image.digest).is_empty());
    let layer = &image.blob_digests()[1];
    for query in [String::new(), format!("?digest={layer}"), format!("?mount={layer}&from=shown")] {
        let path = format!("/v2/other/blobs/uploads/{query}");
        client.post(&path, &image.blobs[1]).expect_error(403, "DENIED");
    }
    client.patch(&open, b"content").expect_error(403, "DENIED");
    uploads::finish(&client, &open, &bytes::digest(b"")).expect_error(403, "DENIED");
    client.delete(&open).expect_error(403, "DENIED");
    let reply = client.push_manifest("shown", "v2", &image.media_type, &image.bytes);
    reply.expect_error(403, "DENIED");
    client.delete_manifest("shown", "v1").expect_error(403, "DENIED");
    client.delete_manifest("shown", &image.digest).expect_error(403, "DENIED");
    client.delete_blob("shown", layer).expect_error(403, "DENIED");
    image.assert_pullable(&client, "shown", "v1");
}

#[test]
fn who_may_push_may_cancel_and_not_delete() {
    let server = Server::builder().env("WHARFINGER_ANONYMOUS", "pull,push").start();
    let client = server.client();
    let image = ImageBuilder::sample(503).build();
    image.push(&client, "kept", "v1");
    client.delete(&uploads::start(&client, "kept")).expect_status(204);
    client.delete_manifest("kept", "v1").expect_error(403, "DENIED");
    client.delete_manifest("kept", &image.digest).expect_error(403, "DENIED");
    let blob = client.push_blob("kept", b"leased");
    client.delete_blob("kept", &blob).expect_error(403, "DENIED");
    image.assert_pullable(&client, "kept", "v1");
}

#[test]
fn nobody_else_can_read_the_data() {
    let server = Server::start();
    let client = server.client();
    ImageBuilder::sample(504).build().push(&client, "private", "v1");
    client.patch(&uploads::start(&client, "private"), b"content").expect_status(202);
    assert_eq!(files::mode(server.data()), 0o700);
    let entries = files::entries_under(server.data());
    assert!(entries.len() > 8, "ledger, lock, blobs, an upload: {entries:?}");
    for entry in entries {
        let expected = if entry.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(files::mode(&entry), expected, "{}", entry.display());
    }
}

#[test]
fn a_symbolic_link_in_the_data_is_refused() {
    for part in
        ["uploads", "blobs", "blobs/sha256", "blobs/sha256/00", "ledger", "ledger/ledger.redb", "LOCK"]
    {
        let mut server = Server::start();
        server.stop();
        let (place, aside) = (server.data().join(part), server.data().with_file_name("aside"));
        fs::rename(&place, &aside).expect("moved aside");
        std::os::unix::fs::symlink(&aside, &place).expect("a link in its place");
        let data = server.data().to_str().expect("a path in UTF-8");
        let finished = run(&["serve", "--data", data, "--listen", "127.0.0.1:0"], &[]);
        finished.expect_refusal().expect_words(part).expect_words("symbolic link");
        server.into_dirty();
    }
}

#[test]
fn a_running_upload_is_finished_before_the_stop() {
    let mut server = Server::start();
    let content = bytes::random(505, 1 << 20);
    let digest = bytes::digest(&content);
    let mut connection = Connection::open(server.addr());
    let path = format!("/v2/late/blobs/uploads/?digest={digest}");
    let length = format!("Content-Length: {}", content.len());
    connection.send_head("POST", &path, &[&length]).send(&content[..500_000]);
    let uploads = server.data().join("uploads");
    let begun = || fs::read_dir(&uploads).is_ok_and(|entries| entries.count() > 0);
    wait::until_true("the upload to begin", begun);
    server.terminate();
    let address = server.addr();
    wait::until_true("it to stop accepting", || std::net::TcpStream::connect(address).is_err());
    connection.send(&content[500_000..]);
    connection.reply("POST").expect_status(201);
    assert!(server.wait_for_end().success());
    server.restart();
    server.client().get_blob("late", &digest).expect_status(200).expect_body(&content);
}

/// Waits until a request holds the upload: it has its file open. To ask by another request might be what
/// keeps the first one off.
fn await_busy(server: &Server, location: &str) {
    let (_, session) = location.rsplit_once('/').expect("a path");
    let session = session.split('?').next().expect("the first part");
    let open_files = format!("/proc/{}/fd", server.pid());
    let is_open = |file: io::Result<fs::DirEntry>| {
        file.and_then(|file| fs::read_link(file.path())).is_ok_and(|path| path.ends_with(session))
    };
    wait::until_true("the upload to be held", || {
        fs::read_dir(&open_files).expect("the server's files").any(is_open)
    });
}

#[test]
fn a_stuck_upload_is_not_waited_for_longer_than_the_grace() {
    let mut server = Server::builder().env("WHARFINGER_SHUTDOWN_GRACE_SECS", "1").start();
    let location = uploads::start(&server.client(), "stuck");
    server.client().patch(&location, b"acknowledged").expect_status(202);
    let mut connection = Connection::open(server.addr());
    connection.send_head("PATCH", &location, &["Content-Length: 1000000"]).send(&[7; 10_000]);
    await_busy(&server, &location);
    let started = Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed() < Duration::from_secs(8), "the grace was one second");
    server.restart();
    let (before, more) = (b"acknowledged".len(), 10_000);
    assert_eq!(uploads::offset(&server.client(), &location), before + more, "what arrived is kept");
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let mut server = Server::builder().env("WHARFINGER_SHUTDOWN_GRACE_SECS", "60").start();
    let mut used = Connection::open(server.addr());
    used.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);
    let _silent = Connection::open(server.addr());
    let started = Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed() < Duration::from_secs(8), "nothing was running");
}

#[test]
fn an_interrupt_is_a_clean_stop() {
    let mut server = Server::start();
    let image = ImageBuilder::sample(506).build();
    image.push(&server.client(), "kept", "v1");
    assert!(server.interrupt().success());
    server.restart();
    image.assert_pullable(&server.client(), "kept", "v1");
}

#[test]
fn a_setting_that_is_none_is_refused_by_name() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let arguments = ["serve", "--data", data.to_str().expect("a path in UTF-8"), "--listen", "127.0.0.1:0"];
    for (name, value) in [("WHARFINGER_PAGE_MAX", "many"), ("WHARFINGER_UPLOAD_IDLE_SECS", "-1")] {
        run(&arguments, &[(name, value)]).expect_refusal().expect_words(name);
    }
}

#[test]
fn connections_wait_for_a_busy_server() {
    const WAITING: usize = 300;
    let server = Server::start();
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a limit of the kernel");
    let most: usize = most.trim().parse().expect("a number");
    let process = Pid::from_raw(i32::try_from(server.pid()).expect("an id")).expect("not zero");
    kill_process(process, Signal::STOP).expect("it runs");
    let connect = |_| TcpStream::connect_timeout(&server.addr(), Duration::from_secs(5)).ok();
    let waiting: Vec<_> = (0..WAITING.min(most)).map_while(connect).collect();
    kill_process(process, Signal::CONT).expect("it is there");
    assert_eq!(waiting.len(), WAITING.min(most), "connections that the kernel took");
    drop(waiting);
    server.client().get("/v2/").expect_status(200);
}

/// A client that lost its power says nothing, not even that it is gone: the kernel has to ask.
#[test]
fn a_silent_client_is_probed() {
    let server = Server::builder().env("WHARFINGER_TCP_PROBE_AFTER_SECS", "7").start();
    let mut connection = Connection::open(server.addr());
    connection.send_head("GET", "/v2/", &[]).reply("GET").expect_status(200);
    let port = server.addr().port();
    let sockets = fs::read_to_string("/proc/net/tcp").expect("the kernel's list of sockets");
    // sl local remote state queues timer:when: kind 02 is keepalive, and the time is in jiffies of 1/100 s.
    let ours = format!("0100007F:{port:04X}");
    let timer = sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&ours.as_str()) && fields.get(3) == Some(&"01")).then(|| fields[5].to_owned())
    });
    let timer = timer.expect("the server's end of the connection");
    let (kind, when) = timer.split_once(':').expect("kind:when");
    let jiffies = u64::from_str_radix(when, 16).expect("a number");
    assert_eq!(kind, "02", "a keepalive timer runs: {timer}");
    assert!(jiffies <= 700, "it asks within seven seconds: {timer}");
}
