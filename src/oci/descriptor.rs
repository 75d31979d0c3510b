//! Descriptors: how a manifest refers to content (image-spec, descriptor.md).

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::digest::{Digest, DigestError};
use super::media_type::MEDIA_TYPE_MAX_BYTES;

/// A reference to content by digest and size. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawDescriptor")]
pub struct Descriptor {
    /// The type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The length of the content in bytes, below 2^63 (the specification says `int64`).
    pub size: u64,
    /// Where else the content may be fetched from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Whatever the author wanted to say of the content.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The kind of artifact, where the content is a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What an image runs on (image-spec, image-index.md); kept as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Value>,
    /// The content itself in base64; kept as it was written, and not checked against the digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// A field of a manifest that is missing or does not hold what it should. `path` says which, such as
/// `layers[2].digest`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// A digest that is not there or not a string.
    #[error("{path}: expected a digest")]
    DigestMissing {
        /// Which field.
        path: String,
    },
    /// A string that is no supported digest.
    #[error("{path}: {error}")]
    Digest {
        /// Which field.
        path: String,
        /// What is wrong with it.
        error: DigestError,
    },
    /// A size that is not there, not an integer, negative, or 2^63 and more.
    #[error("{path}: expected a non-negative integer below 2^63")]
    Size {
        /// Which field.
        path: String,
    },
    /// A media type or artifact type that is not there or cannot be one.
    #[error("{path}: expected a media type of 1 to {MEDIA_TYPE_MAX_BYTES} printable ASCII characters")]
    MediaType {
        /// Which field.
        path: String,
    },
}

/// A descriptor as it was written. The required fields are read as any value, so that what is wrong with
/// them is said with their path, which serde does not know.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a descriptor, which is an object")]
pub(super) struct RawDescriptor {
    media_type: Option<Value>,
    digest: Option<Value>,
    size: Option<Value>,
    urls: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
    artifact_type: Option<String>,
    platform: Option<Value>,
    data: Option<String>,
}

impl RawDescriptor {
    /// The descriptor, or what is wrong with it. `at` is its own path with a dot behind, or nothing.
    pub(super) fn check(self, at: &dyn Display) -> Result<Descriptor, FieldError> {
        let path = |field: &str| format!("{at}{field}");
        let media_type = match self.media_type {
            Some(Value::String(text)) if is_type_label(&text) => text,
            _ => return Err(FieldError::MediaType { path: path("mediaType") }),
        };
        let Some(Value::String(digest)) = self.digest else {
            return Err(FieldError::DigestMissing { path: path("digest") });
        };
        let digest =
            Digest::parse(&digest).map_err(|error| FieldError::Digest { path: path("digest"), error })?;
        let size = self.size.as_ref().and_then(Value::as_u64).filter(|size| i64::try_from(*size).is_ok());
        let size = size.ok_or_else(|| FieldError::Size { path: path("size") })?;
        let artifact_type = self.artifact_type.filter(|text| !text.is_empty());
        if artifact_type.as_deref().is_some_and(|text| !is_type_label(text)) {
            return Err(FieldError::MediaType { path: path("artifactType") });
        }
        Ok(Descriptor {
            media_type,
            digest,
            size,
            urls: self.urls.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default(),
            artifact_type,
            platform: self.platform,
            data: self.data,
        })
    }
}

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = FieldError;

    fn try_from(raw: RawDescriptor) -> Result<Self, FieldError> {
        raw.check(&"")
    }
}

/// Whether `text` can stand as the type of some content. Wider than the grammar of RFC 6838, section 4.2,
/// which the specification asks for: cosign gives its SBOM layers the type `spdx+json`, and types with
/// parameters are in use. What matters here is that it is bounded and safe to print.
pub(super) fn is_type_label(text: &str) -> bool {
    (1..=MEDIA_TYPE_MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

#[cfg(test)]
mod tests;
