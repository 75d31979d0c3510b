//! What holds for every parser whatever bytes it is given, tried on random bytes and on valid input with a
//! few bytes changed.
//!
//! Each property is a function of bytes in a file of its own, and the fuzzer (fuzz/) runs the same functions.
//! A failure prints the seed, with which it comes again: `WHARFINGER_SEED=<seed> cargo test --test
//! properties`.

mod changes;
mod content_range;
mod descriptor;
mod digest;
mod identity;
mod journal;
mod key;
mod manifest;
mod name;
mod query;
mod range;
mod record;
mod route;
mod session;
mod setting;
mod snapshot;
mod tag;

#[expect(dead_code, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/random.rs"]
mod random;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Inputs for each property.
const CASES: u32 = 1500;

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    /// The bytes between two places once more.
    Repeat(Index, Index),
    Truncate(Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), *byte),
            _ if bytes.is_empty() => {}
            Self::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(from.min(to)..from.min(to), piece);
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// Any byte, and more often those that mean something to some parser.
fn byte() -> impl Strategy<Value = u8> {
    let special = b"\0\x01\x7f\xff \t\r\n/%.:-_+=&,;\"'[]{}0179azAZfF".to_vec();
    prop_oneof![prop::sample::select(special), any::<u8>()]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        3 => (any::<Index>(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => any::<Index>().prop_map(Edit::Remove),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        1 => any::<Index>().prop_map(Edit::Truncate),
    ]
}

/// A sample with up to four changes; now and then bytes that have nothing to do with any.
fn near(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec(edit(), 0..=4);
    let changed = (prop::sample::select(samples), edits).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![4 => changed, 1 => prop::collection::vec(byte(), 0..100)]
}

/// Runs a property on its samples and on what is near them.
fn hold(name: &str, samples: Vec<Vec<u8>>, check: fn(&[u8])) {
    assert!(!samples.is_empty());
    for sample in &samples {
        check(sample);
    }
    let seed = random::seed(name);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    // The seed is what a failure is had again by: no files of regressions are written.
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&near(samples), |bytes| {
        check(&bytes);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, least)) => {
            panic!("{name}, WHARFINGER_SEED={seed}: {reason}, of \"{}\"", least.escape_ascii())
        }
        Err(TestError::Abort(reason)) => panic!("{name}, WHARFINGER_SEED={seed}: gave up: {reason}"),
    }
}

macro_rules! properties {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            hold(stringify!($name), $name::samples(), $name::check);
        })+
    };
}

properties! {
    changes content_range descriptor digest identity journal key manifest name query range record route
    session setting snapshot tag
}

/// No chance finds a checksum, so the fuzzer begins with these.
#[test]
fn the_seeds_of_the_fuzzer_are_whole_files() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let wanted = [
        ("identity", identity::samples()),
        ("journal", journal::samples()),
        ("snapshot", snapshot::samples()),
    ];
    for (name, samples) in wanted {
        let seed = fs::read(seeds.join(name).join("whole")).expect(name);
        assert!(seed == samples[0], "fuzz/seeds/{name}/whole is not what is written now");
    }
}

#[test]
fn a_property_that_does_not_hold_is_found() {
    let failed = std::panic::catch_unwind(|| {
        hold("no z", vec![b"aaaa".to_vec()], |bytes| assert!(!bytes.contains(&b'z')));
    });
    let words = failed.expect_err("a z comes along");
    let words = words.downcast_ref::<String>().expect("words");
    let (seed, least) = words.rsplit_once("of \"").expect("the least input that fails");
    assert!(seed.contains("WHARFINGER_SEED=") && least.contains('z') && least.len() < 10, "{words}");
}
