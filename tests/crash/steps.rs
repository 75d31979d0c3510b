//! A crash at every step of an upload, made by doing the steps up to it, or by putting back what the steps
//! behind it took away. The registry that is opened next must find its way by itself.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use wharfinger::blobs::{Published, Sealed};
use wharfinger::config::Config;
use wharfinger::oci::{Algorithm, Digest, RepositoryName, SessionId};
use wharfinger::registry::{Error, ManualClock, Recovery, Registry};
use wharfinger::store::tables::UPLOAD;
use wharfinger::store::{
    DataDir, LedgerOptions, Location, Read, Staging, Store, StoreError, StoreOptions, end_upload,
};

use crate::support::{bytes, files};

/// What was acknowledged of every upload before its crash.
const ACKNOWLEDGED: usize = 100_000;

const SIZE: usize = 150_000;

/// A data directory that is opened and left, again and again.
struct Place {
    home: TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        Self { home, clock: Arc::new(ManualClock::new(1_700_000_000_000)) }
    }

    fn store(&self) -> Store {
        let dir = DataDir::open(&self.home.path().join("data")).expect("the directory opens");
        let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
        Store::open(
            dir,
            StoreOptions {
                ledger: LedgerOptions { cache_bytes: 1 << 20, ..LedgerOptions::default() },
                on_failure,
            },
        )
        .expect("the store opens")
    }

    /// The registry as it is before anything was done at the start.
    fn registry(&self) -> Registry {
        let clock = Arc::clone(&self.clock);
        Registry::new(self.store(), clock, Config::default())
    }

    /// Starts again after a crash: the directory is in order before, and nothing is left to do afterwards.
    fn reopen(&self) -> (Registry, Recovery) {
        let registry = self.registry();
        assert_in_order(&registry, "as the crash left it");
        let recovery = registry.recover().expect("the start");
        assert_in_order(&registry, "after the start");
        let again = registry.recover().expect("a second start");
        let open_sessions = recovery.open_sessions;
        assert_eq!(again, Recovery { open_sessions, ..Recovery::default() }, "nothing is left to do");
        (registry, recovery)
    }

    /// The names in uploads/ and blobs/.
    fn files(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let data = self.home.path().join("data");
        (files::files_under(&data.join("uploads")), files::files_under(&data.join("blobs")))
    }

    fn staging_path(&self, session: SessionId) -> PathBuf {
        self.home.path().join("data/uploads").join(session.to_string())
    }

    fn sealed_path(&self, location: &Location) -> PathBuf {
        let name = format!("{}.{}", location.session, location.digest.hex());
        self.home.path().join("data/uploads").join(name)
    }

    fn blob_path(&self, location: &Location) -> PathBuf {
        self.home.path().join("data/blobs").join(location.path())
    }

    /// An upload of which the first bytes of `content` are acknowledged.
    fn begin(&self, content: &[u8]) -> SessionId {
        let registry = self.registry();
        let mut upload = registry
            .start_upload(&repository(), Algorithm::Sha256, 0, "anonymous")
            .expect("an upload begins");
        registry.append(&mut upload, &content[..ACKNOWLEDGED]).expect("bytes are taken");
        let status = registry.leave_upload(upload).expect("the offset is acknowledged");
        assert_eq!(status.offset, ACKNOWLEDGED as u64);
        status.session
    }

    /// A whole upload, to the last step.
    fn push(&self, content: &[u8]) -> Location {
        let session = self.begin(content);
        finish(&self.registry(), session, content);
        Location { digest: digest(content), session }
    }
}

fn repository() -> RepositoryName {
    RepositoryName::parse("crash/steps").expect("a name")
}

fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

fn assert_in_order(registry: &Registry, when: &str) {
    let report = registry.verify(true).expect("the check is done");
    assert!(report.violations.is_empty(), "{when}: {:#?}", report.violations);
}

/// Sends what is missing of `content` and closes the session.
fn finish(registry: &Registry, session: SessionId, content: &[u8]) {
    let mut upload = registry.resume_upload(&repository(), session, None).expect("the session goes on");
    let offset = usize::try_from(upload.offset()).expect("small");
    registry.append(&mut upload, &content[offset..]).expect("bytes are taken");
    registry.finish_upload(upload, digest(content), "pusher").expect("the upload is whole");
}

fn assert_served(registry: &Registry, content: &[u8]) {
    let blob = registry.open_blob(&repository(), digest(content)).expect("the blob is there");
    assert_eq!(blob.size(), content.len() as u64);
    let mut found = vec![0; content.len()];
    blob.fill(&mut found, 0).expect("the blob is read");
    assert!(found == content, "the blob has the bytes that were pushed");
}

fn assert_not_served(registry: &Registry, content: &[u8]) {
    let found = registry.stat_blob(&repository(), digest(content));
    assert!(matches!(found, Err(Error::BlobUnknown { .. })), "no blob, not {found:?}");
}

/// Asserts that the session is at its acknowledged offset, has one file and no blob, and can be finished.
fn assert_goes_on(place: &Place, registry: &Registry, session: SessionId, content: &[u8]) {
    let status = registry.upload_status(&repository(), session).expect("the session is there");
    assert_eq!(status.offset, ACKNOWLEDGED as u64);
    assert_not_served(registry, content);
    assert_eq!(place.files(), (vec![place.staging_path(session)], vec![]));
    finish(registry, session, content);
    assert_served(registry, content);
    let location = Location { digest: digest(content), session };
    assert_eq!(place.files(), (vec![], vec![place.blob_path(&location)]));
    assert_in_order(registry, "after the upload");
}

/// The session taken up where it was acknowledged, with all bytes behind it.
fn appended(store: &Store, session: SessionId, content: &[u8]) -> Staging {
    let offset = ACKNOWLEDGED as u64;
    let staging = store.resume_staging(session, offset, Algorithm::Sha256, None);
    let mut staging = staging.expect("the session's file is there");
    staging.append(&content[ACKNOWLEDGED..]).expect("bytes are taken");
    staging
}

fn sealed(store: &Store, session: SessionId, content: &[u8]) -> Sealed {
    appended(store, session, content).seal(store.dir(), digest(content)).expect("the upload is sealed")
}

fn published(store: &Store, session: SessionId, content: &[u8]) -> Published {
    sealed(store, session, content).publish(store.dir()).expect("the upload is linked")
}

/// Takes the row of a session away, as a cancellation does that runs beside its end.
fn cancel_row(store: &Store, session: SessionId) {
    let ended = store.write(move |tx| end_upload(tx, session).map_err(StoreError::from));
    assert!(ended.expect("the row goes").is_some());
    assert!(!store.snapshot().expect("a snapshot").contains(&UPLOAD, &session).expect("a row"));
}

#[test]
fn after_the_file_is_made_and_before_its_row() {
    let place = Place::new();
    let session = SessionId::from_bytes([7; 16]);
    drop(place.store().create_staging(session, Algorithm::Sha256).expect("a file"));
    assert_eq!(place.files().0, [place.staging_path(session)]);
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { debris: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![]));
    let status = registry.upload_status(&repository(), session);
    assert!(matches!(status, Err(Error::UploadUnknown(_))), "{status:?}");
}

#[test]
fn after_the_row_and_before_the_first_byte() {
    let place = Place::new();
    let upload = place
        .registry()
        .start_upload(&repository(), Algorithm::Sha256, 0, "anonymous")
        .expect("an upload begins");
    let session = upload.session();
    drop(upload);
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { open_sessions: 1, ..Recovery::default() });
    assert_eq!(registry.upload_status(&repository(), session).expect("it is there").offset, 0);
    let content = bytes::random(1, SIZE);
    finish(&registry, session, &content);
    assert_served(&registry, &content);
}

#[test]
fn after_bytes_are_appended_that_nobody_acknowledged() {
    let place = Place::new();
    let content = bytes::random(2, SIZE);
    let session = place.begin(&content);
    drop(appended(&place.store(), session, &content));
    let length = fs::metadata(place.staging_path(session)).expect("the file").len();
    assert_eq!(length, SIZE as u64, "they are in the file");
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { open_sessions: 1, ..Recovery::default() });
    assert_goes_on(&place, &registry, session, &content);
}

/// What was written there may be anything, and other bytes may follow.
#[test]
fn bytes_that_nobody_acknowledged_are_not_taken_for_content() {
    let place = Place::new();
    let content = bytes::random(3, SIZE);
    let session = place.begin(&content);
    drop(appended(&place.store(), session, &bytes::random(4, SIZE + 10_000)));
    let (registry, _) = place.reopen();
    assert_goes_on(&place, &registry, session, &content);
}

#[test]
fn after_the_upload_is_sealed() {
    let place = Place::new();
    let content = bytes::random(5, SIZE);
    let session = place.begin(&content);
    let location = Location { digest: digest(&content), session };
    sealed(&place.store(), session, &content);
    assert_eq!(place.files(), (vec![place.sealed_path(&location)], vec![]));
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { taken_back: 1, open_sessions: 1, ..Recovery::default() });
    assert_goes_on(&place, &registry, session, &content);
}

#[test]
fn after_the_upload_is_linked_and_before_its_row() {
    let place = Place::new();
    let content = bytes::random(6, SIZE);
    let session = place.begin(&content);
    let location = published(&place.store(), session, &content).location();
    assert_eq!(place.files(), (vec![place.sealed_path(&location)], vec![place.blob_path(&location)]));
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { taken_back: 1, open_sessions: 1, ..Recovery::default() });
    assert_goes_on(&place, &registry, session, &content);
}

/// The start itself is cut off: the name in blobs/ is gone, the one in uploads/ is not the session's yet.
#[test]
fn after_half_of_the_upload_is_taken_back() {
    let place = Place::new();
    let content = bytes::random(7, SIZE);
    let session = place.begin(&content);
    let location = published(&place.store(), session, &content).location();
    fs::remove_file(place.blob_path(&location)).expect("the blob's name");
    let (registry, _) = place.reopen();
    assert_goes_on(&place, &registry, session, &content);
}

#[test]
fn after_the_upload_is_sealed_and_its_session_cancelled() {
    let place = Place::new();
    let content = bytes::random(8, SIZE);
    let session = place.begin(&content);
    let store = place.store();
    sealed(&store, session, &content);
    cancel_row(&store, session);
    drop(store);
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { taken_back: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![]));
    assert_not_served(&registry, &content);
}

#[test]
fn after_the_upload_is_linked_and_its_session_cancelled() {
    let place = Place::new();
    let content = bytes::random(9, SIZE);
    let session = place.begin(&content);
    let store = place.store();
    published(&store, session, &content);
    cancel_row(&store, session);
    drop(store);
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { taken_back: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![]));
    assert_not_served(&registry, &content);
}

/// A cancelled session whose file was still to be removed.
#[test]
fn after_the_row_of_a_cancelled_session_is_gone() {
    let place = Place::new();
    let content = bytes::random(10, SIZE);
    let session = place.begin(&content);
    cancel_row(&place.store(), session);
    let (_, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { debris: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![]));
}

#[test]
fn after_the_row_of_the_blob_and_before_the_staging_name_is_gone() {
    let place = Place::new();
    let content = bytes::random(11, SIZE);
    let location = place.push(&content);
    fs::hard_link(place.blob_path(&location), place.sealed_path(&location)).expect("the name is back");
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { finished: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![place.blob_path(&location)]));
    assert_served(&registry, &content);
}

/// Two uploads of the same bytes: the blob's file, and where the second one was.
fn pushed_twice(place: &Place, content: &[u8]) -> (Location, Location) {
    let (first, second) = (place.push(content), place.push(content));
    assert_eq!(place.files(), (vec![], vec![place.blob_path(&first)]));
    (first, second)
}

#[test]
fn after_a_second_copy_is_unlinked_and_before_its_tombstone_is_gone() {
    let place = Place::new();
    let content = bytes::random(12, SIZE);
    let (first, _) = pushed_twice(&place, &content);
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { tombstones: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![place.blob_path(&first)]));
    assert_served(&registry, &content);
}

#[test]
fn after_the_tombstone_of_a_second_copy_and_before_it_is_unlinked() {
    let place = Place::new();
    let content = bytes::random(13, SIZE);
    let (first, second) = pushed_twice(&place, &content);
    fs::copy(place.blob_path(&first), place.blob_path(&second)).expect("the copy is back");
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { tombstones: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![place.blob_path(&first)]));
    assert_served(&registry, &content);
}

#[test]
fn after_the_tombstone_of_a_second_copy_and_before_any_of_its_names_is_gone() {
    let place = Place::new();
    let content = bytes::random(14, SIZE);
    let (first, second) = pushed_twice(&place, &content);
    fs::copy(place.blob_path(&first), place.blob_path(&second)).expect("the copy is back");
    fs::hard_link(place.blob_path(&second), place.sealed_path(&second)).expect("so is its other name");
    let (registry, recovery) = place.reopen();
    assert_eq!(recovery, Recovery { tombstones: 1, taken_back: 1, ..Recovery::default() });
    assert_eq!(place.files(), (vec![], vec![place.blob_path(&first)]));
    assert_served(&registry, &content);
}

/// No crash does this to synced bytes, a dishonest disk may. The session cannot go on, and says so.
#[test]
fn after_acknowledged_bytes_are_lost() {
    let place = Place::new();
    let content = bytes::random(15, SIZE);
    let session = place.begin(&content);
    let file = fs::File::options().write(true).open(place.staging_path(session)).expect("the file");
    file.set_len(ACKNOWLEDGED as u64 - 1).expect("it is cut");
    let registry = place.registry();
    assert_eq!(registry.verify(true).expect("the check is done").violations.len(), 1, "verify sees it");
    drop(registry);
    let registry = place.registry();
    let recovery = registry.recover().expect("the start");
    assert_eq!((recovery.lost_sessions, recovery.open_sessions), (1, 0));
    let status = registry.upload_status(&repository(), session);
    assert!(matches!(status, Err(Error::UploadUnknown(_))), "{status:?}");
    assert_in_order(&registry, "after the start");
    assert_eq!(place.files(), (vec![], vec![]));
}

/// A session that was acknowledged stays through every one of several starts.
#[test]
fn after_several_crashes_of_one_session() {
    let place = Place::new();
    let content = bytes::random(16, SIZE);
    let session = place.begin(&content);
    for _ in 0..3 {
        published(&place.store(), session, &content);
        drop(place.reopen());
        sealed(&place.store(), session, &content);
        drop(place.reopen());
    }
    let (registry, _) = place.reopen();
    assert_goes_on(&place, &registry, session, &content);
}
