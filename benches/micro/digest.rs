//! Digests: hashing, and their text.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use wharfinger::oci::{Algorithm, Digest};

/// From the config of an image to what one write of an upload has.
const SIZES: [usize; 3] = [1024, 64 * 1024, 1024 * 1024];

fn hash(bencher: Bencher, algorithm: Algorithm, size: usize) {
    let content = vec![0x5a; size];
    bencher
        .counter(BytesCount::new(size))
        .bench_local(|| Digest::of(algorithm, black_box(content.as_slice())));
}

#[divan::bench(args = SIZES)]
fn sha256(bencher: Bencher, size: usize) {
    hash(bencher, Algorithm::Sha256, size);
}

#[divan::bench(args = SIZES)]
fn sha512(bencher: Bencher, size: usize) {
    hash(bencher, Algorithm::Sha512, size);
}

#[divan::bench]
fn parse(bencher: Bencher) {
    let text = Digest::of(Algorithm::Sha256, b"content").to_string();
    bencher.bench_local(|| Digest::parse(black_box(&text)).expect("a digest"));
}

#[divan::bench]
fn format(bencher: Bencher) {
    let digest = Digest::of(Algorithm::Sha256, b"content");
    bencher.bench_local(|| black_box(digest).to_string());
}
