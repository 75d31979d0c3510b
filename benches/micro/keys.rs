//! Keys as bytes and back.

use divan::{Bencher, black_box};
use wharfinger::oci::{Algorithm, Digest, RepositoryName, Tag};
use wharfinger::store::{Key, RepoId};

fn digest() -> Digest {
    Digest::of(Algorithm::Sha256, b"content")
}

fn write(bencher: Bencher, key: &impl Key) {
    bencher.bench_local(|| black_box(key).to_key());
}

fn read<K: Key>(bencher: Bencher, key: &K) {
    let bytes = key.to_key();
    bencher.bench_local(|| K::from_key(black_box(&bytes)).expect("it is whole"));
}

#[divan::bench]
fn write_tag(bencher: Bencher) {
    write(bencher, &(RepoId(7), Tag::parse("v1.2.3-alpine").expect("a tag")));
}

#[divan::bench]
fn read_tag(bencher: Bencher) {
    read(bencher, &(RepoId(7), Tag::parse("v1.2.3-alpine").expect("a tag")));
}

#[divan::bench]
fn write_reference(bencher: Bencher) {
    write(bencher, &(RepoId(7), digest(), digest()));
}

#[divan::bench]
fn read_reference(bencher: Bencher) {
    read(bencher, &(RepoId(7), digest(), digest()));
}

#[divan::bench]
fn write_name(bencher: Bencher) {
    write(bencher, &RepositoryName::parse("team/project/app").expect("a name"));
}

#[divan::bench]
fn read_name(bencher: Bencher) {
    read(bencher, &RepositoryName::parse("team/project/app").expect("a name"));
}
