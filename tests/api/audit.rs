//! Who did what to what: `wharfinger audit` and `/api/v1/audit`.

use serde_json::Value;

use crate::support::command::command;
use crate::support::{ImageBuilder, Manifest, Server, bytes, uploads};

const REPOSITORY: &str = "team/app";

/// What the command says with these options, an object a line.
#[track_caller]
fn audit(server: &Server, options: &[&str]) -> Vec<Value> {
    let finished = command(server, &[&["audit", "--json"], options].concat()).expect_code(0);
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    finished.stdout.lines().map(parsed).collect()
}

fn words(acts: &[Value]) -> Vec<&str> {
    acts.iter().map(|act| act["action"].as_str().expect("a word")).collect()
}

/// An image of a config and a layer, pushed: three acts.
fn pushed(server: &Server, seed: u64) -> Manifest {
    let image = ImageBuilder::oci().layer(&bytes::random(seed, 100)).build();
    image.push(&server.client(), REPOSITORY, "v1");
    image
}

#[test]
fn every_act_is_a_row_on_a_running_server_and_a_stopped_one() {
    let mut server = Server::start();
    let client = server.client();
    let image = pushed(&server, 980);
    let layer = image.blob_digests().pop().expect("a layer");
    let path = format!("/v2/other/blobs/uploads/?mount={layer}&from={REPOSITORY}");
    client.post(&path, b"").expect_status(201);
    client.delete_blob("other", &layer).expect_status(202);
    client.delete(&uploads::start(&client, "other")).expect_status(204);
    let reply = client.delete_manifest(REPOSITORY, &image.digest).expect_status(202);
    let id = reply.header("x-request-id").to_owned();
    command(&server, &["undelete", "team/app:v1"]).expect_code(0);
    client.delete_manifest(REPOSITORY, "v1").expect_status(202);
    // What is only read, begun or refused is no act.
    client.get_manifest(REPOSITORY, &image.digest).expect_status(200);
    client.head_blob(REPOSITORY, &layer).expect_status(200);
    uploads::start(&client, "other");
    client.delete_blob(REPOSITORY, &layer).expect_status_in(&[405, 409]);
    client.delete_manifest(REPOSITORY, "v1").expect_status(404);
    client.post(&format!("/v2/other/blobs/uploads/?digest={layer}"), b"other bytes").expect_status(400);

    let acts = audit(&server, &[]);
    assert_eq!(
        words(&acts),
        [
            "blob.push",
            "blob.push",
            "manifest.push",
            "blob.mount",
            "blob.delete",
            "upload.cancel",
            "manifest.delete",
            "undelete",
            "tag.delete",
        ]
    );
    let deleted = &acts[6];
    assert_eq!((&deleted["who"], &deleted["address"]), (&"anonymous".into(), &"127.0.0.1".into()));
    assert_eq!(deleted["request_id"], id.as_str());
    assert_eq!(deleted["repository"], REPOSITORY);
    assert_eq!(deleted["digest"], image.digest.as_str());
    assert_eq!((&deleted["tags"], &deleted["tags_count"]), (&serde_json::json!(["v1"]), &1.into()));
    let by_command = &acts[7];
    assert_eq!((&by_command["who"], &by_command["address"]), (&"local".into(), &Value::Null));
    assert_eq!(acts[3]["detail"], "from team/app");

    server.kill();
    assert_eq!(audit(&server, &[]), acts, "what was acknowledged is there");
    command(&server, &["pin", "add", &format!("team/app@{}", image.digest)]).expect_code(0);
    command(&server, &["gc", "--now"]).expect_code(0);
    server.restart();
    let after = audit(&server, &[]);
    assert_eq!(after[..acts.len()], acts);
    assert_eq!(words(&after[acts.len()..]), ["pin.add", "gc.now"]);
    let said = command(&server, &["audit", "--limit", "1", "--action", "manifest.delete"]).expect_code(0);
    said.expect_words("manifest.delete team/app@sha256:")
        .expect_words("(v1): 1 manifest  by anonymous from 127");
}

#[test]
fn acts_are_chosen_by_time_repository_name_and_kind() {
    let server = Server::start();
    pushed(&server, 981);
    server.client().push_blob("other", b"content");
    command(&server, &["pin", "add", "team/app:v1"]).expect_code(0);
    for (options, count) in [
        (&["--since", "1h"][..], 5),
        (&["--since", "7d", "--until", "1h ago"], 0),
        (&["--until", "2020-01-01 00:00"], 0),
        (&["--repo", "team/*"], 4),
        (&["--repo", "none/**"], 0),
        (&["--user", "local"], 1),
        (&["--user", "anonymous"], 4),
        (&["--action", "blob.push"], 3),
        (&["--action", "blob.push", "--repo", "other"], 1),
        (&["--limit", "2"], 2),
        (&["--limit", "0"], 0),
    ] {
        assert_eq!(audit(&server, options).len(), count, "{options:?}");
    }
    assert_eq!(
        words(&audit(&server, &["--limit", "2"])),
        ["blob.push", "pin.add"],
        "the newest, newest last"
    );
    command(&server, &["audit", "--user", "nobody"]).expect_code(0).expect_words("no such act");
    for (options, expected) in [
        (["--since", "someday"], "expected a time"),
        (["--repo", "Team"], "cannot be part"),
        (["--action", "push"], "manifest.push"),
    ] {
        command(&server, &[&["audit"], &options[..]].concat()).expect_code(2).expect_words(expected);
    }
}

#[test]
fn more_than_a_page_comes_in_pages() {
    const PUSHES: usize = 1100;
    let server = Server::start();
    let image = pushed(&server, 982);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = server.client();
                for _ in 0..PUSHES / 4 {
                    image.push_document(&client, REPOSITORY, "v1");
                }
            });
        }
    });
    let all = audit(&server, &["--limit", "5000"]);
    assert_eq!(all.len(), 3 + PUSHES);
    let times: Vec<_> = all.iter().map(|act| act["at_ms"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted());
    assert_eq!(audit(&server, &["--limit", "1001"]), all[all.len() - 1001..]);
}

#[test]
fn programs_of_this_machine_are_answered_in_pages_too() {
    let server = Server::start();
    let client = server.client();
    pushed(&server, 983);
    client.push_blob("other", b"content");
    let mut newest_first = audit(&server, &["--repo", "team/**"]);
    newest_first.reverse();
    let mut next = "/api/v1/audit?repo=team/**&n=2&since_ms=1".to_owned();
    let mut found = Vec::new();
    let mut pages = 0;
    loop {
        let reply = client.get(&next).expect_status(200).expect_header("content-type", "application/json");
        let page = reply.json()["acts"].as_array().expect("a list").clone();
        assert!(page.len() <= 2);
        found.extend(page);
        pages += 1;
        let Some(link) = reply.find_header("link") else { break };
        next = link.trim_start_matches('<').split('>').next().expect("a link").to_owned();
    }
    assert_eq!(found, newest_first);
    assert!(pages >= 2);
    let count = |query: &str| {
        let reply = client.get(&format!("/api/v1/audit?{query}")).expect_status(200);
        reply.json()["acts"].as_array().expect("a list").len()
    };
    assert_eq!((count("user=anonymous"), count("user=alice"), count("action=manifest.push")), (4, 0, 1));
    assert_eq!((count("until_ms=1"), count("n=0")), (0, 0));
    for query in ["since_ms=x", "until_ms=-1", "repo=Team", "action=push"] {
        client.get(&format!("/api/v1/audit?{query}")).expect_error(400, "UNSUPPORTED");
    }
    for query in ["n=x", "last=1-2"] {
        client.get(&format!("/api/v1/audit?{query}")).expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
    for (name, value) in [("x-forwarded-for", "10.0.0.1"), ("host", "evil.example")] {
        client.request("GET", "/api/v1/audit").header(name, value).send().expect_error(403, "DENIED");
    }
    client.delete("/api/v1/audit").expect_error(405, "UNSUPPORTED");
}

#[test]
fn old_acts_are_forgotten_while_it_serves() {
    let environment = [("WHARFINGER_AUDIT_ROWS_MAX", "2"), ("WHARFINGER_HOUSEKEEPING_SECS", "1")];
    let builder =
        environment.iter().fold(Server::builder(), |builder, (name, value)| builder.env(name, value));
    let server = builder.start();
    pushed(&server, 984);
    crate::support::wait::until_true("the oldest to go", || audit(&server, &[]).len() == 2);
    assert_eq!(words(&audit(&server, &[])), ["blob.push", "manifest.push"]);
}
