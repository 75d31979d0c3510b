//! JSON that two readers could read differently.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn refusal(text: &str) -> String {
    check_manifest(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn accepts_objects_with_keys_of_their_own() {
    for text in [
        "{}",
        " {\"a\": [1, -2, 3.5, true, null, \"x\", {\"a\": {}}]}\n",
        r#"{"annotations": {"Size": "1", "size": "2", "layers": "", "Layers": ""}}"#,
        r#"{"layers": null, "config": null, "manifests": []}"#,
        r#"{"layers": [{"digest": "x", "platform": {"Digest": 1, "digest": 2}}, null]}"#,
    ] {
        assert!(check_manifest(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn refuses_a_key_twice_at_any_depth() {
    for text in [
        r#"{"layers": [], "layers": []}"#,
        r#"{"x": 1, "y": 2, "x": 1}"#,
        r#"{"layers": [{"digest": "a", "digest": "b"}]}"#,
        r#"{"config": {"unknown": 1, "unknown": 1}}"#,
        r#"{"annotations": {"a": "1", "a": "2"}}"#,
        r#"{"x": [[{"y": {"z": 1, "z": 1}}]]}"#,
        // The same key, once by an escape.
        "{\"config\": {}, \"\\u0063onfig\": {}}",
    ] {
        assert!(refusal(text).contains("is there twice"), "{text}");
    }
}

#[test]
fn refuses_fields_in_another_letter_case() {
    for text in [
        r#"{"Layers": []}"#,
        r#"{"MANIFESTS": []}"#,
        r#"{"mediatype": ""}"#,
        r#"{"config": {"Digest": ""}}"#,
        r#"{"subject": {"SIZE": 1}}"#,
        r#"{"layers": [{"URLs": []}]}"#,
        r#"{"manifests": [{"Platform": {}}]}"#,
        r#"{"blobs": [{"MediaType": ""}]}"#,
        "{\"layer\u{17f}\": []}",
        "{\"layers\": [{\"dige\\u017ft\": \"\"}]}",
    ] {
        assert!(refusal(text).contains("expected no other spelling"), "{text}");
    }
    // No field holds a k today; the rule must not wait for one.
    assert!(differs_in_case("\u{212a}ey", "key"));
}

#[test]
fn refuses_lists_where_objects_belong_and_the_reverse() {
    for text in [
        r#"[2, "application/vnd.oci.image.index.v1+json"]"#,
        r#"{"layers": [["application/x", "sha256:00", 1]]}"#,
        r#"{"config": ["application/x", "sha256:00", 1]}"#,
        r#"{"layers": {"0": {}}}"#,
        r#"{"config": "x"}"#,
        r#"{"manifests": true}"#,
        r#"{"subject": 5}"#,
        r#"{"subject": -5}"#,
        r#"{"subject": 5.5}"#,
        r#"{"annotations": []}"#,
        r#"{"annotations": {"a": 1}}"#,
        r#"{"annotations": {"a": null}}"#,
        r#"{"layers": [{"annotations": {"a": {}}}]}"#,
        r#"{"config": {"annotations": "x"}}"#,
        r#"{"config": {"urls": {}}}"#,
        r#"{"config": {"urls": [null]}}"#,
        r#"{"config": {"data": 1}}"#,
        "null",
        "\"x\"",
        "7",
    ] {
        assert!(refusal(text).contains("invalid type"), "{text}");
    }
}

#[test]
fn refuses_what_is_not_one_document_of_json() {
    for text in
        ["", " ", "{", "{}{}", "{} x", "{'a': 1}", "{\"a\": 1,}", "{\"a\": 01}", "{\"a\": NaN}", "\u{feff}{}"]
    {
        refusal(text);
    }
    for bytes in [&b"{\"a\": \"\xff\"}"[..], b"{\"\xff\": 1}", b"{\"a\": \"\\ud800\"}"] {
        assert!(check_manifest(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn refuses_what_nests_too_deep() {
    let nested = |levels| format!("{{\"a\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(check_manifest(nested(100).as_bytes()).is_ok());
    for levels in [128, 1_000, 1_000_000] {
        assert!(refusal(&nested(levels)).contains("recursion limit"));
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert!(refusal(&objects).contains("recursion limit"));
}

#[test]
fn counts_the_longest_list() {
    let longest = |text: &str| check_manifest(text.as_bytes()).map(|shape| shape.longest_list);
    assert_eq!(longest("{}"), Ok(0));
    assert_eq!(longest(r#"{"layers": [{}, {}], "manifests": [null, {}, {}], "blobs": []}"#), Ok(3));
    assert_eq!(longest(r#"{"others": [1, 2, 3], "config": {"urls": ["a", "b"]}}"#), Ok(0));
}

#[test]
fn measures_the_annotations_as_they_are_written() {
    let own = |text: &str| check_manifest(text.as_bytes()).map(|shape| shape.annotations_bytes);
    for (annotations, expected) in [
        ("null", 0),
        ("{}", 0),
        (r#"{ "a" : "" }"#, r#"{"a":""}"#.len()),
        (r#"{"a": "b", "c": "\u0064"}"#, r#"{"a":"b","c":"d"}"#.len()),
        (r#"{"\u0001": "\n\"/\u007f"}"#, "{\"\\u0001\":\"\\n\\\"/\u{7f}\"}".len()),
    ] {
        assert_eq!(own(&format!(r#"{{"annotations": {annotations}}}"#)), Ok(expected), "{annotations}");
    }
    assert_eq!(own(r#"{"config": {"annotations": {"a": "b"}}, "x": {"annotations": {"a": "b"}}}"#), Ok(0));
}

#[test]
fn refuses_more_keys_than_it_can_compare() {
    let keys = |count: usize| (0..count).map(|key| format!("\"{key}\":0,")).collect::<Vec<_>>().concat();
    assert!(check_manifest(format!("{{{}\"a\":0}}", keys(9_999)).as_bytes()).is_ok());
    assert!(refusal(&format!("{{{}\"a\":0}}", keys(10_000))).contains("more than 10000 keys"));
    let half = keys(5_000);
    // Those of an object that is at its end are not held any more.
    let beside = format!("{{\"a\":{{{half}\"b\":0}},\"b\":{{{half}\"b\":0}}}}");
    assert!(check_manifest(beside.as_bytes()).is_ok());
    assert!(refusal(&format!("{{{half}\"a\":{{{half}\"b\":0}}}}")).contains("more than 10000 keys"));
}

#[test]
fn messages_are_bounded() {
    let key = "k".repeat(1_000_000);
    assert!(refusal(&format!("{{\"{key}\": 1, \"{key}\": 1}}")).len() < 500);
    let error = serde_json::from_str::<u8>(&format!("\"{key}\"")).unwrap_err();
    assert!(JsonError::from(error).to_string().len() < 500);
}

/// A document as text, with keys of a small alphabet so that some stand twice.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof!["-?[1-9][0-9]{0,3}", "true|false|null", "\"[a-z]{0,3}\""];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[a-d]", inner), 0..4).prop_map(|fields| object(&fields)),
        ]
    });
    prop::collection::vec(("[a-d]", inner), 0..4).prop_map(|fields| object(&fields))
}

fn object(fields: &[(String, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// Whether some object of a document without blanks and escapes has a key twice, found by the brackets.
fn has_doubled_key(text: &str) -> bool {
    let mut open: Vec<BTreeSet<String>> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '[', '}', ']', '"']) {
        let (found, behind) = rest[at..].split_at(1);
        rest = behind;
        match found {
            "{" | "[" => open.push(BTreeSet::new()),
            "}" | "]" => drop(open.pop()),
            _ => {
                let (word, behind) = rest.split_once('"').unwrap();
                rest = behind;
                if rest.starts_with(':') && !open.last_mut().unwrap().insert(word.to_owned()) {
                    return true;
                }
            }
        }
    }
    false
}

proptest! {
    #[test]
    fn finds_exactly_the_doubled_keys(text in any_json()) {
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        prop_assert_eq!(check_manifest(text.as_bytes()).is_err(), has_doubled_key(&text), "{}", text);
    }

    #[test]
    fn measures_any_annotations(
        annotations in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
    ) {
        let text = serde_json::json!({ "annotations": annotations }).to_string();
        let written = if annotations.is_empty() { 0 } else { text.len() - r#"{"annotations":}"#.len() };
        prop_assert_eq!(check_manifest(text.as_bytes()).map(|shape| shape.annotations_bytes), Ok(written));
    }

    #[test]
    fn never_accepts_what_serde_json_refuses(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if check_manifest(&bytes).is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value.is_object()));
        }
    }
}
