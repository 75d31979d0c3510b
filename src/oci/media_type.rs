//! Media types: the ones that a registry must know, and their grammar (image-spec, media-types.md; RFC 6838).

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI artifact manifest: part of the release candidates of image-spec 1.1 and dropped from the release,
/// but some clients had already pushed it.
pub const OCI_ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// The configuration of an OCI image.
pub const OCI_IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The two bytes `{}`, where a descriptor is required and there is nothing to describe.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A layer that a registry need not hold (deprecated by image-spec 1.1).
pub const OCI_NONDISTRIBUTABLE_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
/// The same with gzip.
pub const OCI_NONDISTRIBUTABLE_LAYER_GZIP: &str =
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
/// The same with zstd.
pub const OCI_NONDISTRIBUTABLE_LAYER_ZSTD: &str =
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";

/// A Docker image manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image manifest, version 2 schema 1: refused here.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The signed form of [`DOCKER_SCHEMA1`]: refused here.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// A Docker layer that is fetched from elsewhere, as the base layers of Windows were.
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// The longest type and the longest subtype, in characters (RFC 6838, section 4.2).
const RESTRICTED_NAME_MAX_BYTES: usize = 127;

/// The longest media type: two names and a slash.
pub const MEDIA_TYPE_MAX_BYTES: usize = 2 * RESTRICTED_NAME_MAX_BYTES + 1;

/// Whether a layer of this type may be absent from the registry (image-spec, layer.md, "Non-Distributable
/// Layers"). Whole families, as compression and encryption add suffixes.
#[must_use]
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

/// A `Content-Type` without its parameters (RFC 9110, section 8.3.1).
#[must_use]
pub fn essence(content_type: &str) -> &str {
    let end = content_type.find(';').unwrap_or(content_type.len());
    content_type[..end].trim_matches([' ', '\t'])
}

/// Whether this is `type/subtype` without parameters, both of them restricted names (RFC 6838, section 4.2).
#[must_use]
pub fn valid_media_type(media_type: &str) -> bool {
    media_type.split_once('/').is_some_and(|(main, sub)| is_restricted_name(main) && is_restricted_name(sub))
}

fn is_restricted_name(name: &str) -> bool {
    let first_fits = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    first_fits
        && name.len() <= RESTRICTED_NAME_MAX_BYTES
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

#[cfg(test)]
mod tests;
