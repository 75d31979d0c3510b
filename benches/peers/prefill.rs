//! Long lists: of ours by requests, of distribution by its directories, since it would take too long itself.

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
        return (0..count).for_each(|number| directories(server.home(), repository, &tag(number)));
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
        return (0..count).for_each(|number| directories(server.home(), &repository(number), "v1"));
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

/// The directories that lists look at, and no more: to make and remove all files would take minutes. A tag
/// is a directory, and `_layers` is by what one is known as a repository.
fn directories(home: &Path, repository: &str, tag: &str) {
    let repository = home.join(DISTRIBUTION_REPOSITORIES).join(repository);
    for dir in [&repository.join("_manifests/tags").join(tag), &repository.join("_layers")] {
        fs::create_dir_all(dir).expect("room for the server");
    }
}
