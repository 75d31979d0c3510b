//! What is remembered of an act: who did what to what, from where and by which request.

use crate::oci::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $word:literal;)+) => {
        /// What was done. Numbers are on disk and words in scripts: both stay.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[doc = $doc])+ $name,)+
        }

        impl AuditAction {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word for it in answers and on the command line.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            const fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)+
                }
            }
        }
    };
}

actions! {
    /// An upload became a blob. Beginning it and its chunks are no acts of their own: nothing of them is seen
    /// before this, and a client that gives up leaves nothing.
    BlobPush = 1, "blob.push";
    /// A blob was linked from another repository.
    BlobMount = 2, "blob.mount";
    /// A blob was taken out of a repository.
    BlobDelete = 3, "blob.delete";
    /// A client gave an upload up.
    UploadCancel = 4, "upload.cancel";
    /// A manifest was pushed, with its tags.
    ManifestPush = 10, "manifest.push";
    /// A manifest was deleted, with what lived with it.
    ManifestDelete = 11, "manifest.delete";
    /// A tag was deleted.
    TagDelete = 12, "tag.delete";
    /// A tag was set to what it named at an earlier time.
    TagRestore = 13, "tag.restore";
    /// What was deleted was brought back.
    Undelete = 14, "undelete";
    /// A rule of the configuration deleted a manifest.
    RuleDelete = 15, "rule.delete";
    /// A manifest was pinned.
    PinAdd = 20, "pin.add";
    /// A pin was taken off.
    PinRemove = 21, "pin.rm";
    /// A repository was deleted.
    RepositoryDelete = 30, "repo.delete";
    /// A repository got another name.
    RepositoryRename = 31, "repo.rename";
    /// A repository was copied.
    RepositoryCopy = 32, "repo.copy";
    /// The wait of what is deleted was ended by hand.
    CollectNow = 40, "gc.now";
    /// A backup was begun.
    Backup = 41, "backup";
    /// A user was added.
    UserAdd = 50, "user.add";
    /// A user got another password.
    UserPassword = 51, "user.passwd";
    /// A user was shut out.
    UserDisable = 52, "user.disable";
    /// A user was let in again.
    UserEnable = 53, "user.enable";
    /// A user was removed.
    UserRemove = 54, "user.rm";
    /// A token was made.
    TokenCreate = 60, "token.create";
    /// A token was revoked.
    TokenRevoke = 61, "token.revoke";
    /// The keys that tokens are signed with were made anew.
    KeysNew = 70, "keys.new";
}

impl AuditAction {
    /// The action of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.word() == word)
    }
}

impl Serialize for AuditAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for AuditAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        let known = Self::ALL.iter().copied().find(|action| action.number() == number);
        known.ok_or_else(|| D::Error::custom(format!("{number} stands for nothing here")))
    }
}

/// One act. Its key says when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// What was done.
    pub action: AuditAction,
    /// Who did it: `anonymous`, `alice`, `robot:builder`, `local` for commands, `rule`.
    pub who: String,
    /// The address that the request came from.
    pub address: Option<String>,
    /// The id that the request was answered and logged with.
    pub request_id: Option<String>,
    /// The name that the repository had then.
    pub repository: Option<String>,
    /// The manifest or blob.
    #[serde(with = "super::as_option_text")]
    pub digest: Option<Digest>,
    /// The first tags that were set or removed.
    pub tags: Vec<String>,
    /// How many tags that were.
    pub tags_count: u64,
    /// What else is to be said, in words.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_action_has_a_number_and_a_word_of_its_own() {
        let numbers: HashSet<_> = AuditAction::ALL.iter().map(|action| action.number()).collect();
        assert_eq!(numbers.len(), AuditAction::ALL.len());
        for &action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.word()), Some(action));
        }
        assert_eq!(AuditAction::parse("manifest"), None);
    }
}
