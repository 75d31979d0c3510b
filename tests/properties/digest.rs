//! Digests: one spelling each, and the raw bytes give the same digest back.

use wharfinger::oci::{Algorithm, Digest, DigestError};

pub fn check(bytes: &[u8]) {
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
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let content = b"content";
    let digests = Algorithm::ALL.map(|algorithm| Digest::of(algorithm, content).to_string().into_bytes());
    let others: [&[u8]; 3] =
        [b"md5:d41d8cd98f00b204e9800998ecf8427e", b"sha256+b64u:LCa0a2j_xo=", b"a.b-c_d:e"];
    digests.into_iter().chain(others.map(<[u8]>::to_vec)).collect()
}
