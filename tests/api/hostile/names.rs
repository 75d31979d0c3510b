//! Names of repositories.

use super::case::{Case, Request, delete, get, head, post, put_manifest};
use super::scene::{OURS, Scene};
use crate::support::builders::OCI_MANIFEST;

const GRAMMAR: &str = "expected segments";

/// What is none of a name, why, and what the refusal says. All of it can stand in a path.
pub const ILLEGAL: [(&str, &str, &str); 27] = [
    ("UPPER", "upper case", GRAMMAR),
    ("Mixed/case", "one letter of upper case", GRAMMAR),
    ("..", "the directory above", GRAMMAR),
    ("a/../b", "the directory above, inside", GRAMMAR),
    ("a/..", "the directory above, at the end", GRAMMAR),
    (".", "the directory itself", GRAMMAR),
    ("a..b", "two dots", GRAMMAR),
    ("a/./b", "the directory itself, inside", GRAMMAR),
    ("%2e%2e", "the directory above, encoded", GRAMMAR),
    ("a%2fb", "an encoded slash", "holds an encoded slash: expected it as it is"),
    ("a%2Fb", "an encoded slash in upper case", "holds an encoded slash: expected it as it is"),
    ("..%2f..%2fLOCK", "encoded slashes that lead up", "holds an encoded slash: expected it as it is"),
    ("a%252fb", "a slash encoded twice", GRAMMAR),
    ("a%00b", "NUL", GRAMMAR),
    ("a%0d%0aX-Evil:%201", "an encoded line end and a header", GRAMMAR),
    ("a%1b[31m", "an escape sequence of terminals", GRAMMAR),
    ("a%20b", "a space", GRAMMAR),
    ("-a", "a leading dash", GRAMMAR),
    ("a-", "a dash at the end", GRAMMAR),
    ("a___b", "three underscores", GRAMMAR),
    ("a._b", "two separators", GRAMMAR),
    ("_a", "a leading underscore", GRAMMAR),
    ("%C3%A9", "a letter outside ASCII", GRAMMAR),
    ("%D0%B0pp", "a letter that looks like an ASCII one", GRAMMAR),
    ("%ff", "no UTF-8", "expected UTF-8"),
    ("a%5Cb", "a backslash", GRAMMAR),
    ("a@b", "an at sign", GRAMMAR),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let refused = |title: &str, request: Request, words| {
        Case::of(title.to_owned(), request).refused(400, "NAME_INVALID", words)
    };
    let uploads = |name: &str| post(&format!("/v2/{name}/blobs/uploads/"));
    let mut cases: Vec<_> =
        ILLEGAL.iter().map(|(name, title, words)| refused(title, uploads(name), words)).collect();
    let (long, deep) = ("a".repeat(300), ["abcdefghi"; 30].join("/"));
    let layer = &scene.images[0].blob_digests()[1];
    let (manifest, digest) = (&scene.images[0].bytes, &scene.images[0].digest);
    let image = |path: &str| put_manifest(path, OCI_MANIFEST, manifest).shown_as("the image v1 of ours");
    cases.extend([
        refused("300 characters", uploads(&long), "expected at most 255 bytes, found 300"),
        refused("256 characters", uploads(&"a".repeat(256)), "expected at most 255 bytes, found 256"),
        refused("300 characters in 30 segments", uploads(&deep), "expected at most 255 bytes"),
        refused("no name", uploads(""), GRAMMAR),
        refused("an empty segment", uploads("a//b"), GRAMMAR),
        refused("an empty segment in front", uploads("/a/b"), GRAMMAR),
        refused("an empty segment behind", uploads("a/b/"), GRAMMAR),
        refused("a manifest put under no name", image("/v2/UPPER/manifests/v1"), GRAMMAR),
        refused("a manifest put by digest under no name", image(&of("..", "manifests", digest)), GRAMMAR),
        refused("a manifest read under no name", get("/v2/UPPER/manifests/v1"), GRAMMAR),
        refused("a manifest deleted under no name", delete(&of("team/APP", "manifests", digest)), GRAMMAR),
        refused("a blob read under no name", get(&of("team/../other", "blobs", layer)), GRAMMAR),
        refused("a blob deleted under no name", delete(&of("team/app/", "blobs", layer)), GRAMMAR),
        refused(
            "tags of no name",
            get("/v2/team%2fapp/tags/list"),
            "holds an encoded slash: expected it as it is",
        ),
        refused("tags of an empty name", get("/v2//tags/list"), GRAMMAR),
        refused("referrers of no name", get(&of("team/app%00", "referrers", digest)), GRAMMAR),
        refused(
            "an upload's status under no name",
            get(&of("TEAM", "blobs/uploads", &"0".repeat(32))),
            GRAMMAR,
        ),
        refused("a mount from no name", uploads_of(OURS, &format!("mount={layer}&from=../other")), GRAMMAR),
        refused("a mount from a long name", uploads_of(OURS, &format!("mount={layer}&from={long}")), "255"),
        refused("a broken escape", get("/v2/a%zz/tags/list"), GRAMMAR),
        refused("half of an escape", get("/v2/a%/tags/list"), GRAMMAR),
        Case::of("a name in HEAD", head("/v2/UPPER/manifests/v1")).refused_without_words(400),
    ]);
    cases
}

fn of(name: &str, noun: &str, what: &str) -> String {
    format!("/v2/{name}/{noun}/{what}")
}

fn uploads_of(name: &str, query: &str) -> Request {
    post(&format!("/v2/{name}/blobs/uploads/?{query}"))
}
