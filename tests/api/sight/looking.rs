//! All that a caller can ask, and the answers with what differs between any two servers made alike.

use serde_json::Value;

use super::scene::{Case, Place, REPOSITORIES, TAGS};
use crate::support::{Client, Manifest, Reply, bytes, uploads};

/// A name that nothing is pushed to.
const ABSENT: &str = "team/none";

/// More pages than any list here has.
const PAGES_MAX: usize = 40;

/// Times in annotations.
const TIMES: [&str; 2] = ["org.opencontainers.image.ref.created", "dev.wharfinger.ref.ended"];

/// What was asked, and what was answered: status, headers, body.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    question: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

struct Looker<'a> {
    client: &'a Client,
    /// Host and port, which answers name.
    host: String,
    answers: Vec<Answer>,
}

/// Asks everything, what changes something last.
pub fn look(place: &Place, case: &Case) -> Vec<Answer> {
    let host = place.server.addr().to_string();
    let mut looker = Looker { client: &place.caller, host, answers: Vec::new() };
    let documents = case.documents();
    let mut blobs: Vec<String> = documents.iter().flat_map(Manifest::blob_digests).collect();
    blobs.push(bytes::digest_of_nothing_here());
    blobs.sort();
    blobs.dedup();
    let manifests: Vec<String> = documents.into_iter().map(|document| document.digest).collect();
    looker.look_around();
    for name in names() {
        looker.look_at_lists(name);
        looker.look_at_manifests(name, &manifests);
        looker.look_at_blobs(name, &[&blobs[..], &manifests[..]].concat());
    }
    looker.mount(&blobs);
    looker.look_around();
    looker.answers
}

fn names() -> impl Iterator<Item = &'static str> {
    REPOSITORIES.iter().map(|(name, _)| *name).chain([ABSENT])
}

impl Looker<'_> {
    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.client.request(method, path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = request.send();
        self.answers.push(self.answer(&reply, headers));
        reply
    }

    fn answer(&self, reply: &Reply, asked: &[(&str, &str)]) -> Answer {
        let session = reply.find_header("docker-upload-uuid").map(ToOwned::to_owned);
        let alike = |text: &str| {
            let text = text.replace(&self.host, "HOST");
            session.as_ref().map_or(text.clone(), |session| text.replace(session, "SESSION"))
        };
        let mut body = alike(&String::from_utf8_lossy(&reply.body));
        let mut length = None;
        if let Ok(mut json) = serde_json::from_str::<Value>(&body)
            && forget_times(&mut json)
        {
            body = json.to_string();
            length = Some(body.len().to_string());
        }
        let headers = reply.stable_headers().into_iter().map(|(name, value)| match &length {
            Some(length) if name == "content-length" => (name, length.clone()),
            _ => (name, alike(&value)),
        });
        Answer {
            question: format!("{} {asked:?}", alike(&reply.request)),
            status: reply.status,
            headers: headers.collect(),
            body,
        }
    }

    /// A list from its first page to its last.
    fn walk(&mut self, path: &str) {
        let mut next = Some(path.to_owned());
        for _ in 0..PAGES_MAX {
            let Some(page) = next else { return };
            let reply = self.ask("GET", &page, &[]);
            next = reply.find_header("link").map(|link| {
                let target = link.strip_prefix('<').and_then(|link| link.split_once('>'));
                target.expect("a Link has a target in angle brackets").0.to_owned()
            });
        }
        panic!("{path} has no end");
    }

    fn look_around(&mut self) {
        for path in ["/v2/", "/v2/_oci/ext/discover", "/v2/_catalog?n=0"] {
            self.ask("GET", path, &[]);
        }
        for path in ["/v2/_catalog", "/api/v1/repositories"] {
            self.ask("HEAD", path, &[]);
            for query in ["", "?n=1", "?n=2", "?last=home/alice/x", "?last=other/c&n=1", "?last=team/b&n=1"] {
                self.walk(&format!("{path}{query}"));
            }
        }
    }

    fn look_at_lists(&mut self, name: &str) {
        self.ask("GET", &format!("/v2/{name}/_oci/ext/discover"), &[]);
        for list in [format!("/v2/{name}/tags/list"), format!("/api/v1/repositories/{name}")] {
            for query in ["", "?n=1", "?n=0", "?last=v1"] {
                self.walk(&format!("{list}{query}"));
            }
        }
        for tag in TAGS {
            for query in ["", "?n=1"] {
                self.walk(&format!("/v2/{name}/_oci/tag-history/{tag}{query}"));
            }
        }
    }

    fn look_at_manifests(&mut self, name: &str, manifests: &[String]) {
        let tags = TAGS.iter().chain(&["none", "-impossible"]).map(|tag| (*tag).to_owned());
        for reference in tags.chain(manifests.iter().cloned()) {
            let path = format!("/v2/{name}/manifests/{reference}");
            self.ask("GET", &path, &[]);
            let known = manifests.first().map_or_else(bytes::digest_of_nothing_here, Clone::clone);
            self.ask("HEAD", &path, &[]);
            self.ask("GET", &path, &[("if-none-match", &format!("\"{known}\""))]);
        }
        for subject in manifests {
            let list = format!("/v2/{name}/referrers/{subject}");
            self.walk(&list);
            self.walk(&format!("{list}?artifactType=a/sbom"));
        }
    }

    fn look_at_blobs(&mut self, name: &str, digests: &[String]) {
        for digest in digests {
            let path = format!("/v2/{name}/blobs/{digest}");
            self.ask("GET", &path, &[]);
            self.ask("HEAD", &path, &[]);
            self.ask("GET", &path, &[("range", "bytes=1-3")]);
            self.ask("GET", &path, &[("range", "bytes=99999-")]);
        }
    }

    /// Mounts into what is there and what is not, from everywhere and from wherever it is.
    fn mount(&mut self, digests: &[String]) {
        for target in ["home/alice/x", "team/b"] {
            for digest in digests {
                let from = ["home/bob/y", "other/c", "team/a", ABSENT].map(|name| format!("&from={name}"));
                let from = from.into_iter().chain([String::new()]);
                for from in from {
                    let path = format!("/v2/{target}/blobs/uploads/?mount={digest}{from}");
                    let reply = self.ask("POST", &path, &[]);
                    if reply.status == 202 {
                        self.client.delete(&uploads::location(&reply)).expect_status(204);
                    }
                    // What was mounted would be found by the next without a source.
                    if reply.status == 201 {
                        self.ask("DELETE", &format!("/v2/{target}/blobs/{digest}"), &[]);
                    }
                }
            }
            self.look_at_blobs(target, digests);
        }
    }
}

/// Takes the times out of an answer, and says whether there were any.
fn forget_times(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                if TIMES.contains(&key.as_str()) || (key.ends_with("_ms") && value.is_u64()) {
                    *value = "TIME".into();
                    found = true;
                } else {
                    found |= forget_times(value);
                }
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                found |= forget_times(entry);
            }
        }
        _ => {}
    }
    found
}
