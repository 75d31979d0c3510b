//! How often the server asks the heap for memory, and for how many bytes.

use super::counted::{Counted, served};
use super::path::{Path, ROUND_ACTS, ROUNDS, Scene, WARM_ACTS, an_act};
use super::table::judge;
use crate::support::skip::say;

const TEST: &str = "allocations::what_a_request_allocates_is_bounded";

#[test]
fn what_a_request_allocates_is_bounded() {
    if served() {
        return;
    }
    let mut server = Counted::start(TEST);
    let mut scene = Scene::fill(server.address);
    let (mut allocations, mut bytes) = (Vec::new(), Vec::new());
    for path in Path::ALL {
        (0..WARM_ACTS).for_each(|_| scene.act(path));
        let rounds = (0..ROUNDS).map(|_| {
            let before = server.heap();
            (0..ROUND_ACTS).for_each(|_| scene.act(path));
            let after = server.heap();
            (after.allocations - before.allocations, after.bytes - before.bytes)
        });
        let rounds: Vec<_> = rounds.collect();
        let least = |counts: &mut dyn Iterator<Item = u64>| an_act(counts.min().expect("there are rounds"));
        allocations.push((path, least(&mut rounds.iter().map(|round| round.0))));
        bytes.push((path, least(&mut rounds.iter().map(|round| round.1))));
    }
    server.stop();
    for (&(path, count), &(_, bytes)) in allocations.iter().zip(&bytes) {
        say(&format!("{}: {count} allocations of {bytes} bytes", path.name()));
    }
    let wrong = judge("allocations", |cost| cost.allocations, &allocations)
        + &judge("bytes allocated", |cost| cost.allocated_bytes, &bytes);
    assert!(wrong.is_empty(), "\n{wrong}");
}
