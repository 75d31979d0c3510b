//! Every end-point, by every method, for every sort of caller. The end-points come from the server's own
//! table: one that is added there and not here fails this.

use actix_web::http::Method;
use tempfile::TempDir;
use wharfinger::http::end_point::EndPoint;
use wharfinger::http::rights::methods;
use wharfinger::http::route::{self, Route};

use crate::support::accounts::{PASSWORD, builder_with, by_token, image, text, write_users};
use crate::support::command::answer;
use crate::support::{Client, Reply, Server, uploads};

/// What each user may, by name, and everybody nothing.
const RULES: &str = "[{who=[\"reader\"], repos=[\"team/**\"], can=[\"pull\"]}, \
    {who=[\"creator\"], repos=[\"team/**\"], can=[\"pull\",\"create\"]}, \
    {who=[\"pusher\"], repos=[\"team/**\"], can=[\"pull\",\"push\"]}, \
    {who=[\"deleter\"], repos=[\"team/**\"], can=[\"pull\",\"delete\"]}, \
    {who=[\"writer\"], repos=[\"team/**\"], can=[\"push\"]}, \
    {who=[\"admin\"], repos=[\"**\"], can=[\"admin\"]}]";

/// What a request needs, written down once more and by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Need {
    /// Anybody.
    Nothing,
    /// Credentials.
    Login,
    /// To run the registry.
    Rule,
    Pull,
    Create,
    Delete,
}

fn need(route: &Route, method: &Method) -> Need {
    let write = if *method == Method::DELETE { Need::Delete } else { Need::Create };
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match route {
        Route::Live | Route::Ready | Route::Token => Need::Nothing,
        Route::Metrics | Route::Audit => Need::Rule,
        Route::Base | Route::Catalog | Route::Extensions(None) | Route::Repositories => Need::Login,
        Route::Extensions(Some(_))
        | Route::TagHistory(..)
        | Route::Repository(_)
        | Route::Tags(_)
        | Route::Referrers(..) => Need::Pull,
        Route::Manifest(..) | Route::ImpossibleTag(..) | Route::Blob(..) => {
            if is_read {
                Need::Pull
            } else {
                write
            }
        }
        Route::Uploads(_) | Route::Upload(..) | Route::ImpossibleUpload(_) => Need::Create,
    }
}

/// Who calls.
struct Somebody {
    name: &'static str,
    client: Client,
    /// What they may in team/app; none: nothing, since they are nobody.
    can: Option<&'static [Need]>,
}

/// A path of every kind of end-point, about the repository `name`.
fn paths(name: &str, digest: &str, session: &str) -> Vec<String> {
    vec![
        "/livez".to_owned(),
        "/readyz".to_owned(),
        "/metrics".to_owned(),
        "/token".to_owned(),
        "/api/v1/audit".to_owned(),
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/_oci/ext/discover".to_owned(),
        "/api/v1/repositories".to_owned(),
        format!("/v2/{name}/_oci/ext/discover"),
        format!("/v2/{name}/_oci/tag-history/v1"),
        format!("/api/v1/repositories/{name}"),
        format!("/v2/{name}/tags/list"),
        format!("/v2/{name}/manifests/v1"),
        format!("/v2/{name}/manifests/{digest}"),
        format!("/v2/{name}/manifests/-impossible"),
        format!("/v2/{name}/blobs/{digest}"),
        format!("/v2/{name}/blobs/uploads/"),
        format!("/v2/{name}/blobs/uploads/{session}"),
        format!("/v2/{name}/blobs/uploads/impossible"),
        format!("/v2/{name}/referrers/{digest}"),
    ]
}

fn started(folder: &TempDir) -> Server {
    let server = builder_with(folder.path(), RULES)
        .env("WHARFINGER_FAILED_LOGINS_MAX", "1000000")
        .env("WHARFINGER_FAILED_LOGIN_DELAY_MAX_MS", "0")
        .start();
    let users = ["reader", "creator", "pusher", "deleter", "writer", "admin", "nobody"];
    write_users(&folder.path().join("htpasswd"), &users.map(|name| (name, PASSWORD)));
    server
}

fn everybody(server: &Server) -> Vec<Somebody> {
    let anybody = server.client();
    let user = |name| anybody.with_password(name, PASSWORD);
    let robot = answer(server, &["token", "create", "robot-reader", "--repo", "team/*", "--can", "pull"]);
    let robot = text(&robot, "secret");
    let scope = ["repository:team/app:pull,push,delete", "registry:catalog:*"];
    let somebody = |name, client, can| Somebody { name, client, can };
    vec![
        somebody("anybody", anybody.clone(), None),
        somebody("a wrong password", anybody.with_password("pusher", "wrong"), None),
        somebody("a token that is none", anybody.with_token("a.b.c"), None),
        somebody(
            "a robot that is none",
            anybody.with_token(&format!("{}x", &robot[..robot.len() - 1])),
            None,
        ),
        somebody("nobody", user("nobody"), Some(&[] as &[Need])),
        somebody("reader", user("reader"), Some(&[Need::Pull])),
        somebody("creator", user("creator"), Some(&[Need::Pull, Need::Create])),
        somebody("pusher", user("pusher"), Some(&[Need::Pull, Need::Create])),
        somebody("deleter", user("deleter"), Some(&[Need::Pull, Need::Delete])),
        somebody("writer", user("writer"), Some(&[Need::Create])),
        somebody("admin", user("admin"), Some(&[Need::Pull, Need::Create, Need::Delete])),
        somebody("robot", user("robot-reader").with_password("robot-reader", &robot), Some(&[Need::Pull])),
        somebody("robot's token", anybody.with_token(&robot), Some(&[Need::Pull])),
        somebody("reader by token", by_token(&user("reader"), &scope), Some(&[Need::Pull])),
        somebody("pusher by token", by_token(&user("pusher"), &scope), Some(&[Need::Pull, Need::Create])),
        somebody("deleter by token", by_token(&user("deleter"), &scope), Some(&[Need::Pull, Need::Delete])),
    ]
}

/// Asserts what holds for one request of somebody: what may not be read is as if it were not there.
fn check(somebody: &Somebody, method: &Method, path: &str, needed: Need, absent: &str) {
    let what = format!("{method} {path} by {}", somebody.name);
    let ask = |path: &str| somebody.client.request(method.as_str(), path).send();
    let reply = ask(path);
    let status = reply.status;
    if needed == Need::Nothing {
        let expected: &[u16] = if path == "/token" { &[200, 400, 401] } else { &[200] };
        assert!(expected.contains(&status), "{what}: {status}");
        return;
    }
    match (needed, somebody.can) {
        (Need::Rule, Some(_)) if somebody.name == "admin" => assert_eq!(status, 200, "{what}"),
        // A token is for repositories, and this is none.
        (Need::Rule, Some(_)) if !somebody.name.ends_with("by token") => assert_eq!(status, 403, "{what}"),
        (Need::Rule, _) => assert_eq!(status, 401, "{what}"),
        (_, None) => {
            assert_eq!(status, 401, "{what}");
            assert!(reply.header("www-authenticate").starts_with("Bearer realm="), "{what}");
        }
        (Need::Login, Some(_)) => assert_eq!(status, 200, "{what}"),
        (needed, Some(can)) if can.contains(&needed) => {
            assert!(![401, 403].contains(&status), "{what}: {status}");
        }
        (Need::Pull, Some(_)) => {
            let other = ask(absent);
            assert_eq!(seen(&reply, path), seen(&other, absent), "{what}");
        }
        // By a token, the one that would do it is another token.
        (_, Some(_)) => assert!([401, 403].contains(&status), "{what}: {status}"),
    }
}

/// What can be seen of an answer, with the repository's name left out.
fn seen(reply: &Reply, path: &str) -> (u16, Vec<(String, String)>, String) {
    let name = if path.contains("team/app") { "team/app" } else { "team/non" };
    let headers = reply.headers.iter().filter(|(key, _)| !["date", "x-request-id"].contains(&key.as_str()));
    let headers = headers.map(|(key, value)| (key.clone(), value.replace(name, "NAME"))).collect();
    (reply.status, headers, String::from_utf8_lossy(&reply.body).replace(name, "NAME"))
}

#[test]
fn every_route_asks_everybody_for_what_it_needs() {
    let folder = TempDir::new().unwrap();
    let server = started(&folder);
    let pusher = server.client().with_password("pusher", PASSWORD);
    let everybody = everybody(&server);
    let mut kinds = [false; EndPoint::ALL.len()];
    let image = image(b"layer");
    for somebody in &everybody {
        // What one may delete is there again for the next.
        image.push(&pusher, "team/app", "v1");
        let location = uploads::start(&pusher, "team/app");
        let session = location.rsplit('/').next().expect("a path").to_owned();
        let here = paths("team/app", &image.digest, &session);
        let absent = paths("team/non", &image.digest, &session);
        for (path, absent) in here.iter().zip(&absent) {
            let route = route::parse(path).expect("a path that can be read").expect("an end-point");
            kinds[route.end_point() as usize] = true;
            for (method, _) in methods(&route) {
                check(somebody, method, path, need(&route, method), absent);
            }
        }
    }
    assert!(kinds.iter().all(|&kind| kind), "an end-point is not asked: {kinds:?}");
}

#[test]
fn who_may_only_add_changes_no_tag() {
    let folder = TempDir::new().unwrap();
    let server = started(&folder);
    let user = |name| server.client().with_password(name, PASSWORD);
    let (pusher, creator) = (user("pusher"), user("creator"));
    let (first, second) = (image(b"one"), image(b"two"));
    first.push(&pusher, "team/app", "latest");
    second.push(&creator, "team/app", "new");
    let put =
        |reference: &str| creator.push_manifest("team/app", reference, &second.media_type, &second.bytes);
    put("latest").expect_error(403, "DENIED");
    put("new").expect_status(201);
    put(&second.digest).expect_status(201);
    put(&format!("{}?tag=another&tag=latest", second.digest)).expect_status(403);
    pusher.get_manifest("team/app", "another").expect_status(404);
    put(&format!("{}?tag=another", second.digest)).expect_status(201);
    first.assert_pullable(&pusher, "team/app", "latest");
    pusher.push_manifest("team/app", "latest", &second.media_type, &second.bytes).expect_status(201);
    creator.delete_manifest("team/app", "new").expect_status(403);
}

#[test]
fn who_may_push_and_not_pull_learns_nothing() {
    let folder = TempDir::new().unwrap();
    let server = started(&folder);
    let user = |name| server.client().with_password(name, PASSWORD);
    let (pusher, writer) = (user("pusher"), user("writer"));
    let (first, second) = (image(b"one"), image(b"two"));
    first.push(&pusher, "team/app", "v1");
    second.push_blobs(&writer, "team/app");
    writer.head_blob("team/app", &second.blob_digests()[0]).expect_status(404);
    writer.head_manifest("team/app", "v1").expect_status(404);
    let put = |name: &str, value: &str| {
        let path = "/v2/team/app/manifests/v1";
        let request = writer.request("PUT", path).header("content-type", &second.media_type);
        request.header(name, value).body(&second.bytes).send()
    };
    let refused = put("if-match", &format!("\"{}\"", second.digest)).expect_status(412);
    assert!(!refused.to_string().contains(&first.digest), "{refused}");
    let done = put("x-nothing", "").expect_status(201);
    assert!(!done.to_string().contains(&first.digest), "{done}");
    let mount = format!("/v2/team/own/blobs/uploads/?mount={}&from=team/app", first.blob_digests()[0]);
    writer.post(&mount, b"").expect_status(202);
    let mount = format!("/v2/team/own/blobs/uploads/?mount={}", first.blob_digests()[0]);
    writer.post(&mount, b"").expect_status(202);
    pusher.post(&mount, b"").expect_status(201);
}
