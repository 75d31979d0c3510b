//! The images whose pushes were acknowledged and that nobody has begun to delete.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::Manifest;
use crate::support::random::Random;

/// An image that was pushed.
pub struct Image {
    pub repository: String,
    pub tag: String,
    pub manifest: Manifest,
    /// Set before its deletion is asked for: from then on it may be gone.
    is_given_up: AtomicBool,
}

impl Image {
    pub fn new(repository: String, tag: String, manifest: Manifest) -> Self {
        Self { repository, tag, manifest, is_given_up: AtomicBool::new(false) }
    }

    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
pub struct Living(Mutex<Vec<Arc<Image>>>);

impl Living {
    pub fn add(&self, image: Image) {
        self.lock().push(Arc::new(image));
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    pub fn any(&self, random: &mut Random) -> Option<Arc<Image>> {
        let images = self.lock();
        (!images.is_empty()).then(|| Arc::clone(random.pick(&images)))
    }

    /// Takes one out, which is to be deleted.
    pub fn give_up(&self, random: &mut Random) -> Option<Arc<Image>> {
        let mut images = self.lock();
        if images.is_empty() {
            return None;
        }
        let at = random.below(images.len());
        let image = images.swap_remove(at);
        image.is_given_up.store(true, Ordering::SeqCst);
        Some(image)
    }

    pub fn all(&self) -> Vec<Arc<Image>> {
        self.lock().clone()
    }

    /// The digests of all their blobs.
    pub fn blobs(&self) -> BTreeSet<String> {
        self.all().iter().flat_map(|image| image.manifest.blob_digests()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Image>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
