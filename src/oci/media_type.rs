//! Media types: the ones that a registry must know (image-spec, media-types.md).

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI artifact manifest: part of the release candidates of image-spec 1.1 and dropped from the release,
/// but some clients had already pushed it.
pub const OCI_ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// A Docker image manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image manifest, version 2 schema 1: refused here.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The signed form of [`DOCKER_SCHEMA1`]: refused here.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The longest media type: two names of 127 characters and a slash (RFC 6838, section 4.2).
pub const MEDIA_TYPE_MAX_BYTES: usize = 255;

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

#[cfg(test)]
mod tests;
