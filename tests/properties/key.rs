//! Keys of the ledger: bytes that are a key are the key's only bytes, and no others are taken for it.

use std::fmt::Debug;

use wharfinger::meta::QueueKind;
use wharfinger::meta::key::{Key, RepoId};
use wharfinger::oci::{Digest, RepositoryName, SessionId, Tag, UserName};

/// The first byte chooses the table's kind of key.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 12 {
        0 => one::<()>(bytes),
        1 => one::<RepositoryName>(bytes),
        2 => one::<RepoId>(bytes),
        3 => one::<Digest>(bytes),
        4 => one::<(RepoId, Tag)>(bytes),
        5 => one::<(RepoId, Digest, Tag)>(bytes),
        6 => one::<(Digest, RepoId, Digest)>(bytes),
        7 => one::<(RepoId, SessionId)>(bytes),
        8 => one::<(u64, QueueKind, Digest, RepoId)>(bytes),
        9 => one::<(Digest, SessionId)>(bytes),
        10 => one::<UserName>(bytes),
        _ => one::<(u64, u64)>(bytes),
    }
}

fn one<K: Key + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(key) = K::from_key(bytes) else { return };
    assert_eq!(key.to_key(), bytes);
    assert_eq!(K::from_key(&key.to_key()), Ok(key));
    // Nothing longer and nothing shorter is a key of this kind.
    assert!(K::from_key(&[bytes, &[0]].concat()).is_err());
    assert!(bytes.is_empty() || K::from_key(&bytes[..bytes.len() - 1]).is_err());
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    use wharfinger::oci::Algorithm;

    let name = RepositoryName::parse("team/app").expect("a name");
    let tag = Tag::parse("v1.0_x").expect("a tag");
    let (short, long) = (Digest::of(Algorithm::Sha256, b""), Digest::of(Algorithm::Sha512, b""));
    let (repository, session) = (RepoId(u64::MAX - 7), SessionId::from_bytes([0xab; 16]));
    let keys = [
        ().to_key(),
        name.to_key(),
        repository.to_key(),
        long.to_key(),
        (repository, tag.clone()).to_key(),
        (repository, short, tag).to_key(),
        (long, repository, short).to_key(),
        (repository, session).to_key(),
        (1 << 40, QueueKind::LeaseEnd, short, repository).to_key(),
        (short, session).to_key(),
        UserName::parse("alice@example.org").expect("a name").to_key(),
        (1 << 40, 7_u64).to_key(),
    ];
    (0..).zip(keys).map(|(kind, key)| [vec![kind], key].concat()).collect()
}
