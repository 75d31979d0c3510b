//! Chance that can be had again: a seed that is printed, and numbers that follow from it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this run: `WHARFINGER_SEED`, or the time. It is printed, and shown when a test fails.
pub fn seed(test: &str) -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos();
    let seed = match std::env::var("WHARFINGER_SEED") {
        Ok(given) => given.parse().expect("WHARFINGER_SEED is a whole number"),
        Err(_) => u64::try_from(now() & u128::from(u32::MAX)).expect("32 bits"),
    };
    println!("{test}: WHARFINGER_SEED={seed}");
    seed
}

/// A stream of numbers that depends on nothing but its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x6a09_e667_f3bc_c908)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("64 bits");
        usize::try_from(self.draw() % end).expect("below a usize")
    }

    /// True once in `times`, on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
