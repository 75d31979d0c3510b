//! Conditional requests (RFC 9110, section 13): the entity tag of everything here is its digest in quotes.

use super::error::{ApiError, Code};
use crate::oci::Digest;
use crate::registry::{Condition, Digests};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName};

/// The entity tags that a header names.
#[derive(Debug, PartialEq, Eq)]
enum EntityTags {
    /// `*`: whatever is there.
    Any,
    /// A list; a weak one is marked.
    List(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    is_weak: bool,
    text: String,
}

/// What a header says.
enum Named {
    /// There is none.
    Nothing,
    /// It cannot be read.
    Unreadable,
    /// These.
    Tags(EntityTags),
}

/// What becomes of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is served.
    Serve,
    /// The client has it already: 304.
    NotModified,
    /// It is not what the client wants to read: 412.
    Failed,
}

/// The entity tag of what has this digest.
pub fn entity_tag(digest: Digest) -> String {
    format!("\"{digest}\"")
}

/// The condition of a write. One that cannot be read is refused.
pub fn of_write(headers: &HeaderMap) -> Result<Condition, ApiError> {
    let read = |name: &HeaderName, weak_counts: bool| match tags_of(headers, name) {
        Named::Nothing => Ok(None),
        Named::Tags(EntityTags::Any) => Ok(Some(Digests::Any)),
        Named::Tags(EntityTags::List(tags)) => {
            let counting = tags.iter().filter(|tag| weak_counts || !tag.is_weak);
            // What is no digest is not the tag of anything here.
            let digests = counting.filter_map(|tag| Digest::parse(&tag.text).ok());
            Ok(Some(Digests::OneOf(digests.collect())))
        }
        Named::Unreadable => {
            let message = format!("{name}: expected * or digests in quotes, such as \"sha256:...\"");
            Err(ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, &message))
        }
    };
    // If-Match compares strongly, If-None-Match weakly (RFC 9110, sections 13.1.1 and 13.1.2).
    let (is, is_not) = (read(&header::IF_MATCH, false)?, read(&header::IF_NONE_MATCH, true)?);
    Ok(Condition { is, is_not, only_adds: false })
}

/// What the conditions of a read make of it, where `digest` is there to be read. One that cannot be read is
/// as good as none: serving the whole is never wrong.
pub fn of_read(headers: &HeaderMap, digest: Digest) -> Reading {
    let digest = digest.to_string();
    if let Named::Tags(EntityTags::List(tags)) = tags_of(headers, &header::IF_MATCH)
        && !tags.iter().any(|tag| !tag.is_weak && tag.text == digest)
    {
        return Reading::Failed;
    }
    match tags_of(headers, &header::IF_NONE_MATCH) {
        Named::Tags(EntityTags::Any) => Reading::NotModified,
        Named::Tags(EntityTags::List(tags)) if tags.iter().any(|tag| tag.text == digest) => {
            Reading::NotModified
        }
        _ => Reading::Serve,
    }
}

/// Whether a `Range` counts: not if the client has a part of something else, or says by a date what it has.
pub fn range_counts(headers: &HeaderMap, digest: Digest) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == entity_tag(digest).as_bytes())
}

/// The tags of all headers of that name.
fn tags_of(headers: &HeaderMap, name: &HeaderName) -> Named {
    let values: Vec<_> = headers.get_all(name).collect();
    if values.is_empty() {
        return Named::Nothing;
    }
    let texts: Result<Vec<_>, _> = values.into_iter().map(|value| value.to_str()).collect();
    texts.ok().and_then(|texts| parse(&texts.join(","))).map_or(Named::Unreadable, Named::Tags)
}

/// `"*"` or a list of `[W/]"..."` (RFC 9110, section 8.8.3).
fn parse(text: &str) -> Option<EntityTags> {
    if text.trim() == "*" {
        return Some(EntityTags::Any);
    }
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            break;
        }
        let (is_weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (text, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(EntityTag { is_weak, text: text.to_owned() });
        rest = behind.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
    if tags.is_empty() { None } else { Some(EntityTags::List(tags)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_rfc_9110_has_them() {
        let list = |tags: &[(bool, &str)]| {
            let tags = tags.iter().map(|&(is_weak, text)| EntityTag { is_weak, text: text.to_owned() });
            Some(EntityTags::List(tags.collect()))
        };
        assert_eq!(parse(" * "), Some(EntityTags::Any));
        assert_eq!(parse("\"a\""), list(&[(false, "a")]));
        assert_eq!(parse("\"a\" , W/\"b,c\",, \"\""), list(&[(false, "a"), (true, "b,c"), (false, "")]));
        for text in ["", ",", "a", "\"a", "a\"", "*, \"a\"", "\"a\" \"b\"", "w/\"a\"", "sha256:aa"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\"W/*, ab]{0,20}") {
            if let Some(EntityTags::List(tags)) = parse(&text) {
                assert!(!tags.is_empty() && tags.iter().all(|tag| !tag.text.contains('"')));
            }
        }
    }
}
