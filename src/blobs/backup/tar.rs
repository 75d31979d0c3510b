//! A backup as one tar stream: the files first, then the ledger, then BACKUP. What was cut off has no BACKUP,
//! so nobody takes it for whole.

use super::super::{Damage, Location};
use super::files::options;
use super::{Goods, LEDGER, MARKER, Taken};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// A stream that is being written.
pub struct TarBackup<W: Write> {
    archive: Builder<W>,
    at_secs: u64,
}

impl<W: Write> TarBackup<W> {
    /// Begins a stream to `out`. Its entries are of the time `at_ms`.
    pub fn begin(out: W, at_ms: u64) -> io::Result<Self> {
        let mut stream = Self { archive: Builder::new(out), at_secs: at_ms / 1000 };
        for directory in [LEDGER, "blobs", "uploads"] {
            stream.put_directory(Path::new(directory))?;
        }
        Ok(stream)
    }

    fn header(&self, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o700 } else { 0o600 });
        header.set_size(size);
        header.set_mtime(self.at_secs);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    fn put_directory(&mut self, path: &Path) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, 0);
        self.archive.append_data(&mut header, path, io::empty())
    }

    fn put(&mut self, path: &Path, size: u64, bytes: impl Read) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, size);
        self.archive.append_data(&mut header, path, bytes)
    }

    /// Writes a file that the point needs.
    pub fn take(
        &mut self,
        goods: &Goods,
        location: &Location,
        size: u64,
        tell: &mut dyn FnMut(u64),
    ) -> io::Result<Taken> {
        if let Some(damage) = goods.look(location, size)? {
            return Ok(Taken::Damaged(damage));
        }
        let file = match goods.open(location) {
            Ok(file) => file,
            Err(error) => return Ok(Taken::Damaged(Damage::judge(error)?)),
        };
        self.put(&PathBuf::from("blobs").join(location.path()), size, Exactly { file, left: size, tell })?;
        Ok(Taken::Copied)
    }

    /// Writes the copy of the ledger that is in `root`, and says in `words` which point it is.
    pub fn end(mut self, root: &Path, words: &str) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(root.join(LEDGER))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name());
            }
        }
        names.sort();
        for name in names {
            let file = options().write(false).open(root.join(LEDGER).join(&name))?;
            let size = file.metadata()?.len();
            let tell = &mut |_| {};
            self.put(&PathBuf::from(LEDGER).join(name), size, Exactly { file, left: size, tell })?;
        }
        self.put(Path::new(MARKER), words.len() as u64, words.as_bytes())?;
        self.archive.into_inner()?.flush()
    }
}

/// So many bytes of a file, not one less: tar would write a stream that nobody can read.
struct Exactly<'a> {
    file: fs::File,
    left: u64,
    tell: &'a mut dyn FnMut(u64),
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        (self.tell)(count as u64);
        Ok(count)
    }
}
