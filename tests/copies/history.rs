//! What a writer did to its repository and when, and what a copy made in some span of time may show of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::support::random::Random;
use crate::support::{Client, Manifest, bytes, client};

/// How many things that were gone before a copy began are looked for in it; the others were in copies before.
const GONE_MAX: usize = 100;

/// How many of them are remembered.
const GONE_KEPT: usize = 500;

/// One in so many large manifests is read in each look.
const LARGE_READ_ONE_IN: usize = 8;

/// The time in which a copy was made.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub began: Instant,
    pub ended: Instant,
}

impl Span {
    /// The copy of what does not change any more.
    pub fn now() -> Self {
        let now = Instant::now();
        Self { began: now, ended: now }
    }
}

/// A thing that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A manifest, by its digest.
    Manifest(String),
    /// A tag; what is there is the digest that it names.
    Tag(String),
}

/// What is there after it: a digest, or nothing.
type State = Option<String>;

/// A request that changed an item, or one that may have: it had no answer.
#[derive(Debug)]
struct Event {
    /// Requests of one writer are made one after the other.
    number: usize,
    asked: Instant,
    answered: Option<Instant>,
    state: State,
}

/// An image that was pushed at some time.
struct Image {
    /// What it can be built from again.
    seed: u64,
    blobs: Vec<String>,
}

/// All that was asked of one repository, which one writer alone changes.
pub struct History {
    pub repository: String,
    /// One in so many manifests that are there is read in each look.
    read_one_in: usize,
    items: BTreeMap<Item, Vec<Event>>,
    images: BTreeMap<String, Image>,
    /// Manifests that a server which went on from a copy did not show, though it may have them: where bytes
    /// of one are lacking, it is shown once those are there, with the push of a blob and before its own.
    hidden: BTreeSet<String>,
    /// Changes that a request without an answer, so far, makes.
    pending: Vec<Item>,
    /// How many requests were made that change something.
    requests: usize,
    /// How many of them were acknowledged.
    pub acknowledged: usize,
}

/// What a look at a copy found.
#[derive(Default)]
pub struct Found {
    states: BTreeMap<Item, State>,
    /// Manifests that may be there and are not shown.
    hidden: Vec<String>,
    /// How many things may or may not have been there, as far as the writer knows.
    pub undecided: usize,
    /// How many of them showed what was asked for during the copy or had no answer.
    pub newer: usize,
}

impl History {
    pub fn new(repository: String) -> Self {
        let (items, images, hidden) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (read_one_in, pending) = (1, Vec::new());
        Self { repository, read_one_in, items, images, hidden, pending, requests: 0, acknowledged: 0 }
    }

    /// The same of manifests that are large: not all of them are read in each look.
    pub fn of_large_ones(repository: String) -> Self {
        Self { read_one_in: LARGE_READ_ONE_IN, ..Self::new(repository) }
    }

    /// Remembers what a manifest was built from, and what has to be there with it.
    pub fn remember(&mut self, seed: u64, image: &Manifest) {
        let blobs = image.blob_digests();
        self.images.insert(image.digest.clone(), Image { seed, blobs });
    }

    /// The seed of a manifest that was remembered.
    pub fn seed(&self, digest: &str) -> u64 {
        self.images[digest].seed
    }

    /// A request is sent that leaves these items so.
    pub fn ask(&mut self, changes: Vec<(Item, State)>) {
        let asked = Instant::now();
        self.requests += 1;
        let number = self.requests;
        self.pending.clear();
        for (item, state) in changes {
            self.pending.push(item.clone());
            self.items.entry(item).or_default().push(Event { number, asked, answered: None, state });
        }
    }

    /// It was answered.
    pub fn answer(&mut self) {
        let now = Instant::now();
        for item in std::mem::take(&mut self.pending) {
            let event = self.items.get_mut(&item).and_then(|events| events.last_mut());
            event.expect("it was asked for").answered = Some(now);
        }
        self.acknowledged += 1;
    }

    /// What is there after all that was asked.
    pub fn latest(&self, item: &Item) -> Option<&str> {
        self.items.get(item)?.last()?.state.as_deref()
    }

    /// The items that are there after all that was asked (or, if `there` is false, those that are not).
    pub fn latest_items(&self, there: bool) -> Vec<Item> {
        let wanted = |events: &[Event]| events.last().is_some_and(|event| event.state.is_some() == there);
        let items = self.items.iter().filter(|(_, events)| wanted(events));
        items.map(|(item, _)| item.clone()).collect()
    }

    /// Looks at the registry that was opened on a copy. Panics where it shows what it may not.
    pub fn check(&self, client: &Client, span: &Span, seed: u64) -> Found {
        let (mut random, mut found) = (Random::new(seed), Found::default());
        let (whole, chance) = (RefCell::default(), RefCell::new(Random::new(random.draw())));
        let look = Look { history: self, client, span, whole, chance };
        let gone = self.items.values().filter(|events| is_gone_for_good(events, span)).count();
        for (item, events) in &self.items {
            if is_gone_for_good(events, span) && random.below(gone) >= GONE_MAX {
                continue;
            }
            let state = look.at(item);
            let allowed = allowed(events, span);
            if allowed.len() > 1 {
                found.undecided += 1;
                found.newer += usize::from(allowed[0] != state.as_deref());
            }
            if let (Item::Manifest(digest), None) = (item, &state)
                && allowed.iter().any(Option::is_some)
            {
                found.hidden.push(digest.clone());
            }
            found.states.insert(item.clone(), state);
        }
        look.check_list_of_tags();
        if let Err((last, misfits)) = self.expect_one_state(&found.states, span) {
            let all: Vec<_> =
                misfits.iter().map(|item| (item, &self.items[item], &found.states[item])).collect();
            panic!(
                "{} is a mixture: request {last} comes nearest, but for {all:#?} of {span:?}",
                self.repository
            );
        }
        found
    }

    /// Expects a request up to which all of them are in what was found, and after which none is; except for
    /// manifests that are not whole, and the tags that would name them. The error has the request that comes
    /// nearest, and what does not fit.
    fn expect_one_state<'a>(
        &self,
        states: &'a BTreeMap<Item, State>,
        span: &Span,
    ) -> Result<(), (usize, Vec<&'a Item>)> {
        let changed: Vec<(&Item, &[Event], &str)> = states
            .iter()
            .map(|(item, state)| (item, &self.items[item][..], state))
            .filter(|(item, events, _)| !self.may_be_hidden(item) && meanwhile(events, span).next().is_some())
            .filter_map(|(item, events, state)| Some((item, events, state.as_deref()?)))
            .collect();
        let numbers = changed.iter().flat_map(|(_, events, _)| meanwhile(events, span));
        let places: BTreeSet<usize> = numbers.flat_map(|event| [event.number - 1, event.number]).collect();
        let misfits = |last: usize| {
            let misfits = changed.iter().filter(|(item, events, state)| !fits(item, events, state, last));
            (last, misfits.map(|(item, ..)| *item).collect::<Vec<_>>())
        };
        match places.into_iter().map(misfits).min_by_key(|(_, misfits)| misfits.len()) {
            Some(nearest) if !nearest.1.is_empty() => Err(nearest),
            _ => Ok(()),
        }
    }

    fn may_be_hidden(&self, item: &Item) -> bool {
        matches!(item, Item::Manifest(digest) if self.hidden.contains(digest))
    }

    /// Forgets what was deleted long ago: it was looked for in many copies. Copies that were made before this
    /// cannot be checked any more.
    pub fn forget(&mut self) {
        let now = Span::now();
        let mut gone: Vec<(usize, Item)> = Vec::new();
        for (item, events) in &self.items {
            if is_gone_for_good(events, &now) {
                gone.push((events[events.len() - 1].number, item.clone()));
            }
        }
        gone.sort();
        gone.truncate(gone.len().saturating_sub(GONE_KEPT));
        for (_, item) in gone {
            self.items.remove(&item);
            if let Item::Manifest(digest) = item {
                self.images.remove(&digest);
            }
        }
    }

    /// Takes what was found as the state of all, and forgets how it came about: for a server that goes on
    /// from a copy.
    pub fn settle(&mut self, found: Found) {
        let (now, number) = (Instant::now(), self.requests);
        self.pending.clear();
        self.hidden.extend(found.hidden);
        for (item, state) in found.states {
            self.items.insert(item, vec![Event { number, asked: now, answered: Some(now), state }]);
        }
    }
}

/// The place of the last event that was acknowledged before the span began.
fn base(events: &[Event], span: &Span) -> Option<usize> {
    events.iter().rposition(|event| event.answered.is_some_and(|answered| answered <= span.began))
}

/// What was asked after that, until the span ended.
fn meanwhile<'a>(events: &'a [Event], span: &Span) -> impl Iterator<Item = &'a Event> {
    let first = base(events, span).map_or(0, |at| at + 1);
    let ended = span.ended;
    events[first..].iter().take_while(move |event| event.asked <= ended)
}

/// The states that a copy may show: first that of before, then those of each request that followed.
fn allowed<'a>(events: &'a [Event], span: &Span) -> Vec<Option<&'a str>> {
    let before = base(events, span).and_then(|at| events[at].state.as_deref());
    let mut states = vec![before];
    states.extend(meanwhile(events, span).map(|event| event.state.as_deref()));
    states
}

/// Whether an item that is there can be so after the request `last`.
fn fits(item: &Item, events: &[Event], digest: &str, last: usize) -> bool {
    let until: Vec<Option<&str>> =
        events.iter().filter(|event| event.number <= last).map(|event| event.state.as_deref()).collect();
    let latest = until.last().copied().flatten();
    match item {
        Item::Manifest(_) => latest == Some(digest),
        // It may name what it named before, where the latest is not whole; but nothing that is still to come.
        Item::Tag(_) => {
            let is_to_come = events.iter().any(|event| event.state.as_deref() == Some(digest));
            latest.is_some() && (until.contains(&Some(digest)) || !is_to_come)
        }
    }
}

/// Whether it was deleted before the span, and nobody has asked for it since.
fn is_gone_for_good(events: &[Event], span: &Span) -> bool {
    let last = events.len() - 1;
    base(events, span) == Some(last) && events[last].state.is_none()
}

/// One look at one copy.
struct Look<'a> {
    history: &'a History,
    client: &'a Client,
    span: &'a Span,
    /// The manifests that were seen with all their blobs.
    whole: RefCell<BTreeSet<String>>,
    chance: RefCell<Random>,
}

impl Look<'_> {
    fn repository(&self) -> &str {
        &self.history.repository
    }

    /// What is there: it may be, and it is whole.
    fn at(&self, item: &Item) -> State {
        let (Item::Manifest(reference) | Item::Tag(reference)) = item;
        let reply = self.client.head_manifest(self.repository(), reference).expect_status_in(&[200, 404]);
        let state = (reply.status == 200).then(|| reply.header("docker-content-digest").to_owned());
        let allowed = allowed(&self.history.items[item], self.span);
        let may_be = allowed.contains(&state.as_deref());
        assert!(
            may_be || self.may_fall_back(item) || self.history.may_be_hidden(item),
            "{item:?} of {} is {state:?}; before the copy and meanwhile it was {allowed:?}",
            self.repository()
        );
        if let Some(digest) = &state {
            self.check_whole(digest);
        }
        state
    }

    /// Whether a tag may name what it named even before: what it named when the copy began was deleted
    /// meanwhile.
    fn may_fall_back(&self, item: &Item) -> bool {
        let deleted = |item: &Item| {
            let events = self.history.items.get(item).map_or(&[][..], Vec::as_slice);
            meanwhile(events, self.span).any(|event| event.state.is_none())
        };
        let Item::Tag(_) = item else { return false };
        let before = allowed(&self.history.items[item], self.span)[0];
        before.is_some_and(|digest| deleted(item) || deleted(&Item::Manifest(digest.to_owned())))
    }

    /// A manifest that is served is one that was pushed, and all that it needs is there.
    fn check_whole(&self, digest: &str) {
        if !self.whole.borrow_mut().insert(digest.to_owned()) {
            return;
        }
        let image = self.history.images.get(digest);
        let image = image.unwrap_or_else(|| panic!("{digest} was pushed to {}", self.repository()));
        if self.chance.borrow_mut().one_in(self.history.read_one_in) {
            let reply = self.client.get_manifest(self.repository(), digest).expect_status(200);
            assert_eq!(bytes::digest(&reply.body), digest, "the bytes of {}", reply.request);
        } else {
            self.client.head_manifest(self.repository(), digest).expect_status(200);
        }
        for blob in &image.blobs {
            self.client.head_blob(self.repository(), blob).expect_status(200);
        }
    }

    /// Every tag that is listed was set at some time, and names something that is whole.
    fn check_list_of_tags(&self) {
        let reply = self.client.get(&format!("/v2/{}/tags/list", self.repository()));
        let reply = reply.expect_status_in(&[200, 404]);
        if reply.status == 404 {
            return;
        }
        for name in client::strings(&reply.json()["tags"]) {
            let tag = Item::Tag(name);
            assert!(self.history.items.contains_key(&tag), "{tag:?} of {} was set", self.repository());
            assert!(self.at(&tag).is_some(), "{tag:?} of {} is listed", self.repository());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str) -> Item {
        Item::Manifest(name.to_owned())
    }

    fn tag() -> Item {
        Item::Tag("t".to_owned())
    }

    fn there(item: Item, name: &str) -> (Item, State) {
        (item, Some(name.to_owned()))
    }

    fn done(history: &mut History, changes: Vec<(Item, State)>) {
        history.ask(changes);
        history.answer();
    }

    fn push(history: &mut History, name: &str) {
        done(history, vec![there(manifest(name), name), there(tag(), name)]);
    }

    /// Pushes a; then, in the span, pushes b, deletes a and pushes c; then deletes all.
    fn story() -> (History, Span) {
        let mut history = History::new("r".to_owned());
        push(&mut history, "a");
        let began = Instant::now();
        push(&mut history, "b");
        done(&mut history, vec![(manifest("a"), None)]);
        push(&mut history, "c");
        let ended = Instant::now();
        done(&mut history, vec![(manifest("b"), None), (manifest("c"), None), (tag(), None)]);
        (history, Span { began, ended })
    }

    fn states(found: &[(Item, State)]) -> BTreeMap<Item, State> {
        found.iter().cloned().collect()
    }

    #[test]
    fn what_was_asked_for_meanwhile_may_be_there() {
        let (mut history, span) = story();
        let of = |history: &History, item: &Item| {
            let states = allowed(&history.items[item], &span).into_iter();
            states.map(|state| state.unwrap_or("-").to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&history, &manifest("a")), "a -");
        assert_eq!(of(&history, &manifest("b")), "- b");
        assert_eq!(of(&history, &tag()), "a b c");
        let later = Span::now();
        assert!(history.items.values().all(|events| allowed(events, &later).len() == 1));
        assert!(is_gone_for_good(&history.items[&manifest("c")], &later));
        assert!(!is_gone_for_good(&history.items[&manifest("c")], &span));
        history.ask(vec![there(manifest("c"), "c")]);
        let unanswered = Span { began: Instant::now(), ended: Instant::now() };
        assert_eq!(allowed(&history.items[&manifest("c")], &unanswered), [None, Some("c")]);
    }

    #[test]
    fn a_mixture_is_seen() {
        let (history, span) = story();
        let is_one = |found: &[(Item, State)]| history.expect_one_state(&states(found), &span).is_ok();
        let (a, b, c) = (manifest("a"), manifest("b"), manifest("c"));
        assert!(is_one(&[there(a.clone(), "a"), (b.clone(), None), (c.clone(), None), there(tag(), "a")]));
        assert!(is_one(&[there(a.clone(), "a"), there(b.clone(), "b"), there(tag(), "b")]));
        assert!(is_one(&[
            (a.clone(), None),
            there(b.clone(), "b"),
            there(c.clone(), "c"),
            there(tag(), "c")
        ]));
        // c is not whole, so that the tag names what it named before.
        assert!(is_one(&[(a.clone(), None), there(b.clone(), "b"), (c.clone(), None), there(tag(), "b")]));
        assert!(!is_one(&[there(a.clone(), "a"), there(c.clone(), "c")]), "a was deleted before c came");
        assert!(!is_one(&[there(a, "a"), there(tag(), "c")]), "a was deleted before the tag named c");
    }
}
