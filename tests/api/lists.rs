//! tags/list and _catalog: order, pages, and who is in them.

use serde_json::{Value, json};

use crate::support::client::strings;
use crate::support::{Client, ImageBuilder, Server, uploads};

const REPOSITORY: &str = "listed/app";

/// Tags in the order of their bytes.
const TAGS: [&str; 9] = ["0", "1.10", "1.9", "A", "B-1", "_x", "a", "a.b", "b"];

fn with_tags(client: &Client) {
    let image = ImageBuilder::sample(290).build();
    image.push_blobs(client, REPOSITORY);
    for tag in TAGS.iter().rev() {
        image.push_document(client, REPOSITORY, tag);
    }
}

/// Repositories in the order of their bytes.
const NAMES: [&str; 8] = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "a_b", "b"];

fn with_repositories(client: &Client) {
    let image = ImageBuilder::sample(291).build();
    for name in NAMES.iter().rev() {
        image.push(client, name, "v1");
    }
}

fn tags_path(query: &str) -> String {
    format!("/v2/{REPOSITORY}/tags/list{query}")
}

#[track_caller]
fn page(client: &Client, path: &str, field: &str) -> (Vec<String>, Option<String>) {
    let reply = client.get(path).expect_status(200);
    assert!(reply.header("content-type").starts_with("application/json"));
    (strings(&reply.json()[field]), reply.next_page())
}

/// Follows Link from `path` to the end, and asserts that no page but the last is short.
#[track_caller]
fn walk(client: &Client, path: &str, field: &str, size: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let (entries, link) = page(client, &path, field);
        assert!(entries.len() == size || link.is_none() && entries.len() < size, "{path}: {entries:?}");
        assert!(!entries.is_empty(), "a Link leads to something: {path}");
        all.extend(entries);
        next = link;
    }
    all
}

#[test]
fn tags_come_in_the_order_of_their_bytes() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    let reply = client.get(&tags_path("")).expect_status(200).expect_no_header("link");
    assert_eq!(reply.json(), json!({ "name": REPOSITORY, "tags": TAGS }));
}

#[test]
fn repositories_come_in_the_order_of_their_bytes() {
    let server = Server::start();
    let client = server.client();
    assert_eq!(client.get("/v2/_catalog").expect_status(200).json(), json!({ "repositories": [] }));
    with_repositories(&client);
    let reply = client.get("/v2/_catalog").expect_status(200).expect_no_header("link");
    assert_eq!(reply.json(), json!({ "repositories": NAMES }));
}

#[test]
fn a_page_has_as_many_as_asked_for() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    for n in 1..TAGS.len() {
        let (tags, link) = page(&client, &tags_path(&format!("?n={n}")), "tags");
        assert_eq!(tags, TAGS[..n]);
        let (rest, _) = page(&client, &link.expect("there are more"), "tags");
        assert_eq!(rest, TAGS[n..TAGS.len().min(2 * n)]);
    }
}

#[test]
fn the_last_page_has_no_link() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    for n in [TAGS.len(), TAGS.len() + 1, 100] {
        let (tags, link) = page(&client, &tags_path(&format!("?n={n}")), "tags");
        assert_eq!((tags.as_slice(), link), (TAGS.map(str::to_owned).as_slice(), None), "n={n}");
    }
    let (tags, link) = page(&client, &tags_path("?n=2&last=a"), "tags");
    assert_eq!((tags, link), (vec!["a.b".to_owned(), "b".to_owned()], None));
}

#[test]
fn last_may_be_any_word() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    let cases = [("a", 7), ("aa", 8), ("9", 3), ("Z", 5), ("b", 9), ("zzz", 9), ("1.10", 2)];
    for (last, skipped) in cases {
        let (tags, link) = page(&client, &tags_path(&format!("?last={last}")), "tags");
        assert_eq!(tags, TAGS[skipped..], "last={last}");
        assert_eq!(link, None);
    }
    with_repositories(&client);
    let (names, _) = page(&client, "/v2/_catalog?last=a%2Fb&n=2", "repositories");
    assert_eq!(names, ["a/b/c", "a0"]);
    let (names, _) = page(&client, "/v2/_catalog?last=a/bb&n=2", "repositories");
    assert_eq!(names, ["a0", "a_b"]);
}

#[test]
fn none_asked_for_is_none() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    assert_eq!(page(&client, &tags_path("?n=0"), "tags"), (vec![], None));
    assert_eq!(page(&client, &tags_path("?n=0&last=a"), "tags"), (vec![], None));
    assert_eq!(page(&client, "/v2/_catalog?n=0", "repositories"), (vec![], None));
}

#[test]
fn a_huge_number_is_cut() {
    let server = Server::builder().env("WHARFINGER_PAGE_MAX", "4").start();
    let client = server.client();
    with_tags(&client);
    with_repositories(&client);
    for n in ["5", "100000", "2147483648", "18446744073709551615"] {
        assert_eq!(walk(&client, &tags_path(&format!("?n={n}")), "tags", 4), TAGS);
        let (names, link) = page(&client, &format!("/v2/_catalog?n={n}"), "repositories");
        assert_eq!(names, NAMES[..4]);
        assert!(link.is_some(), "a cut page has a Link");
    }
    for n in ["18446744073709551616", "99999999999999999999999999"] {
        client.get(&tags_path(&format!("?n={n}"))).expect_status_in(&[200, 400]);
    }
}

#[test]
fn without_a_number_a_page_is_as_large_as_the_server_says() {
    let server = Server::builder().env("WHARFINGER_PAGE_MAX", "4").start();
    let client = server.client();
    with_tags(&client);
    with_repositories(&client);
    assert_eq!(walk(&client, &tags_path(""), "tags", 4), TAGS);
    let names = walk(&client, "/v2/_catalog", "repositories", 4);
    assert_eq!(names[..NAMES.len()], NAMES);
    assert_eq!(names[NAMES.len()..], [REPOSITORY]);
}

#[test]
fn walking_the_pages_meets_each_once() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    for n in 1..=TAGS.len() {
        assert_eq!(walk(&client, &tags_path(&format!("?n={n}")), "tags", n), TAGS);
    }
    let server = Server::start();
    let client = server.client();
    with_repositories(&client);
    for n in 1..=NAMES.len() {
        assert_eq!(walk(&client, &format!("/v2/_catalog?n={n}"), "repositories", n), NAMES);
    }
}

#[test]
fn an_unknown_repository_has_no_list() {
    let server = Server::start();
    let client = server.client();
    for query in ["", "?n=0", "?n=5", "?last=a"] {
        client.get(&format!("/v2/never/seen/tags/list{query}")).expect_error(404, "NAME_UNKNOWN");
    }
    with_tags(&client);
    client.get("/v2/listed/tags/list").expect_error(404, "NAME_UNKNOWN");
}

#[test]
fn a_repository_without_tags_has_an_empty_list() {
    let server = Server::start();
    let client = server.client();
    ImageBuilder::sample(292).build().push_untagged(&client, "untagged");
    let reply = client.get("/v2/untagged/tags/list").expect_status(200).expect_no_header("link");
    assert_eq!(reply.json(), json!({ "name": "untagged", "tags": [] }));
    assert_eq!(client.catalog(), ["untagged"]);
}

#[test]
fn uploads_and_leases_alone_show_no_repository() {
    let server = Server::start();
    let client = server.client();
    let location = uploads::start(&client, "open");
    client.patch(&location, b"content").expect_status(202);
    let digest = client.push_blob("leased", b"content");
    let mount = format!("/v2/mounted/blobs/uploads/?mount={digest}&from=leased");
    client.post(&mount, b"").expect_status(201);
    for name in ["open", "leased", "mounted"] {
        client.get(&format!("/v2/{name}/tags/list")).expect_error(404, "NAME_UNKNOWN");
    }
    assert!(client.catalog().is_empty());
}

#[test]
fn a_repository_goes_with_its_last_manifest() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = (ImageBuilder::sample(293).build(), ImageBuilder::sample(294).build());
    one.push(&client, "goes", "one");
    two.push(&client, "goes", "two");
    client.delete_manifest("goes", &one.digest).expect_status(202);
    assert_eq!((client.catalog(), client.tags("goes")), (vec!["goes".into()], vec!["two".into()]));
    client.delete_manifest("goes", "two").expect_status(202);
    assert_eq!((client.catalog(), client.tags("goes")), (vec!["goes".into()], vec![]));
    client.delete_manifest("goes", &two.digest).expect_status(202);
    assert!(client.catalog().is_empty());
    client.get("/v2/goes/tags/list").expect_error(404, "NAME_UNKNOWN");
    one.push(&client, "goes", "again");
    assert_eq!((client.catalog(), client.tags("goes")), (vec!["goes".into()], vec!["again".into()]));
}

#[test]
fn a_list_is_never_null() {
    let server = Server::start();
    let client = server.client();
    with_tags(&client);
    let body: Value = client.get(&tags_path("?last=zzz")).expect_status(200).json();
    assert_eq!(body, json!({ "name": REPOSITORY, "tags": [] }));
    let body: Value = client.get("/v2/_catalog?last=zzz").expect_status(200).json();
    assert_eq!(body, json!({ "repositories": [] }));
}

#[test]
fn lists_survive_a_restart() {
    let mut server = Server::start();
    with_tags(&server.client());
    with_repositories(&server.client());
    server.restart();
    assert_eq!(server.client().tags(REPOSITORY), TAGS);
    assert_eq!(server.client().catalog().len(), NAMES.len() + 1);
}
