//! Paths and methods: what leads out, what looks like something else, and what is not there.

use super::case::{Case, Request, delete, get, head, put_manifest};
use super::scene::{ODD, OURS, Scene};
use crate::support::builders::OCI_MANIFEST;
use crate::support::bytes;

const ELSEWHERE: &str = "the registry is at /v2/";

/// Paths to nothing.
const NOTHING: [(&str, &str); 19] = [
    ("/", "the root"),
    ("/v1/", "the interface of old"),
    ("/v2x", "a word that begins as the registry's"),
    ("/V2/", "upper case"),
    ("//v2/", "two slashes in front"),
    ("/%76%32/", "the prefix, encoded"),
    ("/v2%2f", "the prefix with its slash encoded"),
    ("/v2/../LOCK", "a path that leads up"),
    ("/../../../../etc/passwd", "a path that leads up from the root"),
    ("/%2e%2e/%2e%2e/etc/passwd", "an encoded path that leads up"),
    ("//etc/passwd", "a path that might be a host"),
    ("/v2/team/app", "a repository alone"),
    ("/v2/team/app/tags", "a noun alone"),
    ("/v2/team/app/tags/list/", "a slash behind"),
    ("/v2/team/app/tags/list;n=1", "a parameter of a path"),
    ("/v2/team/app/manifests", "manifests alone"),
    ("/v2/_catalog/", "a slash behind the catalog"),
    ("/v2/_oci/ext/other", "an extension that is not there"),
    ("/debug/vars", "what other servers have"),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let nothing =
        |title: &str, request: Request| Case::of(title, request).refused(404, "UNSUPPORTED", ELSEWHERE);
    let mut cases: Vec<_> = NOTHING.iter().map(|(path, title)| nothing(title, get(path))).collect();
    let long = format!("/v2/{}", "a/".repeat(4000));
    cases.push(nothing("a path of 8,000 bytes", get(&long)));
    let layer = &scene.images[0].blob_digests()[1];
    cases.push(nothing("something behind a digest", delete(&format!("/v2/{OURS}/blobs/{layer}/x"))));
    cases.extend([
        Case::of("a path out of the blobs", get(&format!("/v2/{OURS}/blobs/../../../LOCK"))).refused(
            404,
            "UNSUPPORTED",
            ELSEWHERE,
        ),
        Case::of("an encoded path out of the blobs", get(&format!("/v2/{OURS}/blobs/..%2f..%2fLOCK")))
            .refused(400, "DIGEST_INVALID", "malformed digest: expected"),
        Case::of(
            "an encoded path to the ledger",
            get(&format!("/v2/{OURS}/manifests/..%2fledger%2fledger.redb")),
        )
        .refused(404, "MANIFEST_UNKNOWN", "a tag begins with"),
        Case::of("nothing, asked by HEAD", head("/nothing")).refused_without_words(404),
    ]);
    cases.extend(forms());
    cases.extend(lookalikes(scene));
    cases.extend(methods(scene));
    cases
}

/// Targets of other forms than a path (RFC 9112, section 3.2).
fn forms() -> Vec<Case> {
    let elsewhere = "http://elsewhere.example";
    vec![
        Case::of("a whole address, whose host counts for nothing", get(&format!("{elsewhere}/v2/")))
            .answered(200),
        Case::of("a whole address of no name", get(&format!("{elsewhere}/v2/UPPER/tags/list"))).refused(
            400,
            "NAME_INVALID",
            "expected segments",
        ),
        Case::of("an asterisk", Request::of("OPTIONS", "*")).refused(404, "UNSUPPORTED", ELSEWHERE),
        Case::of("a tunnel", Request::of("CONNECT", "elsewhere.example:443")).refused(
            404,
            "UNSUPPORTED",
            ELSEWHERE,
        ),
        Case::of("a fragment, which counts for nothing", get("/v2/UPPER/tags/list#x")).refused(
            400,
            "NAME_INVALID",
            "expected segments",
        ),
        Case::of(
            "an upgrade to HTTP/2",
            get("/v2/UPPER/tags/list").header("Connection: Upgrade\r\nUpgrade: h2c"),
        )
        .refused(400, "NAME_INVALID", "expected segments"),
        Case::of(
            "an upgrade to a web socket",
            get("/v2/").header("Connection: Upgrade\r\nUpgrade: websocket"),
        )
        .answered(200),
        Case::of("an unknown expectation", get("/v2/").header("Expect: nonsense")).answered(200),
    ]
}

/// Repositories whose names look like end-points of others.
fn lookalikes(scene: &Scene) -> Vec<Case> {
    let odd = &scene.images[2];
    let unknown =
        |title: &str, request, words| Case::of(title, request).refused(404, "MANIFEST_UNKNOWN", words);
    let inside = format!("/v2/{ODD}/manifests/v1");
    vec![
        unknown(
            "the odd repository's path read as a tag of a",
            get("/v2/a/manifests/b"),
            "a has no manifest b",
        ),
        unknown("and deleted as one", delete("/v2/a/manifests/b"), "a has no manifest b"),
        Case::of("tags of the repository in front of the odd one", get("/v2/a/tags/list")).refused(
            404,
            "NAME_UNKNOWN",
            "repository a is not known",
        ),
        Case::of(
            "the odd one's manifest, by the name in front",
            get(&format!("/v2/a/manifests/{}", odd.digest)),
        )
        .refused(404, "MANIFEST_UNKNOWN", "a has no manifest"),
        Case::of(
            "the odd one's blob, by the name in front",
            get(&format!("/v2/a/blobs/{}", odd.blob_digests()[1])),
        )
        .refused(404, "BLOB_UNKNOWN", "a has no blob"),
        Case::of("the odd one's own manifest", get(&inside)).answered(200),
        Case::of("its name with one slash encoded", get("/v2/a%2fmanifests/b/manifests/v1")).refused(
            400,
            "NAME_INVALID",
            "holds an encoded slash: expected it as it is",
        ),
        unknown("its nouns encoded, which read the same", get("/v2/a/m%61nifests/b"), "a has no manifest b"),
        Case::of(
            "a manifest asked for as a blob",
            get(&format!("/v2/{OURS}/blobs/{}", scene.images[0].digest)),
        )
        .refused(404, "BLOB_UNKNOWN", "has no blob"),
        Case::of(
            "a blob asked for as a manifest",
            get(&format!("/v2/{OURS}/manifests/{}", scene.images[0].blob_digests()[1])),
        )
        .refused(404, "MANIFEST_UNKNOWN", "has no manifest"),
    ]
}

fn methods(scene: &Scene) -> Vec<Case> {
    let digest = bytes::digest_of_nothing_here();
    let layer = format!("/v2/{OURS}/blobs/{}", scene.images[0].blob_digests()[1]);
    let manifest = &scene.images[0];
    let not_here = |method: &'static str, path: &str| {
        let title = format!("{method} where it is none");
        Case::of(title, Request::of(method, path)).refused(405, "UNSUPPORTED", "is not supported here, only")
    };
    let tags = format!("/v2/{OURS}/tags/list");
    vec![
        not_here("DELETE", "/v2/"),
        not_here("DELETE", "/v2/_catalog"),
        not_here("PUT", "/v2/_catalog"),
        not_here("DELETE", &tags),
        not_here("POST", &format!("/v2/{OURS}/manifests/v1")),
        not_here("PATCH", &format!("/v2/{OURS}/manifests/v1")),
        not_here("PUT", &layer),
        not_here("PATCH", &layer),
        not_here("POST", &layer),
        not_here("DELETE", &format!("/v2/{OURS}/referrers/{digest}")),
        not_here("POST", &scene.uploads[0]),
        not_here("DELETE", &format!("/v2/{OURS}/blobs/uploads/")),
        not_here("BREW", "/v2/"),
        not_here("delete", &layer),
        not_here("TRACE", "/v2/"),
        not_here("PROPFIND", &tags),
        Case::of("a blob that a manifest needs, deleted", delete(&layer)).refused(
            405,
            "UNSUPPORTED",
            "delete those first",
        ),
        Case::of(
            "a method by a header, which nobody here reads",
            get(&format!("/v2/{OURS}/manifests/v1")).header("X-HTTP-Method-Override: DELETE"),
        )
        .answered(200),
        Case::of(
            "a manifest put with a slash behind its tag",
            put_manifest(&format!("/v2/{OURS}/manifests/v1/"), OCI_MANIFEST, &manifest.bytes)
                .shown_as("the image v1 of ours"),
        )
        .refused(404, "UNSUPPORTED", ELSEWHERE),
    ]
}
