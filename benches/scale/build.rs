//! A registry of any size, its rows written through the store as pushes would leave them, without the syncs
//! of a million uploads. `verify`, which the bench runs, finds what is wrong with them.
//!
//! Ten blobs are a chunk. A repository has thirty images, each of a chunk's blobs, and shares each chunk with
//! two others. What an audit would have of the pushes is left out.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use wharfinger::config::Config;
use wharfinger::oci::{Algorithm, Digest, ManifestKind, RepositoryName, Role, SessionId, Tag};
use wharfinger::registry::{DataDir, LedgerOptions, Registry, Store, StoreOptions, SystemClock};
use wharfinger::store::records::{
    BlobRecord, Cause, ManifestRecord, ReferenceRecord, RepositoryRecord, RepositoryState, TagChangeRecord,
    TagRecord, TaggedRecord, Target,
};
use wharfinger::store::tables::{
    BLOB, BLOB_USER, CATALOG, MANIFEST, MANIFEST_BYTES, Number, REFERENCE, REPOSITORY, REPOSITORY_BY_NAME,
    TAG, TAG_HISTORY, TAG_OF,
};
use wharfinger::store::{Newest, Raw, RepoId, STORED_BYTES, StoreError, Tx};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// How many blobs an image has, its config among them.
pub const CHUNK: usize = 10;

/// How many images a repository has.
pub const IMAGES: usize = 30;

/// How many blobs there are for each repository.
pub const BLOBS_EACH: usize = 100;

/// How many bytes a blob has.
const BLOB_BYTES: usize = 64;

/// How many blobs, or rows of their users, one transaction writes.
const AT_ONCE: usize = 5000;

/// How many tags one transaction writes.
const TAGS_AT_ONCE: usize = 1000;

/// When all of it was pushed, in milliseconds since the epoch.
const PUSHED_AT_MS: u64 = 1_700_000_000_000;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Repositories; the first is the big one.
    pub repositories: usize,
    /// Tags of the big one.
    pub big_tags: usize,
    /// Tags of each other one.
    pub small_tags: usize,
}

impl Size {
    /// A part of a million blobs and tags in 10,000 repositories.
    pub fn of(scale: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is small and positive"
        )]
        let of = |most: f64| (most * scale).round() as usize;
        // A chunk has to be shared by three.
        Self { repositories: of(10_000.0).max(3), big_tags: of(100_000.0).max(IMAGES), small_tags: 90 }
    }

    pub fn blobs(self) -> usize {
        self.repositories * BLOBS_EACH
    }

    pub fn tags(self) -> usize {
        self.big_tags + (self.repositories - 1) * self.small_tags
    }

    pub fn references(self) -> usize {
        self.repositories * IMAGES * CHUNK
    }

    /// How many tags a repository has.
    pub fn tags_of(self, repository: usize) -> usize {
        if repository == 0 { self.big_tags } else { self.small_tags }
    }

    /// The numbers of the blobs of a repository's image.
    fn chunk(self, repository: usize, image: usize) -> std::ops::Range<usize> {
        let chunks = self.blobs() / CHUNK;
        let chunk = (repository * (BLOBS_EACH / CHUNK) + image) % chunks;
        chunk * CHUNK..(chunk + 1) * CHUNK
    }
}

/// The name of a repository by its number.
pub fn name(repository: usize) -> RepositoryName {
    RepositoryName::parse(&format!("bench/r{repository:05}")).expect("a name")
}

/// The name of a tag by its number.
pub fn tag(number: usize) -> Tag {
    Tag::parse(&format!("t{number:06}")).expect("a tag")
}

/// The digest of a blob by its number.
pub fn digest(number: usize) -> Digest {
    Digest::of(Algorithm::Sha256, &content(number))
}

fn content(number: usize) -> [u8; BLOB_BYTES] {
    let mut content = [0x5a; BLOB_BYTES];
    content[..8].copy_from_slice(&(number as u64).to_be_bytes());
    content
}

/// Opens the registry of a directory, as a server would.
fn open(data: &Path) -> Registry {
    fs::create_dir_all(data.parent().expect("it is in a directory")).expect("made");
    let dir = DataDir::open(data).expect("nobody has it");
    let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
    let ledger = LedgerOptions { cache_bytes: 512 << 20, ..LedgerOptions::default() };
    let store = Store::open(dir, StoreOptions { ledger, on_failure }).expect("a ledger");
    let registry = Registry::new(store, Arc::new(SystemClock), Config::default());
    registry.recover().expect("a start");
    registry
}

/// Builds it.
pub fn build(data: &Path, size: Size) {
    let registry = open(data);
    let digests: Vec<Digest> = (0..size.blobs()).map(digest).collect();
    write_blobs(data, &registry, &digests, 0);
    let mut users = Vec::new();
    for repository in 0..size.repositories {
        let images = (0..IMAGES).map(|image| Image::of(&digests[size.chunk(repository, image)])).collect();
        let images: Arc<Vec<Image>> = Arc::new(images);
        let id = RepoId(spread(repository as u64));
        write_repository(&registry, id, &name(repository), &images, 0);
        write_tags(&registry, id, &images, size.tags_of(repository));
        for image in images.iter() {
            users.extend(image.blobs.iter().map(|blob| (*blob, id, image.digest)));
        }
    }
    write_users(&registry, users);
    count_all(&registry, size.blobs());
}

/// Adds a repository of so many images without tags that share nothing with others, and gives the digests of
/// its manifests. `seed` is one that was never used here.
pub fn add_garbage(data: &Path, repository: &RepositoryName, images: usize, seed: usize) -> Vec<Digest> {
    let registry = open(data);
    let digests: Vec<Digest> = (seed..seed + images * CHUNK).map(digest).collect();
    write_blobs(data, &registry, &digests, seed);
    let images: Arc<Vec<Image>> = Arc::new(digests.chunks(CHUNK).map(Image::of).collect());
    let id = RepoId(spread(seed as u64));
    let own_bytes = digests.len() * BLOB_BYTES;
    for (number, part) in images.chunks(AT_ONCE / CHUNK).enumerate() {
        let (part, first) = (Arc::new(part.to_vec()), number == 0);
        write_repository(&registry, id, repository, &part, if first { own_bytes } else { 0 });
    }
    write_tags(&registry, id, &images, images.len());
    let users = images.iter().flat_map(|image| image.blobs.iter().map(move |blob| (*blob, id, image.digest)));
    write_users(&registry, users.collect());
    count_all(&registry, digests.len());
    images.iter().map(|image| image.digest).collect()
}

/// Numbers that lie as random ones do, each once.
fn spread(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// An image that is to be written.
#[derive(Debug, Clone)]
struct Image {
    digest: Digest,
    bytes: Vec<u8>,
    blobs: Vec<Digest>,
}

impl Image {
    fn of(blobs: &[Digest]) -> Self {
        let descriptors: Vec<_> = blobs
            .iter()
            .map(|digest| {
                let kind = "application/octet-stream";
                format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{BLOB_BYTES}}}")
            })
            .collect();
        let (config, layers) = (&descriptors[0], descriptors[1..].join(","));
        let bytes = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{IMAGE}\",\"config\":{config},\"layers\":[{layers}]}}"
        );
        let digest = Digest::of(Algorithm::Sha256, bytes.as_bytes());
        Self { digest, bytes: bytes.into_bytes(), blobs: blobs.to_vec() }
    }

    fn record(&self) -> ManifestRecord {
        ManifestRecord {
            media_type: IMAGE.to_owned(),
            kind: ManifestKind::Image,
            size: self.bytes.len() as u64,
            subject: None,
            sparse: false,
            pushed_at_ms: PUSHED_AT_MS,
            untagged_since_ms: None,
        }
    }
}

fn session(digest: Digest) -> SessionId {
    SessionId::from_bytes(digest.bytes()[..16].try_into().expect("sixteen of thirty-two bytes"))
}

/// Writes the files of blobs whose numbers begin with `first`, and their rows in the order of digests.
fn write_blobs(data: &Path, registry: &Registry, digests: &[Digest], first: usize) {
    let half = digests.len().div_ceil(2).max(1);
    thread::scope(|scope| {
        for (part, digests) in digests.chunks(half).enumerate() {
            scope.spawn(move || {
                for (number, digest) in (first + part * half..).zip(digests) {
                    let hex = digest.hex();
                    let directory = data.join("blobs/sha256").join(&hex[..2]);
                    let file = directory.join(format!("{hex}.{}", session(*digest)));
                    fs::write(file, content(number)).expect("written");
                }
            });
        }
    });
    let mut sorted = digests.to_vec();
    sorted.sort_unstable_by_key(Digest::hex);
    for part in sorted.chunks(AT_ONCE) {
        let part = part.to_vec();
        write(registry, move |tx| {
            for digest in &part {
                let row = BlobRecord::new(BLOB_BYTES as u64, session(*digest), PUSHED_AT_MS);
                tx.put(&BLOB, digest, &row)?;
            }
            tx.add(STORED_BYTES, signed(part.len() * BLOB_BYTES))?;
            Ok(())
        });
    }
}

/// Writes a repository, or adds to it, with the manifests and what they reference.
fn write_repository(
    registry: &Registry,
    id: RepoId,
    name: &RepositoryName,
    images: &Arc<Vec<Image>>,
    own_bytes: usize,
) {
    let (name, images) = (name.clone(), Arc::clone(images));
    write(registry, move |tx| {
        let (created_at_ms, state) = (PUSHED_AT_MS, RepositoryState::Named);
        tx.put(&REPOSITORY, &id, &RepositoryRecord { name: name.clone(), created_at_ms, state })?;
        tx.put(&REPOSITORY_BY_NAME, &name, &Number(id.0))?;
        tx.put(&CATALOG, &name, &())?;
        for image in images.iter() {
            let key = (id, image.digest);
            tx.put(&MANIFEST, &key, &image.record())?;
            tx.put(&MANIFEST_BYTES, &key, &Raw(image.bytes.clone()))?;
            for (number, blob) in image.blobs.iter().enumerate() {
                let role = if number == 0 { Role::Config } else { Role::Layer };
                let row = ReferenceRecord { role, target: Target::Blob };
                tx.put(&REFERENCE, &(id, image.digest, *blob), &row)?;
            }
        }
        let blobs = images.len() * CHUNK;
        let bytes = images.iter().map(|image| image.bytes.len()).sum();
        count(tx, id, "manifests", images.len(), true)?;
        count(tx, id, "manifest_bytes", bytes, true)?;
        count(tx, id, "blobs", blobs, false)?;
        count(tx, id, "blob_bytes", blobs * BLOB_BYTES, false)?;
        count(tx, id, "own_bytes", own_bytes, false)
    });
}

/// Writes the tags of a repository, in turns for each image.
fn write_tags(registry: &Registry, id: RepoId, images: &Arc<Vec<Image>>, tags: usize) {
    for first in (0..tags).step_by(TAGS_AT_ONCE) {
        let (images, last) = (Arc::clone(images), tags.min(first + TAGS_AT_ONCE));
        write(registry, move |tx| {
            for number in first..last {
                let (image, tag) = (&images[number % images.len()], tag(number));
                let digest = image.digest;
                tx.put(&TAG, &(id, tag.clone()), &TagRecord { digest, pushed_at_ms: PUSHED_AT_MS })?;
                tx.put(&TAG_OF, &(id, digest, tag.clone()), &())?;
                let size = image.bytes.len() as u64;
                let after = Some(TaggedRecord { digest, media_type: IMAGE.to_owned(), size });
                let (at_ms, before, cause) = (PUSHED_AT_MS, None, Cause::Push);
                let change = TagChangeRecord { at_ms, before, after, cause, who: "bench".to_owned() };
                tx.put(&TAG_HISTORY, &(id, tag, Newest(1)), &change)?;
            }
            count(tx, id, "tags", last - first, true)
        });
    }
}

/// Writes who needs which blob, in the order of the blobs.
fn write_users(registry: &Registry, mut users: Vec<(Digest, RepoId, Digest)>) {
    users.sort_unstable_by(|one, other| one.0.bytes().cmp(other.0.bytes()));
    for part in users.chunks(AT_ONCE) {
        let part = part.to_vec();
        write(registry, move |tx| part.iter().try_for_each(|user| Ok(tx.put(&BLOB_USER, user, &())?)));
    }
}

/// Counts blobs that manifests need now, and did not before.
fn count_all(registry: &Registry, blobs: usize) {
    write(registry, move |tx| {
        tx.add("all/blobs", signed(blobs))?;
        Ok(tx.add("all/blob_bytes", signed(blobs * BLOB_BYTES))?)
    });
}

/// Adds to a number on record of a repository, and of the registry where that has the sum.
fn count(tx: &mut Tx<'_>, id: RepoId, what: &str, by: usize, in_sum: bool) -> Result<(), StoreError> {
    tx.add(&format!("{:016x}/{what}", id.0), signed(by))?;
    if in_sum {
        tx.add(&format!("all/{what}"), signed(by))?;
    }
    Ok(())
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("there are not so many")
}

fn write(registry: &Registry, write: impl FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static) {
    registry.store().write(write).expect("written");
}
