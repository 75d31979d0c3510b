//! The one place that knows how records become bytes.
//!
//! A stored record is one version byte and then its fields in bincode's standard encoding. bincode is no
//! longer maintained (RUSTSEC-2025-0141), so nothing outside this file names it: another encoding takes its
//! place by a new version byte here.

use serde::{Serialize, de::DeserializeOwned};

/// The largest record, in bytes, that is decoded. Manifest bytes are not records: they are stored as they
/// came.
pub const RECORD_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Why stored bytes are not what they should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes end before the record or key does.
    #[error("the bytes end too early")]
    Short,
    /// The record's version byte is not one that this program knows.
    #[error("version {found} is not known here (expected {expected})")]
    Version {
        /// The byte that was found.
        found: u8,
        /// The byte that this program writes.
        expected: u8,
    },
    /// The bytes do not form the record or key.
    #[error("{0}")]
    Malformed(String),
    /// Bytes are left over behind the record or key.
    #[error("{0} bytes are left over")]
    Trailing(usize),
}

/// A record type with the version byte it is stored under.
pub trait Record: Serialize + DeserializeOwned {
    /// The version byte; it changes with the record's fields.
    const VERSION: u8;
}

/// What can stand as a row's value.
pub trait Value: Sized {
    /// The value's bytes.
    fn to_bytes(&self) -> Vec<u8>;
    /// The value of these bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError>;
}

impl<R: Record> Value for R {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![R::VERSION];
        bincode::serde::encode_into_std_write(self, &mut bytes, bincode::config::standard())
            .expect("records have no type that bincode refuses, and a Vec takes every write");
        debug_assert!(bytes.len() <= RECORD_MAX_BYTES);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let (&version, fields) = bytes.split_first().ok_or(CodecError::Short)?;
        if version != R::VERSION {
            return Err(CodecError::Version { found: version, expected: R::VERSION });
        }
        let config = bincode::config::standard().with_limit::<RECORD_MAX_BYTES>();
        let (record, read) = bincode::serde::decode_from_slice(fields, config)
            .map_err(|error| CodecError::Malformed(error.to_string()))?;
        if read != fields.len() {
            return Err(CodecError::Trailing(fields.len() - read));
        }
        Ok(record)
    }
}

/// A row that says all by its key.
impl Value for () {
    fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.is_empty() { Ok(()) } else { Err(CodecError::Trailing(bytes.len())) }
    }
}

/// Bytes kept exactly as a client sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl Value for Raw {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        Ok(Self(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        size: u64,
    }

    impl Record for Sample {
        const VERSION: u8 = 3;
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let sample = Sample { name: "layer".into(), size: 1 << 40 };
        assert_eq!(Sample::from_bytes(&sample.to_bytes()), Ok(sample));
    }

    #[test]
    fn another_version_a_cut_and_a_tail_are_refused() {
        let mut bytes = Sample { name: "layer".into(), size: 7 }.to_bytes();
        assert_eq!(Sample::from_bytes(&[]), Err(CodecError::Short));
        assert!(matches!(Sample::from_bytes(&bytes[..3]), Err(CodecError::Malformed(_))));
        bytes.push(0);
        assert_eq!(Sample::from_bytes(&bytes), Err(CodecError::Trailing(1)));
        bytes[0] = 4;
        assert_eq!(Sample::from_bytes(&bytes), Err(CodecError::Version { found: 4, expected: 3 }));
    }

    #[test]
    fn a_forged_length_allocates_nothing() {
        // A string that claims 2^62 bytes: the limit refuses it before anything is reserved.
        let mut bytes = vec![3, 253];
        bytes.extend_from_slice(&(1_u64 << 62).to_le_bytes());
        assert!(matches!(Sample::from_bytes(&bytes), Err(CodecError::Malformed(_))));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Sample::from_bytes(&bytes);
        }
    }
}
