//! A registry for tests: with a clock that they move, and ways to push without HTTP.

use super::collect::{Collected, Round};
use super::{
    Condition, DataDir, Deleted, Error, ManifestPush, ManualClock, Registry, Restored, Store, StoreOptions,
};
use crate::config::Config;
use crate::oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A registry in a directory of its own. When it is dropped, every invariant is checked.
pub struct Scene {
    _home: TempDir,
    pub clock: Arc<ManualClock>,
    pub registry: Registry,
}

impl Scene {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&home.path().join("data")).unwrap();
        let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
        let store = Store::open(dir, StoreOptions { ledger_cache_bytes: 1 << 20, on_failure }).unwrap();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let mut config = Config::default();
        change(&mut config);
        let registry = Registry::new(store, Arc::clone(&clock) as Arc<_>, config);
        registry.recover().unwrap();
        Self { _home: home, clock, registry }
    }

    pub fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let mut upload = self.registry.start_upload(&name(repository), Algorithm::Sha256, 0).unwrap();
        self.registry.append(&mut upload, content).unwrap();
        self.registry.finish_upload(upload, digest).unwrap();
        digest
    }

    /// Pushes a manifest by tag, or by digest where the tag is empty.
    pub fn push(&self, repository: &str, tag: &str, manifest: &Value) -> Result<Digest, Error> {
        let bytes = manifest.to_string().into_bytes();
        let reference = match tag {
            "" => Reference::Digest(Digest::of(Algorithm::Sha256, &bytes)),
            tag => Reference::Tag(Tag::parse(tag).unwrap()),
        };
        let pushed = self.registry.put_manifest(ManifestPush {
            name: name(repository),
            reference,
            tags: Vec::new(),
            content_type: None,
            bytes,
            condition: Condition::default(),
            who: "pusher".to_owned(),
        })?;
        Ok(pushed.digest)
    }

    /// Pushes an image whose layers are there already.
    pub fn push_manifest(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Result<Digest, Error> {
        self.push(repository, tag, &image(layers))
    }

    /// Pushes an image that refers to a subject.
    pub fn push_referrer(&self, repository: &str, tag: &str, subject: Digest, layer: &[u8]) -> Digest {
        self.push_blob(repository, b"{}");
        self.push_blob(repository, layer);
        let mut manifest = image(&[layer]);
        manifest["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": 1});
        self.push(repository, tag, &manifest).unwrap()
    }

    /// Pushes an index of manifests that are there.
    pub fn push_index(&self, repository: &str, tag: &str, children: &[Digest]) -> Result<Digest, Error> {
        let children = children.iter().map(|child| {
            let size = self.registry.stat_manifest(&name(repository), &Reference::Digest(*child));
            json!({"mediaType": IMAGE, "digest": child, "size": size.map_or(1, |child| child.size)})
        });
        let children = children.collect::<Vec<_>>();
        self.push(repository, tag, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}))
    }

    pub fn push_image(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Digest {
        self.push_blob(repository, b"{}");
        for layer in layers {
            self.push_blob(repository, layer);
        }
        self.push_manifest(repository, tag, layers).unwrap()
    }

    pub fn delete(&self, repository: &str, digest: Digest) -> Deleted {
        self.registry.delete_manifest(&name(repository), digest, Condition::default(), "deleter").unwrap()
    }

    pub fn round(&self) -> Collected {
        self.registry.collect(Round { ends_keeping: false, steps: u64::MAX }).unwrap()
    }

    pub fn is_visible(&self, repository: &str, digest: Digest) -> bool {
        self.registry.stat_manifest(&name(repository), &Reference::Digest(digest)).is_ok()
    }

    /// What a tag names.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        let reference = Reference::Tag(Tag::parse(tag).unwrap());
        self.registry.stat_manifest(&name(repository), &reference).ok().map(|manifest| manifest.digest)
    }

    /// Brings back what is named as on the command line.
    pub fn undelete(&self, repository: &str, what: &str) -> Result<Restored, Error> {
        let what = (!what.is_empty()).then(|| Reference::parse(what).unwrap());
        self.registry.undelete(&name(repository), what.as_ref(), "undeleter")
    }

    pub fn is_linked(&self, repository: &str, digest: Digest) -> bool {
        self.registry.open_blob(&name(repository), digest).is_ok()
    }

    pub fn is_stored(&self, digest: Digest) -> bool {
        self.registry.explain(digest).unwrap().blob_bytes.is_some()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.registry.verify(true).unwrap().violations, []);
        }
    }
}

pub fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

pub fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// An image manifest.
pub fn image(layers: &[&[u8]]) -> Value {
    let descriptor = |content: &[u8]| {
        let (digest, size) = (digest(content), content.len());
        json!({"mediaType": "application/octet-stream", "digest": digest, "size": size})
    };
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(b"{}"),
        "layers": layers.iter().map(|layer| descriptor(layer)).collect::<Vec<_>>(),
    })
}
