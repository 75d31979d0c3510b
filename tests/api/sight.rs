//! What a caller sees is what a registry shows that holds only what the caller may read: the same statuses,
//! headers and bodies, whatever else there is.
//!
//! Each case makes a random registry and random rules, and beside it a second registry to which only those
//! things were pushed that the caller may read. `WHARFINGER_SEED` has the cases of a run again,
//! `WHARFINGER_SIGHT_CASES` makes it longer.

mod looking;
mod scene;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::support::random;
use looking::look;
use scene::{Case, Place, any_case};

const CASES: u32 = 12;

/// Each is two servers.
const SHRINKS_MAX: u32 = 12;

fn runner(seed: u64) -> TestRunner {
    let cases = std::env::var("WHARFINGER_SIGHT_CASES").ok();
    let cases = cases.map_or(CASES, |cases| cases.parse().expect("WHARFINGER_SIGHT_CASES is a number"));
    let config =
        Config { cases, max_shrink_iters: SHRINKS_MAX, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The first question that the two registries answer otherwise.
fn difference(case: &Case) -> Option<String> {
    let whole = Place::start(case, |_| true);
    let seen = Place::start(case, |repository| case.may_read(repository));
    let (whole, seen) = (look(&whole, case), look(&seen, case));
    assert!(whole.len() > 100, "questions were asked: {}", whole.len());
    let pairs = whole.into_iter().zip(seen);
    let mut unlike = pairs.filter(|(whole, seen)| whole != seen);
    unlike
        .next()
        .map(|(whole, seen)| format!("with all there is:\n{whole:#?}\nwith what may be read:\n{seen:#?}"))
}

#[test]
fn a_caller_sees_a_registry_of_what_it_may_read() {
    let seed = random::seed("a_caller_sees_a_registry_of_what_it_may_read");
    let outcome = runner(seed).run(&any_case(), |case| match difference(&case) {
        None => Ok(()),
        Some(words) => Err(TestCaseError::fail(words)),
    });
    if let Err(failure) = outcome {
        panic!("WHARFINGER_SEED={seed}: {failure}");
    }
}

/// The oracle is written by hand, so it is held to some decisions that anybody can check.
#[test]
fn what_may_be_read_is_what_the_rules_say() {
    for (rules, caller, readable) in scene::EXAMPLES {
        let case = Case::of(rules, caller);
        let names = scene::REPOSITORIES.iter().map(|(name, _)| *name);
        let found: Vec<_> = names.filter(|name| case.may_read(name)).collect();
        assert_eq!(found, readable, "{rules:?} for {caller:?}");
    }
}
