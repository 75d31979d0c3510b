//! Manifests: what a registry must understand of them (image-spec, manifest.md and image-index.md).

mod body;
mod error;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use self::body::{Body, Parts};
pub use self::error::ManifestError;
use super::descriptor::Descriptor;
use super::digest::Digest;
use super::json;
use super::media_type::{
    DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_ARTIFACT_MANIFEST, OCI_INDEX, OCI_MANIFEST,
    is_nondistributable,
};

/// What a manifest is made of, whatever its media type is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// A config and layers.
    Image,
    /// Other manifests, or, in the caches of BuildKit, layers.
    Index,
    /// Blobs without a config (image-spec 1.1 before its release).
    Artifact,
}

impl ManifestKind {
    /// The kind of the manifests of this media type, or `None` where it is not accepted.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_MANIFEST | DOCKER_MANIFEST => Some(Self::Image),
            OCI_INDEX | DOCKER_MANIFEST_LIST => Some(Self::Index),
            OCI_ARTIFACT_MANIFEST => Some(Self::Artifact),
            _ => None,
        }
    }
}

/// What a manifest may weigh, beyond the size of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestLimits {
    /// Entries of `layers`, `manifests` or `blobs`, the config included. Each is a lookup and a row of the
    /// transaction that stores the manifest. Runnable images end at 127 layers, and model and data set
    /// artifacts have some thousands of files; 4 MiB of the shortest descriptors would be 30,000.
    pub references_max: usize,
    /// The own annotations, as JSON, of a manifest with a subject. They are repeated in every list of
    /// referrers, whose pages clients read up to 4 MiB.
    pub annotations_bytes_max: usize,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self { references_max: 5_000, annotations_bytes_max: 256 * 1024 }
    }
}

/// What a referenced object is to the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The `config` of an image.
    Config,
    /// An entry of `layers`, or of an artifact's `blobs`.
    Layer,
    /// An entry of an index: a manifest, or, in the caches of BuildKit, a blob, whatever its media type says.
    Child,
}

/// One object that a manifest is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestReference {
    /// How the manifest describes it.
    pub descriptor: Descriptor,
    /// What it is to the manifest.
    pub role: Role,
    /// Whether it must be in the repository: everything but foreign layers (image-spec, layer.md,
    /// "Non-Distributable Layers").
    pub required: bool,
}

/// A manifest that was checked: the parts of it that the registry acts on. Its bytes are kept elsewhere, as
/// they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    media_type: String,
    kind: ManifestKind,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
    references: Vec<ManifestReference>,
}

impl Manifest {
    /// Reads the `bytes` of a manifest that was pushed with this `Content-Type`.
    ///
    /// The type may be missing, then the body decides. A body that could be read as two kinds is refused
    /// (CVE-2021-41190), as is one with a key twice.
    pub fn parse(
        bytes: &[u8],
        content_type: Option<&str>,
        limits: &ManifestLimits,
    ) -> Result<Self, ManifestError> {
        let shape = json::check_manifest(bytes)?;
        let (found, max) = (shape.longest_list, limits.references_max);
        if found > max {
            return Err(ManifestError::TooManyReferences { found, max });
        }
        let body = Body::parse(bytes)?;
        let media_type = body.decide_media_type(content_type)?;
        let kind = ManifestKind::of_media_type(&media_type)
            .ok_or_else(|| ManifestError::unknown_media_type(&media_type))?;
        let annotations = body.annotations(bytes, shape, limits)?;
        let Parts { artifact_type, config, list, subject } = body.check(kind, limits)?;

        let subject = subject.map(|subject| subject.check(&"subject.")).transpose()?;
        let config = config.map(|config| config.check(&"config.")).transpose()?;
        let artifact_type = artifact_type.or_else(|| config.as_ref().map(|config| config.media_type.clone()));
        let mut references = References::default();
        if let Some(config) = config {
            references.add(config, Role::Config);
        }
        let (name, role, entries) = list;
        for (i, entry) in entries.into_iter().enumerate() {
            references.add(entry.check(&format_args!("{name}[{i}]."))?, role);
        }
        Ok(Self { media_type, kind, artifact_type, subject, annotations, references: references.list })
    }

    /// The type to store and to serve: that of the request without parameters, else that of the body, else
    /// the one the body's fields imply.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// What it is made of.
    #[must_use]
    pub const fn kind(&self) -> ManifestKind {
        self.kind
    }

    /// The type that a list of referrers shows: its own `artifactType`, else, for an image, the type of its
    /// config (distribution-spec, "Listing Referrers").
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }

    /// The manifest that this one says something about. It need not exist.
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The own annotations of a manifest with a subject, not those of its descriptors.
    #[must_use]
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// What it is made of, the config first, each digest once. The subject is not among them.
    #[must_use]
    pub fn references(&self) -> &[ManifestReference] {
        &self.references
    }
}

/// Collects what a manifest is made of, each digest once. A digest may stand there twice: many artifacts have
/// the two bytes `{}` as their config and as a layer, and images repeat empty layers.
#[derive(Default)]
struct References {
    list: Vec<ManifestReference>,
    places: HashMap<Digest, usize>,
}

impl References {
    fn add(&mut self, descriptor: Descriptor, role: Role) {
        let foreign = descriptor.has_urls || is_nondistributable(&descriptor.media_type);
        let required = role != Role::Layer || !foreign;
        match self.places.entry(descriptor.digest) {
            // One mention of it that needs it here is enough.
            Entry::Occupied(place) => self.list[*place.get()].required |= required,
            Entry::Vacant(place) => {
                place.insert(self.list.len());
                self.list.push(ManifestReference { descriptor, role, required });
            }
        }
    }
}

#[cfg(test)]
mod tests;
