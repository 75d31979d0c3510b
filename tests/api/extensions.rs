//! What is there beyond the specification's core: discovery of extensions, and the namespace of a proxy's
//! client.

use crate::support::{ImageBuilder, Server};

#[test]
fn the_extensions_can_be_discovered() {
    let server = Server::start();
    let client = server.client();
    for path in ["/v2/_oci/ext/discover", "/v2/team/app/_oci/ext/discover"] {
        let reply = client.get(path).expect_status(200).expect_header("content-type", "application/json");
        let list = reply.json()["extensions"].as_array().expect("a list").clone();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0]["name"], "_oci");
        assert!(list[0]["url"].as_str().expect("a text").starts_with("https://"));
        assert!(list[0]["endpoints"].as_array().expect("a list").contains(&"/v2/_oci/ext/discover".into()));
        client.head(path).expect_status(200);
        client.put(path, b"").expect_error(405, "UNSUPPORTED");
    }
    client.get("/v2/Team/_oci/ext/discover").expect_error(400, "NAME_INVALID");
    client.get("/v2/_oci/ext/other").expect_error(404, "UNSUPPORTED");
}

#[test]
fn the_namespace_comes_back() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(840).build();
    image.push(&client, "library/app", "v1");
    let blob = &image.blob_digests()[0];
    for path in [
        "/v2/library/app/manifests/v1".to_owned(),
        format!("/v2/library/app/blobs/{blob}"),
        "/v2/library/app/tags/list".to_owned(),
    ] {
        for host in ["docker.io", "[::1]:5000", "registry.example.org:443"] {
            for method in ["GET", "HEAD"] {
                let reply = client.request(method, &format!("{path}?ns={host}")).send().expect_status(200);
                reply.expect_header("oci-namespace", host);
            }
        }
        client.get(&path).expect_status(200).expect_no_header("oci-namespace");
        for none in ["", "a%20b", "a%0d%0aset-cookie:%20b", "%C3%A4", &"a".repeat(256)] {
            let reply = client.get(&format!("{path}?ns={none}")).expect_status(200);
            reply.expect_no_header("oci-namespace").expect_no_header("set-cookie");
        }
    }
    let path = "/v2/library/app/blobs/uploads/?ns=docker.io";
    client.post(path, b"").expect_status(202).expect_no_header("oci-namespace");
}
