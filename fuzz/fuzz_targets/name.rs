//! Names, tags and references: what is accepted is safe to use as a key, in a URL and in a log.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharfinger::oci::{NAME_MAX_BYTES, Reference, RepositoryName, TAG_MAX_BYTES, Tag};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = RepositoryName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= NAME_MAX_BYTES);
        for segment in text.split('/') {
            assert!(segment.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()));
            assert!(segment.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()));
            assert!(!segment.contains("..") && !segment.contains("___"));
        }
    }
    let tag = Tag::parse(text);
    if let Ok(tag) = &tag {
        assert_eq!(tag.as_str(), text);
        assert!(text.len() <= TAG_MAX_BYTES && !text.starts_with(['.', '-']));
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
    }
    match Reference::parse(text) {
        Ok(reference) => {
            assert_eq!(reference.to_string(), text);
            assert_eq!(matches!(reference, Reference::Tag(_)), tag.is_ok());
        }
        Err(_) => assert!(tag.is_err()),
    }
});
