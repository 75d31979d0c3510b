//! A registry for tests: with a clock that they move, and ways to push without HTTP.

use super::collect::{Collected, Round};
use super::{
    Condition, CopyReport, DataDir, Deleted, Error, LedgerOptions, ManifestPush, ManualClock, Placement,
    Registry, Restored, Store, StoreOptions,
};
use crate::config::Config;
use crate::oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use serde_json::{Value, json};
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A registry that can be opened again.
pub struct Opened(Option<Registry>);

impl Deref for Opened {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        self.0.as_ref().unwrap()
    }
}

/// A registry in a directory of its own. When it is dropped, every invariant is checked.
pub struct Scene {
    home: TempDir,
    pub clock: Arc<ManualClock>,
    config: Config,
    pub registry: Opened,
}

impl Scene {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let (home, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(1_700_000_000_000)));
        let mut scene = Self { home, clock, config, registry: Opened(None) };
        scene.start();
        scene
    }

    /// Opens the directory again, as a start does.
    pub fn start(&mut self) {
        self.open();
        self.registry.recover().unwrap();
    }

    /// Opens the directory again, as a start does that finds that it is not the original.
    pub fn start_copy(&mut self, placement: Placement) -> CopyReport {
        self.open();
        let report = self.registry.settle_copy(placement).unwrap();
        self.registry.recover().unwrap();
        report
    }

    /// Opens the directory again and leaves it as it is.
    pub fn open(&mut self) {
        drop(self.registry.0.take());
        let dir = DataDir::open(&self.data()).unwrap();
        let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
        let store = Store::open(
            dir,
            StoreOptions {
                ledger: LedgerOptions { cache_bytes: 1 << 20, ..LedgerOptions::default() },
                on_failure,
            },
        )
        .unwrap();
        let registry = Registry::new(store, Arc::clone(&self.clock) as Arc<_>, self.config.clone());
        self.registry.0 = Some(registry);
    }

    pub fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let mut upload =
            self.registry.start_upload(&name(repository), Algorithm::Sha256, 0, "anonymous").unwrap();
        self.registry.append(&mut upload, content).unwrap();
        self.registry.finish_upload(upload, digest, "pusher").unwrap();
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
            actor: "pusher".into(),
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

    /// Whether HEAD finds the blob.
    pub fn is_there(&self, repository: &str, digest: Digest) -> bool {
        self.registry.stat_blob(&name(repository), digest).is_ok()
    }

    /// What GET gives, all of it.
    pub fn read(&self, repository: &str, digest: Digest) -> Option<Vec<u8>> {
        let blob = self.registry.open_blob(&name(repository), digest).ok()?;
        let mut bytes = vec![0; usize::try_from(blob.size()).unwrap()];
        if let Err(error) = blob.fill(&mut bytes, 0) {
            let damage = blob.judge(error)?;
            blob.mark_damaged(&self.registry, damage);
            return None;
        }
        Some(bytes)
    }

    /// The one file of a blob.
    pub fn file(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        let directory = self.data().join("blobs/sha256").join(&hex[..2]);
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&*hex)).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    /// Puts other bytes of the same length in the place of a blob's.
    pub fn flip(&self, digest: Digest) {
        let path = self.file(digest);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The names of the damaged files that are kept.
    pub fn set_aside(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data().join("damaged")) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What a check says, in words.
    pub fn violations(&self, deep: bool) -> Vec<String> {
        let report = self.registry.verify(deep).unwrap();
        report.violations.into_iter().map(|found| format!("{}: {}", found.invariant, found.words)).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.violations(true), [""; 0]);
        }
    }
}

/// Sets a flag when it goes, also in a panic: those who work until it is set would work for ever.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
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
