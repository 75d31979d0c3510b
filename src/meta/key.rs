//! Keys: typed outside, bytes in the ledger, and both in the same order.
//!
//! Numbers are fixed-width big-endian, digests are an algorithm byte and the raw hash, names and tags are
//! ended by a zero byte that neither can contain. So one range scan is one page of an answer, and the bytes
//! of a leading part of a key are a prefix of the whole key's.

use super::codec::CodecError;
use crate::oci::{Algorithm, Digest, RepositoryName, SessionId, Tag, UserName};

/// Ends a string in a key. Names and tags are made of ASCII letters, digits and `._-/@`, so it is below them
/// all.
const STRING_END: u8 = 0;

/// A repository's number: random, never used again, the same through every rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId(pub u64);

/// A number whose greatest value comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Newest(pub u64);

/// How the digests begin whose files are in one directory below blobs/: a leading part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestStart {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The first byte of the hash.
    pub first: u8,
}

/// What a row of the queue asks the collector to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueKind {
    /// A blob that lost its last reference row.
    Unreferenced,
    /// A lease that ends.
    LeaseEnd,
    /// A deleted manifest that is kept no longer.
    KeptEnd,
    /// A deleted manifest that not all went with that live with it.
    Family,
    /// A row of what went that is to be forgotten.
    Forget,
    /// A repository without a name, of which pieces are left. The digest stands for nothing.
    Repository,
}

impl QueueKind {
    fn byte(self) -> u8 {
        match self {
            Self::Unreferenced => 1,
            Self::LeaseEnd => 2,
            Self::KeptEnd => 3,
            // First of what is due at the same time: it needs rows that the others drop.
            Self::Family => 0,
            Self::Repository => 5,
            Self::Forget => 6,
        }
    }

    fn from_byte(byte: u8) -> Result<Self, CodecError> {
        match byte {
            1 => Ok(Self::Unreferenced),
            2 => Ok(Self::LeaseEnd),
            3 => Ok(Self::KeptEnd),
            0 => Ok(Self::Family),
            5 => Ok(Self::Repository),
            6 => Ok(Self::Forget),
            other => Err(CodecError::Malformed(format!("{other} is no kind of queue row"))),
        }
    }
}

/// A key or a leading part of one.
pub trait Key: Sized {
    /// Appends the key's bytes.
    fn write(&self, out: &mut Vec<u8>);
    /// Takes the key off the front of `input`.
    fn read(input: &mut &[u8]) -> Result<Self, CodecError>;

    /// The key's bytes.
    fn to_key(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        out
    }

    /// The key of exactly these bytes.
    fn from_key(mut bytes: &[u8]) -> Result<Self, CodecError> {
        let key = Self::read(&mut bytes)?;
        if bytes.is_empty() { Ok(key) } else { Err(CodecError::Trailing(bytes.len())) }
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], CodecError> {
    let (front, rest) = input.split_at_checked(count).ok_or(CodecError::Short)?;
    *input = rest;
    Ok(front)
}

fn take_string<'a>(input: &mut &'a [u8]) -> Result<&'a str, CodecError> {
    let end = input.iter().position(|&byte| byte == STRING_END).ok_or(CodecError::Short)?;
    let text = take(input, end)?;
    take(input, 1)?;
    std::str::from_utf8(text).map_err(|error| CodecError::Malformed(error.to_string()))
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    debug_assert!(!text.as_bytes().contains(&STRING_END));
    out.extend_from_slice(text.as_bytes());
    out.push(STRING_END);
}

impl Key for () {
    fn write(&self, _out: &mut Vec<u8>) {}

    fn read(_input: &mut &[u8]) -> Result<Self, CodecError> {
        Ok(())
    }
}

impl Key for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let bytes = take(input, 8)?;
        Ok(Self::from_be_bytes(bytes.try_into().expect("eight bytes were taken")))
    }
}

impl Key for Newest {
    fn write(&self, out: &mut Vec<u8>) {
        (!self.0).write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        u64::read(input).map(|inverted| Self(!inverted))
    }
}

impl Key for RepoId {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        u64::read(input).map(Self)
    }
}

impl Key for SessionId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes());
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let bytes = take(input, 16)?;
        Ok(Self::from_bytes(bytes.try_into().expect("sixteen bytes were taken")))
    }
}

impl Key for Digest {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.algorithm().id());
        out.extend_from_slice(self.bytes());
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let id = take(input, 1)?[0];
        let algorithm = Algorithm::from_id(id)
            .ok_or_else(|| CodecError::Malformed(format!("{id} is no digest algorithm")))?;
        let bytes = take(input, algorithm.byte_len())?;
        Ok(Self::from_bytes(algorithm, bytes).expect("as many bytes as the algorithm has"))
    }
}

impl Key for DigestStart {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.algorithm.id(), self.first]);
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let bytes = take(input, 2)?;
        let algorithm = Algorithm::from_id(bytes[0])
            .ok_or_else(|| CodecError::Malformed(format!("{} is no digest algorithm", bytes[0])))?;
        Ok(Self { algorithm, first: bytes[1] })
    }
}

impl Key for QueueKind {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.byte());
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        Self::from_byte(take(input, 1)?[0])
    }
}

impl Key for RepositoryName {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(self.as_str(), out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let text = take_string(input)?;
        Self::parse(text).map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

impl Key for Tag {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(self.as_str(), out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let text = take_string(input)?;
        Self::parse(text).map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

impl Key for UserName {
    fn write(&self, out: &mut Vec<u8>) {
        write_string(self.as_str(), out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        let text = take_string(input)?;
        Self::parse(text).map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

macro_rules! tuple_key {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Key),+> Key for ($($part,)+) {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$index.write(out);)+
            }

            fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
                Ok(($($part::read(input)?,)+))
            }
        }
    };
}

tuple_key!(A 0);
tuple_key!(A 0, B 1);
tuple_key!(A 0, B 1, C 2);
tuple_key!(A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest() -> impl Strategy<Value = Digest> {
        (any::<bool>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(long, one, two)| {
            if long {
                Digest::from_bytes(Algorithm::Sha512, &[one, two].concat()).unwrap()
            } else {
                Digest::from_bytes(Algorithm::Sha256, &one).unwrap()
            }
        })
    }

    fn name() -> impl Strategy<Value = RepositoryName> {
        "[a-z0-9]{1,6}([._-][a-z0-9]{1,3})?(/[a-z0-9]{1,4}){0,2}"
            .prop_map(|text| RepositoryName::parse(&text).unwrap())
    }

    fn tag() -> impl Strategy<Value = Tag> {
        "[A-Za-z0-9_][A-Za-z0-9._-]{0,12}".prop_map(|text| Tag::parse(&text).unwrap())
    }

    proptest! {
        #[test]
        fn keys_come_back_as_they_were(
            repo: u64, digest in digest(), tag in tag(), name in name(), due: u64
        ) {
            let key = (RepoId(repo), digest, tag.clone());
            prop_assert_eq!(<(RepoId, Digest, Tag)>::from_key(&key.to_key()).unwrap(), key);
            prop_assert_eq!(RepositoryName::from_key(&name.to_key()).unwrap(), name);
            let start = DigestStart { algorithm: digest.algorithm(), first: digest.bytes()[0] };
            prop_assert!(digest.to_key().starts_with(&start.to_key()));
            prop_assert_eq!(DigestStart::from_key(&start.to_key()).unwrap(), start);
            let key = (due, QueueKind::LeaseEnd, digest, RepoId(repo));
            prop_assert_eq!(<(u64, QueueKind, Digest, RepoId)>::from_key(&key.to_key()).unwrap(), key);
        }

        #[test]
        fn order_of_bytes_is_order_of_the_api(
            a in tag(), b in tag(), c in name(), d in name(), x: u64, y: u64
        ) {
            prop_assert_eq!(a.to_key().cmp(&b.to_key()), a.as_str().cmp(b.as_str()));
            prop_assert_eq!(c.to_key().cmp(&d.to_key()), c.as_str().cmp(d.as_str()));
            prop_assert_eq!(x.to_key().cmp(&y.to_key()), x.cmp(&y));
            prop_assert_eq!((x, a.clone()).to_key().cmp(&(y, b.clone()).to_key()), (x, a).cmp(&(y, b)));
        }

        #[test]
        fn a_leading_part_is_a_prefix_and_no_other_keys_prefix(
            repo: u64, a in digest(), b in digest(), tag in tag()
        ) {
            let whole = (RepoId(repo), a, tag).to_key();
            prop_assert!(whole.starts_with(&(RepoId(repo), a).to_key()));
            prop_assert_eq!(whole.starts_with(&(RepoId(repo), b).to_key()), a == b);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = <(RepoId, Digest, Tag)>::from_key(&bytes);
            let _ = <(u64, QueueKind, Digest, RepoId)>::from_key(&bytes);
            let _ = RepositoryName::from_key(&bytes);
        }
    }
}
