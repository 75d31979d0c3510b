//! What a manifest says about other content.

use serde_json::{Value, json};

use super::case::Case;
use super::documents::{fresh, put_as};
use super::scene::Scene;
use crate::support::builders::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, descriptor};
use crate::support::bytes;

const SIZE: &str = "expected a non-negative integer below 2^63";
const LABEL: &str = "expected a media type of 1 to 255 printable ASCII characters";

/// A field of the first layer, what it is set to, and what is wrong with it.
fn spoilt_fields() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let digest = "layers[0].digest: malformed digest: expected";
    vec![
        ("size one too large", "size", json!(3001), "has 3001 bytes, it has 3000"),
        ("size one too small", "size", json!(2999), "has 2999 bytes, it has 3000"),
        ("size 0", "size", json!(0), "has 0 bytes, it has 3000"),
        ("the largest size", "size", json!(i64::MAX), "bytes, it has 3000"),
        ("size of 2^63", "size", json!(1_u64 << 63), SIZE),
        ("size of 2^64 - 1", "size", json!(u64::MAX), SIZE),
        ("negative size", "size", json!(-1), SIZE),
        ("size as a fraction", "size", json!(3000.5), SIZE),
        ("size with an exponent", "size", json!(3e3), SIZE),
        ("size in a string", "size", json!("3000"), SIZE),
        ("size null", "size", Value::Null, SIZE),
        ("digest null", "digest", Value::Null, "layers[0].digest: expected a digest"),
        ("digest as a number", "digest", json!(1), "layers[0].digest: expected a digest"),
        ("digest a word", "digest", json!("sha256:baddigest"), digest),
        ("digest a path", "digest", json!("../../../../etc/passwd"), digest),
        ("digest a path behind an algorithm", "digest", json!("sha256:../../../../../LOCK"), digest),
        ("digest in upper case", "digest", json!(format!("sha256:{}", "A".repeat(64))), digest),
        ("digest with NUL", "digest", json!("sha256:\u{0}"), digest),
        (
            "digest of an old algorithm",
            "digest",
            json!("md5:d41d8cd98f00b204e9800998ecf8427e"),
            "unsupported",
        ),
        ("media type null", "mediaType", Value::Null, LABEL),
        ("no media type", "mediaType", json!(""), LABEL),
        ("media type as a number", "mediaType", json!(1), LABEL),
        ("media type with a line end", "mediaType", json!("text/x\r\nX-Evil: 1"), LABEL),
        ("media type outside ASCII", "mediaType", json!("text/\u{e9}"), LABEL),
        ("media type of 300 characters", "mediaType", json!("x".repeat(300)), LABEL),
        ("urls in a string", "urls", json!("https://layers.example/"), "malformed manifest JSON"),
        ("urls of numbers", "urls", json!([1]), "malformed manifest JSON"),
        ("annotations of numbers", "annotations", json!({ "a": 1 }), "malformed manifest JSON"),
    ]
}

pub fn cases(scene: &Scene) -> Vec<Case> {
    let invalid = |title: &str, media_type, document: &Value, words| {
        let request = put_as(media_type, document.to_string().as_bytes());
        Case::of(title, request).refused(400, "MANIFEST_INVALID", words)
    };
    let mut cases = Vec::new();
    for (title, field, value, words) in spoilt_fields() {
        let mut document = fresh(scene);
        let shown = format!("an image with layers[0].{field} = {value}");
        document["layers"][0][field] = value;
        let request = put_as(OCI_MANIFEST, document.to_string().as_bytes()).shown_as(&shown);
        cases.push(Case::of(title, request).refused(400, "MANIFEST_INVALID", words));
    }
    let mut document = fresh(scene);
    document["config"]["size"] = json!(1);
    cases.push(invalid("config of another size", OCI_MANIFEST, &document, "has 1 bytes"));
    for (title, subject, words) in [
        ("a subject without anything", json!({}), LABEL),
        (
            "a subject with a word for a digest",
            json!({ "mediaType": OCI_MANIFEST, "digest": "sha256:baddigest", "size": 1 }),
            "subject.digest: malformed digest",
        ),
        (
            "a subject of negative size",
            json!({ "mediaType": OCI_MANIFEST, "digest": bytes::digest(b""), "size": -1 }),
            "subject.size: expected",
        ),
    ] {
        let mut document = fresh(scene);
        document["subject"] = subject;
        cases.push(invalid(title, OCI_MANIFEST, &document, words));
    }
    let mut child = scene.images[0].descriptor();
    child["size"] = json!(scene.images[0].bytes.len() + 1);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] });
    cases.push(invalid("a child of another size", OCI_INDEX, &index, "the manifest says that"));
    cases.extend(missing(scene));
    cases
}

/// References to what the repository does not have, though others do.
fn missing(scene: &Scene) -> Vec<Case> {
    let theirs = &scene.images[1];
    let mut cases = Vec::new();
    let mut unknown = |title: &str, media_type, document: Value| {
        let request = put_as(media_type, document.to_string().as_bytes());
        let case = Case::of(title, request);
        cases.push(case.refused(400, "MANIFEST_BLOB_UNKNOWN", "push it first"));
    };
    let with_layers = |layers: Value| {
        let mut document = fresh(scene);
        document["layers"] = layers;
        document
    };
    let nowhere = descriptor(OCI_LAYER, b"never pushed");
    unknown("a layer that nobody has", OCI_MANIFEST, with_layers(json!([nowhere])));
    let (secret, other) = (descriptor(OCI_LAYER, &theirs.blobs[1]), descriptor(OCI_LAYER, b"nor this"));
    unknown("a layer of another repository", OCI_MANIFEST, with_layers(json!([secret])));
    unknown(
        "three layers that are missing",
        OCI_MANIFEST,
        with_layers(json!([nowhere, other, secret, nowhere])),
    );
    let mut no_urls = nowhere.clone();
    no_urls["urls"] = json!([]);
    unknown("a layer that is foreign by no address", OCI_MANIFEST, with_layers(json!([no_urls])));
    let mut document = fresh(scene);
    document["config"] = descriptor(OCI_CONFIG, &theirs.blobs[0]);
    unknown("a config of another repository", OCI_MANIFEST, document);
    let mut document = fresh(scene);
    let image = &scene.images[0];
    document["config"] = descriptor(OCI_MANIFEST, &image.bytes);
    unknown("a manifest as a config", OCI_MANIFEST, document);
    let index = |child: Value| json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] });
    unknown("a child of another repository", OCI_INDEX, index(theirs.descriptor()));
    let mut foreign = descriptor(OCI_MANIFEST, b"never pushed");
    foreign["urls"] = json!(["https://manifests.example/"]);
    unknown("a child that is foreign", OCI_INDEX, index(foreign));
    cases
}
