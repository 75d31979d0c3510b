//! What every engine has to do, run against the redb engine in memory.

use super::redb::tests::place;
use super::redb::{LedgerOptions, RedbEngine};
use super::{Engine, KeyRange, Limit, ReadRows, TableId, Verdict, WriteError};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Barrier, Mutex};
use tempfile::TempDir;

/// An engine in a directory of its own, which goes with it.
struct Scene {
    engine: RedbEngine,
    _home: TempDir,
}

impl Deref for Scene {
    type Target = RedbEngine;

    fn deref(&self) -> &RedbEngine {
        &self.engine
    }
}

fn engine() -> Arc<Scene> {
    let fail = Box::new(|reason: &str| panic!("the engine failed: {reason}"));
    let home = tempfile::tempdir().unwrap();
    let engine = RedbEngine::open(&place(home.path()), LedgerOptions::default(), fail).unwrap();
    Arc::new(Scene { engine, _home: home })
}

fn all(rows: &dyn ReadRows, table: TableId) -> BTreeMap<Vec<u8>, Vec<u8>> {
    rows.range(table, &KeyRange::all(), Limit::rows(usize::MAX)).unwrap().into_iter().collect()
}

#[test]
fn a_kept_write_is_seen_and_an_undone_one_is_not() {
    let engine = engine();
    let before = engine.snapshot().unwrap();
    engine
        .write(Box::new(|rows| {
            rows.put(TableId::Tag, b"a", b"1").unwrap();
            assert_eq!(rows.get(TableId::Tag, b"a").unwrap(), Some(b"1".to_vec()));
            assert!(!rows.insert_if_absent(TableId::Tag, b"a", b"2").unwrap());
            Verdict::Keep
        }))
        .unwrap();
    engine
        .write(Box::new(|rows| {
            rows.put(TableId::Tag, b"a", b"3").unwrap();
            assert_eq!(rows.remove(TableId::Tag, b"a").unwrap(), Some(b"3".to_vec()));
            rows.put(TableId::Blob, b"b", b"4").unwrap();
            Verdict::Undo
        }))
        .unwrap();
    assert_eq!(before.get(TableId::Tag, b"a").unwrap(), None, "a snapshot is one state");
    let after = engine.snapshot().unwrap();
    assert_eq!(after.get(TableId::Tag, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(after.get(TableId::Blob, b"b").unwrap(), None);
}

#[test]
fn a_range_ends_by_rows_or_bytes_and_never_before_its_first() {
    let engine = engine();
    engine
        .write(Box::new(|rows| {
            for (key, size) in [(b"a", 10), (b"b", 10), (b"c", 1000), (b"d", 1)] {
                rows.put(TableId::Tag, key, &vec![0; size]).unwrap();
            }
            Verdict::Keep
        }))
        .unwrap();
    let snapshot = engine.snapshot().unwrap();
    let keys = |range: &KeyRange, rows, bytes| {
        let found = snapshot.range(TableId::Tag, range, Limit { rows, bytes }).unwrap();
        String::from_utf8(found.into_iter().flat_map(|(key, _)| key).collect()).unwrap()
    };
    assert_eq!(keys(&KeyRange::all(), 9, usize::MAX), "abcd");
    assert_eq!(keys(&KeyRange::all(), 1, usize::MAX), "a");
    assert_eq!(keys(&KeyRange::all(), 9, 21), "a");
    assert_eq!(keys(&KeyRange::all(), 9, 22), "ab");
    assert_eq!(keys(&KeyRange::all(), 9, 0), "a");
    assert_eq!(keys(&KeyRange::all().after_bytes(b"b"), 9, 100), "c");
    assert_eq!(keys(&KeyRange::all(), 0, 100), "");
    let keys_back = |range: &KeyRange, rows, bytes| {
        let found = snapshot.range_back(TableId::Tag, range, Limit { rows, bytes }).unwrap();
        String::from_utf8(found.into_iter().flat_map(|(key, _)| key).collect()).unwrap()
    };
    assert_eq!(keys_back(&KeyRange::all(), 9, usize::MAX), "dcba");
    assert_eq!(keys_back(&KeyRange::all(), 2, usize::MAX), "dc");
    assert_eq!(keys_back(&KeyRange::all(), 9, 100), "d");
    let middle = KeyRange { start: b"b".to_vec(), end: Some(b"d".to_vec()) };
    assert_eq!(keys_back(&middle, 9, usize::MAX), "cb");
    assert_eq!(keys_back(&KeyRange { start: b"d".to_vec(), end: Some(b"b".to_vec()) }, 9, 100), "");
}

#[test]
fn a_panic_undoes_its_own_closure_and_no_other() {
    let engine = engine();
    let error = engine.write(Box::new(|rows| {
        rows.put(TableId::Tag, b"lost", b"1").unwrap();
        panic!("a bug")
    }));
    assert!(matches!(error, Err(WriteError::Panicked(words)) if words == "a bug"));
    engine
        .write(Box::new(|rows| {
            rows.put(TableId::Tag, b"kept", b"1").unwrap();
            Verdict::Keep
        }))
        .unwrap();
    let rows = engine.snapshot().unwrap();
    assert_eq!(all(&*rows, TableId::Tag).into_keys().collect::<Vec<_>>(), [b"kept".to_vec()]);
}

#[test]
fn a_closure_that_writes_too_much_panics_before_it_does() {
    let engine = engine();
    let large = vec![0; super::changes::CLOSURE_MAX_BYTES / 2];
    let error = engine.write(Box::new(move |rows| {
        rows.put(TableId::Tag, b"1", &large).unwrap();
        rows.put(TableId::Tag, b"2", &large).unwrap();
        Verdict::Keep
    }));
    assert!(matches!(error, Err(WriteError::Panicked(_))));
    assert!(all(&*engine.snapshot().unwrap(), TableId::Tag).is_empty());
}

#[test]
fn counters_add_up_from_many_threads() {
    let engine = engine();
    let start = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16_i64)
        .map(|thread| {
            let (engine, start) = (Arc::clone(&engine), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                for _ in 0..8 {
                    let job = move |rows: &mut dyn super::WriteRows| {
                        rows.add(b"sum", thread).unwrap();
                        // Every third thread changes its mind, in the middle of other people's groups.
                        if thread % 3 == 0 { Verdict::Undo } else { Verdict::Keep }
                    };
                    engine.write(Box::new(job)).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let sum = engine.snapshot().unwrap().get(TableId::Counter, b"sum").unwrap().unwrap();
    let expected: i64 = (0..16).filter(|thread| thread % 3 != 0).map(|thread| thread * 8).sum();
    assert_eq!(i64::from_be_bytes(sum.try_into().unwrap()), expected);
}

#[derive(Debug, Clone)]
enum Op {
    Put(u8, u8),
    Insert(u8, u8),
    Remove(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..8_u8, any::<u8>()).prop_map(|(key, value)| Op::Put(key, value)),
        (0..8_u8, any::<u8>()).prop_map(|(key, value)| Op::Insert(key, value)),
        (0..8_u8).prop_map(Op::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_what_a_map_does(
        closures in prop::collection::vec((prop::collection::vec(op(), 1..6), any::<bool>()), 1..12)
    ) {
        let engine = engine();
        let mut model = BTreeMap::new();
        for (ops, keep) in closures {
            let mut next = model.clone();
            for op in &ops {
                match op {
                    Op::Put(key, value) => drop(next.insert(vec![*key], vec![*value])),
                    Op::Insert(key, value) => drop(next.entry(vec![*key]).or_insert(vec![*value])),
                    Op::Remove(key) => drop(next.remove(&vec![*key])),
                }
            }
            let seen = Arc::new(Mutex::new(BTreeMap::new()));
            let inside = Arc::clone(&seen);
            engine.write(Box::new(move |rows| {
                for op in &ops {
                    match op {
                        Op::Put(key, value) => rows.put(TableId::Tag, &[*key], &[*value]).unwrap(),
                        Op::Insert(key, value) => {
                            rows.insert_if_absent(TableId::Tag, &[*key], &[*value]).unwrap();
                        }
                        Op::Remove(key) => drop(rows.remove(TableId::Tag, &[*key]).unwrap()),
                    }
                }
                *inside.lock().unwrap() = all(rows.as_read(), TableId::Tag);
                if keep { Verdict::Keep } else { Verdict::Undo }
            })).unwrap();
            prop_assert_eq!(&*seen.lock().unwrap(), &next);
            if keep {
                model = next;
            }
            prop_assert_eq!(all(&*engine.snapshot().unwrap(), TableId::Tag), model.clone());
        }
        let range = KeyRange { start: vec![2], end: Some(vec![6]) };
        let page = engine.snapshot().unwrap().range(TableId::Tag, &range, Limit::rows(2)).unwrap();
        let expected = model.range(vec![2]..vec![6]).take(2).map(|(k, v)| (k.clone(), v.clone()));
        let expected: Vec<_> = expected.collect();
        prop_assert_eq!(page, expected);
    }
}
