//! Pins: manifests that are not to go, whatever the rules say.
//!
//! No rule of the configuration deletes a pinned manifest. Who deletes it by hand takes it out of sight, but
//! it can be brought back for as long as the pin is there.

use super::actor::Actor;
use super::audit;
use super::error::Error;
use super::{Registry, manifest, repositories};
use crate::oci::{Digest, Reference, RepositoryName};
use crate::store::records::{AuditAction, PinRecord};
use crate::store::tables::{KEPT, KEPT_PARENT, PIN};
use crate::store::{KeyRange, MetaError, Read, RepoId};
use std::collections::HashSet;

/// How many manifests are asked whether a pin on them holds another.
const ASKED_MAX: usize = 1000;

/// Whether a manifest is pinned.
pub fn is_pinned(rows: &impl Read, key: (RepoId, Digest)) -> Result<bool, MetaError> {
    rows.contains(&PIN, &key)
}

/// Whether a pin holds a deleted manifest: its own, or that of what it refers to, or of a deleted index that
/// lists it, or of one of theirs: what can be brought back shall come back whole.
pub fn holds(rows: &impl Read, (repository, digest): (RepoId, Digest)) -> Result<bool, MetaError> {
    if rows.first(&PIN, &KeyRange::prefix(&repository))?.is_none() {
        return Ok(false);
    }
    let (mut next, mut seen) = (vec![digest], HashSet::from([digest]));
    while let Some(digest) = next.pop() {
        let key = (repository, digest);
        // Where that are too many to be asked, it stays to be safe.
        if is_pinned(rows, key)? || seen.len() > ASKED_MAX {
            return Ok(true);
        }
        let Some(kept) = rows.get(&KEPT, &key)? else { continue };
        let indexes = rows.page(&KEPT_PARENT, &KeyRange::prefix(&key), ASKED_MAX)?;
        let above = indexes.into_iter().map(|((_, _, index), ())| index).chain(kept.manifest.subject);
        next.extend(above.filter(|above| seen.insert(*above)));
    }
    Ok(false)
}

/// A pin as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The repository.
    pub repository: String,
    /// The manifest.
    pub digest: Digest,
    /// Since when and by whom.
    pub record: PinRecord,
}

impl Registry {
    /// Pins a manifest, visible or deleted; says which.
    pub fn pin(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        who: impl Into<Actor>,
    ) -> Result<Digest, Error> {
        let (name, reference, actor) = (name.clone(), reference.clone(), who.into());
        let record = PinRecord { since_ms: self.clock.now_ms(), who: actor.label() };
        let entry = self.act(&actor, AuditAction::PinAdd).in_repository(&name);
        self.store.write(move |tx| {
            let unknown =
                || Error::ManifestUnknown { repository: name.clone(), reference: reference.clone() };
            let repository = repositories::find(tx, &name)?.ok_or_else(unknown)?;
            tx.lock(repository)?;
            let visible = manifest::resolve(tx, repository, &reference)?.map(|(digest, _)| digest);
            let digest = match (visible, &reference) {
                (Some(digest), _) => digest,
                (None, Reference::Digest(digest)) if tx.contains(&KEPT, &(repository, *digest))? => *digest,
                (None, _) => return Err(unknown()),
            };
            tx.insert_if_absent(&PIN, &(repository, digest), &record)?;
            audit::note(tx, &entry.clone().on(digest))?;
            Ok(digest)
        })
    }

    /// Takes the pin off a manifest; says which.
    pub fn unpin(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        who: impl Into<Actor>,
    ) -> Result<Digest, Error> {
        let (name, reference) = (name.clone(), reference.clone());
        let entry = self.act(&who.into(), AuditAction::PinRemove).in_repository(&name);
        self.store.write(move |tx| {
            let unknown = || Error::NotPinned { repository: name.clone(), reference: reference.clone() };
            let repository = repositories::find(tx, &name)?.ok_or_else(unknown)?;
            tx.lock(repository)?;
            let digest = match &reference {
                Reference::Digest(digest) => *digest,
                Reference::Tag(_) => {
                    let found = manifest::resolve(tx, repository, &reference)?.ok_or_else(unknown)?;
                    found.0
                }
            };
            tx.remove(&PIN, &(repository, digest))?.ok_or_else(unknown)?;
            audit::note(tx, &entry.clone().on(digest))?;
            Ok(digest)
        })
    }

    /// Every pin.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        let mut pins = Vec::new();
        self.pages(&PIN, |rows, (repository, digest), record| {
            let repository = repositories::shown_name(rows, repository)?;
            pins.push(Pin { repository, digest, record });
            Ok(())
        })?;
        Ok(pins)
    }
}
