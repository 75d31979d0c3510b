//! The few blobs and manifests that sequences push, so that they meet each other again and again.

use std::sync::LazyLock;

use crate::support::{ImageBuilder, IndexBuilder, Manifest, bytes};

/// How many blobs there are.
pub const BLOBS: usize = 6;

/// How many manifests there are.
pub const DOCUMENTS: usize = IMAGES.len() + INDEXES.len() + REFERRERS.len();

/// The blobs of each image; the first is its config.
const IMAGES: [&[usize]; 4] = [&[0, 1, 2], &[0, 2, 3], &[0, 4], &[5]];

/// The documents that each index lists. The first of them follows the images.
const INDEXES: [&[usize]; 3] = [&[0, 1], &[1, 2], &[4, 3]];

/// The config of each referrer and its subject.
const REFERRERS: [(usize, usize); 3] = [(5, 0), (4, 4), (5, 7)];

/// A manifest with the numbers of what it references.
#[derive(Debug)]
struct Document {
    manifest: Manifest,
    blobs: Vec<usize>,
    children: Vec<usize>,
    subject: Option<usize>,
}

#[derive(Debug)]
pub struct Documents(Vec<Document>);

pub fn blob(number: usize) -> Vec<u8> {
    bytes::random(9_000 + number as u64, 20 + 10 * number)
}

impl Documents {
    pub fn all() -> &'static Self {
        static ALL: LazyLock<Documents> = LazyLock::new(Documents::new);
        &ALL
    }

    fn new() -> Self {
        let mut all: Vec<Document> = Vec::new();
        let image = |blobs: &[usize]| {
            let image = ImageBuilder::oci().config(&blob(blobs[0]));
            blobs[1..].iter().fold(image, |image, layer| image.layer(&blob(*layer)))
        };
        for blobs in IMAGES {
            let manifest = image(blobs).build();
            all.push(Document { manifest, blobs: blobs.to_vec(), children: Vec::new(), subject: None });
        }
        for children in INDEXES {
            let index =
                children.iter().fold(IndexBuilder::oci(), |index, child| index.child(&all[*child].manifest));
            let manifest = index.build();
            all.push(Document { manifest, blobs: Vec::new(), children: children.to_vec(), subject: None });
        }
        for (config, subject) in REFERRERS {
            let referrer = image(&[config]).artifact_type("application/vnd.test");
            let manifest = referrer.subject(all[subject].manifest.descriptor()).build();
            let (blobs, children) = (vec![config], Vec::new());
            all.push(Document { manifest, blobs, children, subject: Some(subject) });
        }
        Self(all)
    }

    pub fn manifest(&self, document: usize) -> &Manifest {
        &self.0[document].manifest
    }

    pub fn blobs_of(&self, document: usize) -> &[usize] {
        &self.0[document].blobs
    }

    pub fn children_of(&self, document: usize) -> &[usize] {
        &self.0[document].children
    }

    pub fn subject_of(&self, document: usize) -> Option<usize> {
        self.0[document].subject
    }

    pub fn has(&self, document: usize, blob: usize) -> bool {
        self.blobs_of(document).contains(&blob)
    }

    #[expect(clippy::unused_self, reason = "asked for beside the digests of manifests")]
    pub fn blob_digest(&self, number: usize) -> String {
        bytes::digest(&blob(number))
    }
}
