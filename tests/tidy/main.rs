//! Style as a test: what rustfmt and clippy do not check about the sources, and this project wants kept.
//!
//! Every rule is a function from sources to violations. It has one test that runs it over the repository, and
//! one that proves on a bad sample that it bites. The sources are scanned, not parsed: comments and the
//! contents of literals are blanked first, and what is left is read as tokens, which is enough for these
//! rules on code that rustfmt has laid out.

mod layers;
mod modules;
mod scan;
mod security;
mod shape;
mod words;

use std::fmt;
use std::fs;
use std::path::Path;

use scan::Source;

/// Where Rust sources stand. A directory that is not there yet holds none.
const DIRECTORIES: [&str; 4] = ["src", "migrations", "tests", "benches"];

/// A rule that a line does not keep.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// Every source of the repository, with its part as test code marked.
fn repository() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for directory in DIRECTORIES {
        if root.join(directory).is_dir() {
            collect(root, directory, &mut sources);
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    modules::mark_tests(&mut sources);
    sources
}

/// Reads the sources below `directory`, whose path from the `root` is written with slashes everywhere.
fn collect(root: &Path, directory: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(root.join(directory)).expect(directory) {
        let entry = entry.expect(directory);
        let name = entry.file_name().into_string().expect("names of sources are UTF-8");
        let path = format!("{directory}/{name}");
        if entry.file_type().expect(&path).is_dir() {
            collect(root, &path, sources);
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "rs") {
            let bytes = fs::read(entry.path()).expect(&path);
            sources.push(Source::new(&path, &String::from_utf8_lossy(&bytes)));
        }
    }
}

/// Runs one rule over the repository and fails with all that it finds.
fn check(rule: impl Fn(&Source) -> Vec<Violation>) {
    let found: Vec<String> = repository().iter().flat_map(rule).map(|found| found.to_string()).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The lines on which a rule bites in a sample that stands at `path`.
fn bites(rule: impl Fn(&Source) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
    let found = rule(&Source::new(path, text));
    assert!(found.iter().all(|found| found.path == path && !found.rule.is_empty()));
    found.into_iter().map(|found| found.line).collect()
}

#[test]
fn the_sources_are_found() {
    let sources = repository();
    for path in ["src/lib.rs", "src/main.rs", "src/oci/manifest/body.rs", "tests/tidy/main.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path}");
    }
    let is_test = |path: &str| sources.iter().find(|source| source.path == path).expect(path).is_test;
    assert!(is_test("src/oci/manifest/tests/properties.rs") && is_test("tests/tidy/main.rs"));
    assert!(!is_test("src/oci/manifest/body.rs"));
}
