//! What tests of damaged files share: a registry in a directory of its own, with a clock that they move.

use super::{Condition, DataDir, Error, ManifestPush, ManualClock, Registry, Store, StoreOptions};
use crate::config::Config;
use crate::oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A registry and its directory.
pub struct TestScene {
    home: TempDir,
    pub clock: Arc<ManualClock>,
    config: Config,
    registry: Option<Registry>,
}

impl TestScene {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let mut scene = Self { home: tempfile::tempdir().unwrap(), clock, config, registry: None };
        scene.start();
        scene
    }

    /// Opens the directory again, as a start does.
    pub fn start(&mut self) {
        drop(self.registry.take());
        let dir = DataDir::open(&self.home.path().join("data")).unwrap();
        let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
        let store = Store::open(dir, StoreOptions { ledger_cache_bytes: 1 << 20, on_failure }).unwrap();
        let registry = Registry::new(store, Arc::clone(&self.clock) as Arc<_>, self.config.clone());
        registry.recover().unwrap();
        self.registry = Some(registry);
    }

    pub fn registry(&self) -> &Registry {
        self.registry.as_ref().unwrap()
    }

    pub fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = digest(content);
        let mut upload = self.registry().start_upload(&name(repository), Algorithm::Sha256, 0).unwrap();
        self.registry().append(&mut upload, content).unwrap();
        self.registry().finish_upload(upload, digest).unwrap();
        digest
    }

    /// Pushes an image whose layers are there already.
    pub fn push_manifest(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Result<Digest, Error> {
        let descriptor = |content: &[u8]| {
            json!({
                "mediaType": "application/octet-stream",
                "digest": digest(content),
                "size": content.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(b"{}"),
            "layers": layers.iter().map(|layer| descriptor(layer)).collect::<Vec<_>>(),
        });
        let pushed = self.registry().put_manifest(ManifestPush {
            name: name(repository),
            reference: Reference::Tag(Tag::parse(tag).unwrap()),
            tags: Vec::new(),
            content_type: None,
            bytes: manifest.to_string().into_bytes(),
            condition: Condition::default(),
            who: "pusher".to_owned(),
        })?;
        Ok(pushed.digest)
    }

    pub fn push_image(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Digest {
        self.push_blob(repository, b"{}");
        for layer in layers {
            self.push_blob(repository, layer);
        }
        self.push_manifest(repository, tag, layers).unwrap()
    }

    /// Whether HEAD finds the blob.
    pub fn is_there(&self, repository: &str, digest: Digest) -> bool {
        self.registry().stat_blob(&name(repository), digest).is_ok()
    }

    /// What GET gives, all of it.
    pub fn read(&self, repository: &str, digest: Digest) -> Option<Vec<u8>> {
        let blob = self.registry().open_blob(&name(repository), digest).ok()?;
        blob.read(self.registry(), 0, usize::try_from(blob.size()).unwrap()).ok()
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
        let report = self.registry().verify(deep).unwrap();
        report.violations.into_iter().map(|found| format!("{}: {}", found.invariant, found.words)).collect()
    }
}

impl Drop for TestScene {
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
