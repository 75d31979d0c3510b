//! A client that does whatever clients do until the server is gone, and keeps in mind what it was told.

use super::known::{Change, Item, Knowledge};
use crate::random::Random;
use crate::support::client::Request;
use crate::support::{Client, ImageBuilder, Manifest, Reply, bytes, uploads};

/// Contents that all workers push, so that they meet.
const SHARED: usize = 6;

/// How many things of a kind are kept before one is deleted.
const KEPT: usize = 8;

const SESSION_BYTES: usize = 200_000;

const SESSIONS: usize = 2;

/// A client with two repositories of its own.
pub struct Worker {
    number: usize,
    random: Random,
    repository: String,
    /// Where blobs are mounted.
    mounts: String,
    known: Knowledge,
    sessions: Vec<Session>,
}

/// An open upload.
struct Session {
    location: String,
    content: Vec<u8>,
    acknowledged: usize,
    /// What may have arrived.
    sent: usize,
    end: End,
}

/// The end of a session that was asked for and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    None,
    Finished,
    Cancelled,
}

impl Worker {
    pub fn new(number: usize, seed: u64) -> Self {
        let (repository, mounts) = (format!("kill/w{number}"), format!("kill/w{number}/mounts"));
        let (known, sessions) = (Knowledge::default(), Vec::new());
        Self { number, random: Random::new(seed), repository, mounts, known, sessions }
    }

    pub fn acknowledged(&self) -> usize {
        self.known.acknowledged
    }

    pub fn figures(&self) -> String {
        let Knowledge { acknowledged, unanswered: (happened, not), .. } = self.known;
        let number = self.number;
        format!("worker {number}: {acknowledged} acknowledged, unanswered: {happened} happened, {not} not")
    }

    /// Works until no answer comes.
    pub fn work(&mut self, client: &Client, round: usize) {
        self.known.round = round;
        while self.step(client).is_some() {}
    }

    fn step(&mut self, client: &Client) -> Option<()> {
        match self.random.below(12) {
            0..=2 if self.manifests().len() < KEPT => self.push_image(client),
            3 => self.push_in_pieces(client),
            4 => self.push_at_once(client),
            5 => self.mount(client),
            6 => self.delete_tag(client),
            7 | 8 if self.blobs().len() > KEPT => self.delete_blob(client),
            0..=2 | 7 => self.delete_manifest(client),
            _ => self.go_on_with_a_session(client),
        }
    }

    /// Sends a request that has these effects once it is answered with `status`.
    fn change(&mut self, request: Request<'_>, changes: Vec<Change>, status: u16) -> Option<Reply> {
        self.known.expect(changes);
        let reply = request.attempt()?.expect_status(status);
        self.known.acknowledge();
        Some(reply)
    }

    fn blobs(&self) -> Vec<Item> {
        self.known.present(|item| matches!(item, Item::Blob(..)))
    }

    fn manifests(&self) -> Vec<Item> {
        self.known.present(|item| matches!(item, Item::Manifest(..)))
    }

    /// Bytes that are this worker's alone, or that others push, too.
    fn content(&mut self) -> Vec<u8> {
        if self.random.one_in(3) {
            let which = self.random.below(SHARED);
            return bytes::random(which as u64, 1000 + 20_000 * which);
        }
        let (seed, length) = (self.random.draw(), 1 + self.random.below(60_000));
        bytes::random(seed, length)
    }

    fn uploads_path(&self) -> String {
        format!("/v2/{}/blobs/uploads/", self.repository)
    }

    fn start(&self, client: &Client) -> Option<String> {
        let reply = client.request("POST", &self.uploads_path()).body(b"").attempt()?.expect_status(202);
        Some(uploads::location(&reply))
    }

    fn push_image(&mut self, client: &Client) -> Option<()> {
        let layer = bytes::random(100 + self.random.below(SHARED) as u64, 5000);
        let image = ImageBuilder::sample(self.random.draw()).layer(&layer).build();
        for blob in &image.blobs {
            let path = uploads::with_digest(&self.uploads_path(), &bytes::digest(blob));
            client.request("POST", &path).body(blob).attempt()?.expect_status(201);
        }
        self.push_document(client, &image)
    }

    fn push_document(&mut self, client: &Client, image: &Manifest) -> Option<()> {
        self.known.remember_image(image);
        let (repository, digest) = (self.repository.clone(), image.digest.clone());
        let tag = format!("v{}", self.random.below(4));
        let path = format!("/v2/{repository}/manifests/{tag}");
        let request = client.request("PUT", &path).header("content-type", &image.media_type);
        let changes = vec![
            (Item::Manifest(repository.clone(), digest.clone()), Some(digest.clone())),
            (Item::Tag(repository, tag), Some(digest)),
        ];
        self.change(request.body(&image.bytes), changes, 201).map(drop)
    }

    fn blob_change(&mut self, content: &[u8]) -> (String, Vec<Change>) {
        let digest = bytes::digest(content);
        self.known.remember_blob(&digest, content);
        let item = Item::Blob(self.repository.clone(), digest.clone());
        (digest.clone(), vec![(item, Some(digest))])
    }

    fn push_in_pieces(&mut self, client: &Client) -> Option<()> {
        let content = self.content();
        let (digest, changes) = self.blob_change(&content);
        let location = self.start(client)?;
        let (first, rest) = content.split_at(content.len() / 2);
        client.request("PATCH", &location).body(first).attempt()?.expect_status(202);
        let path = uploads::with_digest(&location, &digest);
        self.change(client.request("PUT", &path).body(rest), changes, 201).map(drop)
    }

    fn push_at_once(&mut self, client: &Client) -> Option<()> {
        let content = self.content();
        let (digest, changes) = self.blob_change(&content);
        let path = uploads::with_digest(&self.uploads_path(), &digest);
        self.change(client.request("POST", &path).body(&content), changes, 201).map(drop)
    }

    fn mount(&mut self, client: &Client) -> Option<()> {
        let ours = self.known.present(|item| matches!(item, Item::Blob(name, _) if *name == self.repository));
        let Some(Item::Blob(from, digest)) = pick(&mut self.random, ours) else { return Some(()) };
        let path = format!("/v2/{}/blobs/uploads/?mount={digest}&from={from}", self.mounts);
        let change = (Item::Blob(self.mounts.clone(), digest.clone()), Some(digest));
        self.change(client.request("POST", &path).body(b""), vec![change], 201).map(drop)
    }

    fn delete_tag(&mut self, client: &Client) -> Option<()> {
        let tags = self.known.present(|item| matches!(item, Item::Tag(..)));
        let Some(Item::Tag(repository, tag)) = pick(&mut self.random, tags) else { return Some(()) };
        let path = format!("/v2/{repository}/manifests/{tag}");
        let change = (Item::Tag(repository, tag), None);
        self.change(client.request("DELETE", &path), vec![change], 202).map(drop)
    }

    /// The tags that name it go with it.
    fn delete_manifest(&mut self, client: &Client) -> Option<()> {
        let manifests = self.manifests();
        let Some(Item::Manifest(repository, digest)) = pick(&mut self.random, manifests) else {
            return Some(());
        };
        let names_it =
            |item: &Item| matches!(item, Item::Tag(..)) && self.known.digest(item) == Some(&*digest);
        let tags = self.known.present(names_it);
        let path = format!("/v2/{repository}/manifests/{digest}");
        let mut changes: Vec<Change> = tags.into_iter().map(|tag| (tag, None)).collect();
        changes.push((Item::Manifest(repository, digest), None));
        self.change(client.request("DELETE", &path), changes, 202).map(drop)
    }

    fn delete_blob(&mut self, client: &Client) -> Option<()> {
        let blobs = self.blobs();
        let Some(Item::Blob(repository, digest)) = pick(&mut self.random, blobs) else { return Some(()) };
        let path = format!("/v2/{repository}/blobs/{digest}");
        let change = (Item::Blob(repository, digest), None);
        self.change(client.request("DELETE", &path), vec![change], 202).map(drop)
    }

    fn go_on_with_a_session(&mut self, client: &Client) -> Option<()> {
        if self.sessions.len() < SESSIONS {
            let location = self.start(client)?;
            let content = bytes::random(self.random.draw(), SESSION_BYTES);
            self.sessions.push(Session { location, content, acknowledged: 0, sent: 0, end: End::None });
            return Some(());
        }
        let which = self.random.below(self.sessions.len());
        let length = 2 + self.random.below(SESSION_BYTES / 3);
        if self.sessions[which].acknowledged == SESSION_BYTES {
            return self.finish_session(client, which);
        }
        let session = &mut self.sessions[which];
        if self.random.one_in(16) {
            session.end = End::Cancelled;
            client.request("DELETE", &session.location).attempt()?.expect_status(204);
            self.sessions.swap_remove(which);
            return Some(());
        }
        session.send(client, length)
    }

    fn finish_session(&mut self, client: &Client, which: usize) -> Option<()> {
        let content = self.sessions[which].content.clone();
        let (digest, changes) = self.blob_change(&content);
        let path = uploads::with_digest(&self.sessions[which].location, &digest);
        self.sessions[which].end = End::Finished;
        self.change(client.request("PUT", &path).body(b""), changes, 201)?;
        self.sessions.swap_remove(which);
        Some(())
    }

    /// Compares what is there after a restart with what is known.
    pub fn check(&mut self, client: &Client, thorough: bool) {
        self.known.check(client, thorough);
        let Self { sessions, known, repository, .. } = self;
        sessions.retain_mut(|session| {
            let blob = Item::Blob(repository.clone(), bytes::digest(&session.content));
            session.check(client, known.digest(&blob).is_some())
        });
    }

    /// Goes on with every open session to its end.
    pub fn finish_sessions(&mut self, client: &Client) {
        for session in &mut self.sessions {
            let rest = SESSION_BYTES - session.acknowledged;
            if rest > 0 {
                session.send(client, rest).expect("the server lives");
            }
            uploads::finish_and_pull(client, &self.repository, &session.location, &session.content);
        }
    }
}

impl Session {
    /// Sends the next bytes, at most `length`.
    fn send(&mut self, client: &Client, length: usize) -> Option<()> {
        let first = self.acknowledged;
        self.sent = (first + length).min(self.content.len());
        let chunk = &self.content[first..self.sent];
        let range = format!("{first}-{}", self.sent - 1);
        let request = client.request("PATCH", &self.location).header("content-range", &range);
        let reply = request.body(chunk).attempt()?.expect_status(202);
        assert_eq!(uploads::offset_of(&reply), self.sent, "all of it is acknowledged");
        self.acknowledged = self.sent;
        Some(())
    }

    /// Asks where it stands; says whether it goes on. `is_stored`: its blob is there.
    fn check(&mut self, client: &Client, is_stored: bool) -> bool {
        let reply = client.get(&self.location).expect_status_in(&[204, 404]);
        if reply.status == 404 {
            let may_be_over = self.end == End::Cancelled || (self.end == End::Finished && is_stored);
            assert!(may_be_over, "a session is lost at {} ({:?}): {reply}", self.acknowledged, self.end);
            return false;
        }
        assert!(!is_stored, "a session is open though its blob is stored: {}", self.location);
        let (offset, range) = (uploads::offset_of(&reply), self.acknowledged..=self.sent);
        assert!(range.contains(&offset), "{} is at {offset}, not in {range:?}", self.location);
        (self.acknowledged, self.sent, self.end) = (offset, offset, End::None);
        true
    }
}

fn pick(random: &mut Random, mut items: Vec<Item>) -> Option<Item> {
    if items.is_empty() { None } else { Some(items.swap_remove(random.below(items.len()))) }
}
