//! The paths that clients take most, each as an act that can be repeated.

use std::net::SocketAddr;

use crate::support::raw::Connection;
use crate::support::{Client, ImageBuilder, accounts, bytes, uploads};

/// The rules of the servers here: a few, so that they have to be looked through.
pub const RULES: &str = "[{who=[\"anonymous\"], repos=[\"public/**\"], can=[\"pull\"]}, \
                         {who=[\"users\"], repos=[\"home/{user}/**\"], can=[\"pull\",\"push\"]}, \
                         {who=[\"alice\"], repos=[\"team/**\"], can=[\"pull\",\"push\",\"delete\"]}]";

/// What the servers here have of their own: one worker, so that nothing depends on which one is asked, and
/// nothing that is done by the clock.
pub const SETTINGS: [(&str, &str); 5] = [
    ("WHARFINGER_HTTP_WORKERS", "1"),
    ("WHARFINGER_BLOCKING_THREADS_MAX", "1"),
    ("WHARFINGER_HOUSEKEEPING_SECS", "86400"),
    ("WHARFINGER_SCRUB_BYTES_PER_SECOND", "0"),
    ("WHARFINGER_LEDGER_CHECKPOINT_SECS", "3600"),
];

const REPOSITORY: &str = "team/app";
const TAGS: usize = 120;
const SMALL_BYTES: usize = 64 << 10;
const LARGE_BYTES: usize = 4 << 20;
const UPLOAD_BYTES: usize = 1 << 20;

/// What is done again and again. All of it is by a token of the token service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    Base,
    HeadBlob,
    GetManifest,
    GetSmallBlob,
    GetLargeBlob,
    TagsPage,
    Upload,
    PutManifest,
}

impl Path {
    pub const ALL: [Self; 8] = [
        Self::Base,
        Self::HeadBlob,
        Self::GetManifest,
        Self::GetSmallBlob,
        Self::GetLargeBlob,
        Self::TagsPage,
        Self::Upload,
        Self::PutManifest,
    ];

    /// Its name, as docs/performance.md has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "GET /v2/",
            Self::HeadBlob => "HEAD blob",
            Self::GetManifest => "GET manifest by tag",
            Self::GetSmallBlob => "GET blob, 64 KiB",
            Self::GetLargeBlob => "GET blob, 4 MiB",
            Self::TagsPage => "GET tags, n=100",
            Self::Upload => "POST, PATCH, PUT of a blob, 1 MiB",
            Self::PutManifest => "PUT manifest",
        }
    }
}

impl Path {
    /// Whether its body is longer than what a socket takes at once.
    pub const fn has_long_body(self) -> bool {
        matches!(self, Self::GetSmallBlob | Self::GetLargeBlob | Self::Upload)
    }
}

/// A registry with something in it, and a connection that stays open.
pub struct Scene {
    connection: Connection,
    bearer: String,
    image: ImageBuilder,
    small: String,
    large: String,
    /// How many acts there were: what is pushed is new each time.
    acts: u64,
}

impl Scene {
    /// Fills an empty server.
    pub fn fill(address: SocketAddr) -> Self {
        let client = Client::new(address).with_password("alice", accounts::PASSWORD);
        let client = accounts::by_token(&client, &[&format!("repository:{REPOSITORY}:pull,push")]);
        let (small, large) = (bytes::random(1, SMALL_BYTES), bytes::random(2, LARGE_BYTES));
        let image = ImageBuilder::oci().layer(&small).layer(&large);
        let manifest = image.build();
        manifest.push(&client, REPOSITORY, "latest");
        let tags: Vec<_> = (0..TAGS).map(|number| format!("tag=v{number:03}")).collect();
        for some in tags.chunks(60) {
            let path = format!("/v2/{REPOSITORY}/manifests/{}?{}", manifest.digest, some.join("&"));
            let put = client.request("PUT", &path).header("content-type", &manifest.media_type);
            put.body(&manifest.bytes).send().expect_status(201);
        }
        let bearer = format!("Authorization: {}", client.authorization().expect("it has a token"));
        let (small, large) = (bytes::digest(&small), bytes::digest(&large));
        Self { connection: Connection::open(address), bearer, image, small, large, acts: 0 }
    }

    /// Does it once.
    pub fn act(&mut self, path: Path) {
        self.acts += 1;
        let blob = |digest: &str| format!("/v2/{REPOSITORY}/blobs/{digest}");
        match path {
            Path::Base => self.expect(200, "GET", "/v2/"),
            Path::HeadBlob => self.expect(200, "HEAD", &blob(&self.small)),
            Path::GetManifest => self.expect(200, "GET", &format!("/v2/{REPOSITORY}/manifests/latest")),
            Path::GetSmallBlob => self.expect(200, "GET", &blob(&self.small)),
            Path::GetLargeBlob => self.expect(200, "GET", &blob(&self.large)),
            Path::TagsPage => self.expect(200, "GET", &format!("/v2/{REPOSITORY}/tags/list?n=100")),
            Path::Upload => self.upload(),
            Path::PutManifest => {
                let image = self.image.clone().annotation("act", &format!("{:08}", self.acts)).build();
                self.send(
                    "PUT",
                    &format!("/v2/{REPOSITORY}/manifests/moving"),
                    &image.media_type,
                    &image.bytes,
                );
                self.connection.reply("PUT").expect_status(201);
            }
        }
    }

    fn expect(&mut self, status: u16, method: &str, path: &str) {
        let bearer = &self.bearer;
        self.connection.send_head(method, path, &[bearer]).reply(method).expect_status(status);
    }

    fn upload(&mut self) {
        let (content, octets) = (bytes::random(1000 + self.acts, UPLOAD_BYTES), "application/octet-stream");
        self.send("POST", &format!("/v2/{REPOSITORY}/blobs/uploads/"), octets, b"");
        let location = uploads::location(&self.connection.reply("POST").expect_status(202));
        self.send("PATCH", &location, octets, &content);
        let location = uploads::location(&self.connection.reply("PATCH").expect_status(202));
        self.send("PUT", &uploads::with_digest(&location, &bytes::digest(&content)), octets, b"");
        self.connection.reply("PUT").expect_status(201);
    }

    fn send(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) {
        let (length, kind) =
            (format!("Content-Length: {}", body.len()), format!("Content-Type: {content_type}"));
        self.connection.send_head(method, path, &[&self.bearer, &length, &kind]).send(body);
    }
}

/// How often each path is taken before it is counted, and while it is. What is done the first time only, or
/// by the clock, is no part of what a request costs: so the least of some rounds counts.
pub const WARM_ACTS: u64 = 10;
pub const ROUND_ACTS: u64 = 10;
pub const ROUNDS: usize = 4;

/// What one act of a round has of it, to the nearest whole number: what happens once in a round is no
/// request's.
pub const fn an_act(round: u64) -> u64 {
    (round + ROUND_ACTS / 2) / ROUND_ACTS
}
