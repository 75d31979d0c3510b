//! Whether a caller may do something, by so many rules that name all users; the last one in their order
//! decides, so that each is looked at.

use divan::{Bencher, black_box};
use std::fmt::Write as _;
use std::fs;
use wharfinger::auth::{Action, Policy, Principal};
use wharfinger::config::Inputs;

const RULES: [usize; 4] = [1, 10, 100, 1000];

/// A policy of `count` rules: one for everything, and others of more specific patterns.
fn policy(count: usize) -> Policy {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut text = "[[access]]\nwho = [\"users\"]\nrepos = [\"**\"]\ncan = [\"pull\"]\n".to_owned();
    for number in 1..count {
        let repos = format!("team{number}/**");
        writeln!(text, "[[access]]\nwho = [\"users\"]\nrepos = [\"{repos}\"]\ncan = [\"pull\", \"push\"]")
            .expect("a string takes all");
    }
    let file = home.path().join("wharfinger.toml");
    fs::write(&file, text).expect("written");
    let config = Inputs { file: Some(file), ..Inputs::default() }.load().expect("a configuration");
    Policy::of(&config).expect("rules")
}

#[divan::bench(args = RULES)]
fn decide(bencher: Bencher, rules: usize) {
    let (policy, caller) = (policy(rules), Principal::User("ann".to_owned()));
    assert!(policy.allows(&caller, Action::Pull, "other/app"));
    bencher.bench_local(|| policy.allows(black_box(&caller), Action::Pull, black_box("other/app")));
}

#[divan::bench(args = RULES)]
fn what_is_seen(bencher: Bencher, rules: usize) {
    let (policy, caller) = (policy(rules), Principal::User("ann".to_owned()));
    bencher.bench_local(|| policy.may_see(black_box(&caller)));
}
