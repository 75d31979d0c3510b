//! A page of rows out of so many: what it costs has to depend on the page alone.

use super::place::Place;
use divan::{Bencher, black_box};
use wharfinger::oci::{Algorithm, Digest, Tag};
use wharfinger::store::records::TagRecord;
use wharfinger::store::tables::TAG;
use wharfinger::store::{KeyRange, Read, RepoId, StoreError};

/// How many rows one transaction writes.
const AT_ONCE: usize = 5000;

/// How many rows a page has.
const PAGE: usize = 100;

const TOTALS: [usize; 3] = [1_000, 10_000, 100_000];

const REPOSITORY: RepoId = RepoId(7);

fn tag(number: usize) -> Tag {
    Tag::parse(&format!("t{number:06}")).expect("a tag")
}

fn build(total: usize) -> Place {
    let place = Place::new();
    let digest = Digest::of(Algorithm::Sha256, b"manifest");
    for first in (0..total).step_by(AT_ONCE) {
        let written = place.store.write(move |tx| {
            for number in first..total.min(first + AT_ONCE) {
                tx.put(&TAG, &(REPOSITORY, tag(number)), &TagRecord { digest, pushed_at_ms: 0 })?;
            }
            Ok::<_, StoreError>(())
        });
        written.expect("written");
    }
    place
}

#[divan::bench(args = TOTALS)]
fn from_the_middle(bencher: Bencher, total: usize) {
    let place = build(total);
    let range = KeyRange::prefix(&REPOSITORY).after(&(REPOSITORY, tag(total / 2)));
    bencher.bench_local(|| {
        let page = place.store.read(|rows| Ok::<_, StoreError>(rows.page(&TAG, black_box(&range), PAGE)?));
        assert_eq!(page.expect("read").len(), PAGE);
    });
}

#[divan::bench(args = TOTALS)]
fn one_row(bencher: Bencher, total: usize) {
    let place = build(total);
    let key = (REPOSITORY, tag(total / 2));
    bencher.bench_local(|| {
        let row = place.store.read(|rows| Ok::<_, StoreError>(rows.get(&TAG, black_box(&key))?));
        assert!(row.expect("read").is_some());
    });
}
