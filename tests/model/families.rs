//! What goes together when a manifest is deleted, and what comes back together: the account of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::{Account, Answer, HELD_MS, KEEP_MS, Kept, Repository, Seen};

/// The tags that what came back had, each with those that had it.
type Wanted = BTreeMap<usize, BTreeSet<usize>>;

/// What is to be brought back.
#[derive(Clone, Copy, Debug)]
pub enum What {
    All,
    Document(usize),
    Tag(usize),
}

impl Account {
    pub fn delete_manifest(&mut self, at: usize, root: usize) -> Answer {
        let now_ms = self.now_ms;
        let Repository { visible, .. } = &self.repositories[at];
        if !visible.contains(&root) {
            return Answer::Unknown;
        }
        if visible.iter().any(|&index| self.documents.children_of(index).contains(&root)) {
            return Answer::InUse;
        }
        let going = self.family(at, root);
        let Repository { visible, kept, tags, removed, .. } = &mut self.repositories[at];
        for &document in &going {
            visible.remove(&document);
            let had: BTreeSet<usize> =
                tags.iter().filter(|(_, tagged)| **tagged == document).map(|(tag, _)| *tag).collect();
            tags.retain(|_, tagged| *tagged != document);
            removed.extend(had.iter().map(|&tag| (tag, document)));
            kept.insert(document, Kept { due_ms: now_ms + KEEP_MS, root, tags: had });
        }
        Answer::Done
    }

    /// A manifest and what only it keeps in sight.
    pub fn family(&self, at: usize, root: usize) -> BTreeSet<usize> {
        let documents = self.documents;
        let Repository { visible, tags, .. } = &self.repositories[at];
        let mut going = BTreeSet::from([root]);
        loop {
            let is_outside = |other: &usize| visible.contains(other) && !going.contains(other);
            let goes = |&document: &usize| {
                let lists = |index: usize| documents.children_of(index).contains(&document);
                let subject = documents.subject_of(document);
                let lives_with = going.iter().any(|&member| lists(member) || subject == Some(member));
                let is_tagged = tags.values().any(|tagged| *tagged == document);
                let is_listed = visible.iter().any(|index| is_outside(index) && lists(*index));
                lives_with && !is_tagged && !is_listed && !subject.is_some_and(|it| is_outside(&it))
            };
            let more: Vec<usize> = visible.iter().copied().filter(is_outside).filter(goes).collect();
            if more.is_empty() {
                return going;
            }
            going.extend(more);
        }
    }

    /// Brings back what is deleted. Which of two that had the same tag has it then, the account does not say:
    /// it is looked at.
    pub fn undelete(&mut self, at: usize, what: What, seen: &impl Seen) -> Answer {
        let mut wanted = Wanted::new();
        let has_changed = match what {
            What::Document(document) => self.bring_back_family(at, document, &mut wanted),
            What::All => {
                let roots: Vec<usize> = self.repositories[at].kept.keys().copied().collect();
                let mut has_changed = false;
                for root in roots {
                    has_changed |= self.bring_back_family(at, root, &mut wanted);
                }
                has_changed
            }
            What::Tag(tag) => {
                let Repository { tags, removed, .. } = &self.repositories[at];
                if tags.contains_key(&tag) {
                    return Answer::TagInUse;
                }
                let Some(&document) = removed.get(&tag) else { return Answer::NothingDeleted };
                self.bring_back_family(at, document, &mut wanted);
                if !self.repositories[at].visible.contains(&document) {
                    return Answer::GoneForGood;
                }
                wanted.insert(tag, BTreeSet::from([document]));
                true
            }
        };
        self.set_wanted(at, wanted, seen);
        if has_changed { Answer::Done } else { Answer::NothingDeleted }
    }

    fn set_wanted(&mut self, at: usize, wanted: Wanted, seen: &impl Seen) {
        let tags = &mut self.repositories[at].tags;
        for (tag, had) in wanted {
            let is_free = !tags.contains_key(&tag);
            self.met.insert(if is_free { "a tag came back" } else { "a tag named something else" });
            self.met.extend((is_free && had.len() > 1).then_some("two had a tag"));
            if is_free {
                let named = seen.named(at, tag).filter(|named| had.contains(named));
                tags.insert(
                    tag,
                    named.unwrap_or_else(|| panic!("tag {tag} of {at} has to name one of {had:?}")),
                );
            }
        }
    }

    fn bring_back_family(&mut self, at: usize, root: usize, wanted: &mut Wanted) -> bool {
        let mut has_changed = self.bring_back(at, root, wanted);
        if !self.repositories[at].visible.contains(&root) {
            return false;
        }
        let kept = self.repositories[at].kept.iter();
        let members: Vec<usize> =
            kept.filter(|(_, kept)| kept.root == root).map(|(document, _)| *document).collect();
        for document in members {
            has_changed |= self.bring_back(at, document, wanted);
        }
        has_changed
    }

    /// Brings back a deleted manifest with what it lists, and notes the tags that they had.
    pub fn bring_back(&mut self, at: usize, document: usize, wanted: &mut Wanted) -> bool {
        let documents = self.documents;
        let Repository { visible, kept, leases, .. } = &mut self.repositories[at];
        let Some(Kept { tags, .. }) = kept.remove(&document) else { return false };
        visible.insert(document);
        leases.retain(|blob, _| !documents.has(document, *blob));
        for tag in tags {
            wanted.entry(tag).or_default().insert(document);
        }
        for &child in documents.children_of(document) {
            self.bring_back(at, child, wanted);
        }
        true
    }

    pub fn pin(&mut self, at: usize, document: usize) -> Answer {
        let Repository { visible, kept, pins, .. } = &mut self.repositories[at];
        if !visible.contains(&document) && !kept.contains_key(&document) {
            return Answer::Unknown;
        }
        pins.insert(document);
        Answer::Done
    }

    pub fn unpin(&mut self, at: usize, document: usize) -> Answer {
        if self.repositories[at].pins.remove(&document) { Answer::Done } else { Answer::Unknown }
    }

    /// Whether a pin holds a deleted manifest: its own, or that of its subject or of a deleted index that
    /// lists it, or of theirs.
    fn is_pinned(&self, at: usize, document: usize) -> bool {
        let Repository { kept, pins, .. } = &self.repositories[at];
        let above = |document: usize| {
            let lists = |index: &&usize| self.documents.children_of(**index).contains(&document);
            let indexes = kept.keys().filter(lists).copied();
            indexes.chain(self.documents.subject_of(document)).collect::<Vec<_>>()
        };
        let holds = pins.contains(&document);
        let is_kept = kept.contains_key(&document);
        holds || (is_kept && above(document).into_iter().any(|above| self.is_pinned(at, above)))
    }

    /// What went for good of the deleted manifests of a repository: with `all`, everything that may.
    pub fn dropped(&mut self, at: usize, all: bool, ends_keeping: bool, seen: &impl Seen) {
        let now_ms = self.now_ms;
        let ends = |document: &usize| seen.kept_end_ms(at, *document);
        let kept = &self.repositories[at].kept;
        let after: BTreeMap<usize, Option<u64>> =
            kept.keys().map(|document| (*document, ends(document))).collect();
        for (&document, &Kept { due_ms, .. }) in kept {
            let indexes = kept.keys().filter(|&&index| self.documents.children_of(index).contains(&document));
            let indexes: Vec<&usize> = indexes.collect();
            let is_pinned = self.is_pinned(at, document);
            let is_held = is_pinned || indexes.iter().any(|index| after[index].is_some());
            if ends_keeping || due_ms <= now_ms {
                self.met.extend(is_pinned.then_some("held by a pin"));
                self.met.extend((is_held && !is_pinned).then_some("held by an index"));
            }
            let may_go = (ends_keeping || due_ms <= now_ms) && !is_held;
            let Some(end_ms) = after[&document] else {
                assert!(may_go, "document {document} went from {at} before it might");
                continue;
            };
            assert!(!(may_go && all), "document {document} of {at} was to go");
            if end_ms != due_ms {
                // What is held is looked at again later.
                let with = |index: &&usize| kept[*index].due_ms == end_ms || after[*index] == Some(end_ms);
                let as_pinned = is_pinned && end_ms == now_ms + HELD_MS;
                let is_put_off = due_ms <= now_ms && (as_pinned || indexes.iter().any(with));
                self.met.insert("put off");
                assert!(is_put_off, "document {document} of {at}: {due_ms} became {end_ms}");
            }
        }
        self.repositories[at].kept.retain(|document, kept| {
            kept.due_ms = after[document].unwrap_or_default();
            after[document].is_some()
        });
    }
}
