//! An HTTP client that takes every status as an answer and follows nothing by itself.
//!
//! What holds for every answer of a registry is asserted here, so that no test has to think of it.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::{Agent, SendBody};

use super::{Reply, bytes, canaries, uploads};

/// A request that takes longer has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Larger than any body a test reads.
const BODY_MAX_BYTES: u64 = 256 << 20;

#[derive(Clone)]
pub struct Client {
    agent: Agent,
    address: SocketAddr,
    /// What every request says of who makes it.
    authorization: Option<String>,
}

impl Client {
    /// A client with its own connections.
    pub fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build();
        Self { agent: config.into(), address, authorization: None }
    }

    /// The same with name and password at each request.
    pub fn with_password(&self, name: &str, password: &str) -> Self {
        let encoded = STANDARD.encode(format!("{name}:{password}"));
        canaries::add(&encoded);
        Self { authorization: Some(format!("Basic {encoded}")), ..self.clone() }
    }

    /// The same with a token at each request.
    pub fn with_token(&self, token: &str) -> Self {
        canaries::add(token);
        Self { authorization: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// The same without anything that says who makes the requests.
    pub fn without_login(&self) -> Self {
        Self { authorization: None, ..self.clone() }
    }

    /// The header that says who makes the requests.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Where it sends its requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A request to be completed by headers and a body.
    pub fn request<'a>(&'a self, method: &'a str, path: &str) -> Request<'a> {
        assert!(path.starts_with('/'), "a path, not {path:?}");
        Request { client: self, method, path: path.to_owned(), headers: Vec::new(), body: Body::None }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    #[track_caller]
    pub fn head(&self, path: &str) -> Reply {
        self.request("HEAD", path).send()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.request("POST", path).body(body).send()
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &[u8]) -> Reply {
        self.request("PATCH", path).body(body).send()
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.request("PUT", path).body(body).send()
    }

    /// Pushes a blob with POST and PUT; gives its sha256 digest.
    #[track_caller]
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = bytes::digest(content);
        let location = uploads::start(self, repository);
        let reply = self.put(&uploads::with_digest(&location, &digest), content).expect_status(201);
        assert_eq!(reply.header("docker-content-digest"), digest);
        digest
    }

    /// Puts a manifest, whatever the answer.
    #[track_caller]
    pub fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        content: &[u8],
    ) -> Reply {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.request("PUT", &path).header("content-type", media_type).body(content).send()
    }

    #[track_caller]
    pub fn get_blob(&self, repository: &str, digest: &str) -> Reply {
        self.get(&format!("/v2/{repository}/blobs/{digest}"))
    }

    #[track_caller]
    pub fn head_blob(&self, repository: &str, digest: &str) -> Reply {
        self.head(&format!("/v2/{repository}/blobs/{digest}"))
    }

    #[track_caller]
    pub fn delete_blob(&self, repository: &str, digest: &str) -> Reply {
        self.delete(&format!("/v2/{repository}/blobs/{digest}"))
    }

    #[track_caller]
    pub fn get_manifest(&self, repository: &str, reference: &str) -> Reply {
        self.get(&format!("/v2/{repository}/manifests/{reference}"))
    }

    #[track_caller]
    pub fn head_manifest(&self, repository: &str, reference: &str) -> Reply {
        self.head(&format!("/v2/{repository}/manifests/{reference}"))
    }

    #[track_caller]
    pub fn delete_manifest(&self, repository: &str, reference: &str) -> Reply {
        self.delete(&format!("/v2/{repository}/manifests/{reference}"))
    }

    /// Asserts that HEAD and GET both answer for a blob, or both do not.
    #[track_caller]
    pub fn assert_blob_status(&self, repository: &str, digest: &str, status: u16) {
        self.head_blob(repository, digest).expect_status(status);
        self.get_blob(repository, digest).expect_status(status);
    }

    /// The tags of a repository that exists, on one page.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let body = self.get(&format!("/v2/{repository}/tags/list")).expect_status(200).json();
        assert_eq!(body["name"], repository);
        strings(&body["tags"])
    }

    /// The repositories of the registry, on one page.
    #[track_caller]
    pub fn catalog(&self) -> Vec<String> {
        strings(&self.get("/v2/_catalog").expect_status(200).json()["repositories"])
    }

    /// The descriptors that refer to `digest`, on one page.
    #[track_caller]
    pub fn referrers(&self, repository: &str, digest: &str) -> Vec<Value> {
        let body = self.get(&format!("/v2/{repository}/referrers/{digest}")).expect_status(200).json();
        body["manifests"].as_array().expect("manifests is a list").clone()
    }
}

/// A JSON list of strings, never null.
#[track_caller]
pub fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("a list, not {value}"));
    list.iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// Of unknown length: sent chunked.
    Stream(Box<dyn Read + 'a>),
}

pub struct Request<'a> {
    client: &'a Client,
    method: &'a str,
    path: String,
    headers: Vec<(&'a str, String)>,
    body: Body<'a>,
}

impl<'a> Request<'a> {
    pub fn header(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// A body with its length, also when that is zero.
    pub fn body(mut self, content: &'a [u8]) -> Self {
        self.body = Body::Bytes(content);
        self
    }

    /// A body in chunks, without a length.
    pub fn stream(mut self, content: impl Read + 'a) -> Self {
        self.body = Body::Stream(Box::new(content));
        self
    }

    /// Sends it and checks what holds for every answer.
    #[track_caller]
    pub fn send(self) -> Reply {
        let name = format!("{} {}", self.method, self.path);
        self.exchange().unwrap_or_else(|error| panic!("an answer to {name}, not {error}"))
    }

    /// As `send`, to a server that may die meanwhile: none where no whole answer came.
    #[track_caller]
    pub fn attempt(self) -> Option<Reply> {
        self.exchange().ok()
    }

    #[track_caller]
    fn exchange(self) -> Result<Reply, ureq::Error> {
        let name = format!("{} {}", self.method, self.path);
        let (is_head, in_api) = (self.method == "HEAD", self.path.starts_with("/v2"));
        let uri = format!("http://{}{}", self.client.address, self.path);
        let mut builder = ureq::http::Request::builder().method(self.method).uri(uri);
        if let Some(authorization) = &self.client.authorization {
            builder = builder.header("authorization", authorization);
        }
        for (header, value) in self.headers {
            builder = builder.header(header, value);
        }
        let agent = &self.client.agent;
        let built = "a request that the client can express";
        let answer = match self.body {
            Body::None => agent.run(builder.body(()).expect(built)),
            Body::Bytes(content) => agent.run(builder.body(content).expect(built)),
            Body::Stream(content) => {
                agent.run(builder.body(SendBody::from_reader(&mut Chunky(content))).expect(built))
            }
        };
        let reply = read_reply(name, answer?)?;
        check_every_answer(&reply, is_head, in_api);
        Ok(reply)
    }
}

/// Hands on at most a few kilobytes at a time, so that a stream becomes several chunks.
struct Chunky<R>(R);

impl<R: Read> Read for Chunky<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(7001);
        self.0.read(&mut buffer[..length])
    }
}

fn read_reply(request: String, answer: ureq::http::Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let (parts, mut body) = answer.into_parts();
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = body.with_config().limit(BODY_MAX_BYTES).read_to_vec()?;
    Ok(Reply { request, status: parts.status.as_u16(), headers, body })
}

#[track_caller]
fn check_every_answer(reply: &Reply, is_head: bool, in_api: bool) {
    assert!(!reply.header("x-request-id").is_empty(), "a request id: {reply}");
    if in_api {
        assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
    }
    assert_eq!(reply.find_header("content-encoding"), None, "bytes as they are: {reply}");
    assert!(reply.status < 500, "no internal error in answer to {}: {reply}", reply.request);
    if is_head {
        assert!(reply.body.is_empty(), "HEAD has no body: {reply}");
    } else if reply.status >= 400 {
        reply.oci_errors();
    }
}
