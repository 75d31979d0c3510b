//! What no well-meaning client sends, case by case: each is refused in the words that clients can act on, and
//! nothing is left of it: no row, no file, no byte.
//!
//! The cases are data (a module for each group), so that the same table that is tested is also the document
//! docs/hostile-requests.md. `WHARFINGER_REGENERATE=1 cargo test --test api hostile::the_document` writes
//! that file anew; without the variable the test compares.

mod case;
mod descriptors;
mod document;
mod documents;
mod lists;
pub mod names;
mod ranges;
mod references;
mod routes;
mod run;
mod scene;
mod smuggling;
mod uploads;

use std::path::Path;

use case::Case;
use scene::Scene;

/// A group of cases by its title in the document.
type Group = (&'static str, fn(&Scene) -> Vec<Case>);

const NAMES: Group = ("Names of repositories", names::cases);
const TAGS: Group = ("Tags", references::tags);
const DIGESTS: Group = ("Digests", references::digests);
const DOWNLOADS: Group = ("Ranges of downloads", ranges::downloads);
const CHUNKS: Group = ("Ranges of chunks", ranges::chunks);
const LISTS: Group = ("Pages and filters", lists::cases);
const DOCUMENTS: Group = ("Manifests", documents::cases);
const DESCRIPTORS: Group = ("Descriptors", descriptors::cases);
const UPLOADS: Group = ("Uploads", uploads::cases);
const ROUTES: Group = ("Paths and methods", routes::cases);
const SMUGGLING: Group = ("Requests within requests", smuggling::cases);

const ALL: [Group; 11] =
    [NAMES, TAGS, DIGESTS, DOWNLOADS, CHUNKS, LISTS, DOCUMENTS, DESCRIPTORS, UPLOADS, ROUTES, SMUGGLING];

/// Runs the cases of a group and asserts after each that no file changed, and in the end that nothing visible
/// and no row did.
#[track_caller]
fn check((_, cases): Group) {
    let scene = Scene::make();
    let mut wrong = Vec::new();
    for case in cases(&scene) {
        wrong.extend(run::run(&scene, &case).err());
        scene.assert_files_unchanged(&case.title);
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    scene::assert_alive(&scene.server().client());
    scene.assert_unchanged();
}

#[test]
fn names_of_repositories() {
    check(NAMES);
}

#[test]
fn tags() {
    check(TAGS);
}

#[test]
fn digests() {
    check(DIGESTS);
}

#[test]
fn ranges_of_downloads() {
    check(DOWNLOADS);
}

#[test]
fn ranges_of_chunks() {
    check(CHUNKS);
}

#[test]
fn pages_and_filters() {
    check(LISTS);
}

#[test]
fn manifests() {
    check(DOCUMENTS);
}

#[test]
fn descriptors() {
    check(DESCRIPTORS);
}

#[test]
fn uploads() {
    check(UPLOADS);
}

#[test]
fn paths_and_methods() {
    check(ROUTES);
}

#[test]
fn requests_within_requests() {
    check(SMUGGLING);
}

#[test]
fn the_document_is_what_is_answered() {
    let scene = Scene::make();
    let groups: Vec<_> = ALL
        .iter()
        .map(|(title, cases)| {
            let observed = cases(&scene).into_iter().map(|case| {
                let observed = run::run(&scene, &case).expect("its own group's test passes");
                (case, observed)
            });
            (*title, observed.collect())
        })
        .collect();
    let text = document::render(&scene, &groups);
    scene.assert_unchanged();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hostile-requests.md");
    if std::env::var_os("WHARFINGER_REGENERATE").is_some() {
        std::fs::write(&path, &text).expect("the document is written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().zip(committed.lines()).find(|(now, then)| now != then);
    let hint = "WHARFINGER_REGENERATE=1 cargo test --test api hostile::the_document";
    assert!(committed == text, "{} differs: {hint}; the first line: {first:#?}", path.display());
}
