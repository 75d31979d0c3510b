//! Moving from another registry, by the commands of README.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::skip::skip;
use crate::support::{ImageBuilder, IndexBuilder, Server};
use crate::tools;

/// The commands of README.md, with the addresses of two registries.
fn documented(old: &str, new: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(file).expect("README.md");
    let section = text.split("\nMoving off").nth(1).expect("a section on moving");
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("commands in it");
    assert_eq!((block.matches("OLD:5000").count(), block.matches("127.0.0.1:5000").count()), (2, 1));
    block.replace("127.0.0.1:5000", new).replace("OLD:5000", old)
}

#[test]
fn every_repository_comes_along() {
    if let Some(reason) = tools::missing(&["skopeo", "curl", "jq"]) {
        return skip("clients: moving::every_repository_comes_along", &reason);
    }
    let (old, new) = (Server::start(), Server::start());
    let (from, to) = (old.client(), new.client());
    let images = [620, 621, 622].map(|seed| ImageBuilder::sample(seed).build());
    let index = IndexBuilder::oci().child(&images[1]).child(&images[2]).build();
    let repositories = ["app", "team/app", "team/deep/er"];
    for repository in repositories {
        images[0].push(&from, repository, "v1");
        for image in &images[1..] {
            image.push_untagged(&from, repository);
        }
        index.push(&from, repository, "multi");
    }
    // skopeo of Debian asks for a policy that it does not bring along.
    let home = tempfile::tempdir().expect("a home");
    let folder = home.path().join(".config/containers");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)
        .expect("a policy");
    let commands = documented(&old.addr().to_string(), &new.addr().to_string());
    let moved = Command::new("sh").args(["-ec", &commands]).env("HOME", home.path()).output().expect("sh");
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    assert_eq!(to.catalog(), repositories);
    for repository in repositories {
        assert_eq!(to.tags(repository), ["multi", "v1"]);
        images[0].assert_pullable(&to, repository, "v1");
        index.assert_pullable(&to, repository, "multi");
        for image in &images[1..] {
            image.assert_pullable(&to, repository, &image.digest);
        }
    }
}
