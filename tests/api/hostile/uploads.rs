//! Uploads: those of others, and what is none.

use super::case::{Case, Request, delete, get, head, patch, post, put};
use super::scene::{OURS, Scene, THEIRS, session};
use crate::support::bytes;

const UNKNOWN: &str = "is not known: it was finished, cancelled or idle for too long; begin a new one";
const NONE: &str = "has no such upload; begin one by POST";

pub fn cases(scene: &Scene) -> Vec<Case> {
    let unknown = |title: &str, request: Request, words| {
        Case::of(title, request).refused(404, "BLOB_UPLOAD_UNKNOWN", words)
    };
    let (ours, theirs) = (session(&scene.uploads[0]), session(&scene.uploads[1]));
    let at = |repository: &str, session: &str| format!("/v2/{repository}/blobs/uploads/{session}");
    let stolen = at(OURS, theirs);
    let closing = |path: &str| format!("{path}?digest={}", bytes::digest(b"hello"));
    let nobody = "0123456789abcdef0123456789abcdef";
    let mut cases = vec![
        unknown("another repository's: how far it is", get(&stolen), UNKNOWN),
        unknown("another repository's: more bytes", patch(&stolen, b"world"), UNKNOWN),
        unknown("another repository's: closed", put(&closing(&stolen), b""), UNKNOWN),
        unknown("another repository's: given up", delete(&stolen), UNKNOWN),
        Case::of("another repository's: in HEAD", head(&stolen)).refused_without_words(404),
        unknown("ours under another's name", delete(&at(THEIRS, ours)), UNKNOWN),
        unknown("ours under a name of no repository", patch(&at("never/seen", ours), b"x"), UNKNOWN),
        unknown("nobody's: how far it is", get(&at(OURS, nobody)), UNKNOWN),
        unknown("nobody's: more bytes", patch(&at(OURS, nobody), b"world"), UNKNOWN),
        unknown("nobody's: closed", put(&closing(&at(OURS, nobody)), b"hello"), UNKNOWN),
        unknown("nobody's: given up", delete(&at(OURS, nobody)), UNKNOWN),
        unknown("ours in upper case", get(&at(OURS, &ours.to_uppercase())), NONE),
        unknown("ours and a digit more", delete(&at(OURS, &format!("{ours}0"))), NONE),
        unknown("ours without its last digit", delete(&at(OURS, &ours[..31])), NONE),
        unknown("ours with a dot behind", delete(&at(OURS, &format!("{ours}."))), NONE),
        unknown("ours with NUL behind", delete(&at(OURS, &format!("{ours}%00"))), NONE),
        unknown(
            "ours with a file's ending",
            put(&closing(&at(OURS, &format!("{ours}.{}", "0".repeat(64)))), b""),
            NONE,
        ),
        unknown("the directory above", patch(&at(OURS, ".."), b"x"), NONE),
        unknown("a path, encoded", patch(&at(OURS, "..%2f..%2fLOCK"), b"x"), NONE),
        unknown("a path to another's, encoded", get(&at(OURS, &format!("..%2fuploads%2f{theirs}"))), NONE),
        unknown("300 characters", delete(&at(OURS, &"a".repeat(300))), NONE),
        unknown("a letter outside ASCII", get(&at(OURS, "%C3%A9")), NONE),
        unknown(
            "an upload's id of another form",
            get(&at(OURS, "01234567-89ab-cdef-0123-456789abcdef")),
            NONE,
        ),
    ];
    cases.extend(encodings(scene));
    let uploads = at(OURS, "");
    let layer = &scene.images[0].blob_digests()[1];
    let encoded = Request::of("POST", &format!("{uploads}?digest={layer}")).header("Content-Encoding: gzip");
    let words = "send the bytes as they are";
    cases.push(Case::of("a whole blob, encoded", encoded.body(b"x")).refused(415, "UNSUPPORTED", words));
    let listed = Case::of("the uploads of a repository, listed", get(&uploads));
    cases.push(listed.refused(405, "UNSUPPORTED", "GET is not supported here, only POST"));
    let query = format!("{uploads}?digest=%ff");
    cases.push(Case::of("a digest that is no UTF-8", post(&query)).refused(
        400,
        "UNSUPPORTED",
        "expected UTF-8",
    ));
    cases
}

/// Bytes that are not what they will be said to be.
fn encodings(scene: &Scene) -> Vec<Case> {
    let upload = &scene.uploads[0];
    let encoded = |value: &str| {
        Request::of("PATCH", upload).header(&format!("Content-Encoding: {value}")).body(b"world")
    };
    let (as_is, one) = ("send the bytes as they are", "expected one such header, of visible ASCII");
    let refused = |(title, value, words): (&str, &str, &'static str)| {
        Case::of(title, encoded(value)).refused(415, "UNSUPPORTED", words)
    };
    let mut cases: Vec<_> = [
        ("compressed bytes", "gzip", as_is),
        ("bytes compressed twice", "gzip, br", as_is),
        ("an unknown encoding", "nonsense", as_is),
        ("an encoding with a letter outside ASCII", "gzip\u{e9}", one),
    ]
    .map(refused)
    .into();
    let two = Request::of("PATCH", upload)
        .header("Content-Encoding: identity")
        .header("Content-Encoding: gzip")
        .body(b"world");
    cases.push(Case::of("two encodings in two headers", two).refused(415, "UNSUPPORTED", one));
    cases
}
