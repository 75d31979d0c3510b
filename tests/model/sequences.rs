//! Random sequences of what clients, operators and time do, against the account: every answer is the one that
//! the account gives, after each step.
//!
//! `WHARFINGER_SEED` has the sequences of a run again, `WHARFINGER_MODEL_CASES` makes it longer.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config as RunConfig, RngAlgorithm, TestRng, TestRunner};
use wharfinger::config::Config;
use wharfinger::oci::{Algorithm, Digest, Reference, SessionId, Tag};
use wharfinger::registry::{Condition, Error, Round};

use crate::account::{Account, Answer, KEEP_MS, LEASE_MS, REPOSITORIES, Seen, UNLINK_MS};
use crate::documents::{BLOBS, DOCUMENTS, Documents, blob};
use crate::families::What;
use crate::place::{Place, digest, name};
use crate::steps::{OFTEN_MET, Step, any_step};
use crate::support::random;

const CASES: u32 = 40;

/// How often so many cases are run, until all has happened that is to happen.
const ROUNDS_MAX: u8 = 10;
const STEPS: usize = 120;
/// Every so many steps all is verified and the files are counted.
const VERIFY_EVERY: usize = 8;

const START_MS: u64 = 1_700_000_000_000;
const NAMES: [&str; REPOSITORIES] = ["team/app", "team/base", "other"];

fn config() -> Config {
    let mut config = Config::default();
    let settings = &mut config.settings;
    settings.blob_lease_secs = LEASE_MS / 1000;
    settings.keep_deleted_secs = KEEP_MS / 1000;
    settings.unlink_batch_secs = UNLINK_MS / 1000;
    // What ends by itself is another test's; so is the machine's disk.
    settings.upload_idle_secs = 366 * 24 * 60 * 60;
    settings.free_space_floor_bytes = 0;
    config
}

/// What an outcome is to the account.
#[track_caller]
fn answer<T: Debug>(outcome: Result<T, Error>) -> Answer {
    match outcome {
        Ok(_) => Answer::Done,
        Err(Error::BlobUnknown { .. } | Error::ManifestUnknown { .. } | Error::NotPinned { .. }) => {
            Answer::Unknown
        }
        Err(Error::NothingDeleted { .. } | Error::RepositoryUnknown(_)) => Answer::NothingDeleted,
        Err(Error::TagInUse { .. }) => Answer::TagInUse,
        Err(Error::GoneForGood { .. }) => Answer::GoneForGood,
        Err(Error::InUse { .. }) => Answer::InUse,
        Err(Error::ReferencesMissing { missing, .. }) => {
            Answer::Missing(missing.iter().map(|missing| missing.digest.to_string()).collect())
        }
        Err(error) => panic!("no answer to expect: {error}"),
    }
}

/// One of the things that are there, of manifests those first that need others; where there are few, also
/// one that is not.
fn one_of(there: &[usize], pick: usize) -> usize {
    there.get(pick).copied().unwrap_or(pick)
}

fn tag_name(tag: usize) -> String {
    format!("v{tag}")
}

fn blob_digest(number: usize) -> Digest {
    Digest::of(Algorithm::Sha256, &blob(number))
}

struct Run {
    place: Place,
    account: Account,
    /// The open uploads, with their repositories.
    sessions: Vec<(usize, SessionId)>,
    /// What happened at all.
    met: BTreeSet<&'static str>,
}

impl Run {
    fn new() -> Self {
        let account = Account::new(START_MS);
        Self { place: Place::new(START_MS, config()), account, sessions: Vec::new(), met: BTreeSet::new() }
    }

    fn act(&mut self, step: &Step) {
        match *step {
            Step::PushBlob(at, number) => self.push_blob(at, number),
            Step::Mount(at, number, from) => self.mount(at, number, from),
            Step::BeginUpload(at) => self.begin(at),
            Step::FinishUpload(pick, number) => self.finish(pick, number),
            Step::CancelUpload(pick) => self.cancel(pick),
            Step::Put(at, document, tag) => self.put(at, document, tag),
            Step::PutAgain(at, pick, tag) => {
                let kept: Vec<usize> = self.account.repositories[at].kept.keys().rev().copied().collect();
                self.put(at, one_of(&kept, pick), tag);
            }
            Step::PushWhole(at, document, tag) => self.push_whole(at, document, tag),
            Step::DeleteTag(at, tag) => {
                let parsed = Tag::parse(&tag_name(tag)).expect("a tag");
                let deleted = self.place.registry().delete_tag(
                    &name(NAMES[at]),
                    &parsed,
                    Condition::default(),
                    "deleter",
                );
                let expected = self.account.delete_tag(at, tag);
                self.agree(&answer(deleted), &expected);
            }
            Step::DeleteManifest(at, pick) => {
                let visible = self.account.repositories[at].visible.iter().rev();
                let visible: Vec<usize> = visible.copied().collect();
                self.delete_manifest(at, one_of(&visible, pick));
            }
            Step::DeleteBlob(at, pick) => {
                let leased: Vec<usize> = self.account.repositories[at].leases.keys().copied().collect();
                let number = one_of(&leased, pick);
                let (name, blob) = (name(NAMES[at]), blob_digest(number));
                let deleted = self.place.registry().delete_blob(&name, blob, "deleter");
                let expected = self.account.delete_blob(at, number);
                self.agree(&answer(deleted), &expected);
            }
            Step::Undelete(at, what) => self.undelete(at, what),
            Step::UndeleteOne(at, pick) => {
                let kept: Vec<usize> = self.account.repositories[at].kept.keys().rev().copied().collect();
                self.undelete(at, What::Document(one_of(&kept, pick)));
            }
            Step::Pin(at, pick, on) => self.pin(at, pick, on),
            Step::Collect(steps, ends_keeping) => {
                let round = Round { ends_keeping, steps };
                let collected = self.place.registry().collect(round).expect("it collects");
                self.account.collected(!collected.unfinished, ends_keeping, &self.place);
                self.met.insert(if collected.blobs > 0 { "blobs collected" } else { "no blob collected" });
                self.met.insert(if collected.unfinished { "a part" } else { "all" });
            }
            Step::CollectNow => {
                self.place.registry().collect_now().expect("it collects");
                self.account.collected(true, true, &self.place);
                self.account.unlinked();
            }
            Step::KeepHouse => self.keep_house(),
            Step::Tick(by_ms) => {
                self.place.clock.advance_ms(by_ms);
                self.account.now_ms += by_ms;
            }
            Step::Restart => {
                self.place.open();
                self.account.unlinked();
                self.account.unlinked_at_ms = self.account.now_ms;
            }
        }
    }

    /// The answer is the account's.
    #[track_caller]
    fn agree(&mut self, is: &Answer, expected: &Answer) {
        assert_eq!(is, expected);
        self.met.insert(match is {
            Answer::Done => "done",
            Answer::Unknown => "unknown",
            Answer::InUse => "in use",
            Answer::Missing(_) => "missing",
            Answer::NothingDeleted => "nothing deleted",
            Answer::TagInUse => "tag in use",
            Answer::GoneForGood => "gone for good",
        });
    }

    fn push_blob(&mut self, at: usize, number: usize) {
        self.place.push_blob(NAMES[at], &blob(number));
        self.account.lease(at, number);
    }

    fn mount(&mut self, at: usize, number: usize, from: Option<usize>) {
        let source = from.map(|from| name(NAMES[from]));
        let (name, blob) = (name(NAMES[at]), blob_digest(number));
        let mounted = self.place.registry().mount_blob(&name, blob, source.as_ref(), "mounter");
        let mounted = mounted.expect("a mount is answered");
        assert_eq!(mounted, self.account.mount(at, number, from));
        self.met.insert(if mounted { "mounted" } else { "not mounted" });
    }

    fn begin(&mut self, at: usize) {
        let registry = self.place.registry();
        let upload =
            registry.start_upload(&name(NAMES[at]), Algorithm::Sha256, 0, "pusher").expect("it begins");
        let session = registry.leave_upload(upload).expect("it is left").session;
        self.sessions.push((at, session));
        self.account.repositories[at].uploads += 1;
    }

    fn end(&mut self, pick: usize) -> Option<(usize, SessionId)> {
        if self.sessions.is_empty() {
            return None;
        }
        let (at, session) = self.sessions.swap_remove(pick % self.sessions.len());
        self.account.repositories[at].uploads -= 1;
        Some((at, session))
    }

    fn finish(&mut self, pick: usize, number: usize) {
        let Some((at, session)) = self.end(pick) else { return };
        let registry = self.place.registry();
        let mut upload = registry.resume_upload(&name(NAMES[at]), session, None).expect("it goes on");
        registry.append(&mut upload, &blob(number)).expect("bytes are taken");
        registry.finish_upload(upload, blob_digest(number), "pusher").expect("it ends");
        self.account.lease(at, number);
    }

    fn cancel(&mut self, pick: usize) {
        let Some((at, session)) = self.end(pick) else { return };
        self.place.registry().cancel_upload(&name(NAMES[at]), session, "pusher").expect("it is cancelled");
    }

    fn put(&mut self, at: usize, document: usize, tag: Option<usize>) {
        let by = tag.map(tag_name);
        let put = self.place.put(NAMES[at], self.account.documents.manifest(document), by.as_deref());
        let expected = self.account.put(at, document, tag);
        self.agree(&answer(put), &expected);
    }

    fn push_whole(&mut self, at: usize, document: usize, tag: Option<usize>) {
        for child in self.account.documents.children_of(document).to_vec() {
            self.push_whole(at, child, None);
        }
        for number in self.account.documents.blobs_of(document).to_vec() {
            self.push_blob(at, number);
        }
        self.put(at, document, tag);
        assert!(self.account.repositories[at].visible.contains(&document), "nothing was missing");
    }

    fn delete_manifest(&mut self, at: usize, document: usize) {
        let it = digest(&self.account.documents.manifest(document).digest);
        let deleted =
            self.place.registry().delete_manifest(&name(NAMES[at]), it, Condition::default(), "deleter");
        let before = self.account.repositories[at].visible.len();
        let expected = self.account.delete_manifest(at, document);
        if let Ok(deleted) = &deleted {
            let gone = before - self.account.repositories[at].visible.len();
            assert_eq!(deleted.manifests, gone as u64, "how many went with {document}");
            self.met.insert(if gone > 1 { "went together" } else { "went alone" });
        }
        self.agree(&answer(deleted), &expected);
    }

    fn undelete(&mut self, at: usize, what: What) {
        let reference = match what {
            What::All => None,
            What::Document(document) => {
                let it = &self.account.documents.manifest(document).digest;
                Some(Reference::Digest(digest(it)))
            }
            What::Tag(tag) => Some(Reference::Tag(Tag::parse(&tag_name(tag)).expect("a tag"))),
        };
        let restored = self.place.registry().undelete(&name(NAMES[at]), reference.as_ref(), "undeleter");
        let before = self.account.repositories[at].visible.len();
        let expected = self.account.undelete(at, what, &self.place);
        if let Ok(restored) = &restored {
            let came = self.account.repositories[at].visible.len() - before;
            assert_eq!(restored.manifests, came as u64, "how many came back with {what:?}");
            self.met.insert(if came > 1 { "came back together" } else { "came back alone" });
        }
        self.agree(&answer(restored), &expected);
    }

    fn pin(&mut self, at: usize, pick: usize, on: bool) {
        let kept: Vec<usize> = self.account.repositories[at].kept.keys().rev().copied().collect();
        let document = one_of(&kept, pick);
        let it = Reference::Digest(digest(&self.account.documents.manifest(document).digest));
        let (registry, name) = (self.place.registry(), name(NAMES[at]));
        if on {
            let pinned = registry.pin(&name, &it, "pinner");
            let expected = self.account.pin(at, document);
            self.agree(&answer(pinned), &expected);
        } else {
            let unpinned = registry.unpin(&name, &it, "unpinner");
            let expected = self.account.unpin(at, document);
            self.agree(&answer(unpinned), &expected);
        }
    }

    fn keep_house(&mut self) {
        self.place.registry().keep_house().expect("it keeps house");
        if self.account.now_ms - self.account.unlinked_at_ms >= UNLINK_MS {
            self.account.unlinked();
            self.account.unlinked_at_ms = self.account.now_ms;
        }
        self.account.collected(true, false, &self.place);
    }

    /// Asks everything that can be asked.
    fn compare(&self) {
        let (registry, account) = (self.place.registry(), &self.account);
        let mut catalog = Vec::new();
        for (at, repository) in account.repositories.iter().enumerate() {
            let name = name(NAMES[at]);
            for number in 0..BLOBS {
                let it = blob_digest(number);
                let (head, get) = (registry.stat_blob(&name, it).is_ok(), registry.open_blob(&name, it));
                let expected = (account.may_count_on(at, number), account.can_be_read(at, number));
                assert_eq!((head, get.is_ok()), expected, "HEAD and GET of blob {number} in {name}");
            }
            for document in 0..DOCUMENTS {
                let manifest = account.documents.manifest(document);
                let found = registry.manifest(&name, &Reference::Digest(digest(&manifest.digest)));
                let bytes = found.ok().map(|found| found.bytes);
                let expected = repository.visible.contains(&document).then(|| manifest.bytes.clone());
                assert_eq!(bytes, expected, "document {document} in {name}");
                self.compare_referrers(at, document);
            }
            let listed = registry.tags(&name, None, 100).map(|page| page.entries).unwrap_or_default();
            let expected: Vec<String> = repository.tags.keys().map(|tag| tag_name(*tag)).collect();
            assert_eq!(
                listed.iter().map(ToString::to_string).collect::<Vec<_>>(),
                expected,
                "tags of {name}"
            );
            for (tag, &document) in listed.into_iter().zip(repository.tags.values()) {
                let found = registry.stat_manifest(&name, &Reference::Tag(tag)).expect("it is listed");
                assert_eq!(found.digest.to_string(), account.documents.manifest(document).digest);
            }
            if !repository.visible.is_empty() {
                catalog.push(name);
            }
        }
        catalog.sort_by_key(ToString::to_string);
        assert_eq!(registry.catalog(None, 100).expect("the catalog").entries, catalog);
        for (at, session) in &self.sessions {
            registry.upload_status(&name(NAMES[*at]), *session).expect("it is open");
        }
    }

    fn compare_referrers(&self, at: usize, subject: usize) {
        let documents = &self.account.documents;
        let it = digest(&documents.manifest(subject).digest);
        let page = self.place.registry().referrers(&name(NAMES[at]), it, None, None).expect("a list");
        let listed: BTreeSet<String> = page
            .descriptors
            .iter()
            .map(|text| serde_json::from_str::<serde_json::Value>(text).expect("JSON")["digest"].to_string())
            .collect();
        let visible = self.account.repositories[at].visible.iter();
        let referrers = visible.filter(|&&document| documents.subject_of(document) == Some(subject));
        let expected = referrers.map(|&document| format!("{:?}", documents.manifest(document).digest));
        assert_eq!(listed, expected.collect(), "referrers of {subject} in {}", NAMES[at]);
    }

    fn compare_kept(&self) {
        for (at, repository) in self.account.repositories.iter().enumerate() {
            for document in 0..DOCUMENTS {
                let expected = repository.kept.get(&document).map(|kept| kept.due_ms);
                assert_eq!(self.place.kept_end_ms(at, document), expected, "the end of {document} in {at}");
            }
        }
    }

    fn verify(&self) {
        self.compare_kept();
        self.place.assert_in_order();
        assert_eq!(self.place.stored(), self.account.files(), "the files are what lives and what waits");
        assert_eq!(self.place.staged(), self.sessions.len(), "a file for each open upload");
    }
}

/// What the registry says of its own rows. The account judges it.
impl Seen for Place {
    fn kept_end_ms(&self, repository: usize, document: usize) -> Option<u64> {
        let it = digest(&Documents::all().manifest(document).digest);
        let found = self.registry().explain(it).expect("an explanation");
        found.deleted_in.iter().find(|kept| kept.repository == NAMES[repository]).map(|kept| kept.due_at_ms)
    }

    fn named(&self, repository: usize, tag: usize) -> Option<usize> {
        let reference = Reference::Tag(Tag::parse(&tag_name(tag)).expect("a tag"));
        let found = self.registry().stat_manifest(&name(NAMES[repository]), &reference).ok()?;
        let is_it =
            |document: &usize| Documents::all().manifest(*document).digest == found.digest.to_string();
        (0..DOCUMENTS).find(is_it)
    }

    fn lease_end_ms(&self, repository: usize, blob: usize) -> Option<u64> {
        let found = self.registry().explain(blob_digest(blob)).expect("an explanation");
        found.leases.iter().find(|lease| lease.repository == NAMES[repository]).map(|lease| lease.ends_at_ms)
    }

    fn is_stored(&self, blob: usize) -> bool {
        self.registry().explain(blob_digest(blob)).expect("an explanation").blob_bytes.is_some()
    }
}

/// Runs a sequence and says what happened in it.
fn play(steps: &[Step]) -> BTreeSet<&'static str> {
    let mut run = Run::new();
    for (number, step) in steps.iter().enumerate() {
        run.act(step);
        run.compare();
        if number % VERIFY_EVERY == 0 {
            run.verify();
        }
    }
    run.verify();
    // With time everything goes that nobody needs, and nothing else.
    for step in [Step::Tick(KEEP_MS.max(LEASE_MS)), Step::CollectNow] {
        run.act(&step);
        run.compare();
    }
    run.verify();
    run.met.append(&mut run.account.met);
    run.met
}

/// A runner whose cases follow from a seed, others in each round.
pub fn runner(seed: u64, round: u8, cases: u32) -> TestRunner {
    let given = std::env::var("WHARFINGER_MODEL_CASES");
    let cases = given.map_or(cases, |given| given.parse().expect("WHARFINGER_MODEL_CASES is a whole number"));
    let config =
        RunConfig { cases, failure_persistence: None, max_shrink_iters: 400, ..RunConfig::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = round;
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// What random sequences seldom do in a short run.
#[test]
fn a_pinned_index_holds_what_it_lists() {
    let all = Step::Collect(u64::MAX, false);
    let steps = [
        Step::PushWhole(0, 4, Some(0)),
        Step::DeleteManifest(0, 0),
        Step::Pin(0, 0, true),
        Step::Tick(KEEP_MS),
        all.clone(),
        Step::Pin(0, 0, false),
        Step::Tick(KEEP_MS),
        Step::Undelete(0, What::Tag(0)),
        Step::DeleteManifest(0, 0),
        Step::Tick(KEEP_MS),
        all,
    ];
    let met = play(&steps);
    for what in ["went together", "held by a pin", "put off", "came back together"] {
        assert!(met.contains(what), "{what}: {met:?}");
    }
}

#[test]
fn one_of_two_that_had_a_tag_has_it_again() {
    let steps = [
        Step::PushWhole(0, 4, Some(0)),
        Step::Put(0, 1, Some(1)),
        Step::DeleteManifest(0, 0),
        Step::Put(0, 1, Some(0)),
        Step::DeleteManifest(0, 0),
        Step::Undelete(0, What::Document(4)),
    ];
    assert!(play(&steps).contains("two had a tag"));
}

#[test]
fn what_an_index_lists_comes_back_with_it() {
    let steps = [Step::PushWhole(0, 4, Some(0)), Step::DeleteManifest(0, 0), Step::Put(0, 4, Some(0))];
    assert!(play(&steps).contains("came back for a push"));
}

#[test]
fn every_answer_is_the_accounts() {
    let seed = random::seed("every_answer_is_the_accounts");
    let steps = prop::collection::vec(any_step(), 1..=STEPS);
    let met = RefCell::new(BTreeSet::new());
    let lacking = || {
        let met = met.borrow();
        OFTEN_MET.into_iter().filter(|what| !met.contains(*what)).collect::<Vec<&str>>()
    };
    // What never happens shows nothing; by chance it does not happen in the first of these.
    for round in 0..ROUNDS_MAX {
        let outcome = runner(seed, round, CASES).run(&steps, |steps| {
            met.borrow_mut().append(&mut play(&steps));
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
        if lacking().is_empty() {
            break;
        }
    }
    let lacking = lacking();
    assert!(lacking.is_empty(), "{lacking:?} never happened");
    println!("model met: {met:?}");
}
