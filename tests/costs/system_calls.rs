//! How many system calls the program makes for a request, and how many bytes they move.

use super::path::{Path, ROUND_ACTS, ROUNDS, RULES, SETTINGS, Scene, WARM_ACTS, an_act};
use super::strace::{self, Calls, Strace};
use super::table::judge;
use crate::support::accounts;
use crate::support::skip::say;

const TEST: &str = "system_calls::what_a_request_asks_of_the_kernel_is_bounded";

/// What is counted of a round. In how many pieces a long body passes a socket is the other end's doing, too.
fn count(path: Path, calls: &Calls) -> u64 {
    if path.has_long_body() { calls.count() - calls.on_sockets } else { calls.count() }
}

#[test]
fn what_a_request_asks_of_the_kernel_is_bounded() {
    if !strace::is_there(TEST) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let builder = accounts::builder_with(folder.path(), RULES);
    let server = SETTINGS.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start();
    let mut scene = Scene::fill(server.addr());
    let (mut counts, mut moved) = (Vec::new(), Vec::new());
    for path in Path::ALL {
        (0..WARM_ACTS).for_each(|_| scene.act(path));
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let Some(strace) = Strace::attach(TEST, server.pid()) else { return };
            (0..ROUND_ACTS).for_each(|_| scene.act(path));
            rounds.push(strace.detach());
        }
        let least = rounds.iter().min_by_key(|calls| count(path, calls)).expect("there are rounds");
        counts.push((path, an_act(count(path, least))));
        let bytes = rounds.iter().map(|calls| calls.moved_bytes).min().expect("there are rounds");
        moved.push((path, an_act(bytes)));
        say(&format!("{}: {bytes} bytes and, {ROUND_ACTS} times: {}", path.name(), least.words()));
    }
    let wrong = judge("system calls", |cost| cost.calls, &counts)
        + &judge("bytes moved", |cost| cost.moved_bytes, &moved);
    assert!(wrong.is_empty(), "\n{wrong}");
}
