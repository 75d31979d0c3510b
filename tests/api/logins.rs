//! Who is let in: by password, by a robot's token, by a token of the token service, and for how long.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::accounts::{
    PASSWORD, builder_with, by_token, image, server_with, text, token, write_users,
};
use crate::support::command::{answer, command, command_with_input};
use crate::support::{Client, Server, uploads, wait};

/// Everybody who has an account may do everything.
const USERS_ALL: &str = "[{who=[\"users\"], repos=[\"**\"], can=[\"pull\",\"push\",\"delete\"]}]";

/// Everybody may pull, and who has an account may push, too.
const PULL_FOR_ALL: &str = "[{who=[\"anonymous\"], repos=[\"**\"], can=[\"pull\"]}, \
                             {who=[\"users\"], repos=[\"**\"], can=[\"pull\",\"push\"]}]";

#[test]
fn a_ping_says_how_to_log_in() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    let client = server.client();
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"wharfinger\"", server.addr());
    for path in ["/v2/", "/v2"] {
        client.get(path).expect_error(401, "UNAUTHORIZED").expect_header("www-authenticate", &challenge);
        client.head(path).expect_status(401).expect_header("www-authenticate", &challenge);
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let scoped = format!("{challenge},scope=\"repository:a/b:pull\"");
    client.get_blob("a/b", &digest).expect_status(401).expect_header("www-authenticate", &scoped);
    let scoped = format!("{challenge},scope=\"repository:a/b:pull,push\"");
    client.post("/v2/a/b/blobs/uploads/", b"").expect_status(401).expect_header("www-authenticate", &scoped);
    let scoped = format!("{challenge},scope=\"registry:catalog:*\"");
    client.get("/v2/_catalog").expect_status(401).expect_header("www-authenticate", &scoped);
    client.request("OPTIONS", "/v2/").send().expect_status(204);
}

#[test]
fn the_challenge_can_be_basic() {
    let folder = TempDir::new().unwrap();
    let server = builder_with(folder.path(), USERS_ALL).env("WHARFINGER_CHALLENGE", "basic").start();
    server
        .client()
        .get("/v2/")
        .expect_status(401)
        .expect_header("www-authenticate", "Basic realm=\"wharfinger\"");
}

#[test]
fn a_password_lets_in_and_a_wrong_one_does_not() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    let alice = server.client().with_password("alice", PASSWORD);
    alice.get("/v2/").expect_status(200);
    let image = image(b"a layer");
    image.push(&alice, "team/app", "v1");
    image.assert_pullable(&alice, "team/app", "v1");
    image.assert_pullable(&by_token(&alice, &["repository:team/app:pull"]), "team/app", "v1");
    for (name, password) in
        [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("", ""), ("Alice", PASSWORD)]
    {
        let client = server.client().with_password(name, password);
        client.get("/v2/").expect_error(401, "UNAUTHORIZED");
        client.get_manifest("team/app", "v1").expect_status(401);
    }
    for header in ["Basic", "Basic x", "Bearer", "Bearer x.y.z", "Digest a", "Basic bm9jb2xvbg=="] {
        let client = server.client();
        let request = client.request("GET", "/v2/team/app/manifests/v1").header("authorization", header);
        request.send().expect_error(401, "UNAUTHORIZED");
    }
}

#[test]
fn everybody_pulls_and_users_push() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), PULL_FOR_ALL);
    let (anybody, alice) = (server.client(), server.client().with_password("alice", PASSWORD));
    let image = image(b"a layer");
    image.push(&alice, "team/app", "v1");
    image.assert_pullable(&anybody, "team/app", "v1");
    assert_eq!(anybody.catalog(), ["team/app"]);
    // A client that pings first gets a token without credentials.
    anybody.get("/v2/").expect_status(401);
    let by_token = by_token(&anybody, &["repository:team/app:pull,push"]);
    by_token.get("/v2/").expect_status(200);
    image.assert_pullable(&by_token, "team/app", "v1");
    by_token.post("/v2/team/app/blobs/uploads/", b"").expect_status(401);
    anybody.post("/v2/team/app/blobs/uploads/", b"").expect_status(401);
    alice.delete_manifest("team/app", "v1").expect_error(403, "DENIED");
    // Wrong credentials are no reason to be treated like somebody without.
    anybody.with_password("alice", "wrong").get_manifest("team/app", "v1").expect_status(401);
}

/// Everything that alice's access hangs on, warm.
struct Warm {
    password: Client,
    access: Client,
    /// Robots have none.
    refresh: Option<String>,
}

impl Warm {
    fn up(client: &Client, name: &str, password: &str) -> Self {
        let by_password = client.with_password(name, password);
        let path = "/token?service=wharfinger&offline_token=true&scope=repository:team/app:pull,push";
        let answer = by_password.get(path).expect_status(200).json();
        let access = client.with_token(&text(&answer, "token"));
        let refresh = answer["refresh_token"].as_str().map(str::to_owned);
        let warm = Self { password: by_password, access, refresh };
        warm.assert_status(200, 404);
        warm
    }

    fn refresh(&self) -> &str {
        self.refresh.as_deref().expect("a user has one")
    }

    /// What each of the three ways is answered with.
    #[track_caller]
    fn assert_status(&self, ping: u16, manifest: u16) {
        for client in [&self.password, &self.access] {
            client.get("/v2/").expect_status(ping);
            client.get_manifest("team/app", "none").expect_status(manifest);
        }
        let Some(refresh) = &self.refresh else { return };
        let form = format!("grant_type=refresh_token&service=wharfinger&refresh_token={refresh}");
        let anybody = self.password.without_login();
        anybody.post("/token", form.as_bytes()).expect_status(ping);
    }
}

/// Runs a command of `wharfinger user` that reads a password.
#[track_caller]
fn set_password(server: &Server, verb: &str, name: &str, password: &str) {
    command_with_input(server, &["user", verb, name, "--password-stdin"], password).expect_code(0);
}

#[test]
fn a_changed_password_counts_at_once_with_warm_caches() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    set_password(&server, "add", "carol", "first password");
    let warm = Warm::up(&server.client(), "carol", "first password");
    set_password(&server, "passwd", "carol", "second password");
    warm.assert_status(401, 401);
    Warm::up(&server.client(), "carol", "second password");
}

#[test]
fn a_disabled_user_is_out_at_once_and_in_again_when_enabled() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    set_password(&server, "add", "carol", "a password");
    let warm = Warm::up(&server.client(), "carol", "a password");
    command(&server, &["user", "disable", "carol"]).expect_code(0);
    warm.assert_status(401, 401);
    command(&server, &["user", "enable", "carol"]).expect_code(0);
    warm.assert_status(200, 404);
    command(&server, &["user", "rm", "carol"]).expect_code(0);
    warm.assert_status(401, 401);
}

#[test]
fn the_file_of_users_counts_as_it_is_now() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    let warm = Warm::up(&server.client(), "alice", PASSWORD);
    write_users(&folder.path().join("htpasswd"), &[("alice", "another password")]);
    warm.assert_status(401, 401);
    Warm::up(&server.client(), "alice", "another password");
    server.client().with_password("bob", PASSWORD).get("/v2/").expect_status(401);
}

#[test]
fn a_revoked_robot_is_out_at_once() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    let made = answer(&server, &["token", "create", "builder", "--repo", "team/**", "--can", "pull,push"]);
    let secret = text(&made, "secret");
    let warm = Warm::up(&server.client(), "builder", &secret);
    let bare = server.client().with_token(&secret);
    bare.get("/v2/").expect_status(200);
    bare.get_manifest("team/app", "none").expect_status(404);
    command(&server, &["token", "revoke", "builder"]).expect_code(0);
    warm.assert_status(401, 401);
    bare.get_manifest("team/app", "none").expect_status(401);
}

#[test]
fn new_keys_end_every_token() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), USERS_ALL);
    let warm = Warm::up(&server.client(), "alice", PASSWORD);
    command(&server, &["token", "new-keys"]).expect_code(0);
    warm.access.get("/v2/").expect_status(401);
    let form = format!("grant_type=refresh_token&refresh_token={}", warm.refresh());
    server.client().post("/token", form.as_bytes()).expect_status(401);
    warm.password.get("/v2/").expect_status(200);
    Warm::up(&server.client(), "alice", PASSWORD);
}

#[test]
fn tokens_are_good_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut server = server_with(folder.path(), USERS_ALL);
    let token = token(&server.client().with_password("alice", PASSWORD), &["repository:a:pull"]);
    server.restart();
    server.client().with_token(&token).get("/v2/").expect_status(200);
}

#[test]
fn a_robot_may_what_its_token_says_by_every_way() {
    let folder = TempDir::new().unwrap();
    let server = server_with(folder.path(), PULL_FOR_ALL);
    let alice = server.client().with_password("alice", PASSWORD);
    for repository in ["team/app", "other/app"] {
        image(b"layer").push(&alice, repository, "v1");
    }
    let made = answer(&server, &["token", "create", "reader", "--repo", "team/**", "--can", "pull"]);
    let secret = text(&made, "secret");
    let by_password = server.client().with_password("reader", &secret);
    let scopes = ["repository:team/app:pull,push", "repository:other/app:pull,push"];
    for client in [&by_password, &server.client().with_token(&secret), &by_token(&by_password, &scopes)] {
        client.get_manifest("team/app", "v1").expect_status(200);
        client.head_manifest("other/app", "v1").expect_status_in(&[401, 404]);
        client.post("/v2/team/app/blobs/uploads/", b"").expect_status_in(&[401, 403]);
        client.delete_manifest("team/app", "v1").expect_status_in(&[401, 403]);
    }
    assert_eq!(by_password.catalog(), ["team/app"]);
    let explain =
        |action, repository| command(&server, &["policy", "explain", "robot:reader", action, repository]);
    explain("pull", "team/app").expect_code(0).expect_words("allowed");
    explain("push", "team/app").expect_code(1).expect_words("denied");
    explain("pull", "other/app").expect_code(1);
    command(&server, &["policy", "explain", "robot:nobody", "pull", "a"])
        .expect_code(2)
        .expect_words("token ls");
}

#[test]
fn after_wrong_logins_nothing_is_checked_for_a_while_but_who_is_in_stays_in() {
    let folder = TempDir::new().unwrap();
    let server = builder_with(folder.path(), USERS_ALL)
        .env("WHARFINGER_FAILED_LOGINS_MAX", "3")
        .env("WHARFINGER_FAILED_LOGIN_DELAY_MAX_MS", "10")
        .start();
    let warm = Warm::up(&server.client(), "alice", PASSWORD);
    let guess = |password: &str| server.client().with_password("bob", password).get("/v2/");
    for number in 0..3 {
        guess(&format!("guess {number}")).expect_status(401);
    }
    let refused = guess(PASSWORD).expect_error(429, "TOOMANYREQUESTS");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    warm.assert_status(200, 404);
}

#[test]
fn wrong_logins_that_may_not_wait_are_answered_at_once_and_count_all_the_same() {
    let folder = TempDir::new().unwrap();
    let server = builder_with(folder.path(), USERS_ALL)
        .env("WHARFINGER_DELAYED_LOGINS_MAX", "0")
        .env("WHARFINGER_FAILED_LOGINS_MAX", "2")
        .start();
    let guess = |password: &str| server.client().with_password("bob", password).get("/v2/");
    guess(PASSWORD).expect_status(200);
    let warm = Warm::up(&server.client(), "alice", PASSWORD);
    for number in 0..2 {
        let refused = guess(&format!("guess {number}"));
        refused.expect_error(429, "TOOMANYREQUESTS").expect_header("retry-after", "1");
    }
    let refused = guess("another guess").expect_error(429, "TOOMANYREQUESTS");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((2..=60).contains(&wait), "nothing more is checked from there, not for {wait} s");
    guess(PASSWORD).expect_status(200);
    warm.assert_status(200, 404);
}

#[test]
fn an_upload_outlives_its_token_and_belongs_to_who_began_it() {
    let folder = TempDir::new().unwrap();
    let server = builder_with(folder.path(), USERS_ALL).env("WHARFINGER_TOKEN_LIFE_SECS", "1").start();
    let alice = server.client().with_password("alice", PASSWORD);
    let bob = server.client().with_password("bob", PASSWORD);
    let short = by_token(&alice, &["repository:team/app:pull,push"]);
    let location = uploads::start(&short, "team/app");
    wait::until("the token's end", || (short.get("/v2/").status == 401).then_some(()));
    short.post("/v2/team/app/blobs/uploads/", b"").expect_status(401);
    short.patch(&location, b"first ").expect_status(202);
    for stranger in [&bob, &by_token(&bob, &["repository:team/app:pull,push"])] {
        stranger.get(&location).expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        stranger.patch(&location, b"x").expect_status(404);
        stranger
            .put(&uploads::with_digest(&location, &crate::support::bytes::digest(b"first ")), b"")
            .expect_status(404);
        stranger.delete(&location).expect_status(404);
    }
    let elsewhere = location.replace("team/app", "team/other");
    alice.get(&elsewhere).expect_status(404);
    assert_eq!(uploads::offset(&alice, &location), 6, "by whatever way its owner comes");
    let digest = crate::support::bytes::digest(b"first second");
    short.put(&uploads::with_digest(&location, &digest), b"second").expect_status(201);
    // One that ended before the session began is of no use to it.
    let later = uploads::start(&alice, "team/app");
    short.patch(&later, b"x").expect_status(401);
    alice.delete(&later).expect_status(204);
}

#[test]
fn one_wrong_password_or_token_again_and_again_counts_once() {
    let folder = TempDir::new().unwrap();
    let server = builder_with(folder.path(), USERS_ALL)
        .env("WHARFINGER_FAILED_LOGINS_MAX", "3")
        .env("WHARFINGER_FAILED_LOGIN_DELAY_MAX_MS", "10")
        .start();
    set_password(&server, "add", "carol", "a password");
    let made = answer(&server, &["token", "create", "builder", "--repo", "**", "--can", "pull"]);
    let stale = server.client().with_token(&text(&made, "secret"));
    command(&server, &["token", "revoke", "builder"]).expect_code(0);
    let mistyped = server.client().with_password("carol", "next password");
    for _ in 0..10 {
        stale.get("/v2/").expect_status(401);
        mistyped.get("/v2/").expect_status(401);
    }
    // What was wrong is right once the account is another.
    set_password(&server, "passwd", "carol", "next password");
    mistyped.get("/v2/").expect_status(200);
    for number in 0..2 {
        server.client().with_password("carol", &format!("guess {number}")).get("/v2/").expect_status(401);
    }
    server.client().with_password("carol", "one more").get("/v2/").expect_status(429);
    server.client().with_password("bob", PASSWORD).get("/v2/").expect_status(200);
}

#[test]
fn who_was_shut_out_comes_in_as_nobody_where_all_may_something() {
    let server = Server::builder().env("WHARFINGER_ANONYMOUS", "pull").start();
    let made = answer(&server, &["token", "create", "only", "--repo", "team/**", "--can", "pull"]);
    let secret = text(&made, "secret");
    let client = server.client().with_token(&secret);
    client.get_manifest("other/app", "none").expect_error(404, "MANIFEST_UNKNOWN");
    command(&server, &["token", "revoke", "only"]).expect_code(0);
    client.get_manifest("other/app", "none").expect_error(401, "UNAUTHORIZED");
    server.client().with_password("only", &secret).get("/v2/").expect_status(401);
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn a_reload_that_says_nothing_of_access_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("wharfinger.toml");
    std::fs::write(&file, "anonymous = \"pull\"\n").unwrap();
    let server = Server::builder().arg("--config").arg(file.to_str().unwrap()).start();
    server.client().post("/v2/a/blobs/uploads/", b"").expect_error(403, "DENIED");
    std::fs::write(&file, "").unwrap();
    server.hang_up();
    wait::until_true("the refusal", || server.log().contains("nothing says any more who may do what"));
    server.client().post("/v2/a/blobs/uploads/", b"").expect_error(403, "DENIED");
}

#[test]
fn watchers_are_asked_for_nothing_and_can_guess_nothing() {
    let folder = TempDir::new().unwrap();
    let server =
        builder_with(folder.path(), USERS_ALL).env("WHARFINGER_METRICS_LISTEN", "127.0.0.1:0").start();
    let address = wait::until("the second address", || {
        let output = server.output();
        let rest = output.split("numbers are at http://").nth(1)?.split('/').next()?.parse().ok()?;
        Some(rest)
    });
    for client in [Client::new(address), Client::new(address).with_password("alice", "wrong")] {
        client.get("/metrics").expect_status(200);
        client.get("/v2/").expect_status(404);
    }
    // On the first listener the numbers are for those who run the registry.
    server.client().get("/metrics").expect_status(401);
    server.client().with_password("alice", PASSWORD).get("/metrics").expect_error(403, "DENIED");
    server.client().with_password("alice", PASSWORD).get("/api/v1/audit").expect_error(403, "DENIED");
}

#[test]
fn no_secret_is_in_the_log() {
    let folder = TempDir::new().unwrap();
    let server = builder_with(folder.path(), USERS_ALL).env("RUST_LOG", "trace").start();
    let warm = Warm::up(&server.client(), "alice", PASSWORD);
    server.client().with_password("alice", "wrong canary").get("/v2/").expect_status(401);
    let made = answer(&server, &["token", "create", "builder", "--repo", "**", "--can", "pull"]);
    let secret = text(&made, "secret");
    server.client().with_token(&secret).get("/v2/").expect_status(200);
    let log = server.log();
    for canary in [PASSWORD, "wrong canary", &secret, warm.refresh()] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
    let encoded = warm.refresh().rsplit('.').next().expect("a signature");
    assert!(!log.contains(encoded), "a token is in the log");
    assert!(log.contains("alice"), "who did it is");
    let ledger = crate::support::files::files_under(server.data());
    for file in ledger {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for canary in [PASSWORD, "wrong canary", &secret, warm.refresh()] {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} is in {}", file.display());
        }
    }
    let _: Value = warm.password.get("/v2/_catalog").json();
}
