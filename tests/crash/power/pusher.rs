//! A client of the registry, in its process, that keeps in mind what it was told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use wharfinger::oci::{Algorithm, Digest, Reference, RepositoryName, SessionId, Tag};
use wharfinger::registry::{Condition, Error, ManifestPush, Registry};

use crate::random::Random;
use crate::support::builders::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use crate::support::bytes;

/// Contents that all pushers push, so that they meet.
const CONTENTS: u64 = 10;

/// The largest of them.
const CONTENT_BYTES_MAX: usize = 6000;

const TAGS: [&str; 4] = ["latest", "v1", "v2", "v3"];

const WHO: &str = "pusher";

/// One of the contents, by its number.
pub fn content(number: u64) -> Vec<u8> {
    bytes::random(number, 1 + usize::try_from(number).expect("small") * CONTENT_BYTES_MAX / 10)
}

fn digest_of(number: u64) -> Digest {
    Digest::of(Algorithm::Sha256, &content(number))
}

/// An image: its manifest, and the numbers of its contents.
#[derive(Clone, Debug)]
struct Image {
    bytes: Vec<u8>,
    contents: BTreeSet<u64>,
}

impl Image {
    /// The first of the contents is the configuration.
    fn of(contents: &[u64]) -> Self {
        let descriptor = |number: &u64, media_type: &str| {
            let size = content(*number).len();
            json!({"mediaType": media_type, "digest": digest_of(*number).to_string(), "size": size})
        };
        let layers: Vec<_> = contents[1..].iter().map(|number| descriptor(number, OCI_LAYER)).collect();
        let config = descriptor(&contents[0], OCI_CONFIG);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        Self { bytes: manifest.to_string().into_bytes(), contents: contents.iter().copied().collect() }
    }
}

/// What is visible in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Visible {
    manifests: BTreeSet<Digest>,
    tags: BTreeMap<Tag, Digest>,
}

/// An upload that was left open.
#[derive(Debug)]
struct Session {
    id: SessionId,
    number: u64,
    /// What was acknowledged of it.
    offset: u64,
    /// Its end was asked for.
    is_ending: bool,
}

/// A client with a repository of its own.
#[derive(Debug)]
pub struct Pusher {
    random: Random,
    repository: RepositoryName,
    acknowledged: Visible,
    /// What is visible if the act without an answer happened.
    perhaps: Option<Visible>,
    /// Every image of which anything may be there.
    images: BTreeMap<Digest, Image>,
    /// Contents that were uploaded or mounted, and that no manifest took over since.
    leased: BTreeSet<u64>,
    session: Option<Session>,
    /// How many acts were acknowledged.
    pub acts: usize,
    /// How many acts without an answer happened, and how many did not.
    pub unanswered: (usize, usize),
}

impl Pusher {
    pub fn new(number: usize, random: &mut Random) -> Self {
        let repository = RepositoryName::parse(&format!("power/p{number}")).expect("a name");
        Self {
            random: Random::new(random.draw()),
            repository,
            acknowledged: Visible::default(),
            perhaps: None,
            images: BTreeMap::new(),
            leased: BTreeSet::new(),
            session: None,
            acts: 0,
            unanswered: (0, 0),
        }
    }

    /// How many manifests it knows to be there.
    pub fn manifests(&self) -> usize {
        self.acknowledged.manifests.len()
    }

    /// Leases and open uploads have ended.
    pub fn forget_what_ends(&mut self) {
        self.leased.clear();
        self.session = None;
    }

    /// Does one thing.
    pub fn act(&mut self, registry: &Registry) -> Result<(), Error> {
        match self.random.below(10) {
            0..=3 => self.push_image(registry)?,
            4 | 5 => self.delete_manifest(registry)?,
            6 => self.delete_tag(registry)?,
            7 => {
                registry.collect_now()?;
            }
            _ if self.session.is_some() => self.end_session(registry)?,
            _ => self.begin_session(registry)?,
        }
        self.acts += 1;
        Ok(())
    }

    /// An act that makes `after` visible was answered, or will be.
    fn expect(&mut self, change: impl FnOnce(&mut Visible)) {
        assert!(self.perhaps.is_none(), "one act at a time");
        let mut after = self.acknowledged.clone();
        change(&mut after);
        self.perhaps = Some(after);
    }

    fn acknowledge(&mut self) {
        let after = self.perhaps.take().expect("an act was begun");
        self.take_over(&after);
        self.acknowledged = after;
    }

    /// The manifests that came to be have their contents instead of the leases.
    fn take_over(&mut self, after: &Visible) {
        for new in after.manifests.difference(&self.acknowledged.manifests) {
            self.leased.retain(|number| !self.images[new].contents.contains(number));
        }
    }

    fn number(&mut self) -> u64 {
        self.random.draw() % CONTENTS
    }

    fn push_image(&mut self, registry: &Registry) -> Result<(), Error> {
        let count = 2 + self.random.below(3);
        let numbers: Vec<u64> = (0..count).map(|_| self.number()).collect();
        for number in &numbers {
            self.bring(registry, *number)?;
        }
        let image = Image::of(&numbers);
        let bytes = image.bytes.clone();
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        if self.acknowledged.manifests.contains(&digest) {
            // Pushed again it takes over what is leased meanwhile.
            self.leased.retain(|number| !image.contents.contains(number));
        }
        self.images.insert(digest, image);
        let tag = (!self.random.one_in(4)).then(|| tag(TAGS[self.random.below(TAGS.len())]));
        self.expect(|after| {
            after.manifests.insert(digest);
            after.tags.extend(tag.clone().map(|tag| (tag, digest)));
        });
        registry.put_manifest(ManifestPush {
            name: self.repository.clone(),
            reference: tag.map_or(Reference::Digest(digest), Reference::Tag),
            tags: Vec::new(),
            content_type: Some(OCI_MANIFEST.into()),
            bytes,
            condition: Condition::default(),
            actor: WHO.into(),
        })?;
        self.acknowledge();
        Ok(())
    }

    /// Sees to it that a content is linked.
    fn bring(&mut self, registry: &Registry, number: u64) -> Result<(), Error> {
        let (content, digest) = (content(number), digest_of(number));
        match registry.stat_blob(&self.repository, digest) {
            Err(Error::BlobUnknown { .. } | Error::RepositoryUnknown(_)) => {}
            found => return found.map(drop),
        }
        let mounts = self.random.one_in(3);
        if !mounts || !registry.mount_blob(&self.repository, digest, None, WHO)? {
            let mut upload = registry.start_upload(&self.repository, Algorithm::Sha256, 0, WHO)?;
            let (first, rest) = content.split_at(self.random.below(content.len() + 1));
            registry.append(&mut upload, first)?;
            if self.random.one_in(3) {
                let session = registry.leave_upload(upload)?.session;
                upload = registry.resume_upload(&self.repository, session, None)?;
            }
            registry.append(&mut upload, rest)?;
            registry.finish_upload(upload, digest, WHO)?;
        }
        self.leased.insert(number);
        Ok(())
    }

    fn delete_manifest(&mut self, registry: &Registry) -> Result<(), Error> {
        let present: Vec<Digest> = self.acknowledged.manifests.iter().copied().collect();
        if present.is_empty() {
            return Ok(());
        }
        let digest = *self.random.pick(&present);
        self.expect(|after| {
            after.manifests.remove(&digest);
            after.tags.retain(|_, named| *named != digest);
        });
        registry.delete_manifest(&self.repository, digest, Condition::default(), WHO)?;
        self.acknowledge();
        Ok(())
    }

    fn delete_tag(&mut self, registry: &Registry) -> Result<(), Error> {
        let present: Vec<Tag> = self.acknowledged.tags.keys().cloned().collect();
        if present.is_empty() {
            return Ok(());
        }
        let tag = self.random.pick(&present).clone();
        self.expect(|after| {
            after.tags.remove(&tag);
        });
        registry.delete_tag(&self.repository, &tag, Condition::default(), WHO)?;
        self.acknowledge();
        Ok(())
    }

    fn begin_session(&mut self, registry: &Registry) -> Result<(), Error> {
        let number = self.number();
        let content = content(number);
        let mut upload = registry.start_upload(&self.repository, Algorithm::Sha256, 0, WHO)?;
        registry.append(&mut upload, &content[..self.random.below(content.len() + 1)])?;
        let status = registry.leave_upload(upload)?;
        self.session = Some(Session { id: status.session, number, offset: status.offset, is_ending: false });
        Ok(())
    }

    fn end_session(&mut self, registry: &Registry) -> Result<(), Error> {
        let session = self.session.as_mut().expect("there is one");
        let (content, digest) = (content(session.number), digest_of(session.number));
        let mut upload = registry.resume_upload(&self.repository, session.id, None)?;
        let offset = usize::try_from(upload.offset()).expect("small");
        registry.append(&mut upload, &content[offset..])?;
        session.is_ending = true;
        registry.finish_upload(upload, digest, WHO)?;
        self.leased.insert(session.number);
        self.session = None;
        Ok(())
    }

    /// Compares what is there with what may be, pulls all of it, and takes it as what is.
    pub fn settle(&mut self, registry: &Registry) -> Result<(), String> {
        let found = self.look(registry)?;
        let perhaps = self.perhaps.take();
        if Some(&found) == perhaps.as_ref() && found != self.acknowledged {
            self.unanswered.0 += 1;
            self.take_over(&found);
        } else if found == self.acknowledged {
            self.unanswered.1 += usize::from(perhaps.is_some());
        } else {
            let known = &self.acknowledged;
            return Err(format!("{} is {found:?}; known was {known:?}, or {perhaps:?}", self.repository));
        }
        self.acknowledged = found;
        self.settle_session(registry)?;
        let held = self.acknowledged.manifests.iter().flat_map(|digest| &self.images[digest].contents);
        let held: BTreeSet<u64> = held.chain(&self.leased).copied().collect();
        held.into_iter().try_for_each(|number| self.pull(registry, number))?;
        let (random, manifests) = (&mut self.random, &self.acknowledged.manifests);
        self.images.retain(|digest, _| manifests.contains(digest) || !random.one_in(4));
        Ok(())
    }

    fn settle_session(&mut self, registry: &Registry) -> Result<(), String> {
        let Some(session) = &self.session else { return Ok(()) };
        match registry.upload_status(&self.repository, session.id) {
            Ok(status) if status.offset >= session.offset => {}
            Ok(status) => return Err(format!("{session:?} is at {}", status.offset)),
            Err(Error::UploadUnknown(_)) if session.is_ending => {
                self.leased.insert(session.number);
                self.session = None;
            }
            Err(error) => return Err(format!("{session:?}: {error}")),
        }
        Ok(())
    }

    /// What is visible, each manifest with the bytes that were pushed.
    fn look(&self, registry: &Registry) -> Result<Visible, String> {
        let mut visible = Visible::default();
        for (digest, image) in &self.images {
            let Some(found) = self.manifest(registry, &Reference::Digest(*digest))? else { continue };
            if found.1 != image.bytes {
                return Err(format!("{} has other bytes as {digest}", self.repository));
            }
            visible.manifests.insert(*digest);
        }
        for tag in TAGS.map(tag) {
            let found = self.manifest(registry, &Reference::Tag(tag.clone()))?;
            visible.tags.extend(found.map(|(digest, _)| (tag, digest)));
        }
        Ok(visible)
    }

    fn manifest(
        &self,
        registry: &Registry,
        reference: &Reference,
    ) -> Result<Option<(Digest, Vec<u8>)>, String> {
        match registry.manifest(&self.repository, reference) {
            Ok(found) => Ok(Some((found.digest, found.bytes))),
            Err(Error::ManifestUnknown { .. } | Error::RepositoryUnknown(_)) => Ok(None),
            Err(error) => Err(format!("{reference} of {}: {error}", self.repository)),
        }
    }

    fn pull(&self, registry: &Registry, number: u64) -> Result<(), String> {
        let refused = |words: String| format!("content {number} of {}: {words}", self.repository);
        let blob = registry.open_blob(&self.repository, digest_of(number));
        let blob = blob.map_err(|error| refused(error.to_string()))?;
        let size = usize::try_from(blob.size()).expect("small");
        let mut found = vec![0; size];
        blob.fill(&mut found, 0).map_err(|error| refused(error.to_string()))?;
        if found == content(number) { Ok(()) } else { Err(refused("it has other bytes".into())) }
    }
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).expect("a tag")
}
