//! A client that pushes, tags and deletes images, and keeps in mind what it was told and when.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::history::{History, Item};
use crate::support::client::Request;
use crate::support::random::Random;
use crate::support::{Client, ImageBuilder, Manifest, bytes, uploads};

/// How many images live before one is deleted.
const LIVING: usize = 20;

/// Layers that the images of all writers share, so that deleted ones are pushed again.
const SHARED: usize = 12;

const TAGS: usize = 8;

const LAYER_MAX_BYTES: usize = 12_000;

/// How large the annotation of most images is, and that of one in so many.
const NOTE_MAX_BYTES: usize = 8_000;
const LARGE_NOTE_MAX_BYTES: usize = 400_000;
const LARGE_ONE_IN: usize = 5;

/// A client with a repository of its own.
pub struct Writer {
    pub history: History,
    random: Random,
}

impl Writer {
    pub fn new(repository: String, seed: u64) -> Self {
        Self { history: History::new(repository), random: Random::new(seed) }
    }

    /// Works until it is told to stop, or until no answer comes.
    pub fn work(&mut self, client: &Client, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) && self.step(client).is_some() {}
    }

    fn step(&mut self, client: &Client) -> Option<()> {
        let living = self.manifests(true);
        match self.random.below(16) {
            0..=7 if living.len() < LIVING => {
                let seed = self.random.draw();
                self.push(client, seed)
            }
            8..=9 => self.tag_again(client, &living),
            10 => self.delete_tag(client),
            11..=12 => self.push_again(client),
            13 => self.leave_an_upload(client),
            _ => self.delete_manifest(client, &living),
        }
    }

    /// The manifests that are there, or those that are not any more.
    fn manifests(&self, there: bool) -> Vec<String> {
        let items = self.history.latest_items(there).into_iter();
        items.filter_map(|item| if let Item::Manifest(digest) = item { Some(digest) } else { None }).collect()
    }

    fn any_tag(&mut self) -> String {
        format!("t{}", self.random.below(TAGS))
    }

    /// Sends a request that leaves these items so once it is answered with `status`.
    fn change(
        &mut self,
        request: Request<'_>,
        changes: Vec<(Item, Option<String>)>,
        status: u16,
    ) -> Option<()> {
        self.history.ask(changes);
        request.attempt()?.expect_status(status);
        self.history.answer();
        Some(())
    }

    fn push(&mut self, client: &Client, seed: u64) -> Option<()> {
        let image = build(seed);
        let asks_first = self.random.one_in(2);
        for blob in &image.blobs {
            let (repository, digest) = (&self.history.repository, bytes::digest(blob));
            if asks_first {
                // What is there stays: nobody else deletes anything in this repository.
                let path = format!("/v2/{repository}/blobs/{digest}");
                let reply = client.request("HEAD", &path).attempt()?.expect_status_in(&[200, 404]);
                if reply.status == 200 {
                    continue;
                }
            }
            let path = uploads::with_digest(&format!("/v2/{repository}/blobs/uploads/"), &digest);
            client.request("POST", &path).body(blob).attempt()?.expect_status(201);
        }
        self.history.remember(seed, &image);
        let tag = self.any_tag();
        self.put(client, &image, &tag)
    }

    fn put(&mut self, client: &Client, image: &Manifest, tag: &str) -> Option<()> {
        let path = format!("/v2/{}/manifests/{tag}", self.history.repository);
        let request = client.request("PUT", &path).header("content-type", &image.media_type);
        let digest = Some(image.digest.clone());
        let changes =
            vec![(Item::Manifest(image.digest.clone()), digest.clone()), (Item::Tag(tag.to_owned()), digest)];
        self.change(request.body(&image.bytes), changes, 201)
    }

    /// A tag moves to an image that is there.
    fn tag_again(&mut self, client: &Client, living: &[String]) -> Option<()> {
        if living.is_empty() {
            return Some(());
        }
        let seed = self.history.seed(self.random.pick::<String>(living));
        let tag = self.any_tag();
        self.put(client, &build(seed), &tag)
    }

    /// An image comes back that was deleted, under the same digest.
    fn push_again(&mut self, client: &Client) -> Option<()> {
        let gone = self.manifests(false);
        if gone.is_empty() {
            return Some(());
        }
        let seed = self.history.seed(self.random.pick::<String>(&gone));
        self.push(client, seed)
    }

    fn delete_tag(&mut self, client: &Client) -> Option<()> {
        let tag = self.any_tag();
        let item = Item::Tag(tag.clone());
        if self.history.latest(&item).is_none() {
            return Some(());
        }
        let path = format!("/v2/{}/manifests/{tag}", self.history.repository);
        self.change(client.request("DELETE", &path), vec![(item, None)], 202)
    }

    /// The tags that name it go with it.
    fn delete_manifest(&mut self, client: &Client, living: &[String]) -> Option<()> {
        if living.len() < LIVING / 2 {
            return Some(());
        }
        let digest = self.random.pick(living).clone();
        let mut gone = self.history.latest_items(true);
        gone.retain(|item| match item {
            Item::Tag(_) => self.history.latest(item) == Some(&*digest),
            Item::Manifest(other) => *other == digest,
        });
        let path = format!("/v2/{}/manifests/{digest}", self.history.repository);
        let changes = gone.into_iter().map(|item| (item, None)).collect();
        self.change(client.request("DELETE", &path), changes, 202)
    }

    /// An upload that is never finished: a copy has its session and the beginning of its bytes.
    fn leave_an_upload(&mut self, client: &Client) -> Option<()> {
        let path = format!("/v2/{}/blobs/uploads/", self.history.repository);
        let reply = client.request("POST", &path).body(b"").attempt()?.expect_status(202);
        let (location, seed) = (uploads::location(&reply), self.random.draw());
        let chunk = bytes::random(seed, 1 + self.random.below(LAYER_MAX_BYTES));
        client.request("PATCH", &location).body(&chunk).attempt()?.expect_status(202);
        if self.random.one_in(2) {
            client.request("DELETE", &location).attempt()?.expect_status(204);
        }
        Some(())
    }
}

/// The image of a seed: a config and a layer of its own, layers that others have, too, and an annotation.
fn build(seed: u64) -> Manifest {
    let mut random = Random::new(seed);
    let mut image = ImageBuilder::oci().config(format!("{{\"seed\":{seed}}}").as_bytes());
    let own_bytes = 1 + random.below(LAYER_MAX_BYTES);
    image = image.layer(&bytes::random(random.draw(), own_bytes));
    let first = random.below(SHARED);
    for step in 0..random.below(3) {
        let which = (first + 5 * step) % SHARED;
        image = image.layer(&bytes::random(which as u64, 500 + 900 * which));
    }
    let note_bytes = if random.one_in(LARGE_ONE_IN) { LARGE_NOTE_MAX_BYTES } else { NOTE_MAX_BYTES };
    image.annotation("org.example.note", &note(seed, 1 + random.below(note_bytes))).build()
}

/// A text that no two seeds share and that does not compress.
pub fn note(seed: u64, length: usize) -> String {
    base16ct::lower::encode_string(&bytes::random(seed, length.div_ceil(2)))
}
