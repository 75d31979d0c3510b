//! Sessions over time, with a clock that tests move.

use super::*;
use crate::config::Config;
use crate::registry::{Clock, DataDir, LedgerOptions, ManualClock, Store, StoreOptions};
use crate::store::Room;
use std::sync::Arc;
use tempfile::TempDir;

const IDLE_MS: u64 = 24 * 60 * 60 * 1000;

fn registry() -> (TempDir, Arc<ManualClock>, Registry) {
    let home = tempfile::tempdir().unwrap();
    let dir = DataDir::open(&home.path().join("data")).unwrap();
    let on_failure = Arc::new(|words: &str| panic!("the disk failed: {words}"));
    let store = Store::open(
        dir,
        StoreOptions {
            ledger: LedgerOptions { cache_bytes: 1 << 20, ..LedgerOptions::default() },
            on_failure,
        },
    )
    .unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let registry = Registry::new(store, Arc::clone(&clock) as Arc<_>, Config::default());
    (home, clock, registry)
}

fn name() -> RepositoryName {
    RepositoryName::parse("team/app").unwrap()
}

#[test]
fn an_upload_that_a_request_holds_is_not_idle() {
    let (_home, clock, registry) = registry();
    let mut upload = registry.start_upload(&name(), Algorithm::Sha256, 0, "anonymous").unwrap();
    let session = upload.session();
    clock.advance_ms(2 * IDLE_MS);
    registry.keep_house().unwrap();
    assert_eq!(registry.upload_status(&name(), session).unwrap().offset, 0);
    registry.append(&mut upload, b"late").unwrap();
    registry.leave_upload(upload).unwrap();
    registry.keep_house().unwrap();
    assert_eq!(registry.upload_status(&name(), session).unwrap().offset, 4, "its last byte is new");
    clock.advance_ms(IDLE_MS);
    assert!(matches!(registry.upload_status(&name(), session), Err(Error::UploadUnknown(_))));
    registry.keep_house().unwrap();
    assert!(registry.verify(true).unwrap().violations.is_empty());
    assert!(registry.store.dir().list_uploads().unwrap().is_empty());
}

#[test]
fn what_was_written_since_it_was_looked_at_is_not_idle() {
    let (_home, clock, registry) = registry();
    let session = registry.start_upload(&name(), Algorithm::Sha256, 0, "anonymous").unwrap().session();
    let looked_at_ms = clock.now_ms();
    clock.advance_ms(1);
    let mut upload = registry.resume_upload(&name(), session, None).unwrap();
    registry.append(&mut upload, b"acknowledged").unwrap();
    registry.leave_upload(upload).unwrap();
    assert!(!registry.end_idle_session(session, looked_at_ms).unwrap());
    assert_eq!(registry.upload_status(&name(), session).unwrap().offset, 12);
}

#[test]
fn a_slow_upload_is_made_durable_by_time() {
    let (_home, clock, registry) = registry();
    let mut upload = registry.start_upload(&name(), Algorithm::Sha256, 0, "anonymous").unwrap();
    registry.append(&mut upload, b"a").unwrap();
    assert_eq!(registry.upload_status(&name(), upload.session()).unwrap().offset, 0);
    clock.advance_ms(60_000);
    registry.append(&mut upload, b"b").unwrap();
    assert_eq!(registry.upload_status(&name(), upload.session()).unwrap().offset, 2);
}

/// An upload cut off at 3 bytes: the ledger found no room for its checkpoint at 9.
fn cut_off_at_3(clock: &ManualClock, registry: &Registry) -> Upload {
    let mut upload = registry.start_upload(&name(), Algorithm::Sha256, 0, "anonymous").unwrap();
    registry.append(&mut upload, b"123").unwrap();
    clock.advance_ms(60_000);
    registry.append(&mut upload, b"").unwrap();
    clock.advance_ms(60_000);
    registry.store.faults.refuse_writes(1);
    assert!(matches!(registry.append(&mut upload, b"456789"), Err(Error::Store(StoreError::Full))));
    upload
}

/// As [`cut_off_at_3`], by the floor.
fn below_the_floor_at_3(clock: &ManualClock, registry: &Registry) -> Upload {
    let mut upload = registry.start_upload(&name(), Algorithm::Sha256, 0, "anonymous").unwrap();
    registry.append(&mut upload, b"123").unwrap();
    clock.advance_ms(60_000);
    registry.append(&mut upload, b"").unwrap();
    registry.append(&mut upload, b"456").unwrap();
    clock.advance_ms(60_000);
    registry.store.faults.set_room(Some(Room { free: 1, total: 1 << 40 }));
    upload.unchecked = ROOM_CHECK_BYTES;
    assert!(matches!(registry.append(&mut upload, b"789"), Err(Error::NoRoom { .. })));
    registry.store.faults.set_room(None);
    upload
}

#[test]
fn what_was_cut_off_is_not_acknowledged_afterwards() {
    for refuse in [cut_off_at_3, below_the_floor_at_3] {
        let (_home, clock, registry) = registry();
        let mut upload = refuse(&clock, &registry);
        let session = upload.session();
        // There is room again, and the time of a checkpoint has come.
        clock.advance_ms(60_000);
        assert!(registry.append(&mut upload, b"").is_err());
        assert!(registry.append(&mut upload, b"789").is_err());
        assert_eq!(registry.leave_upload(upload).unwrap().offset, 3);
        assert_eq!(registry.upload_status(&name(), session).unwrap().offset, 3);
        assert_eq!(registry.verify(true).unwrap().violations, []);
        let mut upload = registry.resume_upload(&name(), session, Some(6)).unwrap();
        registry.append(&mut upload, b"456789").unwrap();
        registry.finish_upload(upload, Digest::of(Algorithm::Sha256, b"123456789"), "pusher").unwrap();
        assert_eq!(registry.verify(true).unwrap().violations, []);
    }
}
