//! Media types: families and parameters.

use proptest::prelude::*;

use super::*;
use crate::oci::ManifestKind;

#[test]
fn only_foreign_layers_are_nondistributable() {
    for foreign in [
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ] {
        assert!(is_nondistributable(foreign), "{foreign}");
    }
    for other in [
        OCI_MANIFEST,
        OCI_ARTIFACT_MANIFEST,
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "",
    ] {
        assert!(!is_nondistributable(other), "{other}");
    }
}

#[test]
fn essence_drops_parameters_and_blanks() {
    assert_eq!(essence("text/plain; charset=utf-8"), "text/plain");
    assert_eq!(essence(" \ttext/plain\t ;q=1;r"), "text/plain");
    assert_eq!(essence(OCI_MANIFEST), OCI_MANIFEST);
    assert_eq!(essence(";"), "");
    assert_eq!(essence(""), "");
}

#[test]
fn old_schemas_have_no_kind() {
    for accepted in [OCI_MANIFEST, OCI_INDEX, OCI_ARTIFACT_MANIFEST, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST] {
        assert!(ManifestKind::of_media_type(accepted).is_some(), "{accepted}");
    }
    for refused in [DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, "application/json"] {
        assert!(ManifestKind::of_media_type(refused).is_none(), "{refused}");
    }
}

proptest! {
    #[test]
    fn parameters_are_no_part_of_a_type(
        text in "[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}",
        parameters in "([ \t]{0,2};\\PC{0,9})?",
    ) {
        let header = format!(" {text}{parameters}");
        prop_assert_eq!(essence(&header), text);
    }

    #[test]
    fn essence_is_stable(text in "\\PC*|[a/; \t]{0,8}") {
        let once = essence(&text);
        prop_assert!(!once.contains(';'));
        prop_assert_eq!(essence(once), once);
    }
}
