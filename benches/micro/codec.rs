//! Records as bytes and back.

use divan::{Bencher, black_box};
use wharfinger::oci::{Algorithm, Digest, ManifestKind, SessionId};
use wharfinger::store::Value;
use wharfinger::store::records::{BlobRecord, ManifestRecord, TagRecord};

fn blob() -> BlobRecord {
    BlobRecord::new(1 << 30, SessionId::from_bytes([7; 16]), 1_700_000_000_000)
}

fn manifest() -> ManifestRecord {
    ManifestRecord {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        kind: ManifestKind::Image,
        size: 1234,
        subject: None,
        sparse: false,
        pushed_at_ms: 1_700_000_000_000,
        untagged_since_ms: None,
    }
}

fn tag() -> TagRecord {
    TagRecord { digest: Digest::of(Algorithm::Sha256, b"manifest"), pushed_at_ms: 1_700_000_000_000 }
}

fn write(bencher: Bencher, record: &impl Value) {
    bencher.bench_local(|| black_box(record).to_bytes());
}

fn read<V: Value>(bencher: Bencher, record: &V) {
    let bytes = record.to_bytes();
    bencher.bench_local(|| V::from_bytes(black_box(&bytes)).expect("it is whole"));
}

#[divan::bench]
fn write_blob(bencher: Bencher) {
    write(bencher, &blob());
}

#[divan::bench]
fn read_blob(bencher: Bencher) {
    read(bencher, &blob());
}

#[divan::bench]
fn write_manifest(bencher: Bencher) {
    write(bencher, &manifest());
}

#[divan::bench]
fn read_manifest(bencher: Bencher) {
    read(bencher, &manifest());
}

#[divan::bench]
fn write_tag(bencher: Bencher) {
    write(bencher, &tag());
}

#[divan::bench]
fn read_tag(bencher: Bencher) {
    read(bencher, &tag());
}
