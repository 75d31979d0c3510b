//! What a client knows about its repositories, from the answers it got.

use std::collections::BTreeMap;

use crate::support::{Client, Manifest};

/// What is checked in full again, though nothing was done to it since, in rounds.
const RECENT_ROUNDS: usize = 2;

/// A thing that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A blob that no manifest of the repository references, by its digest.
    Blob(String, String),
    /// A manifest, by its digest.
    Manifest(String, String),
    /// A tag; what is there is the digest that it names.
    Tag(String, String),
}

/// An item, and the digest that is there now; none: the item is gone.
pub type Change = (Item, Option<String>);

struct Known {
    digest: Option<String>,
    round: usize,
}

/// All that was acknowledged, and the one request that may still be without an answer.
#[derive(Default)]
pub struct Knowledge {
    items: BTreeMap<Item, Known>,
    pending: Vec<Change>,
    blobs: BTreeMap<String, Vec<u8>>,
    images: BTreeMap<String, Manifest>,
    /// The round that runs.
    pub round: usize,
    /// How many changes were acknowledged.
    pub acknowledged: usize,
    /// How many had no answer and had happened, and how many had not.
    pub unanswered: (usize, usize),
}

impl Knowledge {
    /// Remembers the bytes of a blob that will be pushed.
    pub fn remember_blob(&mut self, digest: &str, content: &[u8]) {
        self.blobs.insert(digest.to_owned(), content.to_vec());
    }

    /// Remembers a manifest that will be pushed.
    pub fn remember_image(&mut self, image: &Manifest) {
        self.images.insert(image.digest.clone(), image.clone());
    }

    /// A request with these effects is sent.
    pub fn expect(&mut self, changes: Vec<Change>) {
        assert!(self.pending.is_empty(), "one request at a time");
        self.pending = changes;
    }

    /// It was answered: they are there.
    pub fn acknowledge(&mut self) {
        for (item, digest) in std::mem::take(&mut self.pending) {
            self.items.insert(item, Known { digest, round: self.round });
        }
        self.acknowledged += 1;
    }

    /// What is acknowledged of an item: its digest.
    pub fn digest(&self, item: &Item) -> Option<&str> {
        self.items.get(item).and_then(|known| known.digest.as_deref())
    }

    /// The items that are there and that `wanted` takes.
    pub fn present(&self, wanted: impl Fn(&Item) -> bool) -> Vec<Item> {
        let there = self.items.iter().filter(|(item, known)| known.digest.is_some() && wanted(item));
        there.map(|(item, _)| item.clone()).collect()
    }

    /// Compares what is there with what may be: the acknowledged, and all or nothing of the pending request.
    pub fn check(&mut self, client: &Client, thorough: bool) {
        self.settle(client);
        for (item, known) in &self.items {
            let recent = known.round + RECENT_ROUNDS > self.round;
            if known.digest.is_some() || recent || thorough {
                assert_eq!(look(client, item), known.digest, "{item:?} of round {}", known.round);
            }
            if known.digest.is_some() && (recent || thorough) {
                self.pull(client, item);
            }
        }
    }

    fn settle(&mut self, client: &Client) {
        let pending = std::mem::take(&mut self.pending);
        let new = |(item, digest): &Change| self.digest(item) != digest.as_deref();
        let changes: Vec<Change> = pending.into_iter().filter(new).collect();
        if changes.is_empty() {
            return;
        }
        let happened: Vec<bool> = changes
            .iter()
            .map(|(item, digest)| {
                let found = look(client, item);
                let before = self.digest(item);
                assert!(found == *digest || found.as_deref() == before, "{item:?} is {found:?}");
                found == *digest
            })
            .collect();
        assert!(happened.iter().all(|one| *one == happened[0]), "{changes:?} in part: {happened:?}");
        if happened[0] {
            self.unanswered.0 += 1;
            let round = self.round;
            self.items.extend(changes.into_iter().map(|(item, digest)| (item, Known { digest, round })));
        } else {
            self.unanswered.1 += 1;
        }
    }

    fn pull(&self, client: &Client, item: &Item) {
        match item {
            Item::Blob(repository, digest) => {
                client.get_blob(repository, digest).expect_status(200).expect_body(&self.blobs[digest]);
            }
            Item::Manifest(repository, digest) => {
                self.images[digest].assert_pullable(client, repository, digest);
            }
            Item::Tag(..) => {}
        }
    }
}

/// The digest that is there, as the server says.
fn look(client: &Client, item: &Item) -> Option<String> {
    let reply = match item {
        Item::Blob(repository, digest) => client.head_blob(repository, digest),
        Item::Manifest(repository, reference) | Item::Tag(repository, reference) => {
            client.head_manifest(repository, reference)
        }
    };
    let reply = reply.expect_status_in(&[200, 404]);
    (reply.status == 200).then(|| reply.header("docker-content-digest").to_owned())
}
