//! Descriptors: how a manifest refers to content (image-spec, descriptor.md).

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::digest::{Digest, DigestError};
use super::media_type::MEDIA_TYPE_MAX_BYTES;

/// A reference to content by digest and size: the parts that the registry acts on. What else it may hold
/// (annotations, platform, the content itself) is as long as its author likes, and is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawDescriptor")]
pub struct Descriptor {
    /// The type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The length of the content in bytes, below 2^63 (the specification says `int64`).
    pub size: u64,
    /// Whether it says where else the content may be fetched from.
    pub has_urls: bool,
}

/// How a list of referrers shows a manifest (distribution-spec, "Listing Referrers").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerDescriptor<'a> {
    /// The type the manifest is served with.
    pub media_type: &'a str,
    /// Its digest.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Its own annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
    /// What kind of artifact it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<&'a str>,
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

/// A descriptor as it was written, without what is not acted on. The required fields are read as anything, so
/// that what is wrong with them is said with their path, which serde does not know.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a descriptor, which is an object")]
pub(super) struct RawDescriptor {
    media_type: Option<Scalar>,
    digest: Option<Scalar>,
    size: Option<Scalar>,
    /// Values that take no memory.
    urls: Option<Vec<IgnoredAny>>,
    artifact_type: Option<String>,
}

impl RawDescriptor {
    /// The descriptor, or what is wrong with it. `at` is its own path with a dot behind, or nothing.
    pub(super) fn check(self, at: &dyn Display) -> Result<Descriptor, FieldError> {
        let path = |field: &str| format!("{at}{field}");
        let media_type = match self.media_type {
            Some(Scalar::Text(text)) if is_type_label(&text) => text,
            _ => return Err(FieldError::MediaType { path: path("mediaType") }),
        };
        let Some(Scalar::Text(digest)) = self.digest else {
            return Err(FieldError::DigestMissing { path: path("digest") });
        };
        let digest =
            Digest::parse(&digest).map_err(|error| FieldError::Digest { path: path("digest"), error })?;
        let size = self.size.as_ref().and_then(Scalar::number).filter(|size| i64::try_from(*size).is_ok());
        let size = size.ok_or_else(|| FieldError::Size { path: path("size") })?;
        if self.artifact_type.is_some_and(|text| !text.is_empty() && !is_type_label(&text)) {
            return Err(FieldError::MediaType { path: path("artifactType") });
        }
        Ok(Descriptor { media_type, digest, size, has_urls: self.urls.is_some_and(|urls| !urls.is_empty()) })
    }
}

/// A value where a string or a number belongs. Of anything else nothing is kept: it may be very large.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text(String),
    Number(u64),
    Other,
}

impl Scalar {
    pub(super) const fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalar, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Scalar, A::Error> {
        IgnoredAny.visit_map(object).map(|_| Scalar::Other)
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
