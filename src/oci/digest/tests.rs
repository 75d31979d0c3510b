//! Digests: known answers, the accepted language, and the order.

use proptest::prelude::*;

use super::*;

const EMPTY_SHA256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// FIPS 180-4, example of SHA-512 for "abc".
const ABC_SHA512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                          2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

fn any_digest() -> impl Strategy<Value = Digest> {
    (any_algorithm(), prop::collection::vec(any::<u8>(), 64))
        .prop_map(|(algorithm, bytes)| Digest::from_bytes(algorithm, &bytes[..algorithm.byte_len()]).unwrap())
}

/// What the registry should accept, said without the parser's means.
fn is_supported_digest(text: &str) -> bool {
    let hex =
        |rest: &str, digits| rest.len() == digits && rest.chars().all(|c| "0123456789abcdef".contains(c));
    text.strip_prefix("sha256:").is_some_and(|rest| hex(rest, 64))
        || text.strip_prefix("sha512:").is_some_and(|rest| hex(rest, 128))
}

#[test]
fn computes_known_digests() {
    assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY_SHA256);
    assert_eq!(Digest::of(Algorithm::Sha512, b"abc").to_string(), ABC_SHA512);
    assert_eq!(
        Digest::of(Algorithm::Sha256, b"{}").hex(),
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
}

#[test]
fn ids_on_disk_do_not_change() {
    assert_eq!(Algorithm::ALL.map(Algorithm::id), [1, 2]);
    for id in 0..=u8::MAX {
        assert_eq!(Algorithm::from_id(id).map(Algorithm::id), (1..=2).contains(&id).then_some(id));
    }
}

#[test]
fn names_of_algorithms_round_trip() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        assert_eq!(Digest::of(algorithm, b"").bytes().len(), algorithm.byte_len());
    }
    assert_eq!(Algorithm::parse("SHA256"), None);
    assert_eq!(Algorithm::parse(""), None);
}

#[test]
fn tells_unsupported_from_malformed() {
    for text in
        ["blake3:00", "sha384:ab", "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564", "a.b_c-d:x="]
    {
        assert_eq!(Digest::parse(text), Err(DigestError::UnsupportedAlgorithm), "{text}");
    }
    let upper = EMPTY_SHA256.replace('e', "E");
    let long = format!("{EMPTY_SHA256}0");
    let other_length = EMPTY_SHA256.replace("sha256", "sha512");
    let malformed = [
        "",
        ":",
        "sha256",
        "sha256:",
        ":00",
        "sha256:baddigest",
        "SHA256:00",
        "blake3:",
        "blake3:a/b",
        "a..b:00",
        "+a:00",
        "sha 256:00",
        "sha256:sha256:00",
        &EMPTY_SHA256[..EMPTY_SHA256.len() - 1],
        &upper,
        &long,
        &other_length,
    ];
    for text in malformed {
        assert_eq!(Digest::parse(text), Err(DigestError::Malformed), "{text}");
    }
}

#[test]
fn refuses_raw_bytes_of_another_length() {
    for algorithm in Algorithm::ALL {
        for length in 0..=65 {
            let digest = Digest::from_bytes(algorithm, &vec![7; length]);
            assert_eq!(digest.is_some(), length == algorithm.byte_len());
        }
    }
}

#[test]
fn serde_uses_the_string() {
    let json = serde_json::to_string(&Digest::of(Algorithm::Sha256, b"")).unwrap();
    assert_eq!(json, format!("\"{EMPTY_SHA256}\""));
    let error = serde_json::from_str::<Digest>("\"sha256:00\"").unwrap_err().to_string();
    assert!(error.contains("expected \"sha256:\" and 64"), "{error}");
    assert!(serde_json::from_str::<Digest>("7").is_err());
}

#[test]
fn debug_shows_what_a_person_needs() {
    assert_eq!(format!("{:?}", Digest::of(Algorithm::Sha256, b"")), EMPTY_SHA256);
    assert_eq!(format!("{:?}", Hasher::new(Algorithm::Sha512)), "Hasher(Sha512)");
}

proptest! {
    #[test]
    fn round_trips(digest in any_digest()) {
        let text = digest.to_string();
        prop_assert!(is_supported_digest(&text));
        prop_assert_eq!(Digest::parse(&text), Ok(digest));
        prop_assert_eq!(text.parse(), Ok(digest));
        prop_assert_eq!(&text, &format!("{}:{}", digest.algorithm(), digest.hex()));
        prop_assert_eq!(Digest::from_bytes(digest.algorithm(), digest.bytes()), Some(digest));
        let json = serde_json::to_string(&digest).unwrap();
        prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn order_is_that_of_the_bytes_on_disk(a in any_digest(), b in any_digest()) {
        let key = |digest: &Digest| {
            let mut key = vec![digest.algorithm().id()];
            key.extend_from_slice(digest.bytes());
            key
        };
        prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
        prop_assert_eq!(a == b, a.to_string() == b.to_string());
    }

    #[test]
    fn accepts_what_is_described(
        text in "\\PC*|[a-z0-9+._-]{1,9}:[a-zA-Z0-9=_-]{0,20}|sha(256:[0-9a-f]{63,65}|512:[0-9a-f]{127,129})",
    ) {
        prop_assert_eq!(Digest::parse(&text).is_ok(), is_supported_digest(&text));
    }

    #[test]
    fn refuses_or_follows_every_mutation(
        digest in any_digest(),
        at in any::<prop::sample::Index>(),
        with in "\\PC|[0-9A-Fa-f:]|",
    ) {
        let mut text: Vec<char> = digest.to_string().chars().collect();
        let at = at.index(text.len());
        text.splice(at..=at, with.chars());
        let text: String = text.into_iter().collect();
        prop_assert_eq!(Digest::parse(&text).is_ok(), is_supported_digest(&text));
        if let Ok(parsed) = Digest::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn pieces_do_not_matter(
        algorithm in any_algorithm(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6),
    ) {
        let mut hasher = Hasher::new(algorithm);
        prop_assert_eq!(hasher.algorithm(), algorithm);
        for piece in &pieces {
            // A clone goes on from the same state and leaves the original alone.
            let mut other = hasher.clone();
            other.update(b"another way on");
            hasher.update(piece);
        }
        prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &pieces.concat()));
    }

    #[test]
    fn a_kept_state_goes_on_as_if_it_had_never_been_kept(
        algorithm in any_algorithm(),
        before in prop::collection::vec(any::<u8>(), 0..300),
        after in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&before);
        let state = hasher.state();
        prop_assert!(state.len() <= 256);
        let mut restored = Hasher::restore(algorithm, &state).expect("its own state");
        restored.update(&after);
        prop_assert_eq!(restored.finish(), Digest::of(algorithm, &[before, after].concat()));
    }

    #[test]
    fn what_is_no_state_is_refused(
        algorithm in any_algorithm(),
        bytes in prop::collection::vec(any::<u8>(), 0..220),
    ) {
        // A state that fits may be wrong, which the digest shows at the end; it must not panic.
        if let Some(mut hasher) = Hasher::restore(algorithm, &bytes) {
            hasher.update(b"more");
            let _ = hasher.finish();
        }
        let mut other_form = Hasher::new(algorithm).state();
        other_form[0] = 0;
        prop_assert!(Hasher::restore(algorithm, &other_form).is_none());
    }
}
