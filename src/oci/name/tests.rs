//! Names, tags and references: examples from clients, and the accepted language.

use proptest::prelude::*;

use super::*;
use crate::oci::Algorithm;

/// The grammar of the specification, from which proptest makes names.
const NAME_GRAMMAR: &str = "[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}\
                            (/[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}){0,3}";
const TAG_GRAMMAR: &str = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}";

/// What is a name, said by its segments and not by a walk.
fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_segment = |segment: &str| {
        segment.starts_with(letter)
            && segment.ends_with(letter)
            && segment.split(letter).all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.trim_matches('-').is_empty()
            })
    };
    text.len() <= 255 && text.split('/').all(is_segment)
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && !text.starts_with(['.', '-'])
}

#[test]
fn accepts_legal_names() {
    for name in [
        "a",
        "0",
        "library/ubuntu",
        "x/manifests/y",
        "x/blobs/uploads/y",
        "a__b",
        "a_b",
        "a--b",
        "a-----b/c.d",
        "1/2/3/4/5/6/7/8/9",
        "ghcr.io/owner/app",
    ] {
        assert_eq!(RepositoryName::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn refuses_illegal_names_and_says_where() {
    for (name, at) in [
        ("A", 0),
        ("aB", 1),
        ("/a", 0),
        ("a/", 2),
        ("a//b", 2),
        ("a..b", 2),
        ("a._b", 2),
        ("a___b", 3),
        ("a-_b", 2),
        ("a-", 2),
        ("a_", 2),
        ("-a", 0),
        ("_catalog", 0),
        ("_oci/ext", 0),
        ("..", 0),
        ("a/../b", 2),
        ("a/%2e%2e/b", 2),
        ("a%2fb", 1),
        ("a\0", 1),
        ("a b", 1),
        ("a\n", 1),
        ("host:5000/a", 4),
        ("caf\u{e9}", 3),
        ("\u{ff41}", 0),
    ] {
        assert_eq!(RepositoryName::parse(name), Err(NameError::Malformed { at }), "{name:?}");
    }
    assert_eq!(RepositoryName::parse(""), Err(NameError::Empty));
}

#[test]
fn names_end_at_255_bytes() {
    let longest = "a".repeat(NAME_MAX_BYTES);
    assert!(RepositoryName::parse(&longest).is_ok());
    let longer = format!("{longest}a");
    assert_eq!(RepositoryName::parse(&longer), Err(NameError::TooLong { bytes: 256 }));
    let segments = "a/".repeat(127) + "a";
    assert!(RepositoryName::parse(&segments).is_ok());
}

#[test]
fn errors_do_not_repeat_what_the_client_sent() {
    let error = RepositoryName::parse("a\u{1b}[31m\r\nevil").unwrap_err().to_string();
    assert!(error.is_ascii() && !error.contains("evil") && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn tags_follow_the_grammar() {
    for tag in ["latest", "v1.2.3-rc.1", "_", "__", "1", "A", "sha256-0a1b.sig", "a..b", "a-"] {
        assert_eq!(Tag::parse(tag).unwrap().as_str(), tag);
    }
    for tag in ["", ".", "-", ".a", "-a", "a/b", "a:b", "a b", "a\n", "a+b", "caf\u{e9}", "a\0"] {
        assert_eq!(Tag::parse(tag), Err(TagError), "{tag:?}");
    }
    assert!(Tag::parse(&"a".repeat(TAG_MAX_BYTES)).is_ok());
    assert!(Tag::parse(&"a".repeat(TAG_MAX_BYTES + 1)).is_err());
}

#[test]
fn references_are_digests_where_there_is_a_colon() {
    let digest = Digest::of(Algorithm::Sha256, b"");
    assert_eq!(Reference::parse(&digest.to_string()), Ok(Reference::Digest(digest)));
    assert_eq!(Reference::parse("latest"), Ok(Reference::Tag(Tag::parse("latest").unwrap())));
    assert_eq!(Reference::parse("a:/"), Err(ReferenceError::Digest(DigestError::Malformed)));
    assert_eq!(Reference::parse("md5:0a"), Err(ReferenceError::Digest(DigestError::UnsupportedAlgorithm)));
    assert_eq!(Reference::parse(""), Err(ReferenceError::Tag(TagError)));
    // The fallback tag of the referrers API is a tag, never taken for the digest it looks like.
    let fallback = digest.to_string().replace(':', "-");
    assert!(matches!(Reference::parse(&fallback), Ok(Reference::Tag(_))));
}

proptest! {
    #[test]
    fn names_of_the_grammar_round_trip(name in NAME_GRAMMAR) {
        let parsed = RepositoryName::parse(&name).unwrap();
        prop_assert_eq!(parsed.as_str(), &name);
        prop_assert_eq!(parsed.to_string(), name.clone());
        prop_assert_eq!(name.parse(), Ok(parsed));
    }

    #[test]
    fn names_are_what_is_described(name in "\\PC*|[ab0A._/-]{0,10}") {
        prop_assert_eq!(RepositoryName::parse(&name).is_ok(), is_name(&name), "{:?}", name);
    }

    #[test]
    fn mutated_names_are_what_is_described(
        name in NAME_GRAMMAR,
        at in any::<prop::sample::Index>(),
        with in "\\PC|[a-z._/-]{0,3}",
    ) {
        let mut name: Vec<char> = name.chars().collect();
        let at = at.index(name.len());
        name.splice(at..=at, with.chars());
        let name: String = name.into_iter().collect();
        prop_assert_eq!(RepositoryName::parse(&name).is_ok(), is_name(&name), "{:?}", name);
    }

    #[test]
    fn a_fault_is_within_the_name(name in "\\PC{1,40}") {
        if let Err(NameError::Malformed { at }) = RepositoryName::parse(&name) {
            prop_assert!(at <= name.len());
            // All that stands before the fault can begin a name.
            let before = name.get(..at).expect("a fault is at a boundary of characters");
            let begun = format!("{before}a");
            prop_assert!(is_name(&begun), "{:?}", begun);
        }
    }

    #[test]
    fn names_order_as_their_bytes(a in NAME_GRAMMAR, b in NAME_GRAMMAR) {
        let order = RepositoryName::parse(&a).unwrap().cmp(&RepositoryName::parse(&b).unwrap());
        prop_assert_eq!(order, a.as_bytes().cmp(b.as_bytes()));
    }

    #[test]
    fn tags_of_the_grammar_round_trip(tag in TAG_GRAMMAR) {
        let parsed = Tag::parse(&tag).unwrap();
        prop_assert_eq!(parsed.to_string(), tag.clone());
        prop_assert_eq!(Reference::parse(&tag), Ok(Reference::Tag(parsed)));
    }

    #[test]
    fn tags_are_what_is_described(tag in "\\PC*|[aA0._:/-]{0,6}|[a-z]{126,130}") {
        prop_assert_eq!(Tag::parse(&tag).is_ok(), is_tag(&tag), "{:?}", tag);
    }

    #[test]
    fn references_print_what_they_read(text in "\\PC*|sha256:[0-9a-f]{64}|[a-z:]{0,5}") {
        match Reference::parse(&text) {
            Ok(reference) => {
                prop_assert_eq!(matches!(reference, Reference::Digest(_)), text.contains(':'));
                prop_assert_eq!(reference.to_string(), text.clone());
                prop_assert_eq!(text.parse(), Ok(reference));
            }
            Err(_) => prop_assert!(!is_tag(&text) && Digest::parse(&text).is_err()),
        }
    }
}
