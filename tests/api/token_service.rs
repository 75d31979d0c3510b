//! `/token`: by GET and by POST, with one scope or many, for somebody or for anybody.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::accounts::{PASSWORD, ask_for_token, by_token, image, server_with, text, token};
use crate::support::{Client, Server};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const RULES: &str = "[{who=[\"users\"], repos=[\"team/**\", \"home/{user}/**\"], can=[\"pull\",\"push\"]}]";
const PUBLIC: &str = "[{who=[\"anonymous\"], repos=[\"public/**\"], can=[\"pull\"]}]";

/// What a token says, unchecked.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn access(token: &str) -> Value {
    claims(token)["access"].clone()
}

fn started(rules: &str) -> (TempDir, Server, Client) {
    let folder = TempDir::new().expect("a temporary directory");
    let server = server_with(folder.path(), rules);
    let alice = server.client().with_password("alice", PASSWORD);
    (folder, server, alice)
}

#[test]
fn get_gives_what_is_asked_for_and_allowed() {
    let (_folder, _server, alice) = started(RULES);
    let reply = ask_for_token(&alice, &["repository:team/app:pull,push,delete"]).expect_status(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.json();
    assert_eq!(answer["expires_in"], 3600);
    assert!(text(&answer, "issued_at").ends_with('Z'));
    assert!(answer.get("refresh_token").is_none());
    let granted = json!([{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}]);
    assert_eq!(access(&text(&answer, "token")), granted);
    assert_eq!(access(&token(&alice, &["repository:other:pull"])), json!([]));
    assert_eq!(access(&token(&alice, &["repository:home/alice/x:pull"]))[0]["actions"], json!(["pull"]));
    assert_eq!(access(&token(&alice, &["repository:home/bob/x:pull"])), json!([]));
    assert_eq!(access(&token(&alice, &["registry:catalog:*"]))[0]["type"], "registry");
}

#[test]
fn scopes_are_joined_however_they_come() {
    let (_folder, _server, alice) = started(RULES);
    let joined = access(&token(&alice, &["repository:team/a:push,pull", "repository:team/b:pull"]));
    for scopes in [
        &["repository:team/a:pull", "repository:team/b:pull", "repository:team/a:push"][..],
        &["repository:team/b:pull%20repository:team/a:pull,push"],
        &["repository:team/b:pull+repository:team/a:pull,push"],
        &["repository:team/a:push,pull%20repository:team/a:pull", "repository:team/b:pull"],
    ] {
        assert_eq!(access(&token(&alice, scopes)), joined, "{scopes:?}");
    }
    for scope in ["x", "repository:team/app", "repository:Team:pull"] {
        ask_for_token(&alice, &[scope]).expect_status(400);
    }
    alice.get("/token?service=another").expect_status(400);
}

#[test]
fn post_gives_tokens_and_tokens_to_get_them_with() {
    let (_folder, server, _) = started(RULES);
    let client = server.client();
    let password = PASSWORD.replace(' ', "+");
    let form = format!(
        "grant_type=password&service=wharfinger&client_id=docker&access_type=offline&username=alice\
         &password={password}&scope=repository%3Ateam%2Fapp%3Apull%2Cpush+repository:team/b:pull"
    );
    let answer = client.post("/token", form.as_bytes()).expect_status(200).json();
    assert_eq!(answer["scope"], "repository:team/app:pull,push repository:team/b:pull");
    assert_eq!(answer["token_type"], "Bearer");
    client.with_token(&text(&answer, "access_token")).get("/v2/team/app/tags/list").expect_status(404);
    let refresh = text(&answer, "refresh_token");
    let form = format!(
        "grant_type=refresh_token&service=wharfinger&client_id=docker&refresh_token={refresh}\
         &scope=repository:team/c:pull"
    );
    let again = client.post("/token", form.as_bytes()).expect_status(200).json();
    assert_eq!(access(&text(&again, "access_token"))[0]["name"], "team/c");
    assert_eq!(again["refresh_token"], refresh, "it stays");
    // Each is good for its own purpose only.
    client.with_token(&refresh).get("/v2/").expect_status(401);
    let form = format!("grant_type=refresh_token&refresh_token={}", text(&again, "access_token"));
    client.post("/token", form.as_bytes()).expect_status(401);
    client.with_token(&text(&again, "access_token")).get("/token").expect_status(401);
    for form in [
        "",
        "grant_type=code",
        "grant_type=password&username=alice",
        "grant_type=refresh_token",
        "grant_type=password&service=other&username=alice&password=x",
    ] {
        client.post("/token", form.as_bytes()).expect_status(400);
    }
    client.post("/token", b"grant_type=password&username=alice&password=wrong").expect_status(401);
    client.post("/token", &vec![b'a'; 70_000]).expect_status(413);
    client.put("/token", b"").expect_status(405);
}

#[test]
fn nobody_gets_a_token_without_credentials_unless_all_may_something() {
    let (_folder, server, _) = started(RULES);
    let refused = ask_for_token(&server.client(), &["repository:team/app:pull"]).expect_status(401);
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"wharfinger\"");
    ask_for_token(&server.client().with_password("alice", "wrong"), &[]).expect_status(401);
    let (_folder, server, _) = started(PUBLIC);
    let anybody = token(&server.client(), &["repository:public/a:pull,push", "repository:other:pull"]);
    let granted = json!([{"type": "repository", "name": "public/a", "actions": ["pull"]}]);
    assert_eq!(access(&anybody), granted);
    assert_eq!(claims(&anybody)["sub"], "");
    let answer = server.client().get("/token?offline_token=true").expect_status(200).json();
    assert!(answer.get("refresh_token").is_none(), "nobody has none");
}

#[test]
fn a_token_is_for_its_scopes_alone() {
    let (_folder, server, alice) = started(RULES);
    let client = server.client().with_token(&token(&alice, &["repository:team/a:pull"]));
    client.get("/v2/team/a/tags/list").expect_status(404);
    for (method, path, scope) in [
        ("GET", "/v2/team/b/tags/list", "repository:team/b:pull"),
        ("POST", "/v2/team/a/blobs/uploads/", "repository:team/a:pull,push"),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
    ] {
        let reply = client.request(method, path).send().expect_status(401);
        let challenge = reply.header("www-authenticate");
        let expected = format!(",scope=\"{scope}\",error=\"insufficient_scope\"");
        assert!(challenge.ends_with(&expected), "{method} {path}: {challenge}");
    }
    // What the policy denies is no matter of scopes.
    client.get("/v2/other/tags/list").expect_error(404, "NAME_UNKNOWN");
}

#[test]
fn a_mount_asks_for_a_token_for_its_source_where_its_holder_may_have_one() {
    let folder = TempDir::new().unwrap();
    let rules = "[{who=[\"users\"], repos=[\"**\"], can=[\"pull\",\"push\"]}, \
                  {who=[\"users\"], repos=[\"hidden\"], can=[]}, \
                  {who=[\"bob\"], repos=[\"hidden\"], can=[\"pull\",\"push\"]}]";
    let server = server_with(folder.path(), rules);
    let alice = server.client().with_password("alice", PASSWORD);
    let (shown, hidden) = (image(b"a layer"), image(b"another"));
    shown.push(&alice, "source", "v1");
    hidden.push(&server.client().with_password("bob", PASSWORD), "hidden", "v1");
    let mount = |client: &Client, from: &str, digest: &str| {
        client.post(&format!("/v2/target/blobs/uploads/?mount={digest}&from={from}"), b"")
    };
    let narrow = by_token(&alice, &["repository:target:pull,push"]);
    let layer = &shown.blob_digests()[0];
    let refused = mount(&narrow, "source", layer).expect_error(401, "UNAUTHORIZED");
    let scope = "repository:target:pull,push repository:source:pull";
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains(&format!("scope=\"{scope}\",error=\"insufficient_scope\"")), "{challenge}");
    let wide = by_token(&alice, &[&scope.replace(' ', "%20")]);
    mount(&wide, "source", layer).expect_status(201);
    // Where no token would help, nothing is told of the source: neither that it is there nor that it is not.
    for (from, digest) in [("hidden", &hidden.blob_digests()[0]), ("hidden", layer)] {
        mount(&narrow, from, digest).expect_status(202);
        mount(&alice, from, digest).expect_status(202);
    }
}
