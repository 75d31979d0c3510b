//! The orders in which the registry does things to one blob, as a model: two clients push images with it, by
//! uploading, mounting or asking with HEAD first; somebody deletes; the collector collects; the process is
//! killed and starts again; a file may be found damaged and is then replaced by the next upload, which the
//! registry does not do yet.
//!
//! What the model calls an action is a transaction of the ledger, or one operation on a file. Time is counted
//! in ticks. What is durable and what is not is `State`'s order of fields.

mod actions;
mod files;
mod rules;

use crate::search::Model;

/// How many ticks a lease lasts.
pub const LEASE: u8 = 3;
/// How long before its end HEAD stops to count on it: a client acts on an answer within that time.
pub const MARGIN: u8 = 1;
/// How many ticks a deleted manifest is kept.
pub const KEEP: u8 = 2;

/// A set of files or sessions, a bit each. A file has the number of the session that made it.
pub type Set = u8;

/// What happens at most, and what is done in a wrong order.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Whether both clients push to one repository; else each has its own and can mount from the other's.
    pub shared: bool,
    /// How many images each client pushes. It is the same image: the second push heals or finds the first.
    pub pushes: u8,
    pub ticks: u8,
    pub deletes: u8,
    pub crashes: u8,
    pub damages: u8,
    pub broken: Option<Broken>,
}

/// Orders that lose data or leave garbage. The search has to find each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The collector looks in one transaction and drops the row in another.
    CheckApartFromDrop,
    /// The collector unlinks the file and then commits.
    UnlinkBeforeCommit,
    /// The tombstone is dropped, then its file unlinked.
    TombstoneDroppedFirst,
    /// The collector drops a row and writes no tombstone, since it unlinks the file right afterwards.
    DropWithoutTombstone,
    /// A file is named by its digest alone.
    NameUsedAgain,
    /// While serving, files that no row or tombstone names are removed.
    Janitor,
    /// HEAD counts on a lease to its end.
    HeadWithoutMargin,
    /// HEAD answers from what it remembers.
    HeadFromCache,
    /// A manifest's references are checked in one transaction and its rows written in another.
    PushInTwo,
    /// A mount looks in one transaction and writes its lease in another.
    MountInTwo,
    /// A manifest's references must be linked: that a deleted manifest keeps them does not count.
    KeptDoesNotCount,
    /// An upload's row is committed before its file has its name.
    RowBeforeFile,
    /// The second file of a digest has no tombstone, since it is unlinked right afterwards.
    SecondCopyWithoutTombstone,
    /// A file that replaces a damaged one forgets that.
    ReplacedFileForgotten,
    /// Whoever takes the last reference does not tell the collector.
    NobodyTellsTheCollector,
    /// The start leaves uploads/ alone.
    StartLeavesUploads,
    /// The start removes all that is left in uploads/, with the file that has the same name in blobs/.
    StartRemovesUploads,
}

/// All that is, at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "a state is what is so and what is not")]
pub struct State {
    pub now: u8,

    // The files.
    /// Final names in blobs/.
    pub files: Set,
    /// Names in uploads/ of uploads that were finished.
    pub sealed: Set,

    // The rows.
    pub blob: Option<Blob>,
    pub tombstones: Set,
    /// The blob's row in the queue.
    pub is_queued: bool,
    /// When the lease in each repository ends.
    pub leases: [Option<u8>; 2],
    /// The open uploads of each repository.
    pub uploads: [Set; 2],
    /// The image of each client.
    pub images: [Image; 2],

    // What only the process knows, and the clients.
    pub is_starting: bool,
    /// What the sweep has unlinked and not yet dropped.
    pub unlinked: Set,
    /// What a collector in a wrong order has found may go.
    pub decided: bool,
    pub remembered: bool,
    pub clients: [Client; 2],

    // What is left to happen.
    pub fresh: u8,
    pub deletes: u8,
    pub crashes: u8,
    pub damages: u8,

    /// Something that was done and must never be.
    pub fault: Option<&'static str>,
}

/// The row of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blob {
    pub file: u8,
    /// Its file is known to be damaged: it is not served, and the next upload replaces it.
    pub damaged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    Absent,
    Visible,
    /// Deleted, and kept until then.
    Kept(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    pub at: At,
    pub pushes: u8,
    /// When it was told that the blob is there; it will push its manifest within `MARGIN`.
    pub told: Option<u8>,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// It may ask, mount or upload.
    Ready,
    /// It was told that the blob is not there.
    MustUpload,
    /// Its mount was found to be possible, in a wrong order.
    Mounting,
    /// Its upload is open.
    Uploading(u8),
    /// The upload's file has its names; no row knows it.
    Published(u8),
    /// The row is committed; what follows the commit is left to do. Whether it is a second copy.
    Committed(u8, bool),
    /// Its file is left, which nothing will ever need.
    SecondCopy(u8),
    /// It was told that the blob is there.
    Pushing,
    /// Its manifest was checked, in a wrong order.
    Inserting,
    Done,
}

#[derive(Clone, Copy, Debug)]
pub enum Action {
    Tick,
    Head(usize),
    Mount(usize),
    MountsAfterAll(usize),
    Begin(usize),
    Publish(usize),
    Commit(usize),
    FollowCommit(usize),
    UnlinkSecond(usize),
    Push(usize),
    Insert(usize),
    /// The client never pushes the manifest that the blob was for.
    GiveUp(usize),
    DeleteImage(usize),
    DeleteBlob(usize),
    EndLease(usize),
    EndUpload(usize, u8),
    DropKept(usize),
    DropBlob,
    DropDecided,
    Unlink(u8),
    DropTombstone(u8),
    RemoveStranger(u8),
    Damage,
    Crash,
    Settle(u8),
    Serve,
}

/// The set of one.
pub const fn bit(number: u8) -> Set {
    1 << number
}

/// The numbers in a set.
pub fn members(set: Set) -> impl Iterator<Item = u8> {
    (0..8).filter(move |number| set & bit(*number) != 0)
}

impl Protocol {
    pub fn is(self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The repository of a client.
    pub fn repository(self, client: usize) -> usize {
        if self.shared { 0 } else { client }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        State {
            now: 0,
            files: 0,
            sealed: 0,
            blob: None,
            tombstones: 0,
            is_queued: false,
            leases: [None; 2],
            uploads: [0; 2],
            images: [Image::Absent; 2],
            is_starting: false,
            unlinked: 0,
            decided: false,
            remembered: false,
            clients: [Client { at: At::Ready, pushes: self.pushes, told: None }; 2],
            fresh: 0,
            deletes: self.deletes,
            crashes: self.crashes,
            damages: self.damages,
            fault: None,
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        actions::possible(*self, state)
    }

    fn after(&self, state: &State, action: Action) -> State {
        let mut next = *state;
        actions::run(*self, &mut next, action);
        next
    }

    /// I1, I2, I3 and I7, in any state.
    fn wrong(&self, state: &State) -> Option<&'static str> {
        if state.fault.is_some() {
            return state.fault;
        }
        if state.images.contains(&Image::Visible) && state.blob.is_none() {
            return Some("a visible manifest lacks its blob");
        }
        if state.blob.is_some_and(|blob| state.files & bit(blob.file) == 0) {
            return Some("a row lacks its file");
        }
        let named = state.blob.map_or(0, |blob| bit(blob.file));
        if state.files & !(named | state.tombstones | state.sealed) != 0 {
            return Some("nothing knows a file");
        }
        if state.tombstones & named != 0 {
            return Some("a blob's file has a tombstone");
        }
        if state.blob.is_some() && !rules::is_needed(state) && !state.is_queued && !state.decided {
            return Some("nothing needs the blob, and the collector does not know");
        }
        None
    }

    fn undone(&self, state: &State) -> Option<&'static str> {
        if state.tombstones != 0 {
            return Some("a tombstone never ends");
        }
        if state.sealed != 0 || state.files != state.blob.map_or(0, |blob| bit(blob.file)) {
            return Some("a file stays for ever");
        }
        if state.blob.is_some() && !rules::is_needed(state) {
            return Some("a blob that nothing needs stays for ever");
        }
        if state.is_starting || state.clients.iter().any(|client| client.at != At::Done) {
            return Some("a client waits for ever");
        }
        None
    }
}
