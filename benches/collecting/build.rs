//! A registry of any size, built through the store without the syncs of a million uploads.

use sha2::{Digest as _, Sha256};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use wharfinger::config::Config;
use wharfinger::oci::{Algorithm, Digest, Reference, RepositoryName, SessionId, Tag};
use wharfinger::registry::{
    Condition, DataDir, LedgerOptions, ManifestPush, Registry, Store, StoreOptions, SystemClock,
};
use wharfinger::store::records::{BlobRecord, LeaseRecord};
use wharfinger::store::tables::{BLOB, LEASE, QUEUE, REPOSITORY_BY_NAME};
use wharfinger::store::{QueueKind, Read, RepoId, STORED_BYTES, StoreError};

/// The repository.
pub const REPOSITORY: &str = "bench/app";

/// How many layers an image has, each its own.
pub const LAYERS: usize = 100;

/// How many blobs one transaction writes.
const AT_ONCE: usize = 5000;

/// Later than any bench lasts.
const LEASE_ENDS_MS: u64 = 1 << 44;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What was built.
pub struct Built {
    /// The manifests' digests.
    pub manifests: Vec<String>,
    /// Digests of blobs that stay.
    pub blobs: Vec<String>,
}

/// Builds a registry of so many blobs.
pub fn build(data: &Path, blobs: usize) -> Built {
    build_tagged(data, blobs, 0)
}

/// Builds a registry of so many blobs, whose images have so many tags each.
pub fn build_tagged(data: &Path, blobs: usize, tags: usize) -> Built {
    fs::create_dir_all(data.parent().expect("it is in a directory")).expect("made");
    let dir = DataDir::open(data).expect("a new directory");
    let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
    let store = Store::open(
        dir,
        StoreOptions {
            ledger: LedgerOptions { cache_bytes: 256 << 20, ..LedgerOptions::default() },
            on_failure,
        },
    )
    .expect("a ledger");
    let registry = Registry::new(store, Arc::new(SystemClock), Config::default());
    registry.recover().expect("a start");
    let name = RepositoryName::parse(REPOSITORY).expect("a name");
    // An image of nothing makes the repository; its blob is uploaded as any other.
    upload(&registry, &name, b"{}");
    push(&registry, &name, &[], 0..0);
    let digests: Vec<Digest> =
        (0..blobs as u64).map(|number| Digest::of(Algorithm::Sha256, &content(number))).collect();
    for (first, part) in digests.chunks(AT_ONCE).enumerate() {
        let numbers = (first * AT_ONCE) as u64..;
        for (digest, number) in part.iter().zip(numbers) {
            write_file(data, *digest, number);
        }
        write_rows(&registry, &name, part);
    }
    let mut manifests = Vec::new();
    for (number, layers) in digests.chunks(LAYERS).enumerate() {
        manifests.push(push(&registry, &name, layers, number * tags..(number + 1) * tags));
    }
    let blobs = digests.iter().skip(blobs / 10 + LAYERS).step_by(97).map(ToString::to_string).collect();
    Built { manifests, blobs }
}

/// How many files there are under blobs/.
pub fn count_files(data: &Path) -> usize {
    let entries =
        |path: &Path| fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries(&data.join("blobs/sha256")).map(|directory| entries(&directory).count()).sum()
}

fn content(number: u64) -> [u8; 64] {
    let mut content = [0x5a; 64];
    content[..8].copy_from_slice(&number.to_be_bytes());
    content
}

fn session(digest: Digest) -> SessionId {
    SessionId::from_bytes(digest.bytes()[..16].try_into().expect("sixteen of thirty-two bytes"))
}

fn write_file(data: &Path, digest: Digest, number: u64) {
    let hex = base16ct::lower::encode_string(digest.bytes());
    let directory = data.join("blobs/sha256").join(&hex[..2]);
    fs::write(directory.join(format!("{hex}.{}", session(digest))), content(number)).expect("written");
}

/// Writes the rows that an upload leaves.
fn write_rows(registry: &Registry, name: &RepositoryName, digests: &[Digest]) {
    let (name, digests) = (name.clone(), digests.to_vec());
    let write = registry.store().write(move |tx| {
        let number = tx.get(&REPOSITORY_BY_NAME, &name)?.expect("it was pushed to");
        let repository = RepoId(number.0);
        for digest in &digests {
            let size = content(0).len() as u64;
            let row = BlobRecord::new(size, session(*digest), 0);
            tx.put(&BLOB, digest, &row)?;
            tx.add(STORED_BYTES, size.cast_signed())?;
            tx.put(&LEASE, &(*digest, repository), &LeaseRecord { ends_at_ms: LEASE_ENDS_MS })?;
            tx.put(&QUEUE, &(LEASE_ENDS_MS, QueueKind::LeaseEnd, *digest, repository), &())?;
        }
        Ok::<_, StoreError>(())
    });
    write.expect("written");
}

fn upload(registry: &Registry, name: &RepositoryName, content: &[u8]) {
    let mut upload = registry.start_upload(name, Algorithm::Sha256, 0, "anonymous").expect("an upload");
    registry.append(&mut upload, content).expect("appended");
    registry.finish_upload(upload, Digest::of(Algorithm::Sha256, content), "bench").expect("finished");
}

/// Pushes an image of these layers with tags of these numbers.
fn push(registry: &Registry, name: &RepositoryName, layers: &[Digest], tags: Range<usize>) -> String {
    let descriptor = |digest: &str, size: usize| {
        format!("{{\"mediaType\":\"application/octet-stream\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let config = format!("sha256:{}", base16ct::lower::encode_string(&Sha256::digest(b"{}")));
    let layers: Vec<_> =
        layers.iter().map(|layer| descriptor(&layer.to_string(), content(0).len())).collect();
    let bytes = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{IMAGE}\",\"config\":{},\"layers\":[{}]}}",
        descriptor(&config, 2),
        layers.join(",")
    )
    .into_bytes();
    let pushed = registry.put_manifest(ManifestPush {
        name: name.clone(),
        reference: Reference::Digest(Digest::of(Algorithm::Sha256, &bytes)),
        tags: tags.map(|tag| Tag::parse(&format!("t{tag}")).expect("a tag")).collect(),
        content_type: None,
        bytes,
        condition: Condition::default(),
        actor: "bench".into(),
    });
    pushed.expect("pushed").digest.to_string()
}
