//! A limit on the memory of the server, as containers and systemd set it: within a sensible one it works for
//! as long as it has to, page cache and all; below that the kernel kills it, and nothing that was
//! acknowledged is lost by that.

mod group;

use std::thread;

use crate::kill9::worker::Worker;
use crate::random::{self, Random};
use crate::support::{Client, Server, bytes, skip};
use group::Group;

/// What docs/operating.md calls enough for a small machine.
const ENOUGH_BYTES: u64 = 128 * 1024 * 1024;

/// Less than the buffers of the uploads that come.
const TOO_LITTLE_BYTES: u64 = 4 * 1024 * 1024;

/// Larger than the limit, so that neither a push nor a pull fits into it.
const BLOB_BYTES: usize = 160 * 1024 * 1024;

const PULLERS: usize = 8;

const WORKERS: usize = 8;

/// Signal 9.
const KILLED: i32 = 9;

fn group(test: &str, limit_bytes: u64) -> Option<Group> {
    let name = test.rsplit("::").next().expect("a name");
    Group::new(name, limit_bytes).inspect_err(|reason| skip::skip(test, reason)).ok()
}

#[test]
fn large_blobs_go_through_a_server_that_has_less_memory_than_they_are_long() {
    const TEST: &str =
        "crash::memory::large_blobs_go_through_a_server_that_has_less_memory_than_they_are_long";
    let Some(group) = group(TEST, ENOUGH_BYTES) else { return };
    let content = bytes::random(random::seed(TEST), BLOB_BYTES);
    let mut server = Server::start();
    group.add(server.pid());
    let client = server.client();
    let digest = client.push_blob("team/app", &content);
    let address = server.addr();
    thread::scope(|scope| {
        for number in 0..PULLERS {
            let (content, digest) = (&content, &digest);
            scope.spawn(move || {
                let client = Client::new(address);
                if number % 2 == 0 {
                    assert!(client.get_blob("team/app", digest).body == *content, "a pull is exact");
                } else {
                    let other = format!("team/app{number}");
                    assert_eq!(client.push_blob(&other, content), *digest);
                }
            });
        }
    });
    println!("{TEST}: the group had at most {:?} bytes", group.peak_bytes());
    assert_eq!(group.kills(), 0);
    assert!(server.stop().success(), "a clean stop");
    server.restart();
}

#[test]
fn what_was_acknowledged_survives_the_kernels_killer() {
    const TEST: &str = "crash::memory::what_was_acknowledged_survives_the_kernels_killer";
    let Some(group) = group(TEST, TOO_LITTLE_BYTES) else { return };
    let mut random = Random::new(random::seed(TEST));
    let mut workers: Vec<Worker> = (0..WORKERS).map(|number| Worker::new(number, random.draw())).collect();
    let mut server = Server::start();
    for round in 1..=3 {
        let (address, pid) = (server.addr(), server.pid());
        let status = thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(move || worker.work(&Client::new(address), round));
            }
            group.add(pid);
            // What no worker needs much of: many buffers at once.
            let hog = scope.spawn(move || {
                let content = bytes::random(1, BLOB_BYTES / 8);
                thread::scope(|scope| {
                    for number in 0..2 * PULLERS {
                        let (content, path) = (&content, format!("/v2/hog/r{number}/blobs/uploads/"));
                        scope.spawn(move || {
                            Client::new(address).request("POST", &path).body(content).attempt()
                        });
                    }
                });
            });
            let status = server.wait_for_end();
            hog.join().expect("the hog ends with the server");
            status
        });
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(KILLED), "{status}");
        assert_eq!(group.kills(), round as u64);
        server.restart();
        for worker in &mut workers {
            worker.check(&server.client(), true);
        }
    }
    for worker in &mut workers {
        worker.finish_sessions(&server.client());
    }
}
