//! docs/security.md names a test for each attack. A test that is renamed or removed must not stay there.

use std::fs;
use std::path::Path;

use super::repository;
use super::scan::Source;

const DOCUMENT: &str = "docs/security.md";

/// Where each test has a row of its own.
const ADVISORIES: &str = "tests/api/advisories/";

/// What stands in backquotes and is a function of a source: `path.rs::name`.
fn named(document: &str) -> Vec<(&str, &str)> {
    let quoted = document.split('`').skip(1).step_by(2);
    let is_source = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "rs");
    quoted.filter_map(|text| text.split_once("::").filter(|(path, _)| is_source(path))).collect()
}

/// Those that are in no source.
fn missing(document: &str, sources: &[Source]) -> Vec<String> {
    let is_there = |path: &str, name: &str| {
        let source = sources.iter().find(|source| source.path == path);
        source.is_some_and(|source| source.code.contains(&format!("fn {name}(")))
    };
    let named = named(document).into_iter();
    named.filter(|(path, name)| !is_there(path, name)).map(|(path, name)| format!("{path}::{name}")).collect()
}

/// The tests of the advisories that the document does not name.
fn forgotten(document: &str, sources: &[Source]) -> Vec<String> {
    let tests = sources.iter().filter(|source| source.path.starts_with(ADVISORIES)).flat_map(|source| {
        let after = source.code.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn "));
        after.filter_map(|(_, rest)| rest.split_once('(')).map(|(name, _)| format!("{}::{name}", source.path))
    });
    tests.filter(|test| !document.contains(&format!("`{test}`"))).collect()
}

#[test]
fn every_test_of_an_attack_is_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = fs::read_to_string(path).expect(DOCUMENT);
    assert!(named(&document).len() > 50, "the document names tests");
    let sources = repository();
    assert_eq!(missing(&document, &sources), Vec::<String>::new(), "{DOCUMENT} names what is not there");
    assert_eq!(forgotten(&document, &sources), Vec::<String>::new(), "{DOCUMENT} does not name these");
}

#[test]
fn what_is_not_there_is_found() {
    let text = "#[test]\nfn known() {}\n// fn told() {}\n";
    let sources = [Source::new(&format!("{ADVISORIES}a.rs"), text)];
    let document =
        "`tests/api/advisories/a.rs::known` `tests/api/advisories/a.rs::told` `b.rs::known` `c::d`";
    assert_eq!(missing(document, &sources), ["tests/api/advisories/a.rs::told", "b.rs::known"]);
    assert_eq!(forgotten(document, &sources), Vec::<String>::new());
    assert_eq!(forgotten("", &sources), ["tests/api/advisories/a.rs::known"]);
}
