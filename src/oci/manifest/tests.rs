//! Manifests: what clients push, what is refused, and what is made of each.

use serde_json::{Value, json};

use super::*;
use crate::oci::media_type::{DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED};
use crate::oci::{Algorithm, FieldError};

mod properties;

const OCI_IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(Algorithm::Sha256, content.as_bytes()),
        "size": content.len(),
    })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_IMAGE_CONFIG, "{}"),
        "layers": [descriptor(LAYER, "one"), descriptor(LAYER, "two")],
    })
}

fn index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(OCI_MANIFEST, "amd64"), descriptor(OCI_MANIFEST, "arm64")],
    })
}

fn artifact() -> Value {
    json!({
        "mediaType": OCI_ARTIFACT_MANIFEST,
        "artifactType": "text/x",
        "blobs": [descriptor("text/plain", "one")],
    })
}

/// The manifest with a field set, or taken away by null.
fn with(mut manifest: Value, field: &str, value: Value) -> Value {
    let fields = manifest.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field)
    } else {
        fields.insert(field.to_owned(), value)
    };
    manifest
}

fn parse(manifest: &Value, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
    Manifest::parse(manifest.to_string().as_bytes(), content_type, &ManifestLimits::default())
}

fn roles(manifest: &Manifest) -> Vec<(Role, bool)> {
    manifest.references().iter().map(|reference| (reference.role, reference.required)).collect()
}

#[test]
fn reads_an_oci_image() {
    let manifest = parse(&image(), Some(OCI_MANIFEST)).unwrap();
    assert_eq!(manifest.media_type(), OCI_MANIFEST);
    assert_eq!(manifest.kind(), ManifestKind::Image);
    assert_eq!(manifest.artifact_type(), Some(OCI_IMAGE_CONFIG));
    assert_eq!(manifest.subject(), None);
    assert!(manifest.annotations().is_empty());
    assert_eq!(roles(&manifest), [(Role::Config, true), (Role::Layer, true), (Role::Layer, true)]);
    assert_eq!(manifest.references()[2].descriptor.digest, Digest::of(Algorithm::Sha256, b"two"));
    assert_eq!(manifest.references()[2].descriptor.size, 3);
}

#[test]
fn reads_docker_images_and_lists() {
    let docker = with(image(), "mediaType", json!(DOCKER_MANIFEST));
    let manifest = parse(&docker, Some(DOCKER_MANIFEST)).unwrap();
    assert_eq!((manifest.media_type(), manifest.kind()), (DOCKER_MANIFEST, ManifestKind::Image));
    let list = with(index(), "mediaType", json!(DOCKER_MANIFEST_LIST));
    let manifest = parse(&list, Some(DOCKER_MANIFEST_LIST)).unwrap();
    assert_eq!((manifest.media_type(), manifest.kind()), (DOCKER_MANIFEST_LIST, ManifestKind::Index));
    assert_eq!(roles(&manifest), [(Role::Child, true), (Role::Child, true)]);
}

#[test]
fn reads_an_artifact_without_a_schema_version() {
    let manifest = parse(&artifact(), Some(OCI_ARTIFACT_MANIFEST)).unwrap();
    assert_eq!(manifest.kind(), ManifestKind::Artifact);
    assert_eq!(manifest.artifact_type(), Some("text/x"));
    assert_eq!(roles(&manifest), [(Role::Layer, true)]);
    assert!(parse(&with(artifact(), "blobs", Value::Null), None).unwrap().references().is_empty());
}

#[test]
fn reads_a_cache_of_buildkit_as_an_index() {
    let cache = with(
        index(),
        "manifests",
        json!([descriptor(LAYER, "one"), descriptor("application/vnd.buildkit.cacheconfig.v0", "config")]),
    );
    let manifest = parse(&cache, Some(OCI_INDEX)).unwrap();
    assert_eq!(manifest.kind(), ManifestKind::Index);
    assert_eq!(roles(&manifest), [(Role::Child, true), (Role::Child, true)]);
}

#[test]
fn empty_lists_are_legal_also_as_go_writes_them() {
    for empty in [json!([]), Value::Null] {
        let mut manifest = image();
        manifest["layers"] = empty.clone();
        manifest["manifests"] = Value::Null;
        assert_eq!(roles(&parse(&manifest, None).unwrap()), [(Role::Config, true)]);
        let mut manifest = index();
        manifest["manifests"] = empty;
        manifest["layers"] = Value::Null;
        manifest["config"] = Value::Null;
        assert!(parse(&manifest, None).unwrap().references().is_empty());
    }
}

#[test]
fn the_type_is_the_header_else_the_body_else_implied() {
    let bare = |manifest| with(manifest, "mediaType", Value::Null);
    for (manifest, header, expected) in [
        (image(), Some(OCI_MANIFEST), OCI_MANIFEST),
        (image(), Some("application/vnd.oci.image.manifest.v1+json ; charset=utf-8"), OCI_MANIFEST),
        (image(), Some(""), OCI_MANIFEST),
        (image(), None, OCI_MANIFEST),
        (bare(image()), Some(DOCKER_MANIFEST), DOCKER_MANIFEST),
        (with(image(), "mediaType", json!("")), Some(DOCKER_MANIFEST), DOCKER_MANIFEST),
        (bare(image()), None, OCI_MANIFEST),
        (bare(index()), None, OCI_INDEX),
        (bare(index()), Some(";q=1"), OCI_INDEX),
        (artifact(), None, OCI_ARTIFACT_MANIFEST),
        (bare(artifact()), Some(OCI_ARTIFACT_MANIFEST), OCI_ARTIFACT_MANIFEST),
    ] {
        let parsed = parse(&manifest, header).unwrap();
        assert_eq!(parsed.media_type(), expected);
        assert_eq!(Some(parsed.kind()), ManifestKind::of_media_type(expected));
    }
    assert_eq!(parse(&bare(artifact()), None), Err(ManifestError::NoMediaType));
    assert_eq!(parse(&json!({"schemaVersion": 2, "layers": null}), None), Err(ManifestError::NoMediaType));
    assert_eq!(parse(&json!({}), None), Err(ManifestError::NoMediaType));
}

#[test]
fn refuses_two_types() {
    let error = parse(&image(), Some(DOCKER_MANIFEST)).unwrap_err();
    let ManifestError::MediaTypeMismatch { header, body } = &error else { panic!("{error}") };
    assert_eq!((header.as_str(), body.as_str()), (DOCKER_MANIFEST, OCI_MANIFEST));
}

#[test]
fn refuses_unknown_types_and_names_the_known() {
    let bare = with(image(), "mediaType", Value::Null);
    for (manifest, header) in [
        (&bare, Some("application/json")),
        (&bare, Some(OCI_IMAGE_CONFIG)),
        (&bare, Some("APPLICATION/VND.OCI.IMAGE.MANIFEST.V1+JSON")),
        (&with(image(), "mediaType", json!("text/plain")), None),
    ] {
        let error = parse(manifest, header).unwrap_err();
        assert!(matches!(error, ManifestError::UnknownMediaType { .. }), "{error}");
        let text = error.to_string();
        for accepted in error::ACCEPTED {
            assert!(ManifestKind::of_media_type(accepted).is_some() && text.contains(accepted), "{text}");
        }
    }
    let long = "x".repeat(100_000);
    assert!(parse(&bare, Some(&long)).unwrap_err().to_string().len() < 1000);
    assert!(parse(&image(), Some(&long)).unwrap_err().to_string().len() < 1000);
}

#[test]
fn refuses_schema_1_and_says_what_to_push() {
    let schema1 = json!({"schemaVersion": 1, "name": "a", "fsLayers": [], "signatures": []});
    for (manifest, header) in [
        (schema1.clone(), None),
        (schema1.clone(), Some(DOCKER_SCHEMA1)),
        (schema1.clone(), Some(DOCKER_SCHEMA1_SIGNED)),
        (schema1.clone(), Some("application/json")),
        (json!({}), Some(DOCKER_SCHEMA1_SIGNED)),
        (with(image(), "mediaType", json!(DOCKER_SCHEMA1)), None),
        (with(image(), "schemaVersion", json!(1)), Some(OCI_MANIFEST)),
    ] {
        assert_eq!(parse(&manifest, header), Err(ManifestError::Schema1));
    }
    assert!(ManifestError::Schema1.to_string().contains("push of schema 2"));
}

#[test]
fn refuses_other_schemas() {
    for version in [Value::Null, json!(3), json!(0), json!("2"), json!(2.0), json!(-2), json!([2])] {
        assert_eq!(
            parse(&with(image(), "schemaVersion", version.clone()), None),
            Err(ManifestError::SchemaVersion)
        );
        assert_eq!(parse(&with(index(), "schemaVersion", version), None), Err(ManifestError::SchemaVersion));
    }
}

#[test]
fn refuses_bodies_of_two_kinds() {
    let config = descriptor(OCI_IMAGE_CONFIG, "{}");
    for ambiguous in [
        with(image(), "manifests", json!([])),
        with(index(), "layers", json!([])),
        with(index(), "config", config.clone()),
        with(artifact(), "config", config),
        with(artifact(), "layers", json!([])),
        with(artifact(), "manifests", json!([])),
    ] {
        assert_eq!(parse(&ambiguous, None), Err(ManifestError::Ambiguous), "{ambiguous}");
    }
    let unnamed = with(with(image(), "manifests", json!([])), "mediaType", Value::Null);
    for header in
        [None, Some(OCI_MANIFEST), Some(OCI_INDEX), Some(DOCKER_MANIFEST), Some(DOCKER_MANIFEST_LIST)]
    {
        assert_eq!(parse(&unnamed, header), Err(ManifestError::Ambiguous));
    }
}

#[test]
fn refuses_the_fields_of_another_kind() {
    let bare = |manifest| with(manifest, "mediaType", Value::Null);
    for (manifest, header, field) in [
        (bare(image()), OCI_INDEX, "manifests"),
        (bare(index()), OCI_MANIFEST, "config"),
        (with(image(), "config", Value::Null), OCI_MANIFEST, "config"),
        (with(image(), "layers", Value::Null), OCI_MANIFEST, "layers"),
        (with(index(), "manifests", Value::Null), OCI_INDEX, "manifests"),
    ] {
        assert_eq!(parse(&manifest, Some(header)), Err(ManifestError::Missing { field }));
    }
}

#[test]
fn refuses_what_json_leaves_open() {
    let text = image().to_string();
    let doubled = text.replacen('{', r#"{"config":null,"#, 1);
    let cased = text.replacen('{', r#"{"Layers":[],"#, 1);
    let trailing = format!("{text} {{}}");
    for text in [&doubled, &cased, &trailing, "[]", "", "null"] {
        let error = Manifest::parse(text.as_bytes(), None, &ManifestLimits::default()).unwrap_err();
        assert!(matches!(error, ManifestError::Json(_)), "{error}");
    }
    for (field, value) in
        [("annotations", json!({"a": 1})), ("annotations", json!([])), ("artifactType", json!(1))]
    {
        let error = parse(&with(image(), field, value), None).unwrap_err();
        assert!(matches!(error, ManifestError::Json(_)), "{error}");
    }
}

#[test]
fn says_which_descriptor_is_wrong() {
    let mut layers = image();
    layers["layers"][1]["digest"] = json!("sha256:00");
    assert!(parse(&layers, None).unwrap_err().to_string().starts_with("layers[1].digest: malformed digest"));
    let mut config = image();
    config["config"]["size"] = json!(-1);
    assert_eq!(parse(&config, None), Err(FieldError::Size { path: "config.size".to_owned() }.into()));
    let mut children = index();
    children["manifests"][0]["mediaType"] = json!("");
    let path = "manifests[0].mediaType".to_owned();
    assert_eq!(parse(&children, None), Err(FieldError::MediaType { path }.into()));
    let subject = with(image(), "subject", json!({"mediaType": OCI_MANIFEST, "size": 1}));
    let path = "subject.digest".to_owned();
    assert_eq!(parse(&subject, None), Err(FieldError::DigestMissing { path }.into()));
    let label = with(image(), "artifactType", json!("a\n"));
    let path = "artifactType".to_owned();
    assert_eq!(parse(&label, None), Err(FieldError::MediaType { path }.into()));
}

#[test]
fn foreign_layers_need_not_be_present() {
    let mut fetched = descriptor(LAYER, "three");
    fetched["urls"] = json!(["https://example.com/three"]);
    let layers = json!([descriptor(DOCKER_FOREIGN_LAYER, "one"), descriptor(LAYER, "two"), fetched]);
    let manifest = parse(&with(image(), "layers", layers), None).unwrap();
    let expected = [(Role::Config, true), (Role::Layer, false), (Role::Layer, true), (Role::Layer, false)];
    assert_eq!(roles(&manifest), expected);

    // Only layers can be foreign.
    let mut children = index();
    children["manifests"][0]["urls"] = json!(["https://example.com/amd64"]);
    assert_eq!(roles(&parse(&children, None).unwrap()), [(Role::Child, true), (Role::Child, true)]);
}

#[test]
fn lists_each_digest_once() {
    let empty = descriptor(OCI_EMPTY, "{}");
    let manifest = with(image(), "config", empty.clone());
    let layers = json!([empty, descriptor(LAYER, "one"), descriptor(LAYER, "one")]);
    let manifest = parse(&with(manifest, "layers", layers), None).unwrap();
    assert_eq!(roles(&manifest), [(Role::Config, true), (Role::Layer, true)]);

    // A layer that is foreign in one place and not in the other is needed.
    for order in [[0, 1], [1, 0]] {
        let both = [descriptor(DOCKER_FOREIGN_LAYER, "one"), descriptor(LAYER, "one")];
        let layers = order.map(|i| both[i].clone());
        let manifest = parse(&with(image(), "layers", json!(layers)), None).unwrap();
        assert_eq!(roles(&manifest), [(Role::Config, true), (Role::Layer, true)]);
    }
}

#[test]
fn keeps_what_a_list_of_referrers_shows() {
    let subject = descriptor(OCI_MANIFEST, "subject");
    for manifest in [image(), index(), artifact()] {
        let manifest = with(manifest, "subject", subject.clone());
        let manifest = with(manifest, "artifactType", json!("application/example"));
        let parsed = parse(&with(manifest, "annotations", json!({"a": "b", "A": ""})), None).unwrap();
        assert_eq!(parsed.subject().unwrap().digest, Digest::of(Algorithm::Sha256, b"subject"));
        assert_eq!(parsed.artifact_type(), Some("application/example"));
        assert_eq!(parsed.annotations()["a"], "b");
        assert!(parsed.references().iter().all(|reference| reference.descriptor.size != 7));
    }
    // An empty type counts as none; only an image has a config to take it from.
    let unnamed = with(image(), "artifactType", json!(""));
    assert_eq!(parse(&unnamed, None).unwrap().artifact_type(), Some(OCI_IMAGE_CONFIG));
    assert_eq!(parse(&index(), None).unwrap().artifact_type(), None);
    assert_eq!(parse(&with(artifact(), "artifactType", Value::Null), None).unwrap().artifact_type(), None);
}

#[test]
fn limits_are_exact() {
    let limits = ManifestLimits { references_max: 3, annotations_bytes_max: 18 };
    let parse = |manifest: &Value| Manifest::parse(manifest.to_string().as_bytes(), None, &limits);
    assert!(parse(&image()).is_ok());
    let layers = vec![descriptor(LAYER, "one"); 3];
    let error = ManifestError::TooManyReferences { found: 4, max: 3 };
    assert_eq!(parse(&with(image(), "layers", json!(layers))), Err(error));

    // Longer than any list may be, it is refused before it is looked at.
    let layers = vec![json!({}); 4];
    let error = ManifestError::TooManyReferences { found: 4, max: 3 };
    assert_eq!(parse(&with(image(), "layers", json!(layers))), Err(error));

    let referrer = with(image(), "subject", descriptor(OCI_MANIFEST, "subject"));
    let fitting = parse(&with(referrer.clone(), "annotations", json!({"ab": "c", "d": "e"}))).unwrap();
    assert_eq!(fitting.annotations()["ab"], "c");
    let error = ManifestError::AnnotationsTooLarge { found: 19, max: 18 };
    assert_eq!(parse(&with(referrer.clone(), "annotations", json!({"ab": "c", "d": "ef"}))), Err(error));
    // They count as the list shows them.
    let error = ManifestError::AnnotationsTooLarge { found: 23, max: 18 };
    assert_eq!(parse(&with(referrer, "annotations", json!({"ab": "c", "d": "\u{1}"}))), Err(error));
    // Only those of referrers are repeated in lists; others are not kept at all.
    let plain = parse(&with(image(), "annotations", json!({"ab": "c", "d": "ef"}))).unwrap();
    assert!(plain.annotations().is_empty());
}
