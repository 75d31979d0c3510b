//! Those who take part: pushers, deleters, readers, and one who asks for everything to be collected.

use std::time::Instant;

use crate::Soak;
use crate::living::Image;
use crate::support::process;
use crate::support::random::Random;
use crate::support::uploads::{location, with_digest};
use crate::support::{Client, ImageBuilder, Manifest, Server, bytes, wait};

const REPOSITORIES: usize = 4;

/// Layers that images share. There are few, so that each is deleted, collected and pushed again many times.
const LAYERS: usize = 40;
const LAYER_MIN_BYTES: usize = 1000;
const LAYER_MAX_BYTES: usize = 60_000;

/// How many images live when deleters begin.
const LIVING: usize = 12;

/// How often a client pushes an image again whose blobs were deleted between its question and its push.
const TRIES: usize = 50;

/// What somebody does all the time.
#[derive(Clone, Copy)]
pub enum Part {
    Push,
    Delete,
    Read,
    Collect,
}

pub struct Actor<'a> {
    soak: &'a Soak,
    client: Client,
    data: String,
    random: Random,
    number: u64,
    pushed: u64,
}

impl<'a> Actor<'a> {
    pub fn new(soak: &'a Soak, server: &Server, seed: u64, number: u64) -> Self {
        let data = server.data().to_str().expect("a path in UTF-8").to_owned();
        Self {
            soak,
            client: server.client(),
            data,
            random: Random::new(seed ^ (number << 40)),
            number,
            pushed: 0,
        }
    }

    /// Does it once.
    pub fn act(&mut self, part: Part) {
        match part {
            Part::Push => self.push(),
            Part::Delete => self.delete(),
            Part::Read => self.read(),
            Part::Collect => self.collect(),
        }
    }

    fn any_repository(&mut self) -> String {
        format!("soak/{}", self.random.below(REPOSITORIES))
    }

    /// An image with a config of its own and layers that others have, too.
    fn any_image(&mut self) -> Manifest {
        self.pushed += 1;
        let config = format!("{{\"pusher\":{},\"image\":{}}}", self.number, self.pushed);
        let mut image = ImageBuilder::oci().config(config.as_bytes());
        let first = self.random.below(LAYERS);
        for step in 0..=self.random.below(4) {
            image = image.layer(&layer((first + 7 * step) % LAYERS));
        }
        image.build()
    }

    /// Pushes an image as clients do: asks for each blob, mounts or uploads what is not there, pushes the
    /// manifest; and where somebody deleted a blob meanwhile, uploads them all.
    fn push(&mut self) {
        let (repository, image) = (self.any_repository(), self.any_image());
        let tag = format!("p{}-{}", self.number, self.pushed);
        for attempt in 0..TRIES {
            for blob in &image.blobs {
                if attempt > 0 || !self.is_there(&repository, blob) {
                    self.bring(&repository, blob, attempt > 0);
                }
            }
            let reply = self.client.push_manifest(&repository, &tag, &image.media_type, &image.bytes);
            let reply = reply.expect_status_in(&[201, 400]);
            if reply.status == 201 {
                Soak::count(&self.soak.pushes);
                self.soak.living.add(Image::new(repository, tag, image));
                return;
            }
            assert!(String::from_utf8_lossy(&reply.body).contains("MANIFEST_BLOB_UNKNOWN"), "{reply}");
            Soak::count(&self.soak.refused);
        }
        panic!("{TRIES} tries to push an image to {repository} were in vain");
    }

    fn is_there(&self, repository: &str, blob: &[u8]) -> bool {
        self.client.head_blob(repository, &bytes::digest(blob)).expect_status_in(&[200, 404]).status == 200
    }

    fn bring(&mut self, repository: &str, blob: &[u8], must_upload: bool) {
        let digest = bytes::digest(blob);
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let path = if must_upload || self.random.one_in(2) {
            uploads
        } else {
            let from = self.any_repository();
            format!("{uploads}?mount={digest}&from={from}")
        };
        let reply = self.client.post(&path, b"").expect_status_in(&[201, 202]);
        if reply.status == 201 {
            return Soak::count(&self.soak.mounts);
        }
        self.client.put(&with_digest(&location(&reply), &digest), blob).expect_status(201);
        Soak::count(&self.soak.uploads);
    }

    /// Deletes one of the living images.
    fn delete(&mut self) {
        if self.soak.living.count() <= LIVING {
            return wait::briefly();
        }
        let Some(image) = self.soak.living.give_up(&mut self.random) else { return };
        self.client.delete_manifest(&image.repository, &image.manifest.digest).expect_status(202);
        Soak::count(&self.soak.deletes);
    }

    /// Pulls a living image and compares every byte. What is not there was given up before the answer.
    fn read(&mut self) {
        let Some(image) = self.soak.living.any(&mut self.random) else { return wait::briefly() };
        let started = Instant::now();
        let (repository, manifest) = (&image.repository, &image.manifest);
        let reply = self.client.get_manifest(repository, &image.tag).expect_status_in(&[200, 404]);
        let mut parts = vec![(reply, manifest.bytes.as_slice())];
        for (digest, blob) in manifest.blob_digests().iter().zip(&manifest.blobs) {
            let reply = self.client.get_blob(repository, digest).expect_status_in(&[200, 404]);
            parts.push((reply, blob));
        }
        let took = started.elapsed();
        for (reply, content) in parts {
            if reply.status == 200 {
                reply.expect_body(content);
            } else {
                assert!(image.is_given_up(), "an acknowledged image lacks {}", reply.request);
            }
        }
        self.soak.pulls.lock().expect("nobody panics while it is held").push(took);
    }

    /// Has everything collected that may go.
    fn collect(&mut self) {
        let run = process::run(&["gc", "--data", &self.data, "--now", "--json"], &[]).expect_code(0);
        let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        let blobs = report["blobs"].as_u64().expect("a number");
        self.soak.collected.fetch_add(blobs, std::sync::atomic::Ordering::SeqCst);
    }
}

fn layer(number: usize) -> Vec<u8> {
    let seed = 8_000 + number as u64;
    let size = LAYER_MIN_BYTES + (number * 7919) % (LAYER_MAX_BYTES - LAYER_MIN_BYTES);
    bytes::random(seed, size)
}
