//! A real server under everything at once: clients that push images with shared layers, delete, mount and
//! pull, while the collector runs without a pause. For `WHARFINGER_SOAK_SECS` seconds.

mod actors;
mod living;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use actors::{Actor, Part};
use living::Living;
use support::skip::say;
use support::{Server, files, random, wait};

const SECS: u64 = 30;
const PUSHERS: u64 = 8;
const DELETERS: u64 = 2;
const READERS: u64 = 3;

/// The part of the time for which the collector pauses, to compare with: one in so many. Deleted bytes stay
/// meanwhile, so it is not long.
const PAUSED_PART: u64 = 4;
const PAUSED_SECS_MAX: u64 = 60;

/// What is shared by all who take part.
struct Soak {
    living: Living,
    stop: AtomicBool,
    pushes: AtomicU64,
    /// Manifests whose blobs were deleted between the client's question and its push.
    refused: AtomicU64,
    uploads: AtomicU64,
    mounts: AtomicU64,
    deletes: AtomicU64,
    /// Blobs that `gc --now` dropped; the server itself drops more.
    collected: AtomicU64,
    pulls: Mutex<Vec<Duration>>,
}

impl Soak {
    fn new() -> Self {
        Self {
            living: Living::default(),
            stop: AtomicBool::new(false),
            pushes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            uploads: AtomicU64::new(0),
            mounts: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
            collected: AtomicU64::new(0),
            pulls: Mutex::new(Vec::new()),
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
    }

    fn figures(&self) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pulls.sort_unstable();
        let part = |percent: usize| pulls.get(pulls.len() * percent / 100).copied().unwrap_or_default();
        format!(
            "{} pushes ({} refused first), {} uploads, {} mounts, {} deletes, {} pulls; \
             {} blobs by gc --now; a pull took {:.1?} (p50), {:.1?} (p99)",
            read(&self.pushes),
            read(&self.refused),
            read(&self.uploads),
            read(&self.mounts),
            read(&self.deletes),
            pulls.len(),
            read(&self.collected),
            part(50),
            part(99),
        )
    }
}

/// Ends all when one has failed, so that its failure is seen at once.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

fn secs() -> u64 {
    let given = std::env::var("WHARFINGER_SOAK_SECS");
    given.map_or(SECS, |given| given.parse().expect("WHARFINGER_SOAK_SECS is a whole number"))
}

fn server(gc_steps_per_sec: &str) -> Server {
    Server::builder()
        .env("WHARFINGER_KEEP_DELETED_SECS", "0")
        .env("WHARFINGER_BLOB_LEASE_SECS", "3")
        .env("WHARFINGER_UNLINK_BATCH_SECS", "0")
        .env("WHARFINGER_HOUSEKEEPING_SECS", "1")
        .env("WHARFINGER_GC_STEPS_PER_SEC", gc_steps_per_sec)
        .start()
}

/// Lets all of them at one server for some time.
fn run(server: &Server, seed: u64, secs: u64, collects: bool) -> Soak {
    let soak = Soak::new();
    let end = Instant::now() + Duration::from_secs(secs);
    thread::scope(|scope| {
        let begin = |number: u64, part: Part| {
            let soak = &soak;
            scope.spawn(move || {
                let _ends = Ends(&soak.stop);
                let mut actor = Actor::new(soak, server, seed, number);
                while soak.goes_on() {
                    actor.act(part);
                }
            });
        };
        (0..PUSHERS).for_each(|number| begin(number, Part::Push));
        (100..100 + DELETERS).for_each(|number| begin(number, Part::Delete));
        (200..200 + READERS).for_each(|number| begin(number, Part::Read));
        if collects {
            begin(300, Part::Collect);
        }
        while soak.goes_on() {
            if Instant::now() >= end {
                soak.stop.store(true, Ordering::SeqCst);
            }
            wait::briefly();
        }
    });
    soak
}

/// The digests of the files in blobs/, each as often as it has a file.
fn stored(server: &Server) -> Vec<String> {
    let paths = files::files_under(&server.data().join("blobs"));
    let hex = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let name = |path: &std::path::PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut stored: Vec<String> = paths.iter().map(|path| format!("sha256:{}", hex(&name(path)))).collect();
    stored.sort();
    stored
}

#[test]
fn nothing_is_lost_while_all_is_collected() {
    let test = "nothing_is_lost_while_all_is_collected";
    let (seed, secs) = (random::seed(test), secs());
    let paused_secs = (secs / PAUSED_PART).clamp(1, PAUSED_SECS_MAX);
    let paused = run(&server("0"), seed, paused_secs, false);
    say(&format!("soak: {paused_secs} s while the collector pauses: {}", paused.figures()));
    assert!(paused.deletes.load(Ordering::SeqCst) > 0, "it is the same load");

    let server = server("100000");
    let soak = run(&server, seed, secs.saturating_sub(paused_secs), true);
    say(&format!("soak: {} s while it collects: {}", secs - paused_secs, soak.figures()));
    for counter in [&soak.pushes, &soak.mounts, &soak.deletes, &soak.collected] {
        assert!(counter.load(Ordering::SeqCst) > 0, "everything happened: {}", soak.figures());
    }
    // When the last lease has ended there is a file for each blob of a living image, and no other.
    let living: BTreeSet<String> = soak.living.blobs();
    let expected: Vec<String> = living.into_iter().collect();
    wait::until_true("the files to be those of the living images", || stored(&server) == expected);
    let client = server.client();
    for image in soak.living.all() {
        image.manifest.assert_pullable(&client, &image.repository, &image.tag);
    }
}
