//! What sequences are made of, and how often each thing happens.

use proptest::prelude::*;

use crate::account::{KEEP_MS, LEASE_MS, MARGIN_MS, REPOSITORIES};
use crate::documents::{BLOBS, DOCUMENTS};
use crate::families::What;

const TAGS: usize = 3;

#[derive(Clone, Debug)]
pub enum Step {
    PushBlob(usize, usize),
    Mount(usize, usize, Option<usize>),
    BeginUpload(usize),
    FinishUpload(usize, usize),
    CancelUpload(usize),
    Put(usize, usize, Option<usize>),
    /// One of those that are deleted and kept.
    PutAgain(usize, usize, Option<usize>),
    /// All that a manifest needs, and then the manifest.
    PushWhole(usize, usize, Option<usize>),
    DeleteTag(usize, usize),
    DeleteManifest(usize, usize),
    DeleteBlob(usize, usize),
    /// Any one, whether deleted or not; all; what a tag named. Or one of those that are deleted.
    Undelete(usize, What),
    UndeleteOne(usize, usize),
    /// Sets a pin, or takes it off.
    Pin(usize, usize, bool),
    Collect(u64, bool),
    CollectNow,
    KeepHouse,
    Tick(u64),
    Restart,
}

pub fn any_step() -> impl Strategy<Value = Step> {
    // One repository is busier, so that things meet there.
    let repository = prop_oneof![3 => Just(0), 2 => 0..REPOSITORIES];
    let (blob, document) = (0..BLOBS, 0..DOCUMENTS);
    let tag = || prop::option::of(0..TAGS);
    let times =
        [1, 10_000, MARGIN_MS, LEASE_MS - MARGIN_MS - 1, LEASE_MS - 1, LEASE_MS, KEEP_MS - 1, KEEP_MS];
    let steps = prop_oneof![2 => 0..4_u64, 1 => Just(u64::MAX)];
    prop_oneof![
        4 => (repository.clone(), blob.clone()).prop_map(|(at, blob)| Step::PushBlob(at, blob)),
        3 => (repository.clone(), blob.clone(), prop::option::of(0..REPOSITORIES))
            .prop_map(|(at, blob, from)| Step::Mount(at, blob, from)),
        1 => repository.clone().prop_map(Step::BeginUpload),
        1 => (0..4_usize, blob.clone()).prop_map(|(pick, blob)| Step::FinishUpload(pick, blob)),
        1 => (0..4_usize).prop_map(Step::CancelUpload),
        6 => (repository.clone(), document.clone(), tag()).prop_map(|(at, it, tag)| Step::Put(at, it, tag)),
        3 => (repository.clone(), 0..3_usize, tag()).prop_map(|(at, it, tag)| Step::PutAgain(at, it, tag)),
        9 => (repository.clone(), document.clone(), tag())
            .prop_map(|(at, it, tag)| Step::PushWhole(at, it, tag)),
        2 => (repository.clone(), 0..TAGS).prop_map(|(at, tag)| Step::DeleteTag(at, tag)),
        7 => (repository.clone(), 0..5_usize).prop_map(|(at, it)| Step::DeleteManifest(at, it)),
        4 => (repository.clone(), 0..3_usize).prop_map(|(at, blob)| Step::DeleteBlob(at, blob)),
        5 => (repository.clone(), any_what()).prop_map(|(at, what)| Step::Undelete(at, what)),
        4 => (repository.clone(), 0..5_usize).prop_map(|(at, pick)| Step::UndeleteOne(at, pick)),
        2 => (repository, document, prop::bool::weighted(0.6)).prop_map(|(at, it, on)| Step::Pin(at, it, on)),
        4 => (steps, prop::bool::weighted(0.3)).prop_map(|(steps, ends)| Step::Collect(steps, ends)),
        1 => Just(Step::CollectNow),
        2 => Just(Step::KeepHouse),
        5 => prop::sample::select(times.to_vec()).prop_map(Step::Tick),
        1 => Just(Step::Restart),
    ]
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        1 => Just(What::All),
        2 => (0..DOCUMENTS).prop_map(What::Document),
        3 => (0..TAGS).prop_map(What::Tag),
    ]
}

/// What has to happen in a run, however short it is.
pub const OFTEN_MET: [&str; 18] = [
    "done",
    "unknown",
    "in use",
    "missing",
    "nothing deleted",
    "tag in use",
    "mounted",
    "not mounted",
    "blobs collected",
    "no blob collected",
    "a part",
    "all",
    "went alone",
    "went together",
    "came back alone",
    "came back together",
    "came back for a push",
    "a tag came back",
];
