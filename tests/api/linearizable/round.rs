//! Clients that ask at once, and what they are told.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde_json::json;

use super::checker::Event;
use super::model::{Condition, MANIFESTS, Operation, Outcome, TAGS};
use crate::support::builders::OCI_INDEX;
use crate::support::client::strings;
use crate::support::{Client, Manifest, Reply, Server};

/// What the numbers of the model stand for. The manifests refer to nothing, so each may be pushed at any
/// time.
pub struct Things {
    tags: [String; TAGS],
    manifests: [Manifest; MANIFESTS],
}

impl Things {
    pub fn new() -> Self {
        let manifest = |number| {
            let annotations = json!({ "com.example.number": format!("{number}") });
            let document = json!({
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [],
                "annotations": annotations,
            });
            Manifest::of(OCI_INDEX, &document, Vec::new())
        };
        Self {
            tags: std::array::from_fn(|number| format!("tag-{number}")),
            manifests: std::array::from_fn(manifest),
        }
    }

    /// Does what the operation says and asserts what holds for its answer by itself.
    fn perform(&self, client: &Client, repository: &str, operation: Operation) -> Outcome {
        let reply = self.ask(client, repository, operation);
        match (operation, reply.status) {
            (_, 404) => Outcome::Missing,
            (Operation::PutTag { condition, .. }, 412) if condition != Condition::Always => Outcome::Refused,
            (Operation::PutTag { manifest, .. } | Operation::PutDigest { manifest }, 201) => {
                assert_eq!(reply.header("docker-content-digest"), self.manifests[manifest].digest);
                Outcome::Created
            }
            (Operation::ReadTag { head, .. } | Operation::ReadDigest { head, .. }, 200) => {
                Outcome::Found(self.found(&reply, head))
            }
            (Operation::ListTags, 200) => {
                let listed = strings(&reply.json()["tags"]);
                assert!(listed.iter().all(|tag| self.tags.contains(tag)), "{reply}");
                Outcome::Listed(std::array::from_fn(|tag| listed.contains(&self.tags[tag])))
            }
            (Operation::DeleteTag { .. } | Operation::DeleteDigest { .. }, 202) => Outcome::Deleted,
            (operation, _) => panic!("no answer to {operation:?}: {reply}"),
        }
    }

    fn ask(&self, client: &Client, repository: &str, operation: Operation) -> Reply {
        let path = |reference: &str| format!("/v2/{repository}/manifests/{reference}");
        let read =
            |reference: &str, head| client.request(if head { "HEAD" } else { "GET" }, &path(reference));
        match operation {
            Operation::PutTag { tag, manifest, condition } => {
                let path = path(&self.tags[tag]);
                let request = client.request("PUT", &path).header("content-type", OCI_INDEX);
                let request = match condition {
                    Condition::Always => request,
                    Condition::Names(named) => {
                        request.header("if-match", &format!("\"{}\"", self.manifests[named].digest))
                    }
                    Condition::Absent => request.header("if-none-match", "*"),
                };
                request.body(&self.manifests[manifest].bytes).send()
            }
            Operation::PutDigest { manifest } => {
                let manifest = &self.manifests[manifest];
                client.push_manifest(repository, &manifest.digest, OCI_INDEX, &manifest.bytes)
            }
            Operation::ReadTag { tag, head } => read(&self.tags[tag], head).send(),
            Operation::ReadDigest { manifest, head } => read(&self.manifests[manifest].digest, head).send(),
            Operation::ListTags => client.get(&format!("/v2/{repository}/tags/list")),
            Operation::DeleteTag { tag } => client.delete_manifest(repository, &self.tags[tag]),
            Operation::DeleteDigest { manifest } => {
                client.delete_manifest(repository, &self.manifests[manifest].digest)
            }
        }
    }

    /// Which manifest an answer holds, all of whose parts must be of one.
    fn found(&self, reply: &Reply, head: bool) -> usize {
        let digest = reply.header("docker-content-digest");
        let number = self.manifests.iter().position(|manifest| manifest.digest == digest);
        let number = number.unwrap_or_else(|| panic!("a manifest that was pushed: {reply}"));
        assert_eq!(reply.header("content-length"), self.manifests[number].bytes.len().to_string());
        assert!(head || reply.body == self.manifests[number].bytes, "the bytes of {digest}: {reply}");
        number
    }
}

/// Lets a client for each script do its operations in order, all of them at once, and has all there is read
/// at the end.
pub fn play(server: &Server, repository: &str, things: &Things, scripts: &[Vec<Operation>]) -> Vec<Event> {
    let (began, start) = (Instant::now(), Barrier::new(scripts.len()));
    let perform = |client: usize, connection: &Client, operation| {
        let asked = began.elapsed();
        let outcome = things.perform(connection, repository, operation);
        Event { client, operation, outcome, asked, answered: began.elapsed() }
    };
    let mut history = thread::scope(|scope| {
        let mut running = Vec::new();
        for (client, script) in scripts.iter().enumerate() {
            let (start, perform) = (&start, &perform);
            running.push(scope.spawn(move || {
                let connection = server.client();
                // Connected before the start, so that all begin together.
                connection.get("/v2/").expect_status(200);
                start.wait();
                script.iter().map(|&operation| perform(client, &connection, operation)).collect::<Vec<_>>()
            }));
        }
        running.into_iter().flat_map(|client| client.join().expect("a client's events")).collect::<Vec<_>>()
    });
    let connection = server.client();
    let mut last = vec![Operation::ListTags];
    last.extend((0..TAGS).map(|tag| Operation::ReadTag { tag, head: false }));
    last.extend((0..MANIFESTS).map(|manifest| Operation::ReadDigest { manifest, head: false }));
    history.extend(last.into_iter().map(|operation| perform(scripts.len(), &connection, operation)));
    history
}
