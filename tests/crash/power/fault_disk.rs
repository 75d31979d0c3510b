//! A disk in memory, with a whole tree of files, whose power fails at a chosen operation. What was synced is
//! there afterwards; of what was not, whatever may happen to it happened.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use wharfinger::disk::{Disk, DiskFile, How, Kind, Mode, Stat, synced};

use super::contents::Contents;
use super::names::{Entries, Names};
use crate::random::Random;

/// The inode of the directory that all others are in.
const ROOT: u64 = 2;

/// When the first disk is made, and how long an operation takes, in nanoseconds.
const BEGINNING_NS: i128 = 1_700_000_000_000_000_000;
const OPERATION_NS: i128 = 1_000;

/// What syncing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// What was written before is safe.
    Honest,
    /// It says so, and does nothing.
    Lying,
}

/// The handle of a disk. Clones are handles of the same disk.
#[derive(Clone, Debug)]
pub struct FaultDisk(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    now_ns: i128,
    sync: Sync,
    /// Operations that change something, so far.
    operations: usize,
    /// The operation at which the power fails; none: no cut comes.
    cut_at: Option<usize>,
}

#[derive(Clone, Debug)]
struct Inode {
    node: Node,
    links: u64,
    born_ns: i128,
    changed_ns: i128,
    /// When it had changed last as it was synced.
    durable_changed_ns: i128,
}

#[derive(Clone, Debug)]
enum Node {
    File(Contents),
    Directory(Names),
}

impl Inode {
    fn new(node: Node, now_ns: i128) -> Self {
        Self { node, links: 1, born_ns: now_ns, changed_ns: now_ns, durable_changed_ns: now_ns }
    }
}

impl FaultDisk {
    /// An empty disk, with power.
    pub fn new() -> Self {
        let root = Inode::new(Node::Directory(Names::default()), BEGINNING_NS);
        let (inodes, next_inode) = (BTreeMap::from([(ROOT, root)]), ROOT + 1);
        let (now_ns, sync) = (BEGINNING_NS, Sync::Honest);
        let state = State { inodes, next_inode, now_ns, sync, operations: 0, cut_at: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Another disk with the same on it, synced or not.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state(|state| state.clone()))))
    }

    /// Lets the power fail at that operation from now: 1 is the next one.
    pub fn cut_in(&self, operations: usize) {
        self.state(|state| state.cut_at = Some(state.operations + operations));
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.state(|state| state.cut_at = Some(state.operations));
    }

    /// Whether the power failed.
    pub fn is_cut(&self) -> bool {
        self.state(|state| state.is_cut())
    }

    /// How many operations there were that change something.
    pub fn operations(&self) -> usize {
        self.state(|state| state.operations)
    }

    /// Says what syncing does from now on.
    pub fn set_sync(&self, sync: Sync) {
        self.state(|state| state.sync = sync);
    }

    /// The disk when the power is back, with what survived.
    pub fn after_the_cut(&self, random: &mut Random) -> Self {
        assert!(self.is_cut());
        Self(Arc::new(Mutex::new(self.state(|state| state.survivors(random)))))
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().expect("no operation of the disk panics"))
    }

    fn file(&self, inode: u64, writable: bool) -> Box<dyn DiskFile> {
        Box::new(FaultFile { disk: self.clone(), inode, writable })
    }
}

impl State {
    fn is_cut(&self) -> bool {
        self.cut_at.is_some_and(|cut_at| self.operations >= cut_at)
    }

    fn check_power(&self) -> Result<()> {
        if self.is_cut() { Err(Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts an operation that changes something.
    fn change(&mut self) -> Result<()> {
        self.check_power()?;
        self.operations += 1;
        self.now_ns += OPERATION_NS;
        self.check_power()
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("what has a name or is open is there")
    }

    /// The same, of what changes now.
    fn touched(&mut self, inode: u64) -> &mut Inode {
        let now_ns = self.now_ns;
        let touched = self.inode(inode);
        touched.changed_ns = now_ns;
        touched
    }

    fn names(&mut self, inode: u64) -> Result<&mut Names> {
        match &mut self.inode(inode).node {
            Node::Directory(names) => Ok(names),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn contents(&mut self, inode: u64) -> Result<&mut Contents> {
        match &mut self.inode(inode).node {
            Node::File(contents) => Ok(contents),
            Node::Directory(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn find(&mut self, path: &Path) -> Result<u64> {
        self.check_power()?;
        let mut inode = ROOT;
        for part in path.components() {
            match part {
                Component::RootDir => {}
                Component::Normal(name) => {
                    inode = self.names(inode)?.get(name).ok_or(ErrorKind::NotFound)?;
                }
                other => panic!("a path of the registry's has {other:?} in it"),
            }
        }
        Ok(inode)
    }

    fn find_file(&mut self, path: &Path) -> Result<u64> {
        let inode = self.find(path)?;
        self.contents(inode).map(|_| inode)
    }

    /// The directory that a path's last name is in, and that name.
    fn place<'a>(&mut self, path: &'a Path) -> Result<(u64, &'a OsStr)> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::AlreadyExists.into());
        };
        let directory = self.find(directory)?;
        self.names(directory).map(|_| (directory, name))
    }

    /// The same for a name that nobody has.
    fn free_place<'a>(&mut self, path: &'a Path) -> Result<(u64, &'a OsStr)> {
        let (directory, name) = self.place(path)?;
        match self.names(directory)?.get(name) {
            None => Ok((directory, name)),
            Some(_) => Err(ErrorKind::AlreadyExists.into()),
        }
    }

    fn make(&mut self, node: Node) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::new(node, self.now_ns));
        inode
    }

    fn make_at(&mut self, path: &Path, node: Node) -> Result<u64> {
        self.change()?;
        let (directory, name) = self.free_place(path)?;
        let inode = self.make(node);
        self.names(directory)?.set(name.to_owned(), inode);
        self.touched(directory);
        Ok(inode)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.change()?;
        let inode = self.find_file(from)?;
        let ((old, from), (new, to)) = (self.place(from)?, self.place(to)?);
        let replaced = self.names(new)?.get(to);
        if replaced == Some(inode) {
            // Two names of one file: nothing happens, as rename(2) has it.
            return Ok(());
        }
        if old == new {
            self.names(old)?.rename(from.to_owned(), to.to_owned(), inode);
        } else {
            self.names(new)?.set(to.to_owned(), inode);
            self.names(old)?.remove(from.to_owned());
        }
        for touched in [old, new, inode] {
            self.touched(touched);
        }
        if let Some(replaced) = replaced {
            self.touched(replaced).links -= 1;
        }
        Ok(())
    }

    fn hard_link(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.change()?;
        let inode = self.find_file(from)?;
        let (directory, name) = self.free_place(to)?;
        self.names(directory)?.set(name.to_owned(), inode);
        self.touched(directory);
        self.touched(inode).links += 1;
        Ok(())
    }

    fn remove_file(&mut self, path: &Path) -> Result<()> {
        self.change()?;
        let inode = self.find_file(path)?;
        let (directory, name) = self.place(path)?;
        self.names(directory)?.remove(name.to_owned());
        self.touched(directory);
        self.touched(inode).links -= 1;
        Ok(())
    }

    fn remove_directory(&mut self, path: &Path) -> Result<()> {
        self.change()?;
        let inode = self.find(path)?;
        if !self.names(inode)?.list().is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let (directory, name) = self.place(path)?;
        self.names(directory)?.remove(name.to_owned());
        self.touched(directory);
        self.touched(inode).links -= 1;
        Ok(())
    }

    fn stat(&mut self, number: u64) -> Stat {
        let inode = self.inode(number);
        let (kind, len) = match &inode.node {
            Node::File(contents) => (Kind::File, contents.len() as u64),
            Node::Directory(_) => (Kind::Directory, 0),
        };
        let (links, changed_ns) = (inode.links, inode.changed_ns);
        Stat { kind, len, inode: number, links, born_ns: Some(inode.born_ns), changed_ns }
    }

    fn sync_file(&mut self, inode: u64) -> Result<()> {
        self.change()?;
        if self.sync == Sync::Honest {
            self.contents(inode)?.sync();
            let inode = self.inode(inode);
            inode.durable_changed_ns = inode.changed_ns;
        }
        Ok(())
    }

    fn sync_directory(&mut self, path: &Path) -> Result<()> {
        self.change()?;
        let inode = self.find(path)?;
        if self.sync == Sync::Honest {
            self.names(inode)?.sync();
        }
        Ok(())
    }

    fn sync_everything(&mut self) -> Result<()> {
        self.change()?;
        if self.sync == Sync::Honest {
            for inode in self.inodes.values_mut() {
                match &mut inode.node {
                    Node::File(contents) => contents.sync(),
                    Node::Directory(names) => names.sync(),
                }
                inode.durable_changed_ns = inode.changed_ns;
            }
        }
        Ok(())
    }

    /// What is on the disk when the power is back: what the names that survived lead to.
    fn survivors(&self, random: &mut Random) -> Self {
        let mut inodes: BTreeMap<u64, Inode> = BTreeMap::new();
        let mut waiting = vec![ROOT];
        while let Some(number) = waiting.pop() {
            if let Some(present) = inodes.get_mut(&number) {
                present.links += 1;
                continue;
            }
            let mut inode = self.inodes[&number].clone();
            inode.links = 1;
            match &mut inode.node {
                Node::Directory(names) => {
                    let entries: Entries = names.after_the_cut(random);
                    waiting.extend(entries.values());
                    *names = Names::new(entries);
                }
                Node::File(contents) => {
                    let after = contents.after_the_cut(random);
                    if contents.is_durably(&after) {
                        inode.changed_ns = inode.durable_changed_ns;
                    }
                    *contents = Contents::new(after);
                }
            }
            inode.durable_changed_ns = inode.changed_ns;
            inodes.insert(number, inode);
        }
        let (next_inode, now_ns) = (self.next_inode, self.now_ns);
        Self { inodes, next_inode, now_ns, sync: Sync::Honest, operations: 0, cut_at: None }
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, how: How) -> Result<Box<dyn DiskFile>> {
        let inode = self.state(|state| match how {
            How::Read | How::Write => state.find_file(path),
            How::Create(_) => state.make_at(path, Node::File(Contents::default())),
            How::Nameless => {
                state.change()?;
                let directory = state.find(path)?;
                state.names(directory)?;
                let inode = state.make(Node::File(Contents::default()));
                state.inode(inode).links = 0;
                Ok(inode)
            }
        })?;
        Ok(self.file(inode, how != How::Read))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.state(|state| state.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.state(|state| state.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.state(|state| state.remove_file(path))
    }

    fn make_directory(&self, path: &Path, _mode: Mode) -> Result<()> {
        self.state(|state| state.make_at(path, Node::Directory(Names::default())).map(drop))
    }

    fn remove_directory(&self, path: &Path) -> Result<()> {
        self.state(|state| state.remove_directory(path))
    }

    fn sync_directory(&self, path: &Path) -> Result<()> {
        synced(self.state(|state| state.sync_directory(path)))
    }

    fn sync_file_system(&self, _path: &Path) -> Result<()> {
        synced(self.state(State::sync_everything))
    }

    fn list(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<OsString>>>> {
        let names = self.state(|state| {
            let inode = state.find(path)?;
            state.names(inode).map(|names| names.list())
        })?;
        Ok(Box::new(names.into_iter().map(Ok)))
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        self.state(|state| state.find(path).map(|inode| state.stat(inode)))
    }

    fn stat_target(&self, path: &Path) -> Result<Stat> {
        self.stat(path)
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    inode: u64,
    writable: bool,
}

impl FaultFile {
    /// Changes the bytes of a file that is open for writing.
    fn change(&self, act: impl FnOnce(&mut Contents)) -> Result<()> {
        assert!(self.writable, "it was opened to be read");
        self.disk.state(|state| {
            state.change()?;
            state.touched(self.inode);
            state.contents(self.inode).map(act)
        })
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("the disk fits into memory")
}

impl DiskFile for FaultFile {
    fn stat(&self) -> Result<Stat> {
        self.disk.state(|state| state.check_power().map(|()| state.stat(self.inode)))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.disk.state(|state| {
            state.check_power()?;
            state.contents(self.inode).map(|contents| contents.read(buffer, place(offset)))
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.change(|contents| contents.write(bytes, place(offset)))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(|contents| contents.set_len(place(len)))
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.change(|contents| {
            if contents.len() < place(len) {
                contents.set_len(place(len));
            }
        })
    }

    fn sync(&self) -> Result<()> {
        synced(self.disk.state(|state| state.sync_file(self.inode)))
    }
}
