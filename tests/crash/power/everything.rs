//! Power cuts under the whole registry, ledger and files: whatever becomes of what was not synced, it opens,
//! holds all that was acknowledged, and breaks no invariant.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use wharfinger::config::Config;
use wharfinger::registry::{Checks, ManualClock, Recovery, Registry};
use wharfinger::store::{DataDir, Store, StoreOptions};

use super::fault_disk::{FaultDisk, Sync};
use super::pusher::Pusher;
use crate::random::{self, Random};

/// How many registries go through power cuts; `WHARFINGER_POWER_SEEDS` says another number.
const SEEDS: usize = 40;

/// Cuts on each of their disks.
const CUTS: usize = 12;

/// The latest operation at which the power fails: some dozens of acts. Some cuts come much earlier, so that
/// they hit the recovery from the cut before.
const CUT_AT_MAX: usize = 1500;
const EARLY_CUT_AT_MAX: usize = 40;

/// Operations of a first start: mostly the directories that it makes.
const FIRST_START_OPERATIONS: usize = 600;

/// Acts after which the power fails in any case: on a disk that lies nothing else need end them.
const ACTS_MAX: usize = 60;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn seeds() -> usize {
    let given = std::env::var("WHARFINGER_POWER_SEEDS");
    given.map_or(SEEDS, |given| given.parse().expect("WHARFINGER_POWER_SEEDS is a whole number"))
}

/// What the starts met with.
#[derive(Debug, Default)]
struct Tally {
    /// Cuts before the registry was open.
    cut_starts: usize,
    tombstones: usize,
    finished: usize,
    taken_back: usize,
    debris: usize,
    open_sessions: usize,
}

impl Tally {
    fn count(&mut self, found: &Recovery) {
        self.tombstones += found.tombstones;
        self.finished += found.finished;
        self.taken_back += found.taken_back;
        self.debris += found.debris;
        self.open_sessions += found.open_sessions;
    }

    fn add(&mut self, other: &Self) {
        self.cut_starts += other.cut_starts;
        self.tombstones += other.tombstones;
        self.finished += other.finished;
        self.taken_back += other.taken_back;
        self.debris += other.debris;
        self.open_sessions += other.open_sessions;
    }
}

/// A registry whose power fails again and again.
struct House {
    disk: FaultDisk,
    clock: Arc<ManualClock>,
    random: Random,
    pushers: Vec<Pusher>,
    tally: Tally,
}

impl House {
    fn new(seed: u64, pushers: usize) -> Self {
        let mut random = Random::new(seed);
        let pushers = (0..pushers).map(|number| Pusher::new(number, &mut random)).collect();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        Self { disk: FaultDisk::new(), clock, random, pushers, tally: Tally::default() }
    }

    fn store(&self, disk: &FaultDisk) -> Result<Registry, String> {
        let dir = DataDir::open_on(Arc::new(disk.clone()), Path::new("/data"));
        // There is no process to end: whoever asks for more is refused.
        let options = StoreOptions { ledger: super::options(), on_failure: Arc::new(|_| {}) };
        let store = Store::open(dir.map_err(|error| error.to_string())?, options);
        let mut config = Config::default();
        // Nobody says how much room there is.
        config.settings.free_space_floor_bytes = 0;
        let clock = Arc::clone(&self.clock);
        Ok(Registry::new(store.map_err(|error| error.to_string())?, clock, config))
    }

    /// Opens the registry and lets all pushers act, until the power fails.
    fn live(&mut self, cut_in: usize) {
        self.disk.cut_in(cut_in);
        let opened = self.store(&self.disk).and_then(|registry| {
            registry.recover().map_err(|error| error.to_string())?;
            Ok(registry)
        });
        let disk = &self.disk;
        match opened {
            Ok(registry) => thread::scope(|scope| {
                for pusher in &mut self.pushers {
                    scope.spawn(|| act(pusher, &registry, disk));
                }
            }),
            Err(error) => {
                assert!(disk.is_cut(), "refused while there was power: {error}");
                self.tally.cut_starts += 1;
            }
        }
        disk.cut();
    }

    /// The power is back, on what is left of the disk.
    fn restore_power(&mut self) {
        self.disk = self.disk.after_the_cut(&mut self.random);
    }

    /// Opens what a cut left and compares it with what is known. It is a copy that is opened: the disk stays
    /// as the cut left it, for a recovery that is cut off, too.
    fn check(&mut self) -> Result<(), String> {
        let registry = self.store(&self.disk.copy())?;
        expect_in_order(&registry, "as the cut left it")?;
        let found = registry.recover().map_err(|error| format!("the start: {error}"))?;
        self.tally.count(&found);
        expect_in_order(&registry, "after the start")?;
        registry.collect_now().map_err(|error| format!("collecting: {error}"))?;
        expect_in_order(&registry, "after collecting")?;
        self.pushers.iter_mut().try_for_each(|pusher| pusher.settle(&registry))
    }

    /// A cut anywhere, often while the registry starts.
    fn cut_in(&mut self) -> usize {
        let max = if self.random.one_in(3) { EARLY_CUT_AT_MAX } else { CUT_AT_MAX };
        1 + self.random.below(max)
    }

    fn survive(&mut self, cuts: usize) -> Result<(), String> {
        for cut in 1..=cuts {
            let cut_in = self.cut_in();
            self.live(cut_in);
            self.restore_power();
            self.check().map_err(|loss| format!("cut {cut}, in operation {cut_in}: {loss}"))?;
            if self.random.one_in(5) {
                // Leases and open uploads end, and with them much becomes garbage.
                self.clock.advance_ms(2 * DAY_MS);
                self.pushers.iter_mut().for_each(Pusher::forget_what_ends);
            }
        }
        Ok(())
    }
}

fn act(pusher: &mut Pusher, registry: &Registry, disk: &FaultDisk) {
    for _ in 0..ACTS_MAX {
        if let Err(error) = pusher.act(registry) {
            assert!(disk.is_cut(), "an act was refused while there was power: {error}");
            return;
        }
    }
}

fn expect_in_order(registry: &Registry, when: &str) -> Result<(), String> {
    let checks = Checks { deep: true, settle: false };
    let report = registry.verify_with(checks, &mut |_| std::ops::ControlFlow::Continue(()));
    let found = report.map_err(|error| format!("{when}: {error}"))?.violations;
    if found.is_empty() { Ok(()) } else { Err(format!("{when}: {found:?}")) }
}

/// The registry draws its ids itself, so a seed says what is done and where it is cut off, and the names of
/// files and what is torn differ from run to run.
#[test]
fn a_registry_survives_power_cuts() {
    let first = random::seed("a_registry_survives_power_cuts");
    let (mut tally, mut acts, mut manifests, mut unanswered) = (Tally::default(), 0, 0, (0, 0));
    for round in 0..seeds() {
        let seed = first + round as u64;
        let mut house = House::new(seed, 1 + usize::try_from(seed % 4).expect("small"));
        if let Err(loss) = house.survive(CUTS) {
            panic!("WHARFINGER_SEED={seed}, {} pushers: {loss}", house.pushers.len());
        }
        tally.add(&house.tally);
        for pusher in &house.pushers {
            acts += pusher.acts;
            manifests += pusher.manifests();
            unanswered.0 += pusher.unanswered.0;
            unanswered.1 += pusher.unanswered.1;
        }
    }
    println!("{acts} acts, {manifests} manifests at the end, {tally:?}");
    println!("unanswered acts: {} happened, {} not", unanswered.0, unanswered.1);
    assert!(manifests > 0 && tally.cut_starts > 0, "something was pushed, and some starts were cut off");
    if seeds() >= SEEDS {
        let Tally { tombstones, finished, taken_back, debris, open_sessions, .. } = tally;
        let met = [tombstones, finished, taken_back, debris, open_sessions];
        assert!(met.iter().all(|count| *count > 0), "no cut left what a start is for: {met:?}");
    }
}

/// A first start is cut off anywhere, and so is the one after it: the next finds its way.
#[test]
fn a_first_start_survives_power_cuts() {
    let seed = random::seed("a_first_start_survives_power_cuts");
    let mut house = House::new(seed, 1);
    for _ in 0..20 {
        house.disk = FaultDisk::new();
        for max in [FIRST_START_OPERATIONS, FIRST_START_OPERATIONS, EARLY_CUT_AT_MAX] {
            let cut_in = 1 + house.random.below(max);
            house.disk.cut_in(cut_in);
            let opened = house.store(&house.disk);
            assert!(opened.is_ok() || house.disk.is_cut(), "{:?} of seed {seed}", opened.err());
            drop(opened);
            house.disk.cut();
            house.restore_power();
        }
        house.check().unwrap_or_else(|loss| panic!("seed {seed}: {loss}"));
    }
}

/// The check itself: on a disk whose syncs do nothing, it must find losses.
#[test]
fn a_registry_on_a_disk_that_lies_is_found_out() {
    const LIVES: usize = 12;
    let seed = random::seed("a_registry_on_a_disk_that_lies_is_found_out");
    let mut found = 0;
    for life in 0..LIVES {
        let mut house = House::new(seed + life as u64, 1);
        house.live(FIRST_START_OPERATIONS + CUT_AT_MAX);
        house.restore_power();
        house.check().unwrap_or_else(|loss| panic!("seed {seed}, before the disk lies: {loss}"));
        house.disk.set_sync(Sync::Lying);
        house.live(CUT_AT_MAX);
        house.restore_power();
        // redb need not know what to make of what such a disk has.
        let checked = catch_unwind(AssertUnwindSafe(|| house.check()));
        found += usize::from(!matches!(checked, Ok(Ok(()))));
    }
    println!("a_registry_on_a_disk_that_lies_is_found_out: {found} of {LIVES} cuts lost something");
    assert!(found >= LIVES / 2, "only {found} of {LIVES} losses were found");
}
