//! Rules of access: what they let callers without credentials do, over HTTP and after SIGHUP, and what
//! `policy explain` says of anybody.

use std::fs;

use serde_json::Value;

use crate::support::process::{Finished, run};
use crate::support::{ImageBuilder, Server, uploads, wait};

/// Everybody pulls what is public and pushes to inbox/; users push to teams and have a home; ann may not.
const RULES: &str = r#"
[groups]
ci = ["builder"]

[[access]]
who = ["anonymous"]
repos = ["public/**"]
can = ["pull"]

[[access]]
who = ["anonymous"]
repos = ["inbox/**"]
can = ["pull", "push"]

[[access]]
who = ["users"]
repos = ["team/**", "home/{user}/**"]
can = ["pull", "push"]

[[access]]
who = ["ann"]
repos = ["team/secret/**"]
can = []

[[access]]
who = ["group:ci"]
repos = ["**"]
can = ["pull", "create"]
"#;

/// A file of rules, in a directory of its own.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = home.path().join("w.toml");
    fs::write(&path, text).expect("the file is written");
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    (home, path)
}

#[test]
fn callers_without_credentials_do_what_the_rules_let_everybody_do() {
    let (_home, path) = file(RULES);
    let mut server = Server::start();
    let image = ImageBuilder::sample(1200).build();
    for repository in ["public/app", "team/app", "inbox/app"] {
        image.push(&server.client(), repository, "v1");
    }
    server.set_args(&["--config", &path]);
    server.restart();
    let client = server.client();
    // There are rules for users: who pings is told how to log in, and who asks for what is for all gets it.
    client.get("/v2/").expect_error(401, "UNAUTHORIZED");
    image.assert_pullable(&client, "public/app", "v1");
    assert_eq!(client.tags("public/app"), ["v1"]);
    let path = "/v2/public/app/blobs/uploads/";
    client.post(path, b"").expect_error(401, "UNAUTHORIZED");
    client.delete_manifest("public/app", "v1").expect_error(401, "UNAUTHORIZED");
    image.push(&client, "inbox/new/one", "v1");
    client.delete(&uploads::start(&client, "inbox/new/one")).expect_status(204);
    client.delete_manifest("inbox/new/one", "v1").expect_error(401, "UNAUTHORIZED");
    // What is there and what is not is refused alike.
    let of = |repository: &str| {
        let reply = client.get_manifest(repository, "v1").expect_error(401, "UNAUTHORIZED");
        String::from_utf8_lossy(&reply.body).into_owned()
    };
    assert_eq!(of("team/app"), of("team/nothing"));
    for path in [
        &format!("/v2/team/app/blobs/{}", image.blob_digests()[0]),
        "/v2/team/app/tags/list",
        "/v2/team/app/_oci/tag-history/v1",
        &format!("/v2/team/app/referrers/{}", image.digest),
        "/api/v1/repositories/team/app",
    ] {
        client.get(path).expect_error(401, "UNAUTHORIZED");
    }
    // A list of all names only those.
    assert_eq!(client.catalog(), ["inbox/app", "inbox/new/one", "public/app"]);
    let listed = client.get("/api/v1/repositories").expect_status(200).json();
    assert_eq!(listed["repositories"].as_array().expect("a list").len(), 3);
    assert!(listed.get("registry").is_none() && !listed.to_string().contains("own_bytes"), "{listed}");
}

#[test]
fn a_rule_for_everything_is_what_anonymous_says() {
    let access = r#"[{who=["anonymous"], repos=["**"], can=["pull", "push"]}]"#;
    let server = Server::builder().env("WHARFINGER_ACCESS", access).start();
    let client = server.client();
    let image = ImageBuilder::sample(1201).build();
    image.push(&client, "any/where", "v1");
    image.assert_pullable(&client, "any/where", "v1");
    assert_eq!(client.catalog(), ["any/where"]);
    client.get("/api/v1/repositories").expect_status(200);
    client.delete_manifest("any/where", "v1").expect_error(403, "DENIED");
}

#[test]
fn who_says_that_nobody_may_is_obeyed() {
    let server = Server::builder().env("WHARFINGER_ACCESS", "[]").start();
    server.client().get("/v2/").expect_error(403, "DENIED");
    server.client().get("/v2/a/tags/list").expect_error(403, "DENIED");
    wait::until_true("the greeting", || server.output().contains("docker login"));
    assert!(!server.output().contains("docker pull"), "{}", server.output());
}

#[test]
fn a_hang_up_replaces_the_rules_at_once() {
    let rule = |repos: &str| {
        format!("[[access]]\nwho = [\"anonymous\"]\nrepos = [\"{repos}\"]\ncan = [\"pull\", \"push\"]\n")
    };
    let (_home, path) = file(&rule("a/**"));
    let server = Server::builder().arg("--config").arg(&path).start();
    let client = server.client();
    let image = ImageBuilder::sample(1202).build();
    image.push(&client, "a/app", "v1");
    client.get_manifest("b/app", "v1").expect_error(403, "DENIED");

    fs::write(&path, rule("b/**")).expect("the file is written");
    server.hang_up();
    wait::until_true("the reload", || server.log().contains("reloaded: access was {"));
    wait::until_true("the other rule", || server.log().contains("reloaded: access was nothing and is {"));
    client.get_manifest("a/app", "v1").expect_error(403, "DENIED");
    image.push(&client, "b/app", "v1");

    fs::write(&path, rule("a/**").replace("anonymous", "group:nobody")).expect("the file is written");
    server.hang_up();
    wait::until_true("the refusal", || server.log().contains("not reloaded"));
    assert!(server.log().contains("w.toml:2: who=\"group:nobody\": expected a group"), "{}", server.log());
    image.assert_pullable(&client, "b/app", "v1");
    client.get_manifest("a/app", "v1").expect_error(403, "DENIED");
}

#[test]
fn other_machines_are_let_in_by_a_word_alone() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    let arguments = ["serve", "--listen", "0.0.0.0:0", "--data", data.to_str().expect("a path in UTF-8")];
    let refused = run(&arguments, &[]).expect_code(2);
    for cure in ["--anonymous pull,push,delete", "WHARFINGER_ANONYMOUS", "[[access]]", "users"] {
        assert!(refused.words().contains(cure), "{cure}: {}", refused.words());
    }
    let groups = [("WHARFINGER_GROUPS", "{ci=[\"builder\"]}")];
    run(&arguments, &groups).expect_code(2).expect_words("nothing says what they may do");
    assert!(!data.exists(), "a refused start leaves nothing behind");
    let listen = ("WHARFINGER_LISTEN", "0.0.0.0:5000");
    run(&["config", "check"], &[listen]).expect_code(2).expect_words("--anonymous");
    run(&["config", "check"], &[listen, ("WHARFINGER_ACCESS", "[]")]).expect_code(0);
}

/// Asks the rules of this module.
fn explain(path: &str, question: [&str; 3]) -> Finished {
    run(&[&["policy", "explain"][..], &question, &["--config", path]].concat(), &[])
}

#[test]
fn a_decision_is_explained_by_the_rules_that_make_it() {
    let (_home, path) = file(RULES);
    for (question, code, words) in [
        (["anonymous", "pull", "public/app"], 0, "allowed: anonymous may pull public/app"),
        (["anonymous", "pull", "public/app"], 0, "w.toml:5  public/** for anonymous: pull"),
        (["anonymous", "push", "public/app"], 1, "denied: anonymous may not push public/app"),
        (["anonymous", "pull", "team/app"], 1, "no rule names anonymous for team/app"),
        (["bob", "create", "home/bob/x"], 0, "w.toml:15  home/{user}/** for users: pull,push"),
        (["bob", "pull", "home/ann/x"], 1, "no rule names bob"),
        (["bob", "push", "team/secret/x"], 0, "w.toml:15  team/** for users: pull,push"),
        (["ann", "pull", "team/secret/x"], 1, "decided by  "),
        (["ann", "pull", "team/secret/x"], 1, "w.toml:20  team/secret/** for ann: nothing"),
        (["ann", "pull", "team/secret/x"], 1, "less specific  "),
        (["builder", "create", "any/where"], 0, "w.toml:25  ** for group:ci: pull,create"),
    ] {
        explain(&path, question).expect_code(code).expect_words(words);
    }
    let arguments = ["policy", "explain", "ann", "pull", "team/secret/x", "--json", "--config", &path];
    let json: Value = serde_json::from_str(&run(&arguments, &[]).expect_code(1).stdout).expect("JSON");
    assert_eq!((&json["allowed"], &json["basis"]), (&Value::from(false), &Value::from("rules")));
    assert_eq!(json["deciding"][0]["source"], format!("{path}:20"));
    assert_eq!(json["deciding"][0]["can"], serde_json::json!([]));
    assert_eq!(json["lost"][0]["pattern"], "team/**");
    run(&["policy", "explain", "ann", "admin", "a"], &[])
        .expect_code(0)
        .expect_words("nothing is said of access");
}

#[test]
fn a_question_that_is_none_is_refused() {
    let (_home, path) = file(RULES);
    for (question, words) in [
        (["ann", "fly", "a"], "expected pull, create, push, delete or admin"),
        (["ann", "pull", "A"], "malformed repository name"),
        (["users", "pull", "a"], "expected the name of one user"),
        (["group:ci", "pull", "a"], "expected the name of one user"),
        (["robot:ci", "pull", "a"], "is not a data directory"),
    ] {
        explain(&path, question).expect_code(2).expect_words(words);
    }
    let (_home, path) = file("[[access]]\nwho = [\"a\"]\nrepos = [\"**\"]\n");
    explain(&path, ["a", "pull", "a"]).expect_code(2).expect_words("w.toml:1: an [[access]] needs can");
}

#[test]
fn a_configuration_with_rules_is_shown_as_one_that_says_the_same() {
    let (_home, path) = file(RULES);
    let shown = run(&["config", "check", "--config", &path], &[]).expect_code(0).stdout;
    let (_again, again) = file(&shown);
    let json = |path: &str| {
        let json = run(&["config", "check", "--json", "--config", path], &[]).expect_code(0).stdout;
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let rules = json["access"].as_array().expect("a list").iter();
        let rules: Vec<_> = rules.map(|rule| (rule["who"].clone(), rule["repos"].clone())).collect();
        (rules, json["groups"][0]["users"].clone())
    };
    let (rules, users) = json(&path);
    assert_eq!((rules.len(), &users), (5, &serde_json::json!(["builder"])));
    assert_eq!(json(&again), (rules, users));
    let json = run(&["config", "check", "--json"], &[]).expect_code(0).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["access"], Value::Null, "nothing was said");
}
