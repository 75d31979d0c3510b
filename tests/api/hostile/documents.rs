//! Manifests as JSON: what cannot be read, or could be read in two ways.

use serde_json::{Value, json};

use super::case::{Case, Request, put_manifest};
use super::scene::{OURS, Scene};
use crate::support::ImageBuilder;
use crate::support::builders::{
    DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
};

const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// A manifest that is not there yet, made of what is: taken as it is, it would change the registry.
pub fn fresh(scene: &Scene) -> Value {
    let mut document: Value = serde_json::from_slice(&scene.images[0].bytes).expect("JSON");
    document["annotations"] = json!({ "com.example.hostile": "yes" });
    document
}

pub fn put_as(media_type: &str, content: &[u8]) -> Request {
    put_manifest(&format!("/v2/{OURS}/manifests/bad"), media_type, content)
}

pub fn cases(scene: &Scene) -> Vec<Case> {
    let good = fresh(scene).to_string();
    let mut cases = unreadable(&good);
    cases.extend(doubled(&good));
    cases.extend(two_kinds(scene));
    cases.extend(types(scene));
    cases.extend(fields(scene));
    cases.extend(weights(scene));
    cases
}

fn invalid(title: &str, request: Request, words: &'static str) -> Case {
    Case::of(title, request).refused(400, "MANIFEST_INVALID", words)
}

fn unreadable(good: &str) -> Vec<Case> {
    let malformed = "malformed manifest JSON";
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let nested = format!("{}{}", "{\"a\":".repeat(200), "1") + &"}".repeat(200);
    let deep_inside = good.replacen('{', &format!("{{\"com.example\":{nested},"), 1);
    let texts: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("a brace", "{".into()),
        ("a list", "[]".into()),
        ("null", "null".into()),
        ("a string", "\"text\"".into()),
        ("a number", "2".into()),
        ("no JSON", "not json".into()),
        ("an HTML page", "<html>".into()),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a missing last byte", good[..good.len() - 1].into()),
        ("two documents", good.repeat(2)),
        ("NUL behind the document", format!("{good}\0")),
        ("a comment", good.replacen('{', "{/* */", 1)),
        ("a comma too many", good.replacen("\"layers\"", "\"layers\":[],,\"x\"", 1)),
        ("no number by name", good.replacen('{', "{\"a\":NaN,", 1)),
        ("a number beyond every float", good.replacen('{', "{\"a\":1e999,", 1)),
        ("a line end in a string", good.replacen("yes", "y\ns", 1)),
        ("half of a pair of surrogates", good.replacen("yes", "\\ud800", 1)),
        ("100,000 lists in each other", deep),
        ("200 objects in each other, in a field nobody knows", deep_inside),
    ];
    let mut cases: Vec<_> = texts
        .iter()
        .map(|(title, text)| invalid(title, put_as(OCI_MANIFEST, text.as_bytes()), malformed))
        .collect();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    cases.push(invalid("UTF-16", put_as(OCI_MANIFEST, &utf16).shown_as("a manifest in UTF-16"), malformed));
    cases.push(invalid("no UTF-8", put_as(OCI_MANIFEST, b"\xff\xfe{}"), malformed));
    cases
}

fn doubled(good: &str) -> Vec<Case> {
    let twice = "is there twice: expected each key once";
    let spelling = "expected no other spelling of that key";
    let spoilt: [(&str, &str, &str, &str); 11] = [
        ("two layers", "{", "{\"layers\":[],", twice),
        ("two schemaVersions, alike", "{", "{\"schemaVersion\":2,", twice),
        ("two media types", "{", "{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",", twice),
        ("one of two keys escaped", "{", "{\"l\\u0061yers\":[],", twice),
        ("two keys that nobody knows", "{", "{\"x\":1,\"x\":2,", twice),
        ("two digests of the config", "\"config\":{", "\"config\":{\"digest\":\"sha256:0\",", twice),
        ("two keys far inside", "{", "{\"x\":[{\"y\":{\"z\":1,\"z\":1}}],", twice),
        (
            "two annotations of one name",
            "{\"com.example.hostile\"",
            "{\"com.example.hostile\":\"no\",\"com.example.hostile\"",
            twice,
        ),
        ("layers in other letter case", "{", "{\"Layers\":[],", spelling),
        ("a digest in other letter case", "\"config\":{", "\"config\":{\"DIGEST\":\"sha256:0\",", spelling),
        ("manifests in other letters that fold", "{", "{\"manifest\u{17f}\":[],", spelling),
    ];
    let case = |(title, from, to, words): &(&str, &str, &str, &'static str)| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{title}: there is something to spoil");
        invalid(title, put_as(OCI_MANIFEST, text.as_bytes()), words)
    };
    spoilt.iter().map(case).collect()
}

/// CVE-2021-41190: an image to one reader and an index to another.
fn two_kinds(scene: &Scene) -> Vec<Case> {
    let ambiguous = "expected either \"config\" and \"layers\", or \"manifests\", or \"blobs\"";
    let mut both = fresh(scene);
    both["manifests"] = json!([scene.images[0].descriptor()]);
    let mut untyped = both.clone();
    untyped.as_object_mut().expect("an object").remove("mediaType");
    let mut empty = untyped.clone();
    empty["manifests"] = json!([]);
    let mut no_config = untyped.clone();
    no_config.as_object_mut().expect("an object").remove("config");
    let mut artifact = untyped.clone();
    artifact["blobs"] = json!([]);
    [
        ("layers and manifests, as an image", OCI_MANIFEST, both),
        ("layers and manifests without a media type, as an image", OCI_MANIFEST, untyped.clone()),
        ("layers and manifests without a media type, as an index", OCI_INDEX, untyped),
        ("layers and an empty list of manifests", OCI_MANIFEST, empty),
        ("layers and manifests without a config", OCI_INDEX, no_config),
        ("layers, manifests and blobs", ARTIFACT, artifact),
    ]
    .map(|(title, media_type, document)| {
        invalid(title, put_as(media_type, document.to_string().as_bytes()), ambiguous)
    })
    .into()
}

/// Media types: unlike the body's, of no manifest, of none at all.
fn types(scene: &Scene) -> Vec<Case> {
    let image = fresh(scene).to_string();
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [] }).to_string();
    let mut untyped = fresh(scene);
    untyped.as_object_mut().expect("an object").remove("mediaType");
    let untyped = untyped.to_string();
    let long = format!("application/{}", "x".repeat(300));
    let unlike = "expected the Content-Type of the request";
    let unsupported = "unsupported manifest media type";
    let mut cases: Vec<_> = [
        ("an image sent as an index", OCI_INDEX, &image, unlike),
        ("an OCI image sent as Docker's", DOCKER_MANIFEST, &image, unlike),
        ("an image sent as Docker's list", DOCKER_LIST, &image, unlike),
        ("a Docker list sent as an OCI index", OCI_INDEX, &list, unlike),
        ("a list sent as an image", OCI_MANIFEST, &list, unlike),
        (
            "an image without a media type sent as an index",
            OCI_INDEX,
            &untyped,
            "manifests: expected in every",
        ),
        ("an unknown type", "application/vnd.example.thing", &untyped, unsupported),
        ("the type of a page", "text/html", &untyped, unsupported),
        ("the type of a layer", OCI_LAYER, &untyped, unsupported),
        (
            "the type of an image in upper case",
            "APPLICATION/VND.OCI.IMAGE.MANIFEST.V1+JSON",
            &untyped,
            unsupported,
        ),
        ("no type at all", "nonsense", &untyped, unsupported),
        ("a type of 312 characters", long.as_str(), &untyped, unsupported),
        ("Docker's schema 1", SCHEMA1, &untyped, "schema 1 is not supported: expected a push of schema 2"),
    ]
    .into_iter()
    .map(|(title, media_type, text, words)| invalid(title, put_as(media_type, text.as_bytes()), words))
    .collect();
    let path = format!("/v2/{OURS}/manifests/bad");
    let bare = Request::of("PUT", &path).body(b"{\"schemaVersion\":2}");
    cases.push(invalid("no type, and nothing that tells it", bare, "expected a Content-Type, a mediaType"));
    let two = Request::of("PUT", &path)
        .header(&format!("Content-Type: {OCI_MANIFEST}"))
        .header(&format!("Content-Type: {OCI_INDEX}"))
        .body(untyped.as_bytes());
    cases.push(invalid("two types in two headers", two, "expected one"));
    let accented = put_as(&format!("{OCI_MANIFEST}\u{e9}"), untyped.as_bytes());
    cases.push(invalid("a type with a letter outside ASCII", accented, "expected"));
    cases
}

/// Fields that are missing or of another type.
fn fields(scene: &Scene) -> Vec<Case> {
    let integer = "schemaVersion: expected the integer 2";
    let label = "expected a media type of 1 to 255 printable ASCII characters";
    let malformed = "malformed manifest JSON";
    let spoilt: [(&str, &str, Value, &str); 18] = [
        ("no schemaVersion", "schemaVersion", Value::Null, integer),
        ("schemaVersion 3", "schemaVersion", json!(3), integer),
        ("schemaVersion in a string", "schemaVersion", json!("2"), integer),
        ("schemaVersion as a fraction", "schemaVersion", json!(2.0), integer),
        ("schemaVersion negative", "schemaVersion", json!(-2), integer),
        ("schemaVersion 1", "schemaVersion", json!(1), "schema 1 is not supported"),
        ("no config", "config", Value::Null, "config: expected in every manifest of this type"),
        ("config in a string", "config", json!("text"), malformed),
        ("config in a list", "config", json!([OCI_CONFIG, "sha256:0", 2]), malformed),
        ("layers in an object", "layers", json!({}), malformed),
        ("a layer in a string", "layers", json!(["text"]), malformed),
        ("a layer in a list", "layers", json!([[OCI_LAYER, "sha256:0", 2]]), malformed),
        ("a layer of null", "layers", json!([null]), "expected a descriptor, which is an object"),
        ("annotations in a list", "annotations", json!([]), malformed),
        ("an annotation that is a number", "annotations", json!({ "a": 1 }), malformed),
        ("an artifact type with NUL", "artifactType", json!("text/x\u{0}"), label),
        ("an artifact type of 300 characters", "artifactType", json!("x".repeat(300)), label),
        ("a subject in a list", "subject", json!([]), malformed),
    ];
    let case = |(title, field, value, words): (&str, &str, Value, &'static str)| {
        let mut document = fresh(scene);
        let shown = format!("an image with {field} = {value}");
        document[field] = value;
        let text = document.to_string();
        invalid(title, put_as(OCI_MANIFEST, text.as_bytes()).shown_as(&shown), words)
    };
    let mut cases: Vec<_> = spoilt.into_iter().map(case).collect();
    let mut document = fresh(scene);
    document.as_object_mut().expect("an object").remove("layers");
    let words = "layers: expected in every manifest of this type";
    cases.push(invalid("no layers", put_as(OCI_MANIFEST, document.to_string().as_bytes()), words));
    let mut document = fresh(scene);
    document["mediaType"] = json!("text/x\u{7f}");
    cases.push(invalid("a media type with DEL", put_as("", document.to_string().as_bytes()), label));
    cases
}

/// More than there may be.
fn weights(scene: &Scene) -> Vec<Case> {
    let layer = |number: usize| {
        let digest = format!("sha256:{number:064x}");
        json!({ "mediaType": OCI_LAYER, "digest": digest, "size": 1 })
    };
    let mut many = fresh(scene);
    many["layers"] = (0..5001).map(layer).collect();
    let many = put_as(OCI_MANIFEST, many.to_string().as_bytes()).shown_as("an image of 5,001 layers");
    let long = vec![b' '; (4 << 20) + 1];
    let sized = put_as(OCI_MANIFEST, &long).shown_as("4 MiB and one byte");
    let path = format!("/v2/{OURS}/manifests/bad");
    let unsized_ = Request::of("PUT", &path).header(&format!("Content-Type: {OCI_MANIFEST}"));
    let text = String::from_utf8(long).expect("spaces");
    let unsized_ = unsized_.chunked(&text).shown_as("4 MiB and one byte, chunked");
    let subject = ImageBuilder::oci().build().descriptor();
    let mut annotated = fresh(scene);
    annotated["config"] = json!({
        "mediaType": OCI_EMPTY,
        "digest": annotated["config"]["digest"],
        "size": annotated["config"]["size"],
    });
    annotated["subject"] = subject;
    annotated["annotations"]["com.example.long"] = "x".repeat(256 << 10).into();
    let annotated = annotated.to_string();
    let annotated =
        put_as(OCI_MANIFEST, annotated.as_bytes()).shown_as("a referrer with 256 KiB of annotations");
    let limit = "a manifest may have 4194304 bytes";
    vec![
        invalid("too many layers", many, "too many references: expected at most 5000, found 5001"),
        invalid("too much to repeat in lists of referrers", annotated, "expected at most 262144 bytes"),
        Case::of("too long, said beforehand", sized).refused(413, "SIZE_INVALID", limit),
        Case::of("too long, found on the way", unsized_).refused(413, "SIZE_INVALID", limit),
    ]
}
