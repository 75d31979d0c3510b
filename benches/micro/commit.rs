//! Durable commits of one row each, by so many writers at a time: the more there are, the more share a group
//! and its sync.

use super::place::Place;
use divan::Bencher;
use divan::counter::ItemsCount;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use wharfinger::oci::{Algorithm, Digest, SessionId};
use wharfinger::store::StoreError;
use wharfinger::store::records::BlobRecord;
use wharfinger::store::tables::BLOB;

/// How many commits each writer makes for one sample.
const COMMITS: usize = 16;

#[divan::bench(args = [1, 8, 64], sample_count = 20, sample_size = 1)]
fn writers(bencher: Bencher, writers: usize) {
    let place = Place::new();
    let next = AtomicUsize::new(0);
    bencher.counter(ItemsCount::new(writers * COMMITS)).bench_local(|| {
        thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    for _ in 0..COMMITS {
                        commit(&place, next.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
    });
}

fn commit(place: &Place, number: usize) {
    let digest = Digest::of(Algorithm::Sha256, &number.to_be_bytes());
    let row = BlobRecord::new(1, SessionId::from_bytes([7; 16]), 0);
    let written = place.store.write(move |tx| Ok::<_, StoreError>(tx.put(&BLOB, &digest, &row)?));
    written.expect("written");
}
