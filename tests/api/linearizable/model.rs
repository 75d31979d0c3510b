//! A repository as one client after another would see it.

/// How many tags and manifests the clients have between them.
pub const TAGS: usize = 3;
pub const MANIFESTS: usize = 3;

/// What a client asks for. Tags and manifests are numbers here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// PUT of a manifest under a tag.
    PutTag { tag: usize, manifest: usize, condition: Condition },
    /// PUT of a manifest under its digest.
    PutDigest { manifest: usize },
    /// GET or HEAD by a tag.
    ReadTag { tag: usize, head: bool },
    /// GET or HEAD by a digest.
    ReadDigest { manifest: usize, head: bool },
    /// GET of the list of tags.
    ListTags,
    /// DELETE of a tag.
    DeleteTag { tag: usize },
    /// DELETE of a manifest, which takes its tags along.
    DeleteDigest { manifest: usize },
}

/// When a tag may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// `If-Match`: only while it names this manifest.
    Names(usize),
    /// `If-None-Match: *`: only while there is no such tag.
    Absent,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 201.
    Created,
    /// 202.
    Deleted,
    /// 200, with this manifest.
    Found(usize),
    /// 200, with these tags.
    Listed([bool; TAGS]),
    /// 404.
    Missing,
    /// 412: the condition does not hold.
    Refused,
}

/// What is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    manifests: [bool; MANIFESTS],
    tags: [Option<usize>; TAGS],
}

impl State {
    /// What the operation makes of this state, and what its client is told.
    pub fn after(self, operation: Operation) -> (Self, Outcome) {
        let mut next = self;
        let outcome = match operation {
            Operation::PutTag { tag, condition, .. } if !self.allows(tag, condition) => Outcome::Refused,
            Operation::PutTag { tag, manifest, .. } => {
                next.manifests[manifest] = true;
                next.tags[tag] = Some(manifest);
                Outcome::Created
            }
            Operation::PutDigest { manifest } => {
                next.manifests[manifest] = true;
                Outcome::Created
            }
            Operation::ReadTag { tag, .. } => self.tags[tag].map_or(Outcome::Missing, Outcome::Found),
            Operation::ReadDigest { manifest, .. } if self.manifests[manifest] => Outcome::Found(manifest),
            // Without a manifest there is no repository to have a list.
            Operation::ListTags if self.manifests.contains(&true) => {
                Outcome::Listed(self.tags.map(|tag| tag.is_some()))
            }
            Operation::DeleteTag { tag } if self.tags[tag].is_some() => {
                next.tags[tag] = None;
                Outcome::Deleted
            }
            Operation::DeleteDigest { manifest } if self.manifests[manifest] => {
                next.manifests[manifest] = false;
                for tag in &mut next.tags {
                    *tag = tag.filter(|named| *named != manifest);
                }
                Outcome::Deleted
            }
            Operation::ReadDigest { .. }
            | Operation::ListTags
            | Operation::DeleteTag { .. }
            | Operation::DeleteDigest { .. } => Outcome::Missing,
        };
        debug_assert!(next.tags.iter().flatten().all(|named| next.manifests[*named]), "I4");
        (next, outcome)
    }

    fn allows(self, tag: usize, condition: Condition) -> bool {
        match condition {
            Condition::Always => true,
            Condition::Names(manifest) => self.tags[tag] == Some(manifest),
            Condition::Absent => self.tags[tag].is_none(),
        }
    }
}
