//! A registry in a directory of its own, with a clock that stands still, that can be opened again.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use wharfinger::config::Config;
use wharfinger::oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use wharfinger::registry::{
    Condition, DataDir, Error, LedgerOptions, ManifestPush, ManualClock, Pushed, Registry, Store,
    StoreOptions,
};

use crate::support::{Manifest, files};

/// Where files cost nothing to sync: what a crash leaves is not looked at here.
const MEMORY: &str = "/dev/shm";

pub struct Place {
    home: TempDir,
    config: Config,
    pub clock: Arc<ManualClock>,
    /// None only while it is opened again.
    registry: Option<Registry>,
}

impl Place {
    pub fn new(now_ms: u64, config: Config) -> Self {
        let home = tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir());
        let home = home.expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(now_ms));
        let mut place = Self { home, config, clock, registry: None };
        place.open();
        place
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Closes the directory and opens it again.
    pub fn open(&mut self) {
        drop(self.registry.take());
        let dir = DataDir::open(&self.data()).expect("the directory opens");
        let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
        let store = Store::open(
            dir,
            StoreOptions {
                ledger: LedgerOptions { cache_bytes: 1 << 20, ..LedgerOptions::default() },
                on_failure,
            },
        );
        let clock = Arc::clone(&self.clock) as Arc<_>;
        let registry = Registry::new(store.expect("the store opens"), clock, self.config.clone());
        registry.recover().expect("the start");
        self.registry = Some(registry);
    }

    pub fn registry(&self) -> &Registry {
        self.registry.as_ref().expect("it is open")
    }

    pub fn push_blob(&self, repository: &str, content: &[u8]) {
        let mut upload = self
            .registry()
            .start_upload(&name(repository), Algorithm::Sha256, content.len() as u64, "anonymous")
            .expect("an upload begins");
        self.registry().append(&mut upload, content).expect("bytes are taken");
        let digest = Digest::of(Algorithm::Sha256, content);
        self.registry().finish_upload(upload, digest, "pusher").expect("an upload ends");
    }

    /// Pushes a manifest alone, by a tag or else by its digest.
    pub fn put(&self, repository: &str, manifest: &Manifest, by: Option<&str>) -> Result<Pushed, Error> {
        let reference = by.map_or_else(
            || Reference::Digest(digest(&manifest.digest)),
            |by| Reference::Tag(Tag::parse(by).expect("a tag")),
        );
        self.registry().put_manifest(ManifestPush {
            name: name(repository),
            reference,
            tags: Vec::new(),
            content_type: Some(manifest.media_type.clone()),
            bytes: manifest.bytes.clone(),
            condition: Condition::default(),
            actor: "pusher".into(),
        })
    }

    /// The digests of the files in blobs/, each as often as it has a file.
    pub fn stored(&self) -> Vec<String> {
        let paths = files::files_under(&self.data().join("blobs"));
        let mut stored: Vec<String> = paths
            .iter()
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy();
                format!("sha256:{}", name.split('.').next().expect("a hex digest"))
            })
            .collect();
        stored.sort();
        stored
    }

    /// How many files uploads/ has.
    pub fn staged(&self) -> usize {
        files::files_under(&self.data().join("uploads")).len()
    }

    #[track_caller]
    pub fn assert_in_order(&self) {
        assert_eq!(self.registry().verify(true).expect("it can be checked").violations, []);
    }
}

pub fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a name")
}

pub fn digest(text: &str) -> Digest {
    Digest::parse(text).expect("a digest")
}
