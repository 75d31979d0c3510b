//! What a start does with rows and files that do not fit together, on a copy of a data directory that was
//! made while the original was written to.
//!
//! Blobs without their file are marked as damaged, and each manifest above them is written down as one that
//! lacks bytes, before the mark: so a run that is cut off leaves no mark whose manifests nobody knows. Then
//! tags that name such a manifest go back to the newest one that is whole. Nothing else is undone. Each step
//! is a transaction of bounded size, and a run that is cut off is simply run again.

mod report;

pub use report::{CopyReport, Names};

use super::actor::Actor;
use super::error::Error;
use super::incomplete::{self, Key};
use super::tagging::{self, Change};
use super::{Registry, repositories};
use crate::oci::{Algorithm, Digest, Tag};
use crate::store::records::Cause;
use crate::store::tables::{BLOB_USER, INCOMPLETE, KEPT_USER, MANIFEST, PARENT, TAG_HISTORY, TAG_OF};
use crate::store::{KeyRange, Lacking, ListedDirectory, Location, MetaError, Read, RepoId, StoreError, Tx};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

/// Who moves tags, by their history.
const STARTER: &str = "start";

/// How many manifests are written down or looked at in one transaction.
const PAGE_ROWS: usize = 256;

/// How many threads list directories, at most: a disk answers some at a time, and not many.
const LISTERS_MAX: usize = 4;

/// How far back in the history of a tag an older image is looked for.
const HISTORY_ROWS_MAX: usize = 1000;

/// How many tags one transaction changes.
const TAGS_AT_ONCE: usize = 128;

/// How a data directory that is not the original came to be where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It is a copy. Its open uploads belong to the original, where their clients go on with them.
    Copied,
    /// It was put back in the place of the original, so its open uploads go on.
    PutBack,
}

/// A manifest that is left out, with what became of its tags.
#[derive(Debug)]
struct LeftOut {
    key: Key,
    /// What a person calls its repository; none where nobody sees it.
    repository: Option<String>,
    is_topmost: bool,
    moved: Vec<Tag>,
    removed: Vec<Tag>,
}

/// What one transaction did with a page of manifests.
#[derive(Debug, Default)]
struct Piece {
    left_out: Vec<LeftOut>,
    /// How many manifests are done with. Behind them, one may be begun.
    done: usize,
}

impl Registry {
    /// Brings the rows and files of a copy together. To be called before [`Registry::recover`] and before
    /// anything is served; again from the beginning if it was cut off.
    pub fn settle_copy(&self, placement: Placement) -> Result<CopyReport, Error> {
        let mut report = CopyReport::default();
        if placement == Placement::Copied {
            self.store.end_uploads()?.iter().for_each(|session| report.sessions.add(session));
        }
        for path in self.store.dir().strangers_in_blobs().map_err(StoreError::from)? {
            report.foreign.add(path.display());
        }
        let (now_ms, mut known) = (self.clock.now_ms(), HashSet::new());
        self.list_ahead(|listed| self.settle_directory(listed, now_ms, &mut known, &mut report))?;
        self.settle_incomplete(&mut report)?;
        for name in report.foreign.names() {
            log::warn!("{name} is none of the registry's files and is left alone");
        }
        Ok(report)
    }

    /// Has threads list the directories below blobs/, and hands each on in its order: what takes longest in a
    /// large registry is to ask for the size of each file.
    fn list_ahead(&self, mut each: impl FnMut(ListedDirectory) -> Result<(), Error>) -> Result<(), Error> {
        let directories =
            || Algorithm::ALL.into_iter().flat_map(|of| (0..=255).map(move |first| (of, first)));
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(LISTERS_MAX);
        std::thread::scope(|scope| {
            let list = |index: usize| {
                let (give, take) = mpsc::sync_channel(1);
                let work = move || {
                    for (algorithm, first) in directories().skip(index).step_by(threads) {
                        // Nobody takes it where the other end met an error.
                        if give.send(self.store.list_directory(algorithm, first)).is_err() {
                            return;
                        }
                    }
                };
                let builder = std::thread::Builder::new().name("list".into());
                builder.spawn_scoped(scope, work).map_err(StoreError::from)?;
                Ok::<_, Error>(take)
            };
            let lists = (0..threads).map(list).collect::<Result<Vec<_>, _>>()?;
            let turns = (0..threads).cycle();
            for (_, turn) in directories().zip(turns) {
                each(lists[turn].recv().expect("each sends a list for each of its directories")?)?;
            }
            Ok(())
        })
    }

    fn settle_directory(
        &self,
        listed: ListedDirectory,
        now_ms: u64,
        known: &mut HashSet<Key>,
        report: &mut CopyReport,
    ) -> Result<(), Error> {
        let found = self.store.check_directory(listed, now_ms)?;
        let path = |location: &Location| format!("blobs/{}", location.path().display());
        found.adopted.iter().for_each(|location| report.adopted.add(path(location)));
        found.strays.iter().for_each(|location| report.strays.add(path(location)));
        found.sessions.iter().for_each(|session| report.sessions.add(session));
        found.foreign.iter().for_each(|path| report.foreign.add(path.display()));
        if found.lacking.is_empty() {
            return Ok(());
        }
        self.note_above(&found.lacking, now_ms, known)?;
        let marked = self.store.mark_lacking(&found.lacking, now_ms)?;
        self.damaged_blobs.fetch_add(marked, Ordering::Relaxed);
        found.lacking.iter().for_each(|lacking| report.lacking.add(lacking.digest));
        Ok(())
    }

    /// Writes down every manifest that needs one of these blobs, and the indexes above. Nothing else writes
    /// meanwhile, so what is read in one state is right in the next.
    fn note_above(&self, lacking: &[Lacking], now_ms: u64, known: &mut HashSet<Key>) -> Result<(), Error> {
        let mut waiting = Vec::new();
        for Lacking { digest, .. } in lacking {
            for table in [&BLOB_USER, &KEPT_USER] {
                let mut after = None;
                loop {
                    let rows = self.store.snapshot()?;
                    let mut users = incomplete::users(&rows, table, *digest, after)?;
                    let Some(&last) = users.last() else { break };
                    after = Some(last);
                    incomplete::add_indexes(&rows, &mut users, known)?;
                    waiting.append(&mut users);
                    if waiting.len() >= PAGE_ROWS {
                        self.note_incomplete(std::mem::take(&mut waiting), now_ms)?;
                    }
                }
            }
        }
        self.note_incomplete(waiting, now_ms)
    }

    fn note_incomplete(&self, mut manifests: Vec<Key>, now_ms: u64) -> Result<(), Error> {
        manifests.sort_unstable();
        manifests.dedup();
        for page in manifests.chunks(PAGE_ROWS) {
            let page = page.to_vec();
            self.store.write(move |tx| {
                page.iter().try_for_each(|key| incomplete::note(tx, *key, now_ms)).map_err(Error::from)
            })?;
        }
        Ok(())
    }

    /// Looks at every manifest that may lack bytes: moves the tags of those that do, and forgets those that
    /// are whole again.
    fn settle_incomplete(&self, report: &mut CopyReport) -> Result<(), Error> {
        let change = self.change(&Actor::from(STARTER), Cause::Incomplete);
        let mut range = KeyRange::all();
        loop {
            let page =
                self.store.read(|rows| Ok::<_, Error>(rows.page(&INCOMPLETE, &range, PAGE_ROWS)?))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            range = range.after(last);
            let mut keys: Vec<Key> = page.into_iter().map(|(key, _)| key).collect();
            let mut begun: Option<LeftOut> = None;
            while !keys.is_empty() {
                let (these, change) = (keys.clone(), change.clone());
                let piece = self.store.write(move |tx| settle_page(tx, &these, &change))?;
                let is_cut = piece.done < keys.len();
                keys.drain(..piece.done);
                let mut left_out = piece.left_out;
                if let (Some(before), Some(first)) = (begun.take(), left_out.first_mut()) {
                    first.moved.splice(..0, before.moved);
                    first.removed.splice(..0, before.removed);
                }
                begun = if is_cut { left_out.pop() } else { None };
                for one in left_out {
                    one.tell(report);
                }
            }
        }
    }
}

impl LeftOut {
    fn tell(&self, report: &mut CopyReport) {
        let Some(repository) = &self.repository else { return };
        let tags = || self.removed.iter().chain(&self.moved);
        // What an index lists is a part of it.
        if let Some(tag) = tags().next() {
            report.left_out.add(format_args!("{repository}:{tag}"));
        } else if self.is_topmost {
            report.left_out.add(format_args!("{repository}@{}", self.key.1));
        }
        self.moved.iter().for_each(|tag| report.tags_moved.add(format_args!("{repository}:{tag}")));
        self.removed.iter().for_each(|tag| report.tags_removed.add(format_args!("{repository}:{tag}")));
    }
}

/// Looks at manifests that may lack bytes, as many as have no more tags than one transaction changes. The
/// last one that is left out may have more.
fn settle_page(tx: &mut Tx<'_>, keys: &[Key], change: &Change) -> Result<Piece, Error> {
    let (mut piece, mut room) = (Piece::default(), TAGS_AT_ONCE);
    for &key in keys {
        if room == 0 {
            // Only where there is one that was begun: the last that is told of is begun again.
            break;
        }
        if !incomplete::is_incomplete(tx, key)? {
            tx.remove(&INCOMPLETE, &key)?;
            piece.done += 1;
            continue;
        }
        let tags = tx.page(&TAG_OF, &KeyRange::prefix(&key), room)?;
        let tags: Vec<_> = tags.into_iter().map(|((_, _, tag), ())| tag).collect();
        room -= tags.len();
        piece.left_out.push(leave_out(tx, key, tags, change)?);
        // Where the room is filled there may be more tags.
        piece.done += usize::from(room > 0);
    }
    Ok(piece)
}

/// Takes a manifest's tags off it: each names the newest one of its history that is whole, or nothing.
fn leave_out(tx: &mut Tx<'_>, key: Key, tags: Vec<Tag>, change: &Change) -> Result<LeftOut, Error> {
    let (mut moved, mut removed) = (Vec::new(), Vec::new());
    for tag in tags {
        if let Some(digest) = newest_whole(tx, key.0, &tag)? {
            tagging::set(tx, key.0, &tag, digest, change)?;
            moved.push(tag);
        } else {
            tagging::remove(tx, key.0, &tag, change)?;
            removed.push(tag);
        }
    }
    let is_visible = tx.contains(&MANIFEST, &key)?;
    let repository = if is_visible { repositories::name_of(tx, key.0)? } else { None };
    let repository = repository.map(|name| name.to_string());
    let is_topmost = tx.first(&PARENT, &KeyRange::prefix(&key))?.is_none();
    Ok(LeftOut { key, repository, is_topmost, moved, removed })
}

/// The manifest that a tag named last of those that are visible and whole, since it was set: what it named
/// before it was removed once does not come back.
fn newest_whole(rows: &impl Read, repository: RepoId, tag: &Tag) -> Result<Option<Digest>, MetaError> {
    let mut seen = HashSet::new();
    let history = rows.page(&TAG_HISTORY, &KeyRange::prefix(&(repository, tag.clone())), HISTORY_ROWS_MAX)?;
    for (_, change) in history {
        // What the oldest row says was named before has no row of its own any more.
        for digest in [change.after.map(|after| after.digest), change.before] {
            let Some(digest) = digest else { return Ok(None) };
            let key = (repository, digest);
            if seen.insert(digest)
                && rows.contains(&MANIFEST, &key)?
                && !incomplete::is_incomplete(rows, key)?
            {
                return Ok(Some(digest));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
