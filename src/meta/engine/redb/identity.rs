//! `ledger/IDENTITY`: what tells the original from a copy.
//!
//! It holds what the file system says of the file of the B-tree. A copy has another inode; what is written
//! over the file changes the time of its last change, which nobody can set. It also names the newest segment
//! of the journal: one with frames that it does not know was left behind where an older copy was put back.

use super::bytes::{Reader, checksum, put};
use super::place::{DATABASE, IDENTITY, Place};
use crate::disk::{DiskFile, How, Stat, is_full};
use std::io;

/// How the file begins. The last byte is the version of the format.
const MAGIC: [u8; 16] = *b"whf identity\0\0\0\x01";
/// How long it is.
const IDENTITY_BYTES: usize = 256;
/// The time of a change that stands for none.
const CHANGED_NEVER_NS: i128 = 0;
/// How long the name of a segment may be.
const NAME_BYTES: usize = 64;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    database: Option<Known>,
    /// The name of the newest segment; empty where there is none.
    pub newest: String,
    /// Whether the B-tree was closed with all that the journal has.
    pub is_closed: bool,
}

/// What is known of the file of the B-tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    inode: u64,
    born_ns: Option<i128>,
    len: u64,
    changed_ns: i128,
}

impl Known {
    fn of(stat: &Stat) -> Self {
        let Stat { inode, born_ns, len, changed_ns, .. } = *stat;
        Self { inode, born_ns, len, changed_ns }
    }
}

/// How far the file of the B-tree is the one that the ledger wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Nobody else touched it.
    Same,
    /// It is the same file, and was changed by somebody else, or when the ledger had no time to say so.
    Touched,
    /// It is another file, or nothing says what it should be.
    Other,
}

impl Identity {
    /// Reads the file; none where it is not there or not whole.
    pub fn read(place: &Place) -> io::Result<Option<Self>> {
        let Some(file) = place.open(IDENTITY, How::Read)? else { return Ok(None) };
        Self::of(&*file)
    }

    /// What a file says; none where it is not whole.
    pub fn of(file: &dyn DiskFile) -> io::Result<Option<Self>> {
        let mut bytes = [0; IDENTITY_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(|()| Self::parse(&bytes)),
        }
    }

    fn parse(bytes: &[u8; IDENTITY_BYTES]) -> Option<Self> {
        let (covered, sum) = bytes.split_at(IDENTITY_BYTES - 16);
        if checksum(&[covered]) != sum {
            return None;
        }
        let mut reader = Reader(covered);
        if reader.array() != Some(MAGIC) {
            return None;
        }
        let (inode, born_ns) = (reader.u64()?, i128::from_be_bytes(reader.array()?));
        let (len, changed_ns) = (reader.u64()?, i128::from_be_bytes(reader.array()?));
        let born_ns = (born_ns != 0).then_some(born_ns);
        let count = reader.len().filter(|&count| count <= NAME_BYTES)?;
        let newest = String::from_utf8(reader.take(count)?.to_vec()).ok()?;
        let is_closed = reader.array()? == [1];
        Some(Self { database: Some(Known { inode, born_ns, len, changed_ns }), newest, is_closed })
    }

    /// One that knows the file of the B-tree.
    pub fn new(database: &Stat, newest: String) -> Self {
        Self { database: Some(Known::of(database)), newest, is_closed: false }
    }

    pub fn to_bytes(&self) -> [u8; IDENTITY_BYTES] {
        let known = self.database.unwrap_or(Known { inode: 0, born_ns: None, len: 0, changed_ns: 0 });
        let mut out = Vec::with_capacity(IDENTITY_BYTES);
        out.extend(MAGIC);
        put(&mut out, known.inode);
        out.extend(known.born_ns.unwrap_or(0).to_be_bytes());
        put(&mut out, known.len);
        out.extend(known.changed_ns.to_be_bytes());
        let name = self.newest.as_bytes();
        assert!(name.len() <= NAME_BYTES, "a segment's name is short");
        out.extend(u32::try_from(name.len()).expect("it is short").to_be_bytes());
        out.extend(name);
        out.push(self.is_closed.into());
        out.resize(IDENTITY_BYTES - 16, 0);
        let sum = checksum(&[&out]);
        out.extend(sum);
        out.try_into().expect("it has been filled up")
    }

    /// The same, but the file of the B-tree is to be looked at closely, whatever becomes of it: no file was
    /// changed at that time.
    pub fn touched(mut self) -> Self {
        let known = self.database.as_mut();
        known.expect("what was read knows a file").changed_ns = CHANGED_NEVER_NS;
        self.is_closed = false;
        self
    }

    /// Writes it over the one that is there, durably.
    pub fn write(&self, place: &Place) -> io::Result<()> {
        let file = place.open(IDENTITY, How::Write)?.ok_or(io::ErrorKind::NotFound)?;
        file.write_at(&self.to_bytes(), 0)?;
        file.sync()
    }

    /// Compares the file of the B-tree with what is known of it.
    pub fn likeness(&self, stat: &Stat) -> Likeness {
        let (Some(known), found) = (self.database, Known::of(stat)) else { return Likeness::Other };
        // Somebody who has the file under another name may write to it, and is written to.
        if stat.links > 1 || known.inode != found.inode || known.born_ns != found.born_ns {
            return Likeness::Other;
        }
        match (known == found, known.born_ns) {
            (true, _) => Likeness::Same,
            (false, Some(_)) => Likeness::Touched,
            (false, None) if known.changed_ns == CHANGED_NEVER_NS => Likeness::Touched,
            // Inodes are used again: without the time of birth it may be another file.
            (false, None) => Likeness::Other,
        }
    }
}

/// The file, as it is written.
#[derive(Debug)]
pub struct IdentityFile {
    place: Place,
    /// None: there is none of ours yet.
    file: Option<Box<dyn DiskFile>>,
    says: Identity,
    /// Whether it says what the B-tree is.
    is_begun: bool,
}

impl IdentityFile {
    /// What it says of the B-tree stays as it is until [`Self::begin`]. `there` is the one that is there, if
    /// it is to be gone on with; `newest` is the newest segment of the journal.
    pub fn new(place: Place, there: Option<Identity>, newest: String) -> io::Result<Self> {
        let file = if there.is_some() { place.open(IDENTITY, How::Write)? } else { None };
        let says = there.unwrap_or(Identity { newest, ..Identity::default() });
        Ok(Self { place, file, says, is_begun: false })
    }

    /// For what is only looked at: nothing is written.
    pub fn none(place: Place) -> Self {
        Self { place, file: None, says: Identity::default(), is_begun: false }
    }

    /// From now on it says what the B-tree is.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.says.database = Some(self.known()?);
            self.file = Some(self.make()?);
        }
        self.is_begun = true;
        self.note_database()
    }

    fn known(&self) -> io::Result<Known> {
        Ok(Known::of(&self.place.disk.stat(&self.place.path(DATABASE))?))
    }

    fn make(&self) -> io::Result<Box<dyn DiskFile>> {
        let (name, file) = self.place.create_unfinished(IDENTITY)?;
        file.write_at(&self.says.to_bytes(), 0)?;
        file.sync()?;
        self.place.rename(&name, IDENTITY)?;
        Ok(file)
    }

    /// Says what the B-tree's file is now, if it has changed. It need not be durable: what is out of date
    /// after a power cut means that the file is looked at more closely.
    pub fn note_database(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| self.is_begun) else { return Ok(()) };
        let known = self.known()?;
        if self.says.database == Some(known) {
            return Ok(());
        }
        self.says.database = Some(known);
        match file.write_at(&self.says.to_bytes(), 0) {
            // A file system that never overwrites in place is full: it is tried again, and a start before
            // that looks more closely.
            Err(error) if is_full(&error) => {
                self.says.database = None;
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Says that the B-tree is closed with all that the journal has.
    pub fn note_closed(&mut self) -> io::Result<()> {
        self.says.is_closed = self.is_begun;
        self.says.database = None;
        self.note_database()
    }

    /// Says which segment is the newest, durably. After an error it may say so or not.
    pub fn set_newest(&mut self, name: &str) -> io::Result<()> {
        name.clone_into(&mut self.says.newest);
        self.says.is_closed = false;
        let Some(file) = &self.file else { return Ok(()) };
        file.write_at(&self.says.to_bytes(), 0)?;
        file.sync()
    }
}
