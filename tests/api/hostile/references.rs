//! Tags and digests.

use super::case::{Case, Request, delete, get, head, post, put, put_manifest};
use super::scene::{NUMBERED, OURS, Scene, THEIRS};
use crate::support::builders::OCI_MANIFEST;
use crate::support::bytes;

const TAG: &str = "a tag begins with a letter, digit or underscore and has up to 128 of those";
const DIGEST: &str = "malformed digest: expected \"sha256:\" and 64, or \"sha512:\" and 128, lower-case";
const ALGORITHM: &str = "unsupported digest algorithm: expected sha256 or sha512";

/// What is none of a tag, and why. All of it can stand in a path.
const NO_TAGS: [(&str, &str); 12] = [
    (".v1", "a leading dot"),
    ("-v1", "a leading dash"),
    ("..", "the directory above"),
    ("%2e%2e", "the directory above, encoded"),
    ("..%2f..%2fLOCK", "encoded slashes that lead up"),
    ("a%2Fb", "an encoded slash"),
    ("v1%00", "NUL"),
    ("v1%0d%0aX-Evil%20", "an encoded line end"),
    ("v%201", "a space"),
    ("v1%5C", "a backslash"),
    ("v1+1", "a plus sign"),
    ("%C3%A9", "a letter outside ASCII"),
];

/// What is none of a digest, and why. All of it can stand in a path and in a query.
const NO_DIGESTS: [(&str, &str, &str); 18] = [
    ("sha256:", "nothing behind the colon", DIGEST),
    ("sha256:baddigest", "a word", DIGEST),
    ("sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", "upper-case digits", DIGEST),
    ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85", "63 digits", DIGEST),
    ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555", "65 digits", DIGEST),
    ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85g", "a letter", DIGEST),
    (
        "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "an upper-case algorithm",
        DIGEST,
    ),
    ("sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "too few for sha512", DIGEST),
    (
        "sha256:%20e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
        "a space and 63 digits",
        DIGEST,
    ),
    (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85%00",
        "NUL and 63 digits",
        DIGEST,
    ),
    (
        "sha256:%EF%BC%910c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "a digit outside ASCII",
        DIGEST,
    ),
    ("sha256:..%2f..%2f..%2f..%2fLOCK", "encoded slashes that lead up", DIGEST),
    ("%00:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "NUL as algorithm", DIGEST),
    (":e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "no algorithm", DIGEST),
    ("md5:d41d8cd98f00b204e9800998ecf8427e", "an algorithm of old", ALGORITHM),
    ("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "another algorithm of old", ALGORITHM),
    (
        "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "an algorithm of none of ours",
        ALGORITHM,
    ),
    ("sha256+b64:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564=", "an encoding of none of ours", ALGORITHM),
];

pub fn tags(scene: &Scene) -> Vec<Case> {
    let image = &scene.images[0].bytes;
    let at = |tag: &str| format!("/v2/{OURS}/manifests/{tag}");
    let put_under = |tag: &str| put_manifest(&at(tag), OCI_MANIFEST, image).shown_as("the image v1 of ours");
    let mut cases: Vec<_> = NO_TAGS
        .iter()
        .map(|(tag, title)| Case::of(*title, put_under(tag)).refused(400, "MANIFEST_INVALID", TAG))
        .collect();
    for length in [129, 300] {
        let case = Case::of(format!("{length} characters"), put_under(&"v".repeat(length)));
        cases.push(case.refused(400, "MANIFEST_INVALID", TAG));
    }
    let colon = Case::of("a colon, so a digest", put_under("v1:latest"));
    cases.push(colon.refused(400, "DIGEST_INVALID", ALGORITHM));
    let empty = Case::of("no tag", put_under(""));
    cases.push(empty.refused(400, "MANIFEST_INVALID", TAG));
    let bytes = Case::of("no UTF-8", get(&at("%ff%fe")));
    cases.push(bytes.refused(400, "NAME_INVALID", "expected UTF-8"));
    // What cannot be written is simply not there: clients ask by HEAD whether they have to push.
    for (title, request) in [
        ("no tag, read", get(&at(".v1"))),
        ("no tag, deleted", delete(&at("..%2f..%2fLOCK"))),
        ("300 characters, read", get(&at(&"v".repeat(300)))),
    ] {
        cases.push(Case::of(title, request).refused(404, "MANIFEST_UNKNOWN", TAG));
    }
    cases.push(Case::of("no tag, asked by HEAD", head(&at("%00"))).refused_without_words(404));
    let upper = Case::of("the tag in other letter case", get(&at("V1")));
    cases.push(upper.refused(404, "MANIFEST_UNKNOWN", "team/app has no manifest V1"));
    let dashed = at(&scene.images[0].digest.replace(':', "-"));
    let as_tag = Case::of("a digest written as a tag, as for old signatures", get(&dashed));
    cases.push(as_tag.refused(404, "MANIFEST_UNKNOWN", "team/app has no manifest sha256-"));
    cases
}

pub fn digests(scene: &Scene) -> Vec<Case> {
    let refused = |title: String, request: Request, words| {
        Case::of(title, request).refused(400, "DIGEST_INVALID", words)
    };
    let blobs = |digest: &str| format!("/v2/{OURS}/blobs/{digest}");
    let mut cases: Vec<_> = NO_DIGESTS
        .iter()
        .map(|(digest, title, words)| refused((*title).to_owned(), get(&blobs(digest)), words))
        .collect();
    let long = format!("sha256:{}", "0".repeat(300));
    cases.push(refused("300 digits".into(), get(&blobs(&long)), DIGEST));
    let at = |digest: &str| format!("/v2/{OURS}/manifests/{digest}");
    let image = &scene.images[0].bytes;
    let bad = "sha256:baddigest";
    let uploads = format!("/v2/{OURS}/blobs/uploads/");
    let elsewhere: [(&str, Request); 11] = [
        ("a blob deleted by a word", delete(&blobs(bad))),
        ("a manifest read by a word", get(&at(bad))),
        ("a manifest deleted by a word", delete(&at(bad))),
        (
            "a manifest put by a word",
            put_manifest(&at(bad), OCI_MANIFEST, image).shown_as("the image v1 of ours"),
        ),
        ("referrers of a word", get(&format!("/v2/{OURS}/referrers/{bad}"))),
        ("referrers of a tag", get(&format!("/v2/{OURS}/referrers/v1"))),
        ("a blob by a tag", get(&blobs("v1"))),
        ("an upload closed by a word", put(&format!("{}?digest={bad}", scene.uploads[0]), b"")),
        ("an upload closed by an empty digest", put(&format!("{}?digest=", scene.uploads[0]), b"")),
        ("a blob in one request under a word", post(&format!("{uploads}?digest={bad}"))),
        ("a mount of a word", post(&format!("{uploads}?mount={bad}&from={THEIRS}"))),
    ];
    cases.extend(elsewhere.map(|(title, request)| refused(title.into(), request, DIGEST)));
    let bare = Case::of("an upload closed by nothing", put(&scene.uploads[0], b""));
    cases.push(bare.refused(400, "DIGEST_INVALID", "needs the blob's digest: ?digest=sha256:"));
    let algorithm =
        Case::of("an upload by an unknown algorithm", post(&format!("{uploads}?digest-algorithm=md5")));
    cases.push(algorithm.refused(400, "DIGEST_INVALID", "expected sha256 or sha512"));
    let word = Case::of("a word in HEAD", head(&blobs(bad)));
    cases.push(word.refused_without_words(400));
    cases.extend(other_content(scene));
    cases
}

/// Digests of something else than what they stand for.
fn other_content(scene: &Scene) -> Vec<Case> {
    let (image, theirs) = (&scene.images[0].bytes, &scene.images[1]);
    let nothing = bytes::digest_of_nothing_here();
    let by_digest = |digest: &str| {
        let path = format!("/v2/{OURS}/manifests/{digest}");
        put_manifest(&path, OCI_MANIFEST, image).shown_as("the image v1 of ours")
    };
    let post_as = |digest: &str, content: &[u8]| {
        Request::of("POST", &format!("/v2/{OURS}/blobs/uploads/?digest={digest}")).body(content)
    };
    let named = "was named";
    let unlike = |title: &str, request| Case::of(title, request).refused(400, "DIGEST_INVALID", named);
    let sha512 = format!("sha512:{}", "0".repeat(128));
    vec![
        unlike("a manifest under the digest of nothing", by_digest(&nothing)),
        unlike("a manifest under the digest of another", by_digest(&theirs.digest)),
        unlike("a manifest under a sha512 of nothing", by_digest(&sha512)),
        unlike("a blob under the digest of nothing", post_as(&nothing, b"some bytes")),
        unlike(
            "a blob under the digest of another repository's",
            post_as(&theirs.blob_digests()[1], b"guess"),
        ),
        unlike("a blob under a sha512 of nothing", post_as(&sha512, b"some bytes")),
        unlike(
            "a blob under the digest of nothing, in a repository that is new",
            Request::of("POST", &format!("/v2/{NUMBERED}/blobs/uploads/?digest={nothing}"))
                .body(b"some bytes"),
        ),
    ]
}
