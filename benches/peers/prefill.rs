//! Long lists: of ours by requests, of distribution by its files, which would take it too long to make.

use crate::client::Connection;
use crate::servers::{DISTRIBUTION_REPOSITORIES, Kind, Server};
use std::fs;
use std::path::Path;
use std::thread;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// An index of nothing, which needs no blob.
const INDEX: &str = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\
                     \"manifests\":[]}";

/// Tags that one request sets.
const TAGS_AT_ONCE: usize = 1000;

/// Clients that push at the same time.
const CLIENTS: usize = 16;

/// The tag of a number; the order of numbers is that of names.
pub fn tag(number: usize) -> String {
    format!("t{number:06}")
}

/// The repository of a number.
pub fn repository(number: usize) -> String {
    format!("catalog/r{number:06}")
}

/// Gives a repository so many tags of one manifest.
pub fn tags(server: &Server, repository: &str, count: usize) {
    if server.kind != Kind::Wharfinger {
        let digest = crate::files::digest(INDEX.as_bytes());
        return (0..count).for_each(|number| files_of_tag(server.home(), repository, &tag(number), &digest));
    }
    let mut connection = server.connect();
    for from in (0..count).step_by(TAGS_AT_ONCE) {
        let wanted = (from..count.min(from + TAGS_AT_ONCE)).map(|number| format!("tag={}", tag(number)));
        let query = wanted.collect::<Vec<_>>().join("&");
        let digest = crate::files::digest(INDEX.as_bytes());
        put(&mut connection, &format!("/v2/{repository}/manifests/{digest}?{query}"));
    }
}

/// Makes so many repositories, each with a manifest and a tag.
pub fn repositories(server: &Server, count: usize) {
    if server.kind != Kind::Wharfinger {
        let digest = crate::files::digest(INDEX.as_bytes());
        return (0..count).for_each(|number| files_of_tag(server.home(), &repository(number), "v1", &digest));
    }
    thread::scope(|scope| {
        for first in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = server.connect();
                for number in (first..count).step_by(CLIENTS) {
                    put(&mut connection, &format!("/v2/{}/manifests/v1", repository(number)));
                }
            });
        }
    });
}

fn put(connection: &mut Connection, path: &str) {
    connection.put_manifest(path, INDEX_TYPE, INDEX.as_bytes());
}

/// What a list looks at: the link of a tag; and `_layers`, by which a directory is known as a repository.
fn files_of_tag(home: &Path, repository: &str, tag: &str, digest: &str) {
    let repository = home.join(DISTRIBUTION_REPOSITORIES).join(repository);
    let current = repository.join("_manifests/tags").join(tag).join("current");
    for dir in [&current, &repository.join("_layers"), &repository.join("_uploads")] {
        fs::create_dir_all(dir).expect("room for the server");
    }
    fs::write(current.join("link"), digest).expect("room for the server");
}
