//! What one caller sees of the registry: as if it held nothing but the repositories that the caller may read.
//!
//! Everything that is read for a caller is read through here, so that there is one place where something is
//! left out, and nothing that could be forgotten in another. A repository that is hidden is answered like one
//! that was never there, by the same words and after the same look into the ledger.

use super::actor::Actor;
use super::blob::OpenBlob;
use super::error::Error;
use super::history::TagChange;
use super::list::Page;
use super::manifest::StoredManifest;
use super::referrers::ReferrersPage;
use super::report::{RepositoryReport, RepositoryRow};
use super::{Registry, repositories};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use std::sync::Arc;

/// Which repositories a caller may read.
pub trait Sight: Send + Sync {
    /// Whether the caller may read it.
    fn sees(&self, name: &RepositoryName) -> bool;

    /// Where a list that came to `from` goes on: the least text not below it with which the name of a
    /// repository that is seen can begin. None: there is none behind it.
    fn seek(&self, from: &str) -> Option<String>;
}

/// Everything is seen: by commands of the machine, and where nobody needs leave.
#[derive(Debug, Clone, Copy)]
pub struct Everything;

impl Sight for Everything {
    fn sees(&self, _name: &RepositoryName) -> bool {
        true
    }

    fn seek(&self, from: &str) -> Option<String> {
        Some(from.to_owned())
    }
}

/// The registry as one caller sees it.
#[derive(Clone)]
pub struct View {
    registry: Arc<Registry>,
    sight: Arc<dyn Sight>,
}

impl View {
    /// What is seen of the registry by `sight`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, sight: Arc<dyn Sight>) -> Self {
        Self { registry, sight }
    }

    /// Whether the repository is seen, if it is there.
    #[must_use]
    pub fn sees(&self, name: &RepositoryName) -> bool {
        self.sight.sees(name)
    }

    /// Asks the registry, or answers as it would if it had no such repository.
    fn unless_hidden<T>(
        &self,
        name: &RepositoryName,
        ask: impl FnOnce(&Registry) -> Result<T, Error>,
        unknown: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.sees(name) {
            return ask(&self.registry);
        }
        // What it costs to find nothing is part of the answer.
        self.registry.store.read(|rows| repositories::find(rows, name).map_err(Error::from))?;
        unknown()
    }

    /// [`Registry::catalog`] of what is seen.
    pub fn catalog(
        &self,
        last: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Page<RepositoryName>, Error> {
        self.registry.catalog_of(last, limit, &*self.sight)
    }

    /// [`Registry::repositories`] of what is seen.
    pub fn repositories(
        &self,
        last: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<(Vec<RepositoryRow>, bool), Error> {
        self.registry.repositories_of(last, limit, &*self.sight)
    }

    /// [`Registry::repository`]
    pub fn repository(
        &self,
        name: &RepositoryName,
        last: Option<&Tag>,
        limit: usize,
    ) -> Result<RepositoryReport, Error> {
        let unknown = || Err(Error::RepositoryUnknown(name.clone()));
        self.unless_hidden(name, |registry| registry.repository(name, last, limit), unknown)
    }

    /// [`Registry::tags`]
    pub fn tags(&self, name: &RepositoryName, last: Option<&Tag>, limit: usize) -> Result<Page<Tag>, Error> {
        let unknown = || Err(Error::RepositoryUnknown(name.clone()));
        self.unless_hidden(name, |registry| registry.tags(name, last, limit), unknown)
    }

    /// [`Registry::manifest`], or [`Registry::stat_manifest`] where the bytes are not asked for.
    pub fn manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        with_bytes: bool,
    ) -> Result<StoredManifest, Error> {
        let unknown =
            || Err(Error::ManifestUnknown { repository: name.clone(), reference: reference.clone() });
        let ask = |registry: &Registry| {
            if with_bytes {
                registry.manifest(name, reference)
            } else {
                registry.stat_manifest(name, reference)
            }
        };
        self.unless_hidden(name, ask, unknown)
    }

    /// [`Registry::open_blob`]
    pub fn open_blob(&self, name: &RepositoryName, digest: Digest) -> Result<OpenBlob, Error> {
        let unknown = || Err(Error::BlobUnknown { repository: name.clone(), digest });
        self.unless_hidden(name, |registry| registry.open_blob(name, digest), unknown)
    }

    /// [`Registry::stat_blob`]
    pub fn stat_blob(&self, name: &RepositoryName, digest: Digest) -> Result<u64, Error> {
        let unknown = || Err(Error::BlobUnknown { repository: name.clone(), digest });
        self.unless_hidden(name, |registry| registry.stat_blob(name, digest), unknown)
    }

    /// [`Registry::open_blob_at_once`]
    pub fn open_blob_at_once(
        &self,
        name: &RepositoryName,
        digest: Digest,
    ) -> Result<Option<OpenBlob>, Error> {
        let unknown = || Err(Error::BlobUnknown { repository: name.clone(), digest });
        self.unless_hidden(name, |registry| registry.open_blob_at_once(name, digest), unknown)
    }

    /// [`Registry::stat_blob_at_once`]
    pub fn stat_blob_at_once(&self, name: &RepositoryName, digest: Digest) -> Result<Option<u64>, Error> {
        let unknown = || Err(Error::BlobUnknown { repository: name.clone(), digest });
        self.unless_hidden(name, |registry| registry.stat_blob_at_once(name, digest), unknown)
    }

    /// [`Registry::referrers`]
    pub fn referrers(
        &self,
        name: &RepositoryName,
        subject: Digest,
        artifact_type: Option<&str>,
        last: Option<Digest>,
    ) -> Result<ReferrersPage, Error> {
        let ask = |registry: &Registry| registry.referrers(name, subject, artifact_type, last);
        self.unless_hidden(name, ask, || Ok(ReferrersPage::default()))
    }

    /// [`Registry::tag_history`]
    pub fn tag_history(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<TagChange>, bool), Error> {
        let ask = |registry: &Registry| registry.tag_history(name, tag, before, limit);
        self.unless_hidden(name, ask, || Ok((Vec::new(), false)))
    }

    /// [`Registry::mount_blob`] from what is seen.
    pub fn mount_blob(
        &self,
        name: &RepositoryName,
        digest: Digest,
        from: Option<&RepositoryName>,
        actor: &Actor,
    ) -> Result<bool, Error> {
        self.registry.mount_blob_seen(name, digest, from, &self.sight, actor)
    }
}
