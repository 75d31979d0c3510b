//! Why a manifest is refused.

use thiserror::Error;

use super::ManifestKind;
use crate::oci::descriptor::FieldError;
use crate::oci::json::JsonError;
use crate::oci::media_type::MEDIA_TYPE_MAX_BYTES;

/// Why a manifest is refused. Every message is meant for the person who pushed it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Not a JSON object that can be read in one way only.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A Docker manifest of schema 1, which names layers by no media type and no size.
    #[error(
        "Docker manifest version 2, schema 1 is not supported: expected a push of schema 2 or of an OCI image"
    )]
    Schema1,
    /// An image or an index of another schema.
    #[error("schemaVersion: expected the integer 2")]
    SchemaVersion,
    /// The request and the body name different types.
    #[error("mediaType of the manifest is {body:?}: expected the Content-Type of the request, {header:?}")]
    MediaTypeMismatch {
        /// The type of the request, without parameters.
        header: String,
        /// The type in the body.
        body: String,
    },
    /// A type that is no manifest's.
    #[error("unsupported manifest media type {found:?}: expected one of {}", ACCEPTED.join(", "))]
    UnknownMediaType {
        /// The type of the request or of the body.
        found: String,
    },
    /// No type was given, and the fields do not tell it.
    #[error("unknown kind of manifest: expected a Content-Type, a mediaType, \"manifests\", or \"layers\"")]
    NoMediaType,
    /// Fields of two kinds of manifest in one body (CVE-2021-41190).
    #[error(
        "ambiguous manifest: expected either \"config\" and \"layers\", or \"manifests\", or \"blobs\", \
         not fields of two kinds"
    )]
    Ambiguous,
    /// A field that this kind of manifest must have.
    #[error("{field}: expected in every manifest of this type")]
    Missing {
        /// Which field.
        field: &'static str,
    },
    /// A field of the manifest or of a descriptor in it.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// More entries than [`references_max`](super::ManifestLimits::references_max).
    #[error("too many references: expected at most {max}, found {found}")]
    TooManyReferences {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// More than [`annotations_bytes_max`](super::ManifestLimits::annotations_bytes_max).
    #[error(
        "annotations of a manifest with a subject are too large: expected at most {max} bytes of JSON, found \
         {found}"
    )]
    AnnotationsTooLarge {
        /// How many bytes there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

/// The types with a [`ManifestKind`].
pub(super) const ACCEPTED: [&str; 5] = [
    crate::oci::media_type::OCI_MANIFEST,
    crate::oci::media_type::OCI_INDEX,
    crate::oci::media_type::DOCKER_MANIFEST,
    crate::oci::media_type::DOCKER_MANIFEST_LIST,
    crate::oci::media_type::OCI_ARTIFACT_MANIFEST,
];

impl ManifestError {
    /// Quotes no more of a header than a media type can be long.
    pub(super) fn unknown_media_type(found: &str) -> Self {
        debug_assert!(ManifestKind::of_media_type(found).is_none(), "the type is accepted");
        Self::UnknownMediaType { found: found.chars().take(MEDIA_TYPE_MAX_BYTES).collect() }
    }
}
