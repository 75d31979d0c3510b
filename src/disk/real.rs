//! The machine's file systems.

use super::{Disk, DiskFile, How, Kind, Mode, Stat, synced};
use rustix::fs::{AtFlags, FallocateFlags, FileType, OFlags, Statx, StatxFlags, fallocate, statx};
use rustix::io::{Errno, ReadWriteFlags};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

fn flag(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).expect("a flag of open(2) is an int")
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(how != How::Read).mode(0o600).custom_flags(flag(OFlags::NOFOLLOW));
        let file = match how {
            How::Read | How::Write => options.open(path)?,
            How::Create(mode) => {
                let file = options.mode(mode.bits).create_new(true).open(path)?;
                if mode.exact {
                    file.set_permissions(Permissions::from_mode(mode.bits))?;
                }
                file
            }
            How::Nameless => options.custom_flags(flag(OFlags::TMPFILE)).open(path)?,
        };
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_directory(&self, path: &Path, mode: Mode) -> io::Result<()> {
        DirBuilder::new().mode(mode.bits).create(path)?;
        if mode.exact {
            fs::set_permissions(path, Permissions::from_mode(mode.bits))?;
        }
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        synced(File::open(path)?.sync_all())
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        synced(rustix::fs::syncfs(File::open(path)?).map_err(io::Error::from))
    }

    fn list(&self, path: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<OsString>>>> {
        Ok(Box::new(fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()))))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let found = statx(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW, WANTED)?;
        Ok(stat_of(&found))
    }

    fn stat_target(&self, path: &Path) -> io::Result<Stat> {
        Ok(stat_of(&statx(rustix::fs::CWD, path, AtFlags::empty(), WANTED)?))
    }
}

/// What is asked of statx(2).
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn nanoseconds(time: &rustix::fs::StatxTimestamp) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn stat_of(found: &Statx) -> Stat {
    let kind = match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::SymbolicLink,
        _ => Kind::Other,
    };
    let knows_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    Stat {
        kind,
        len: found.stx_size,
        inode: found.stx_ino,
        links: found.stx_nlink.into(),
        born_ns: knows_birth.then(|| nanoseconds(&found.stx_btime)),
        changed_ns: nanoseconds(&found.stx_ctime),
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(stat_of(&statx(self.0.as_fd(), "", AtFlags::EMPTY_PATH, WANTED)?))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // The room is taken when it is written to, as on file systems that never overwrite in place.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if self.0.metadata()?.len() < len => self.0.set_len(len),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        synced(self.0.sync_data())
    }

    fn start_writing(&self, offset: u64, len: u64) {
        // Linux begins to write what is dirty of a range that is not needed, and can drop only what is clean.
        rustix::fs::fadvise(&self.0, offset, NonZeroU64::new(len), rustix::fs::Advice::DontNeed).ok();
    }

    fn send_at(&self, socket: BorrowedFd<'_>, mut offset: u64, count: usize) -> io::Result<usize> {
        match rustix::fs::sendfile(socket, &self.0, Some(&mut offset), count) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
            outcome => Ok(outcome?),
        }
    }

    fn is_cached(&self, offset: u64) -> bool {
        let mut byte = [0];
        let buffers = &mut [io::IoSliceMut::new(&mut byte)];
        // Where it is not there, and on file systems that cannot say, that is an error.
        rustix::io::preadv2(&self.0, buffers, offset, ReadWriteFlags::NOWAIT).is_ok()
    }

    fn forget_cached(&self) {
        // It is advice: where it is not taken, the bytes come from memory.
        rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode = Mode { bits: 0o600, exact: false };

    #[test]
    fn a_file_is_what_it_is_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let file = RealDisk.open(&path, How::Create(MODE)).unwrap();
        file.allocate(8192).unwrap();
        file.write_at(b"goods", 10).unwrap();
        file.sync().unwrap();
        let stat = file.stat().unwrap();
        assert_eq!((stat.kind, stat.len, stat.links), (Kind::File, 8192, 1));
        assert_eq!(RealDisk.stat(&path).unwrap(), stat);
        let mut found = [0; 5];
        RealDisk.open(&path, How::Read).unwrap().read_exact_at(&mut found, 10).unwrap();
        assert_eq!(&found, b"goods");
        assert!(file.read_exact_at(&mut found, 8190).is_err());
        assert_eq!(RealDisk.open(&path, How::Create(MODE)).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        RealDisk.hard_link(&path, &home.path().join("other")).unwrap();
        assert_eq!(file.stat().unwrap().links, 2);
        std::os::unix::fs::symlink(&path, home.path().join("link")).unwrap();
        assert!(RealDisk.open(&home.path().join("link"), How::Read).is_err());
        assert_eq!(RealDisk.stat(&home.path().join("link")).unwrap().kind, Kind::SymbolicLink);
        assert_eq!(RealDisk.stat_target(&home.path().join("link")).unwrap(), file.stat().unwrap());
        let names = RealDisk.list(home.path()).unwrap().collect::<io::Result<Vec<_>>>().unwrap();
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn a_nameless_file_is_in_no_list() {
        let home = tempfile::tempdir().unwrap();
        let file = RealDisk.open(home.path(), How::Nameless).unwrap();
        file.write_at(b"x", 0).unwrap();
        assert_eq!(file.stat().unwrap().links, 0);
        assert_eq!(RealDisk.list(home.path()).unwrap().count(), 0);
    }
}
