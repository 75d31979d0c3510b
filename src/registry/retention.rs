//! What goes by the rules of the repositories: manifests without a tag, and images beyond the newest ones.
//!
//! A rule deletes as a person would: what it takes is out of sight at once, is kept for `keep_deleted_secs`
//! and can be brought back.

use super::actor::Actor;
use super::audit;
use super::error::Error;
use super::family::{self, Sparing};
use super::usage::Usage;
use super::{Registry, pins, tagging};
use crate::config::RepositorySettings;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::records::{AuditAction, Cause};
use crate::store::tables::{CATALOG, MANIFEST, PARENT, REPOSITORY_BY_NAME, TAG, UNTAGGED};
use crate::store::{KeyRange, Read, RepoId, Snapshot, Tx};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;

/// How many rows are read in one snapshot.
const PAGE_ROWS: usize = 512;

/// Who deletes, by the history.
const RULE: &str = "rule";

/// What the rules say of an image or a manifest without a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The repository.
    pub repository: String,
    /// The manifest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it goes.
    pub goes: bool,
    /// Why it goes, or is kept.
    pub why: String,
}

/// An image as `keep_newest` sees it.
struct Image {
    digest: Digest,
    /// When the last of its tags was written.
    pushed_at_ms: u64,
    tags: Vec<Tag>,
}

/// What `keep_newest` says of an image.
struct Judged {
    image: Image,
    goes: bool,
    why: String,
}

impl Registry {
    /// Deletes what the rules let go, in at most `steps` deletions. Says how many manifests went, and whether
    /// there is more.
    pub fn enforce_rules(&self, steps: u64) -> Result<(u64, bool), Error> {
        let (mut deleted, mut left, mut unfinished) = (0, steps, false);
        self.ruled_repositories(|registry, name, repository, settings| {
            for (digest, _) in registry.untagged(repository, settings)? {
                if left == 0 || registry.is_stopping() {
                    unfinished = true;
                    return Ok(());
                }
                // What is found to stay costs no step: there may be any number of it.
                if let Some(went) = registry.delete_untagged(name, repository, digest, settings)? {
                    deleted += went;
                    log::info!("a rule deleted {digest} of {name}, which had no tag: {went} manifests");
                    left -= 1;
                }
            }
            for judged in registry.judge_images(repository, settings)? {
                if judged.goes {
                    if left == 0 || registry.is_stopping() {
                        unfinished = true;
                        return Ok(());
                    }
                    left -= 1;
                    let went = registry.delete_by_rule(name, repository, &judged.image)?;
                    let Judged { image, why, .. } = judged;
                    log::info!("a rule deleted {} of {name}, {why}: {went} manifests", image.digest);
                    deleted += went;
                }
            }
            Ok(())
        })?;
        Ok((deleted, unfinished))
    }

    /// Says of each image and each manifest without a tag, in the repositories that have rules, what they do
    /// to it: of the first `limit` ones.
    pub fn verdicts(&self, limit: usize) -> Result<Vec<Verdict>, Error> {
        let mut verdicts: Vec<Verdict> = Vec::new();
        self.ruled_repositories(|registry, name, repository, settings| {
            for (digest, since_ms) in registry.untagged(repository, settings)? {
                let kept = registry.store.read(|rows| why_kept(rows, (repository, digest)))?;
                let secs = registry.clock.now_ms().saturating_sub(since_ms) / 1000;
                let limit = settings.untagged_keep_secs;
                let too_old = || format!("without a tag for {secs} s (untagged_keep_secs = {limit})");
                let (repository, tags) = (name.to_string(), Vec::new());
                let (goes, why) = (kept.is_none(), kept.map_or_else(too_old, str::to_owned));
                verdicts.push(Verdict { repository, digest, tags, goes, why });
            }
            for Judged { image, goes, why } in registry.judge_images(repository, settings)? {
                let (repository, digest) = (name.to_string(), image.digest);
                let tags = image.tags.iter().map(ToString::to_string).collect();
                verdicts.push(Verdict { repository, digest, tags, goes, why });
            }
            verdicts.truncate(limit);
            Ok(())
        })?;
        Ok(verdicts)
    }

    /// Hands over every repository that has something to show and rules that let things go.
    fn ruled_repositories(
        &self,
        mut visit: impl FnMut(&Self, &RepositoryName, RepoId, &RepositorySettings) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let config = self.config();
        if !config.repositories.any_lets_go() {
            return Ok(());
        }
        let mut range = KeyRange::all();
        loop {
            let rows = self.store.snapshot()?;
            let page = rows.page(&CATALOG, &range, PAGE_ROWS)?;
            let Some((last, ())) = page.last() else { return Ok(()) };
            range = range.after(last);
            let mut ruled = Vec::new();
            for (name, ()) in page {
                let settings = config.repositories.of(name.as_str());
                if settings.lets_go()
                    && let Some(id) = rows.get(&REPOSITORY_BY_NAME, &name)?
                {
                    ruled.push((name, RepoId(id.0), settings));
                }
            }
            drop(rows);
            for (name, repository, settings) in ruled {
                if self.is_stopping() {
                    return Ok(());
                }
                visit(self, &name, repository, &settings)?;
            }
        }
    }

    /// The manifests that have no tag for too long, and since when, the first first.
    fn untagged(
        &self,
        repository: RepoId,
        settings: &RepositorySettings,
    ) -> Result<Vec<(Digest, u64)>, Error> {
        let mut found = Vec::new();
        if settings.untagged_keep_secs == 0 {
            return Ok(found);
        }
        let until_ms = self.clock.now_ms().saturating_sub(settings.untagged_keep_secs * 1000);
        let mut range = KeyRange::prefix(&repository);
        loop {
            let page = self.store.read(|rows| Ok::<_, Error>(rows.page(&UNTAGGED, &range, PAGE_ROWS)?))?;
            let Some((last, ())) = page.last() else { return Ok(found) };
            range = range.after(last);
            for ((_, since_ms, digest), ()) in page {
                if since_ms > until_ms {
                    return Ok(found);
                }
                found.push((digest, since_ms));
            }
        }
    }

    /// Deletes a manifest without a tag, unless something keeps it. Says how many went with it; none: nothing
    /// was written.
    fn delete_untagged(
        &self,
        name: &RepositoryName,
        repository: RepoId,
        digest: Digest,
        settings: &RepositorySettings,
    ) -> Result<Option<u64>, Error> {
        let (name, deletion) = (name.clone(), self.deletion(&Actor::from(RULE), Cause::Retention));
        let act = self.act(&Actor::from(RULE), AuditAction::RuleDelete).in_repository(&name).on(digest);
        let until_ms = deletion.change.now_ms.saturating_sub(settings.untagged_keep_secs * 1000);
        self.store.write(move |tx| {
            tx.lock(repository)?;
            let key = (repository, digest);
            let Some(manifest) = tx.get(&MANIFEST, &key)? else { return Ok(None) };
            if manifest.untagged_since_ms.is_none_or(|since_ms| since_ms > until_ms) {
                return Ok(None);
            }
            if family::is_protected(tx, key)? {
                // It goes with what it lives with, so this need not look at it again.
                tagging::settle_untagged(tx, key, manifest, None)?;
                return Ok(Some(0));
            }
            if pins::is_pinned(tx, key)? {
                return Ok(None);
            }
            let family = family::gather(tx, repository, &[digest], Sparing::Pinned)?;
            let deleted = family::delete(tx, &name, repository, digest, &family, &deletion)?;
            audit::note(tx, &deleted.told_by(&act))?;
            Ok::<_, Error>(Some(deleted.manifests))
        })
    }

    /// The tagged images of a repository, the newest first.
    fn judge_images(&self, repository: RepoId, settings: &RepositorySettings) -> Result<Vec<Judged>, Error> {
        let keep = settings.keep_newest;
        let tags = self.store.read(|rows| Ok::<_, Error>(Usage::of(rows, repository)?.tags))?;
        if keep == 0 || tags <= keep {
            return Ok(Vec::new());
        }
        let mut images = self.images(repository)?;
        images.sort_by_key(|image| Reverse(image.pushed_at_ms));
        let mut counted = 0;
        let mut judged = Vec::new();
        for image in images {
            let protected = self.store.read(|rows| why_image_stays(rows, repository, &image, settings))?;
            if let Some(why) = protected {
                judged.push(Judged { image, goes: false, why });
                continue;
            }
            counted += 1;
            let goes = counted > keep;
            let why = if goes {
                format!("number {counted}, and the newest {keep} are kept (keep_newest)")
            } else {
                format!("number {counted} of the newest {keep} (keep_newest)")
            };
            judged.push(Judged { image, goes, why });
        }
        Ok(judged)
    }

    fn images(&self, repository: RepoId) -> Result<Vec<Image>, Error> {
        let mut images: HashMap<Digest, Image> = HashMap::new();
        let mut range = KeyRange::prefix(&repository);
        loop {
            let page = self.store.read(|rows| Ok::<_, Error>(rows.page(&TAG, &range, PAGE_ROWS)?))?;
            let Some((last, _)) = page.last() else { return Ok(images.into_values().collect()) };
            range = range.after(last);
            for ((_, tag), row) in page {
                let digest = row.digest;
                let image =
                    images.entry(digest).or_insert(Image { digest, pushed_at_ms: 0, tags: Vec::new() });
                image.pushed_at_ms = image.pushed_at_ms.max(row.pushed_at_ms);
                image.tags.push(tag);
            }
        }
    }

    /// Deletes an image, unless it or its tags have changed since it was judged.
    fn delete_by_rule(&self, name: &RepositoryName, repository: RepoId, image: &Image) -> Result<u64, Error> {
        let (name, deletion) = (name.clone(), self.deletion(&Actor::from(RULE), Cause::Retention));
        let (digest, tags, pushed_at_ms) = (image.digest, image.tags.clone(), image.pushed_at_ms);
        let act = self.act(&Actor::from(RULE), AuditAction::RuleDelete).in_repository(&name).on(digest);
        self.store.write(move |tx| {
            tx.lock(repository)?;
            let key = (repository, digest);
            if !is_as_judged(tx, repository, digest, &tags, pushed_at_ms)?
                || tx.first(&PARENT, &KeyRange::prefix(&key))?.is_some()
                || pins::is_pinned(tx, key)?
            {
                return Ok(0);
            }
            if family::take_tags(tx, repository, digest, &deletion.change)? {
                audit::note(tx, &act.clone().saying("some of its tags, which are too many to go at once"))?;
                // The rest goes at the next look.
                return Ok(0);
            }
            let family = family::gather(tx, repository, &[digest], Sparing::Pinned)?;
            let deleted = family::delete(tx, &name, repository, digest, &family, &deletion)?;
            audit::note(tx, &deleted.told_by(&act))?;
            Ok::<_, Error>(deleted.manifests)
        })
    }
}

fn is_as_judged(
    tx: &Tx<'_>,
    repository: RepoId,
    digest: Digest,
    tags: &[Tag],
    pushed_at_ms: u64,
) -> Result<bool, Error> {
    let range = KeyRange::prefix(&(repository, digest));
    let now = tx.page(&crate::store::tables::TAG_OF, &range, tags.len() + 1)?;
    if now.len() != tags.len() || !now.iter().all(|((_, _, tag), ())| tags.contains(tag)) {
        return Ok(false);
    }
    for tag in tags {
        let row = tx.get(&TAG, &(repository, tag.clone()))?;
        if row.is_none_or(|row| row.pushed_at_ms > pushed_at_ms) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What keeps a manifest without a tag.
fn why_kept(rows: &Snapshot, key: (RepoId, Digest)) -> Result<Option<&'static str>, Error> {
    if family::is_protected(rows, key)? {
        return Ok(Some("it lives with an index that lists it, or with its subject"));
    }
    Ok(pins::is_pinned(rows, key)?.then_some("it is pinned"))
}

/// What keeps a tagged image, whatever the number of newer ones is.
fn why_image_stays(
    rows: &Snapshot,
    repository: RepoId,
    image: &Image,
    settings: &RepositorySettings,
) -> Result<Option<String>, Error> {
    let key = (repository, image.digest);
    let is_kept = |tag: &&Tag| settings.keep_tags.iter().any(|pattern| pattern.matches(tag.as_str()));
    if let Some(tag) = image.tags.iter().find(is_kept) {
        return Ok(Some(format!("its tag {tag} is one of keep_tags")));
    }
    if pins::is_pinned(rows, key)? {
        return Ok(Some("it is pinned".to_owned()));
    }
    if let Some(((_, _, index), ())) = rows.first(&PARENT, &KeyRange::prefix(&key))? {
        return Ok(Some(format!("the index {index} lists it")));
    }
    for tag in &image.tags {
        let subject = family::subject_of_companion(tag);
        if let Some(subject) = subject
            && rows.contains(&MANIFEST, &(repository, subject))?
        {
            return Ok(Some(format!("it lives with {subject}, as its tag {tag} says")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
