//! Media types: families, parameters, and the grammar of RFC 6838.

use proptest::prelude::*;

use super::*;
use crate::oci::ManifestKind;

const KNOWN: [&str; 13] = [
    OCI_MANIFEST,
    OCI_INDEX,
    OCI_ARTIFACT_MANIFEST,
    OCI_IMAGE_CONFIG,
    OCI_EMPTY,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    DOCKER_FOREIGN_LAYER,
];

#[test]
fn every_known_type_is_valid_and_its_own_essence() {
    for media_type in KNOWN {
        assert!(valid_media_type(media_type), "{media_type}");
        assert_eq!(essence(media_type), media_type);
    }
}

#[test]
fn only_foreign_layers_are_nondistributable() {
    let foreign = KNOWN.into_iter().filter(|media_type| is_nondistributable(media_type));
    assert!(foreign.eq([
        OCI_NONDISTRIBUTABLE_LAYER,
        OCI_NONDISTRIBUTABLE_LAYER_GZIP,
        OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
        DOCKER_FOREIGN_LAYER,
    ]));
    assert!(is_nondistributable("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted"));
    assert!(is_nondistributable("application/vnd.docker.image.rootfs.foreign.diff.tar"));
    assert!(!is_nondistributable("application/vnd.oci.image.layer.v1.tar+gzip"));
    assert!(!is_nondistributable("application/vnd.docker.image.rootfs.diff.tar.gzip"));
    assert!(!is_nondistributable(""));
}

#[test]
fn essence_drops_parameters_and_blanks() {
    assert_eq!(essence("text/plain; charset=utf-8"), "text/plain");
    assert_eq!(essence(" \ttext/plain\t ;q=1;r"), "text/plain");
    assert_eq!(essence(";"), "");
    assert_eq!(essence(""), "");
}

#[test]
fn refuses_what_is_no_media_type() {
    for text in [
        "",
        "/",
        "a/",
        "/b",
        "text",
        "a/b/c",
        "a/b;c=d",
        "a b/c",
        "a/b ",
        ".a/b",
        "a/+b",
        "caf\u{e9}/x",
        "*/*",
    ] {
        assert!(!valid_media_type(text), "{text:?}");
    }
}

#[test]
fn media_types_end_at_255_bytes() {
    let name = "a".repeat(127);
    let longest = format!("{name}/{name}");
    assert_eq!(longest.len(), MEDIA_TYPE_MAX_BYTES);
    assert!(valid_media_type(&longest));
    assert!(!valid_media_type(&format!("{name}a/{name}")));
    assert!(!valid_media_type(&format!("{name}/{name}a")));
}

#[test]
fn old_schemas_have_no_kind() {
    let kinds = KNOWN.into_iter().filter(|media_type| ManifestKind::of_media_type(media_type).is_some());
    assert!(kinds.eq([
        OCI_MANIFEST,
        OCI_INDEX,
        OCI_ARTIFACT_MANIFEST,
        DOCKER_MANIFEST,
        DOCKER_MANIFEST_LIST
    ]));
}

proptest! {
    #[test]
    fn media_types_of_the_grammar_are_valid(
        text in "[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}",
        parameters in "([ \t]{0,2};\\PC{0,9})?",
    ) {
        prop_assert!(valid_media_type(&text));
        let header = format!(" {text}{parameters}");
        prop_assert_eq!(essence(&header), text);
    }

    #[test]
    fn media_types_are_what_is_described(text in "\\PC*|[aZ0/.+; ~-]{0,6}") {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        let parts: Vec<&str> = text.split('/').collect();
        let described = parts.len() == 2
            && parts.iter().all(|part| part.len() <= 127 && part.chars().all(allowed))
            && parts.iter().all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
        prop_assert_eq!(valid_media_type(&text), described, "{:?}", text);
    }

    #[test]
    fn essence_is_stable(text in "\\PC*|[a/; \t]{0,8}") {
        let once = essence(&text);
        prop_assert!(!once.contains(';'));
        prop_assert_eq!(essence(once), once);
    }
}
