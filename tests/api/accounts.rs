//! Users and tokens by commands, on a running server and a stopped one, and the htpasswd file at the start.

use std::fs;

use serde_json::{Value, json};

use crate::support::command::{answer, command, command_with_input};
use crate::support::process::{Finished, run};
use crate::support::{Server, wait};

const PASSWORD: &str = "correct horse";

fn add(server: &Server, name: &str) -> Finished {
    command_with_input(server, &["user", "add", name, "--password-stdin"], &format!("{PASSWORD}\n"))
}

fn users(server: &Server) -> Vec<Value> {
    answer(server, &["user", "ls"])["users"].as_array().expect("a list").clone()
}

fn names(server: &Server) -> Vec<Value> {
    users(server).iter().map(|user| user["name"].clone()).collect()
}

fn tokens(server: &Server) -> Vec<Value> {
    answer(server, &["token", "ls"])["tokens"].as_array().expect("a list").clone()
}

const TOKEN: [&str; 7] = ["token", "create", "builder", "--repo", "team/**", "--can", "push,pull"];

#[test]
fn users_come_change_and_go_while_the_server_runs() {
    let server = Server::start();
    command(&server, &["user", "ls"]).expect_code(0).expect_words("no users");
    add(&server, "alice").expect_code(0).expect_words("added alice");
    add(&server, "bob@example.org").expect_code(0);
    assert_eq!(names(&server), ["alice", "bob@example.org"]);
    add(&server, "alice").expect_code(1).expect_words("user passwd alice");
    assert_eq!(users(&server)[0]["disabled_at_ms"], Value::Null);

    let before = users(&server)[0].clone();
    wait::until_true("the clock to move on", || {
        // Without the switch: what is piped in is read.
        let set = command_with_input(&server, &["user", "passwd", "alice"], "another password");
        set.expect_code(0).expect_words("set the password of alice");
        users(&server)[0]["password_changed_at_ms"] != before["password_changed_at_ms"]
    });
    assert_eq!(users(&server)[0]["created_at_ms"], before["created_at_ms"]);

    command(&server, &["user", "disable", "alice"]).expect_code(0).expect_words("disabled alice");
    assert!(users(&server)[0]["disabled_at_ms"].is_u64());
    command(&server, &["user", "enable", "alice"]).expect_code(0).expect_words("enabled alice");
    assert_eq!(users(&server)[0]["disabled_at_ms"], Value::Null);
    command(&server, &["user", "rm", "alice"]).expect_code(0).expect_words("removed alice");
    for verb in ["disable", "enable", "rm"] {
        command(&server, &["user", verb, "alice"]).expect_code(1).expect_words("user add alice");
    }
    let unknown = command_with_input(&server, &["user", "passwd", "alice"], PASSWORD);
    unknown.expect_code(1).expect_words("user ls");
    assert_eq!(names(&server), ["bob@example.org"]);
    let log = server.log();
    assert!(log.contains("alice") && !log.contains("argon2id") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn users_and_tokens_are_kept_by_a_stopped_registry() {
    let mut server = Server::start();
    server.stop();
    add(&server, "alice").expect_code(0);
    let made = answer(&server, &TOKEN);
    server.restart();
    assert_eq!(names(&server), ["alice"]);
    assert_eq!(tokens(&server)[0]["id"], made["id"]);
    command(&server, &["token", "revoke", "builder"]).expect_code(0);
    server.stop();
    assert!(tokens(&server).is_empty());
    command(&server, &["user", "rm", "alice"]).expect_code(0);
    server.restart();
    assert!(users(&server).is_empty());
}

#[test]
fn what_is_no_name_or_no_password_is_refused_before_anybody_is_asked() {
    let server = Server::start();
    for name in ["Alice", "a:b", "robot", "users", "anonymous", ".a", ""] {
        add(&server, name).expect_code(2).expect_words("name");
    }
    for (input, words) in [
        ("", "no password"),
        ("\n", "at least 8"),
        ("1234567\n", "at least 8"),
        ("1234567\t8\n", "control"),
        (&"a".repeat(257), "at most 256"),
    ] {
        let refused = command_with_input(&server, &["user", "add", "alice"], input);
        refused.expect_code(2).expect_words(words);
    }
    run(&["user", "add", "alice", "--password", PASSWORD], &[]).expect_code(2);
    assert!(users(&server).is_empty());
}

#[test]
fn a_token_is_shown_once_and_ends_when_it_is_revoked() {
    let server = Server::start();
    let made = command(&server, &TOKEN).expect_code(0).expect_words("docker login");
    let secret = made.stdout.lines().next().expect("the secret").to_owned();
    assert!(secret.starts_with("wfr_") && secret.len() == 64, "{secret}");
    made.expect_words("It expires at ");
    command(&server, &TOKEN).expect_code(1).expect_words("token revoke builder");

    let endless = ["token", "create", "mirror", "--repo", "a", "--repo", "b/*", "--can", "pull"];
    let endless = answer(&server, &[&endless[..], &["--expires-days", "0"]].concat());
    assert_eq!((&endless["expires_at_ms"], &endless["can"]), (&Value::Null, &json!(["pull"])));
    assert!(endless["secret"].as_str().expect("a text").starts_with("wfr_"));

    let listed = tokens(&server);
    assert_eq!(listed[0]["name"], "builder");
    assert_eq!(listed[0]["id"], secret[4..20]);
    assert_eq!(listed[0]["can"], json!(["pull", "push"]));
    assert_eq!(listed[0]["repositories"], json!(["team/**"]));
    assert_eq!((&listed[0]["expired"], &listed[0]["last_used_at_ms"]), (&json!(false), &Value::Null));
    let number = |key: &str| listed[0][key].as_u64().expect("a number");
    assert_eq!(number("expires_at_ms") - number("created_at_ms"), 90 * 24 * 60 * 60 * 1000);
    assert_eq!(listed[1]["repositories"], json!(["a", "b/*"]));
    let shown = command(&server, &["token", "ls"]).expect_code(0).expect_words("mirror").stdout;
    assert!(!shown.contains(&secret[21..]), "{shown}");

    command(&server, &["token", "revoke", "builder"]).expect_code(0).expect_words(&secret[4..20]);
    command(&server, &["token", "revoke", endless["id"].as_str().expect("a text")]).expect_code(0);
    command(&server, &["token", "revoke", "builder"]).expect_code(1).expect_words("token ls");
    let pasted = command(&server, &["token", "revoke", &secret]).expect_code(2);
    assert!(!pasted.words().contains(&secret[21..]));
    assert!(tokens(&server).is_empty());
    let log = server.log();
    assert!(log.contains("mirror") && !log.contains(&secret[21..]), "{log}");
}

#[test]
fn a_token_says_what_it_is_for() {
    let server = Server::start();
    let create = |more: &[&str]| command(&server, &[&["token", "create", "builder"], more].concat());
    for (arguments, words) in [
        (&["--repo", "team/**"][..], "--can"),
        (&["--can", "pull"], "--repo"),
        (&["--repo", "TEAM", "--can", "pull"], "TEAM"),
        (&["--repo", "team/**", "--can", "fly"], "fly"),
        (&["--repo", "team/**", "--can", ""], "no action"),
        (&["--repo", "team/**", "--can", "pull", "--expires-days", "1.5"], "expires-days"),
        (&["--repo", "team/**", "--can", "pull", "--expires-days", "4000"], "3660"),
    ] {
        create(arguments).expect_code(2).expect_words(words);
    }
    assert!(tokens(&server).is_empty());
    let made = answer(&server, &["token", "create", "root", "--repo", "**", "--can", "admin"]);
    assert_eq!(made["can"], json!(["admin"]));
}

#[test]
fn new_keys_can_be_had_at_any_time() {
    let mut server = Server::start();
    command(&server, &["token", "new-keys"]).expect_code(0).expect_words("dropped 0");
    server.stop();
    assert_eq!(answer(&server, &["token", "new-keys"])["dropped"], 1);
}

/// A hash of `password`, at the least cost.
const HASH: &str = "$2y$04$WG1GXHNOI5mPaRw6xlZEYeIRs1zYtOGPTCYA/3JRgWH3qQQO5NQTC";

#[test]
fn an_htpasswd_file_that_is_wrong_is_refused_at_the_start() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("htpasswd");
    let path = file.to_str().expect("a path in UTF-8");
    let variables = [("WHARFINGER_HTPASSWD", path)];
    let serve = ["serve", "--data", "/proc/none"];
    for command in [&["config", "check"][..], &serve] {
        run(command, &variables).expect_code(2).expect_words(path).expect_words("cannot be read");
    }
    fs::write(&file, format!("alice:{HASH}\nbob:secret\n")).expect("the file is written");
    for command in [&["config", "check"][..], &serve] {
        let refused =
            run(command, &variables).expect_code(2).expect_words("line 2").expect_words("htpasswd -B");
        assert!(!refused.words().contains("secret") && !refused.words().contains("$2y$"));
    }
    fs::write(&file, format!("alice:{HASH}\n")).expect("the file is written");
    run(&["config", "check"], &variables).expect_code(0).expect_words("htpasswd = ");
}

#[test]
fn who_is_in_the_file_and_in_the_ledger_is_told() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("htpasswd");
    fs::write(&file, format!("alice:{HASH}\ncarol:{HASH}\n")).expect("the file is written");
    let path = file.to_str().expect("a path in UTF-8");
    let mut server = Server::builder().env("WHARFINGER_HTPASSWD", path).start();
    assert!(!server.log().contains("in the ledger"), "{}", server.log());
    add(&server, "alice").expect_code(0);
    server.restart();
    let log = server.log();
    assert!(log.contains("1 users of") && log.contains("there count: alice;"), "{log}");

    fs::write(&file, "alice:secret\n").expect("the file is written");
    server.hang_up();
    wait::until_true("the reload", || server.log().contains("reloaded: nothing has changed"));
    // Whoever comes then is checked by what the file said before.
    server.client().with_password("carol", "wrong").get("/v2/").expect_status(401);
    wait::until_true("its line", || server.log().contains("what it said before stays in force"));
    assert!(!server.log().contains("alice:secret"));
}
