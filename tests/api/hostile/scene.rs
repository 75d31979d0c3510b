//! A registry with something in it to be lost, and the proof that nothing of it changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use wharfinger::meta::codec::Value as _;
use wharfinger::meta::records::UploadRecord;

use crate::support::ledger::{self, Rows};
use crate::support::uploads;
use crate::support::{Client, ImageBuilder, Manifest, Server, files, wait};

/// The repository that most cases aim at.
pub const OURS: &str = "team/app";
/// Another one, whose content and uploads must stay its own.
pub const THEIRS: &str = "other";
/// One whose name looks like an end-point of `a`.
pub const ODD: &str = "a/manifests/b";
/// One that a request names which is refused only when its body was read. The name keeps the number that it
/// got for the body's upload, which no client ever sees.
pub const NUMBERED: &str = "never/kept";

/// What each open upload has.
const UPLOADED: &[u8] = b"hello";

pub struct Scene {
    server: Server,
    /// The image `v1` of each repository, in the order ours, theirs, the odd one's.
    pub images: [Manifest; 3],
    /// The location of an open upload of ours and of theirs.
    pub uploads: [String; 2],
    rows: Rows,
    files: BTreeMap<PathBuf, Vec<u8>>,
    visible: Visible,
}

/// What a client sees, all of it.
#[derive(Debug, PartialEq, Eq)]
struct Visible {
    catalog: Vec<String>,
    tags: Vec<Vec<String>>,
    offsets: Vec<usize>,
}

impl Scene {
    /// Makes the scene and notes every row and file of it.
    pub fn make() -> Self {
        // A tunnel and a web socket have bodies without an end, which are read for as long.
        let mut server = Server::builder().env("WHARFINGER_DRAIN_MAX_SECS", "1").start();
        let images = [600, 601, 602].map(|seed| ImageBuilder::sample(seed).build());
        let client = server.client();
        for (repository, image) in [OURS, THEIRS, ODD].iter().zip(&images) {
            image.push(&client, repository, "v1");
        }
        let uploads = [OURS, THEIRS].map(|repository| {
            let location = uploads::start(&client, repository);
            client.patch(&location, UPLOADED).expect_status(202);
            location
        });
        // The ledger is one process's at a time.
        let status = server.stop();
        assert!(status.success(), "a clean stop, not {status}");
        let rows = ledger::rows(server.data());
        server.restart();
        let (visible, files) = (Visible::of(&server.client(), &uploads), contents(&server));
        Self { server, images, uploads, rows, files, visible }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Replaces what differs from run to run, and what is too long to read, by names.
    pub fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let owners = ["ours", "theirs", "odd"];
        for (location, owner) in self.uploads.iter().zip(owners) {
            let session = session(location);
            text = text.replace(session, &format!("<session {owner}>"));
            text = text.replace(&session.to_uppercase(), &format!("<SESSION {owner}>"));
            text = text.replace(&session[..session.len() - 1], &format!("<session {owner}, cut>"));
        }
        for (image, owner) in self.images.iter().zip(owners) {
            text = text.replace(&image.digest, &format!("<manifest {owner}>"));
            text = text.replace(&image.blob_digests()[1], &format!("<layer {owner}>"));
            text = text.replace(&image.blob_digests()[0], &format!("<config {owner}>"));
        }
        text
    }

    /// Asserts that there are the files that there were before, byte for byte.
    #[track_caller]
    pub fn assert_files_unchanged(&self, after: &str) {
        // A request that breaks off is cleared up behind it.
        wait::until_true(&format!("nothing to be left of {after}"), || contents(&self.server) == self.files);
    }

    /// Asserts that clients see what they saw before, stops the server, and asserts that every row of the
    /// ledger is as it was.
    #[track_caller]
    pub fn assert_unchanged(mut self) {
        self.assert_files_unchanged("all of it");
        let client = self.server.client();
        assert_eq!(Visible::of(&client, &self.uploads), self.visible);
        for (repository, image) in [OURS, THEIRS, ODD].iter().zip(&self.images) {
            image.assert_pullable(&client, repository, "v1");
        }
        let status = self.server.stop();
        assert!(status.success(), "a clean stop, not {status}");
        let after = ledger::rows(self.server.data());
        let differences = ledger::differences(&comparable(&self.rows), &comparable(&after));
        assert!(differences.is_empty(), "rows that a refused request changed:\n{}", differences.join("\n"));
        self.server.verify();
    }
}

impl Visible {
    fn of(client: &Client, locations: &[String]) -> Self {
        let catalog = client.catalog();
        let tags = catalog.iter().map(|repository| client.tags(repository)).collect();
        let offsets = locations.iter().map(|location| uploads::offset(client, location)).collect();
        Self { catalog, tags, offsets }
    }
}

/// Every file of the data directory with its content, but for that of the ledger, whose rows are compared.
/// What vanishes meanwhile is empty.
fn contents(server: &Server) -> BTreeMap<PathBuf, Vec<u8>> {
    // How the ledger is kept is its own business; its rows are compared by themselves.
    let ledger = server.data().join("ledger");
    let files = files::files_under(server.data()).into_iter().filter(|path| !path.starts_with(&ledger));
    files.map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect()
}

/// The rows without two things that may change.
///
/// One is the time at which an upload was last written to: a request that breaks off, or that is refused for
/// its range, was one to the upload all the same, and keeps it from ending. The other is the number of
/// [`NUMBERED`].
fn comparable(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    for value in rows.get_mut("upload").expect("a table of uploads").values_mut() {
        let upload = UploadRecord::from_bytes(value).expect("a record of an upload");
        *value = UploadRecord { touched_at_ms: 0, ..upload }.to_bytes();
    }
    let names = rows.get_mut("repository_by_name").expect("a table of names");
    if let Some(number) = names.remove(format!("{NUMBERED}\0").as_bytes()) {
        rows.get_mut("repository").expect("a table of repositories").remove(&number);
    }
    rows
}

/// The last part of a location, which names the upload.
pub fn session(location: &str) -> &str {
    location.rsplit('/').next().expect("a location has parts")
}

/// Whether the whole registry still answers.
pub fn assert_alive(client: &Client) {
    client.get("/v2/").expect_status(200);
}
