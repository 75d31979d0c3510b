//! What the disk of the tests keeps through a power cut, and what it may lose.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use wharfinger::disk::{Disk, DiskFile, How, Mode, is_there};

use super::fault_disk::{FaultDisk, Sync};
use crate::random::{self, Random};

const MODE: Mode = Mode { bits: 0o600, exact: false };

/// Cuts of which each of two outcomes must be among.
const CUTS: usize = 200;

fn create(disk: &FaultDisk, path: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(Path::new(path), How::Create(MODE)).expect("a new file");
    file.write_at(bytes, 0).expect("there is power");
    file
}

fn sync_root(disk: &FaultDisk) {
    disk.sync_directory(Path::new("/")).expect("there is power");
}

/// What a file holds; none where it has no name.
fn read(disk: &FaultDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), How::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.stat().expect("there is power").len).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("there is power");
    Some(bytes)
}

/// What many cuts at the same place leave, as `look` sees it.
fn outcomes<T: Ord>(test: &str, disk: &FaultDisk, look: impl Fn(&FaultDisk) -> T) -> BTreeSet<T> {
    let mut random = Random::new(random::seed(test));
    disk.cut();
    (0..CUTS).map(|_| look(&disk.after_the_cut(&mut random))).collect()
}

#[test]
fn what_is_synced_stays() {
    let disk = FaultDisk::new();
    let file = create(&disk, "/a", &[1; 2000]);
    file.sync().expect("there is power");
    sync_root(&disk);
    let stat = file.stat().expect("there is power");
    let left = outcomes("what_is_synced_stays", &disk, |disk| {
        assert_eq!(disk.stat(Path::new("/a")).expect("it is there"), stat);
        read(disk, "/a")
    });
    assert_eq!(left, [Some(vec![1; 2000])].into());
    assert!(file.write_at(&[2], 0).is_err() && file.sync().is_err() && file.stat().is_err());
    assert!(disk.stat(Path::new("/")).is_err(), "there is no power");
}

#[test]
fn what_is_not_synced_is_there_or_not_or_in_part() {
    let disk = FaultDisk::new();
    let file = create(&disk, "/a", &[1; 2048]);
    file.sync().expect("there is power");
    sync_root(&disk);
    let before = file.stat().expect("there is power");
    file.write_at(&[2; 2048], 0).expect("there is power");
    assert!(file.stat().expect("there is power").changed_ns > before.changed_ns);
    let left = outcomes("what_is_not_synced_is_there_or_not_or_in_part", &disk, |disk| {
        let bytes = read(disk, "/a").expect("it is there");
        let stat = disk.stat(Path::new("/a")).expect("it is there");
        assert_eq!(stat.changed_ns > before.changed_ns, bytes != [1; 2048]);
        bytes
    });
    assert!(left.contains(&vec![1; 2048]) && left.contains(&vec![2; 2048]));
    assert!(left.iter().any(|bytes| bytes.contains(&1) && bytes.contains(&2)), "torn");
    assert!(
        left.iter().flat_map(|bytes| bytes.chunks(512)).all(|sector| sector.iter().all(|b| *b == sector[0]))
    );
}

#[test]
fn a_name_is_there_or_not_until_its_directory_is_synced() {
    let disk = FaultDisk::new();
    create(&disk, "/a", b"a").sync().expect("there is power");
    let left =
        outcomes("a_name_is_there_or_not_until_its_directory_is_synced", &disk, |disk| read(disk, "/a"));
    assert_eq!(left, [None, Some(b"a".to_vec())].into());
}

#[test]
fn a_renamed_file_has_one_of_its_names() {
    let disk = FaultDisk::new();
    for name in ["/a", "/b"] {
        create(&disk, name, name.as_bytes()).sync().expect("there is power");
    }
    sync_root(&disk);
    disk.rename(Path::new("/a"), Path::new("/b")).expect("there is power");
    create(&disk, "/a", b"new").sync().expect("there is power");
    let left =
        outcomes("a_renamed_file_has_one_of_its_names", &disk, |disk| (read(disk, "/a"), read(disk, "/b")));
    let bytes = |name: &str| Some(name.as_bytes().to_vec());
    let (before, after) = ((bytes("/a"), bytes("/b")), bytes("/a"));
    assert_eq!(left, [before, (None, after.clone()), (bytes("new"), after)].into());
}

#[test]
fn a_link_that_is_lost_is_the_only_name_that_is() {
    let disk = FaultDisk::new();
    disk.make_directory(Path::new("/d"), MODE).expect("there is power");
    create(&disk, "/a", b"a").sync().expect("there is power");
    sync_root(&disk);
    disk.hard_link(Path::new("/a"), Path::new("/d/b")).expect("there is power");
    let again = disk.hard_link(Path::new("/a"), Path::new("/d/b"));
    assert_eq!(again.expect_err("the name is taken").kind(), ErrorKind::AlreadyExists);
    let left = outcomes("a_link_that_is_lost_is_the_only_name_that_is", &disk, |disk| {
        let links = disk.stat(Path::new("/a")).expect("it is there").links;
        (links, is_there(disk, Path::new("/d/b")).expect("there is power"))
    });
    assert_eq!(left, [(1, false), (2, true)].into());
}

#[test]
fn syncs_that_lie_keep_nothing() {
    let disk = FaultDisk::new();
    disk.set_sync(Sync::Lying);
    create(&disk, "/a", b"a").sync().expect("it says so");
    sync_root(&disk);
    let left = outcomes("syncs_that_lie_keep_nothing", &disk, |disk| read(disk, "/a"));
    assert!(left.contains(&None) && left.contains(&Some(b"a".to_vec())));
}

#[test]
fn the_power_fails_at_the_operation_that_was_said() {
    let disk = FaultDisk::new();
    disk.cut_in(3);
    let file = create(&disk, "/a", b"a");
    assert_eq!(disk.operations(), 2);
    assert!(file.sync().is_err() && disk.is_cut());
}
