//! What a manifest's JSON must not do, checked before its fields are read.
//!
//! A registry checks a manifest as it reads it, and a client acts on it as the client reads it. Where RFC
//! 8259, section 4, leaves the reading open (a key that is there twice), or where Go's `encoding/json`, which
//! most clients use, reads more than the standard says (keys in other letter case), the two could see
//! different manifests in the same bytes. Such bytes are refused.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// How much of an error's text is kept: the text may quote the client's document.
const MESSAGE_MAX_CHARS: usize = 300;

/// The fields of a manifest that any of its readers knows (image-spec, manifest.md and image-index.md).
const MANIFEST_FIELDS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "blobs",
    "subject",
    "annotations",
];

/// The fields of a descriptor (image-spec, descriptor.md, "Properties").
const DESCRIPTOR_FIELDS: &[&str] =
    &["mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"];

/// The document is not JSON, nests too deep (128 levels), has a key twice, or a value of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("malformed manifest JSON: {0}")]
pub struct JsonError(String);

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let kept: String = text.chars().take(MESSAGE_MAX_CHARS).collect();
        if kept.len() == text.len() {
            return Self(kept);
        }
        Self(format!("{kept}... at line {} column {}", error.line(), error.column()))
    }
}

/// Checks that `bytes` are one JSON object in which no object has a key twice, and in which no manifest or
/// descriptor has a key that differs from one of its fields only in letter case.
pub(super) fn check_manifest(bytes: &[u8]) -> Result<(), JsonError> {
    // The limit of 128 levels is serde_json's own, and it counts what is walked here: every value.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Place::Manifest.deserialize(&mut deserializer)?;
    Ok(deserializer.end()?)
}

/// What stands at a place of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Manifest,
    DescriptorList,
    Descriptor,
    Other,
}

impl Place {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => MANIFEST_FIELDS,
            Self::Descriptor => DESCRIPTOR_FIELDS,
            Self::DescriptorList | Self::Other => &[],
        }
    }

    fn of_field(self, key: &str) -> Self {
        match (self, key) {
            (Self::Manifest, "layers" | "manifests" | "blobs") => Self::DescriptorList,
            (Self::Manifest, "config" | "subject") => Self::Descriptor,
            _ => Self::Other,
        }
    }

    /// Refuses what is known to be of the wrong type here. A list in the place of an object matters most:
    /// serde would take its elements for the fields in order.
    fn refuse_as<E: de::Error>(self, found: de::Unexpected<'_>) -> Result<(), E> {
        match self {
            Self::Other => Ok(()),
            _ => Err(E::invalid_type(found, &self)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "a manifest, which is an object",
            Self::DescriptorList => "a list of descriptors",
            Self::Descriptor => "a descriptor, which is an object",
            Self::Other => "any value",
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        // Go writes an empty list or a missing struct as null.
        if self == Self::Manifest { self.refuse_as(de::Unexpected::Unit) } else { Ok(()) }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.refuse_as(de::Unexpected::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.refuse_as(de::Unexpected::Signed(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.refuse_as(de::Unexpected::Unsigned(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.refuse_as(de::Unexpected::Float(value))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.refuse_as(de::Unexpected::Other("string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let element = match self {
            Self::DescriptorList => Self::Descriptor,
            Self::Other => Self::Other,
            Self::Manifest | Self::Descriptor => return self.refuse_as(de::Unexpected::Seq),
        };
        while list.next_element_seed(element)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        if self == Self::DescriptorList {
            return self.refuse_as(de::Unexpected::Map);
        }
        let mut seen = HashSet::new();
        while let Some(Key(key)) = object.next_key::<Key<'de>>()? {
            if let Some(field) = self.fields().iter().find(|field| differs_in_case(&key, field)) {
                return Err(de::Error::custom(format_args!(
                    "key {:?} reads as {field:?} to some clients: expected no other spelling of that key",
                    shown(&key)
                )));
            }
            let place = self.of_field(&key);
            if seen.contains(&key) {
                return Err(de::Error::custom(format_args!(
                    "key {:?} is there twice: expected each key once",
                    shown(&key)
                )));
            }
            seen.insert(key);
            object.next_value_seed(place)?;
        }
        Ok(())
    }
}

/// A key, borrowed from the document unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether the two are equal as Go compares keys, and not equal as strings. Go folds letter case by Unicode's
/// simple folding, by which two characters outside ASCII are letters inside: the long s and the Kelvin sign.
fn differs_in_case(key: &str, field: &str) -> bool {
    let folded = key.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    });
    key != field && folded.eq(field.chars().map(|c| c.to_ascii_lowercase()))
}

/// A key short enough for a message.
fn shown(key: &str) -> String {
    key.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
