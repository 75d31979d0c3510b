//! Digests: one spelling each, and the raw bytes give the same digest back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharfinger::oci::{Algorithm, Digest, DigestError};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Digest::parse(text) {
        Ok(digest) => {
            assert_eq!(digest.to_string(), text);
            assert_eq!(digest.bytes().len(), digest.algorithm().byte_len());
            assert_eq!(Digest::from_bytes(digest.algorithm(), digest.bytes()), Some(digest));
        }
        Err(DigestError::UnsupportedAlgorithm) => {
            let (name, encoded) =
                text.split_once(':').expect("only what has an algorithm can have another one");
            assert!(Algorithm::parse(name).is_none() && !encoded.is_empty());
        }
        Err(DigestError::Malformed) => {}
    }
});
