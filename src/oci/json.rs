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

/// How many keys may be held at once, to find those that are there twice: those of an object and of all that
/// enclose it.
const KEYS_MAX: usize = 10_000;

/// What a document is made of, counted before anything of it is built: its author decides how much that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The entries of the longest list of descriptors.
    pub(super) longest_list: usize,
    /// How many bytes the manifest's own annotations have as JSON; 0 where there are none.
    pub(super) annotations_bytes: usize,
}

/// Checks that `bytes` are one JSON object in which no object has a key twice, and in which no manifest or
/// descriptor has a key that differs from one of its fields only in letter case, and says how large it is.
pub(super) fn check_manifest(bytes: &[u8]) -> Result<Shape, JsonError> {
    let mut found = Found::default();
    // The limit of 128 levels is serde_json's own, and it counts what is walked here: every value.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Walk { place: Place::Manifest, found: &mut found }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found.shape)
}

/// What the walk through a document has found so far.
#[derive(Default)]
struct Found {
    shape: Shape,
    /// How many keys of the objects that are not at their end are held.
    keys: usize,
}

/// What stands at a place of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Manifest,
    DescriptorList,
    Descriptor,
    /// The annotations of the manifest itself.
    OwnAnnotations,
    OwnAnnotation,
    /// Those of a descriptor.
    Annotations,
    Texts,
    /// A string in an object or list of strings.
    Text,
    /// A string, or as good as absent.
    OptionalText,
    Other,
}

impl Place {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => MANIFEST_FIELDS,
            Self::Descriptor => DESCRIPTOR_FIELDS,
            _ => &[],
        }
    }

    fn of_field(self, key: &str) -> Self {
        match (self, key) {
            (Self::Manifest, "layers" | "manifests" | "blobs") => Self::DescriptorList,
            (Self::Manifest, "config" | "subject") => Self::Descriptor,
            (Self::Manifest, "annotations") => Self::OwnAnnotations,
            (Self::Descriptor, "annotations") => Self::Annotations,
            (Self::Descriptor, "urls") => Self::Texts,
            (Self::Descriptor, "data") => Self::OptionalText,
            (Self::OwnAnnotations, _) => Self::OwnAnnotation,
            (Self::Annotations, _) => Self::Text,
            _ => Self::Other,
        }
    }

    /// What the entries of a list are; none: there is no list here.
    fn of_entries(self) -> Option<Self> {
        match self {
            Self::DescriptorList => Some(Self::Descriptor),
            Self::Texts => Some(Self::Text),
            Self::Other => Some(Self::Other),
            _ => None,
        }
    }

    const fn may_be_object(self) -> bool {
        matches!(
            self,
            Self::Manifest | Self::Descriptor | Self::OwnAnnotations | Self::Annotations | Self::Other
        )
    }

    const fn may_be_text(self) -> bool {
        matches!(self, Self::OwnAnnotation | Self::Text | Self::OptionalText | Self::Other)
    }

    /// Go writes an empty list or a missing struct as null.
    const fn may_be_null(self) -> bool {
        !matches!(self, Self::Manifest | Self::OwnAnnotation | Self::Text)
    }
}

/// A place in the document and what was found before it. A list in the place of an object matters most: serde
/// would take its elements for the fields in order.
struct Walk<'a> {
    place: Place,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn at(&mut self, place: Place) -> Walk<'_> {
        Walk { place, found: self.found }
    }

    /// Goes on where the value is allowed here. Nothing but `Other` takes a number or a truth.
    fn expect<E: de::Error>(&self, allowed: bool, found: de::Unexpected<'_>) -> Result<(), E> {
        if allowed { Ok(()) } else { Err(E::invalid_type(found, self)) }
    }

    fn is_other(&self) -> bool {
        self.place == Place::Other
    }

    fn check_key<E: de::Error>(&self, key: &str, seen: &HashSet<Cow<'_, str>>) -> Result<(), E> {
        if let Some(field) = self.place.fields().iter().find(|field| differs_in_case(key, field)) {
            return Err(de::Error::custom(format_args!(
                "key {:?} reads as {field:?} to some clients: expected no other spelling of that key",
                shown(key)
            )));
        }
        if seen.contains(key) {
            return Err(de::Error::custom(format_args!(
                "key {:?} is there twice: expected each key once",
                shown(key)
            )));
        }
        if self.found.keys >= KEYS_MAX {
            return Err(de::Error::custom(format_args!("an object has more than {KEYS_MAX} keys")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.place {
            Place::Manifest => "a manifest, which is an object",
            Place::DescriptorList => "a list of descriptors",
            Place::Descriptor => "a descriptor, which is an object",
            Place::OwnAnnotations | Place::Annotations => "annotations, which are an object of strings",
            Place::Texts => "a list of strings",
            Place::OwnAnnotation | Place::Text | Place::OptionalText => "a string",
            Place::Other => "any value",
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.expect(self.place.may_be_null(), de::Unexpected::Unit)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.expect(self.is_other(), de::Unexpected::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.expect(self.is_other(), de::Unexpected::Signed(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.expect(self.is_other(), de::Unexpected::Unsigned(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.expect(self.is_other(), de::Unexpected::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if self.place == Place::OwnAnnotation {
            self.found.shape.annotations_bytes += json_bytes(text);
        }
        self.expect(self.place.may_be_text(), de::Unexpected::Other("string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let Some(place) = self.place.of_entries() else { return self.expect(false, de::Unexpected::Seq) };
        let mut length = 0;
        while list.next_element_seed(self.at(place))?.is_some() {
            length += 1;
        }
        if self.place == Place::DescriptorList {
            self.found.shape.longest_list = self.found.shape.longest_list.max(length);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        self.expect(self.place.may_be_object(), de::Unexpected::Map)?;
        let mut seen = HashSet::new();
        while let Some(Key(key)) = object.next_key::<Key<'de>>()? {
            self.check_key(&key, &seen)?;
            let place = self.place.of_field(&key);
            if place == Place::OwnAnnotation {
                // Before the first an opening brace, before the others a comma; behind each a colon.
                self.found.shape.annotations_bytes += json_bytes(&key) + 2;
            }
            seen.insert(key);
            self.found.keys += 1;
            object.next_value_seed(self.at(place))?;
        }
        self.found.keys -= seen.len();
        if self.place == Place::OwnAnnotations && !seen.is_empty() {
            self.found.shape.annotations_bytes += 1;
        }
        Ok(())
    }
}

/// How long a string is as JSON, as this program writes it.
fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
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
