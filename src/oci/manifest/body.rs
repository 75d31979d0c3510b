//! The body of a manifest as it was written, and the rules between its fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{ManifestError, ManifestKind, ManifestLimits, Role};
use crate::oci::descriptor::{FieldError, RawDescriptor, Scalar, is_type_label};
use crate::oci::json::{JsonError, Shape};
use crate::oci::media_type::{
    DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, MEDIA_TYPE_MAX_BYTES, OCI_INDEX, OCI_MANIFEST, essence,
};

/// The fields of all kinds of manifest. Unknown ones are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    /// Anything, so that what is wrong with it can be said.
    schema_version: Option<Scalar>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: List,
    #[serde(default)]
    manifests: List,
    #[serde(default)]
    blobs: List,
    subject: Option<RawDescriptor>,
}

/// The annotations alone: they are read only where they are needed.
#[derive(Deserialize)]
struct OwnAnnotations {
    annotations: Option<BTreeMap<String, String>>,
}

/// A list of descriptors. Go writes a list that was never made as `null`: that fulfils the duty to have the
/// field, and does not make the manifest one of the kind that has it.
#[derive(Default)]
enum List {
    #[default]
    Absent,
    Null,
    Entries(Vec<RawDescriptor>),
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Entries))
    }
}

impl List {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    const fn has_entries(&self) -> bool {
        matches!(self, Self::Entries(_))
    }

    fn len(&self) -> usize {
        if let Self::Entries(entries) = self { entries.len() } else { 0 }
    }

    fn into_entries(self) -> Vec<RawDescriptor> {
        if let Self::Entries(entries) = self { entries } else { Vec::new() }
    }
}

/// What is left of a [`Body`] once its rules were checked.
pub(super) struct Parts {
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<RawDescriptor>,
    /// The name of the list that this kind has, the role of its entries, and the entries.
    pub(super) list: (&'static str, Role, Vec<RawDescriptor>),
    pub(super) subject: Option<RawDescriptor>,
}

impl Body {
    /// Reads the fields and checks those that are labels.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut body: Self = serde_json::from_slice(bytes).map_err(JsonError::from)?;
        for (field, value) in [("mediaType", &mut body.media_type), ("artifactType", &mut body.artifact_type)]
        {
            // The empty string is how Go writes a missing one (distribution-spec: "empty or missing").
            *value = value.take().filter(|text| !text.is_empty());
            if value.as_deref().is_some_and(|text| !is_type_label(text)) {
                return Err(FieldError::MediaType { path: field.to_owned() }.into());
            }
        }
        Ok(body)
    }

    /// The media type of the request, else that of the body, else the one that the fields imply.
    pub(super) fn decide_media_type(&self, content_type: Option<&str>) -> Result<String, ManifestError> {
        let header = content_type.map(essence).filter(|text| !text.is_empty());
        let named = self.media_type.as_deref();
        let old = |text: &str| matches!(text, DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED);
        if self.schema_version() == Some(1) || header.is_some_and(old) || named.is_some_and(old) {
            return Err(ManifestError::Schema1);
        }
        match (header, named) {
            (Some(header), Some(named)) if header != named => {
                let header = header.chars().take(MEDIA_TYPE_MAX_BYTES).collect();
                Err(ManifestError::MediaTypeMismatch { header, body: named.to_owned() })
            }
            (Some(given), _) | (None, Some(given)) => Ok(given.to_owned()),
            (None, None) if self.manifests.has_entries() => Ok(OCI_INDEX.to_owned()),
            (None, None) if self.layers.has_entries() => Ok(OCI_MANIFEST.to_owned()),
            (None, None) => Err(ManifestError::NoMediaType),
        }
    }

    /// Checks the fields against the kind of the manifest and the limits.
    pub(super) fn check(self, kind: ManifestKind, limits: &ManifestLimits) -> Result<Parts, ManifestError> {
        let foreign_fields = self.has_image_fields() || self.manifests.has_entries();
        if self.is_ambiguous() || (kind == ManifestKind::Artifact && foreign_fields) {
            return Err(ManifestError::Ambiguous);
        }
        if kind != ManifestKind::Artifact && self.schema_version() != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        let missing = match kind {
            ManifestKind::Image if self.config.is_none() => Some("config"),
            ManifestKind::Image if self.layers.is_absent() => Some("layers"),
            ManifestKind::Index if self.manifests.is_absent() => Some("manifests"),
            _ => None,
        };
        if let Some(field) = missing {
            return Err(ManifestError::Missing { field });
        }

        let (name, role, list) = match kind {
            ManifestKind::Image => ("layers", Role::Layer, self.layers),
            ManifestKind::Index => ("manifests", Role::Child, self.manifests),
            ManifestKind::Artifact => ("blobs", Role::Layer, self.blobs),
        };
        let found = list.len() + usize::from(self.config.is_some());
        if found > limits.references_max {
            return Err(ManifestError::TooManyReferences { found, max: limits.references_max });
        }
        Ok(Parts {
            artifact_type: self.artifact_type,
            config: self.config,
            list: (name, role, list.into_entries()),
            subject: self.subject,
        })
    }

    /// The annotations of a manifest that is shown in lists of referrers. Those of others are not needed, and
    /// may be as large as the manifest.
    pub(super) fn annotations(
        &self,
        bytes: &[u8],
        shape: Shape,
        limits: &ManifestLimits,
    ) -> Result<BTreeMap<String, String>, ManifestError> {
        if self.subject.is_none() {
            return Ok(BTreeMap::new());
        }
        let (found, max) = (shape.annotations_bytes, limits.annotations_bytes_max);
        if found > max {
            return Err(ManifestError::AnnotationsTooLarge { found, max });
        }
        let own: OwnAnnotations = serde_json::from_slice(bytes).map_err(JsonError::from)?;
        Ok(own.annotations.unwrap_or_default())
    }

    fn schema_version(&self) -> Option<u64> {
        self.schema_version.as_ref().and_then(Scalar::number)
    }

    fn has_image_fields(&self) -> bool {
        self.config.is_some() || self.layers.has_entries()
    }

    /// CVE-2021-41190: such a body is an image to one reader and an index to another.
    fn is_ambiguous(&self) -> bool {
        self.has_image_fields() && self.manifests.has_entries()
    }
}
