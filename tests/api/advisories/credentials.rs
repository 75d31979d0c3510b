//! Secrets, tokens and names: forged, guessed, or found where they should not be.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{APART, Scene, seen};
use crate::support::accounts::{PASSWORD, by_token, image, text, token};
use crate::support::canaries;
use crate::support::command::{answer, command, command_with_input};
use crate::support::process::run;
use crate::support::wait;

/// What stands before the seed of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A key that is none of the registry's.
fn own_key() -> EncodingKey {
    EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &[7; 32]].concat())
}

/// What the parts of a token say.
fn parts(token: &str) -> (Value, Value) {
    let read = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let mut parts = token.split('.');
    (read(parts.next().expect("a header")), read(parts.next().expect("claims")))
}

fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &own_key(), Algorithm::EdDSA);
    format!("{message}.{}", signature.expect("a key that signs"))
}

/// A header that brings its own key, under the name of one that is trusted.
#[test]
fn cve_2025_24976_a_token_with_its_own_key_is_refused() {
    let Scene { _folder, server, alice, .. } = &Scene::start(APART);
    image(b"layer").push(alice, "team/app", "v1");
    let real = token(alice, &["repository:team/app:pull"]);
    server.client().with_token(&real).get_manifest("team/app", "v1").expect_status(200);
    let (header, claims) = parts(&real);
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&own_key(), Algorithm::EdDSA).expect("a key");
    let own = serde_json::to_value(jwk).expect("JSON");
    for (key, value) in [
        ("jwk", own),
        ("jku", json!("http://127.0.0.1/keys")),
        ("x5u", json!("http://127.0.0.1/keys")),
        ("x5c", json!(["AAAA"])),
        ("kid", json!("../../dev/null")),
        ("typ", json!("JWT")),
    ] {
        let mut header = header.clone();
        header[key] = value;
        let forged = server.client().with_token(&signed(&header, &claims));
        forged.get_manifest("team/app", "v1").expect_error(401, "UNAUTHORIZED");
        forged.get("/v2/").expect_status(401);
    }
    let message = real.rsplit_once('.').expect("a signature").0;
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
    let claims = message.rsplit_once('.').expect("claims").1;
    for forged in [format!("{message}."), format!("{none}.{claims}."), format!("{none}.{claims}")] {
        server.client().with_token(&forged).get("/v2/").expect_status(401);
    }
}

/// What is answered to a name that is known and to one that is not, each with a wrong password.
#[test]
fn cve_2019_19030_a_name_that_is_known_is_answered_like_one_that_is_not() {
    let Scene { _folder, server, .. } = &Scene::start(APART);
    command_with_input(server, &["user", "add", "carol", "--password-stdin"], "a password of hers")
        .expect_code(0);
    command(server, &["user", "disable", "carol"]).expect_code(0);
    let ask = |name: &str, password: &str, path: &str| {
        seen(&server.client().with_password(name, password).get(path), name)
    };
    for path in ["/v2/", "/v2/_catalog", "/v2/team/app/tags/list", "/token?scope=repository:team/app:pull"] {
        let unknown = ask("nobody", "wrong", path);
        assert_eq!(ask("alice", "wrong", path), unknown, "{path}");
        assert_eq!(ask("carol", "a password of hers", path), unknown, "a disabled user at {path}");
        assert_eq!(unknown.0, 401);
    }
}

/// All that is printed for people and programs, with every kind of secret in use.
#[test]
fn cve_2025_48374_no_secret_is_printed() {
    let before = canaries::count();
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let server =
        crate::support::accounts::builder_with(folder.path(), APART).env("RUST_LOG", "trace").start();
    let alice = server.client().with_password("alice", PASSWORD);
    image(b"layer").push(&alice, "team/app", "v1");
    let made = answer(&server, &["token", "create", "builder", "--repo", "team/*", "--can", "pull"]);
    let secret = text(&made, "secret");
    let robot = server.client().with_password("builder", &secret);
    by_token(&robot, &["repository:team/app:pull"]).get_manifest("team/app", "v1").expect_status(200);
    server.client().with_token(&secret).get_manifest("team/app", "v1").expect_status(200);
    // In places where none belongs.
    let form = format!("grant_type=password&username=alice&password={secret}");
    server.client().post("/token", form.as_bytes()).expect_status_in(&[200, 400, 401]);
    canaries::add("a wrong canary");
    server.client().with_password("alice", "a wrong canary").get("/v2/").expect_status(401);
    server.client().request("GET", "/v2/").header("authorization", &format!("Digest {secret}")).send();
    let all = answer(&server, &["token", "create", "all", "--repo", "**", "--can", "admin"]);
    let metrics = server.client().with_token(&text(&all, "secret")).get("/metrics").expect_status(200);
    canaries::assert_none_in("/metrics", &metrics.to_string(), before);
    for words in
        [&["user", "ls"][..], &["token", "ls"], &["audit"], &["repo", "ls"], &["repo", "show", "team/app"]]
    {
        let said = command(&server, words).expect_code(0).words();
        canaries::assert_none_in(&words.join(" "), &said, before);
        let said = command(&server, &[words, &["--json"]].concat()).expect_code(0).words();
        canaries::assert_none_in(&words.join(" "), &said, before);
    }
    let users = folder.path().join("htpasswd");
    let environment =
        [("WHARFINGER_HTPASSWD", users.to_str().expect("a path in UTF-8")), ("WHARFINGER_ACCESS", APART)];
    for words in [&["config", "check"][..], &["config", "example"]] {
        let said = run(words, &environment).expect_code(0).words();
        canaries::assert_none_in(&words.join(" "), &said, before);
    }
}

/// Names that would write lines of their own, by every way in which a name can come.
#[test]
fn a_name_breaks_no_line_of_the_log() {
    let Scene { _folder, server, alice, .. } = &Scene::start(APART);
    let evil = "x\n[2026-01-01T00:00:00Z ERROR forged] by\u{1b}[31m\r\u{2028}";
    server.client().with_password(evil, "wrong").get("/v2/").expect_status(401);
    let encoded = "x%0a%5b2026-01-01T00:00:00Z%20ERROR%20forged%5d%1b%5b31m%0d";
    for path in [
        format!("/token?service=wharfinger&account={encoded}&scope={encoded}"),
        format!("/token?service={encoded}"),
        format!("/token?scope=repository:{encoded}:pull"),
        format!("/v2/_catalog?last={encoded}&n={encoded}"),
        format!("/v2/team/app/tags/list?last={encoded}"),
    ] {
        alice.get(&path);
    }
    let form = format!("grant_type=password&username={encoded}&password=x&client_id={encoded}");
    server.client().post("/token", form.as_bytes()).expect_status_in(&[400, 401]);
    // Line ends in headers are refused by whoever parses them; what else there may be is written as it is
    // escaped, or not at all.
    let mut connection = crate::support::raw::Connection::open(server.addr());
    let headers = ["User-Agent: \u{9b}31m forged \u{fc}", "Docker-Upload-UUID: \u{9b}forged"];
    connection.send_head("GET", "/v2/", &headers).reply("GET");
    let end = alice.get("/v2/team/none/tags/list");
    let id = end.header("x-request-id").to_owned();
    wait::until_true("the last line", || server.log().contains(&id));
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with("[20")), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("[2026-01-01T00:00:00Z")), "{log}");
    assert!(log.chars().all(|character| character == '\n' || !character.is_control()), "{log:?}");
}
