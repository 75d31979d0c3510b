//! Which module may use which, and where some crates may be named.

use super::scan::{Source, paths, tokens};
use super::{Violation, bites, check};

/// The modules at the top of the crate in the order of the data, and what each may use of the others. What a
/// module uses stands below it, so nothing can go round in a circle. `main` is src/main.rs.
const LAYERS: [(&str, &[&str]); 14] = [
    ("main", &["cli", "config"]),
    // The commands that open a data directory themselves (serve, verify, gc ...) open a store.
    ("cli", &["http", "auth", "registry", "config", "store", "oci", "random"]),
    ("http", &["auth", "registry", "config", "meters", "oci", "random"]),
    ("auth", &["config", "oci", "random"]),
    // The limits are values that were checked before anything was opened.
    ("registry", &["config", "store", "meters", "oci", "random"]),
    ("config", &[]),
    // Only it begins and commits transactions. It hands up the record and location types of meta and blobs.
    ("store", &["migrations", "meta", "blobs", "disk", "oci"]),
    ("migrations", &["meta", "oci"]),
    ("meta", &["disk", "meters", "oci", "random"]),
    ("blobs", &["disk", "oci"]),
    // What can be replaced by a disk that fails.
    ("disk", &[]),
    ("oci", &[]),
    ("meters", &[]),
    ("random", &[]),
];

/// What only some places may name, with the beginnings of the paths of these places.
const CONFINED: [(&str, &[&str]); 6] = [
    // What is below http is plain synchronous Rust, and can be tested without a server.
    ("actix*", &["src/http/", "src/http.rs", "src/cli/serve"]),
    // The engine can be replaced.
    ("redb", &["src/meta/engine", "migrations/"]),
    // Every file operation passes the seam where faults are injected.
    ("std::fs", &["src/disk/", "src/blobs/", "src/blobs.rs", "src/config/"]),
    ("tokio::fs", &["src/blobs/", "src/blobs.rs"]),
    ("rustix::fs", &["src/disk/", "src/blobs/", "src/blobs.rs"]),
    // It says in one place what happens when there is no chance to be had.
    ("getrandom", &["src/random.rs"]),
];

/// The module at the top to which a source belongs; src/lib.rs, which only lists them, to none.
fn layer_of(path: &str) -> Option<&str> {
    if path.starts_with("migrations/") {
        return Some("migrations");
    }
    let inner = path.strip_prefix("src/")?;
    let top = inner.split_once('/').map_or_else(|| inner.strip_suffix(".rs"), |(top, _)| Some(top));
    top.filter(|top| *top != "lib")
}

/// How many modules deep the module of a source is: 1 for those at the top.
fn depth_of(path: &str) -> usize {
    let names = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs").split('/');
    names.filter(|name| *name != "mod").count()
}

fn directions(source: &Source) -> Vec<Violation> {
    let Some(layer) = layer_of(&source.path) else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![
            source.violation(0, format!("module {layer} is not in the table LAYERS of tests/tidy/layers.rs")),
        ];
    };
    let code = source.production();
    let mut found = Vec::new();
    for path in paths(&tokens(&code)) {
        let Some(used) = top_module(&path.names, depth_of(&source.path)) else { continue };
        let is_layer = LAYERS.iter().any(|(name, _)| *name == used);
        if is_layer && used != layer && !allowed.contains(&used) {
            let rule = format!("{layer} must not use {used}: expected only {}", allowed.join(", "));
            found.push(source.violation(path.at, rule));
        }
    }
    found
}

/// What a path names right below the root of the crate, if it leads there.
fn top_module<'a>(names: &[&'a str], depth: usize) -> Option<&'a str> {
    match names {
        ["crate" | "wharfinger", top, ..] => Some(top),
        ["super", ..] => {
            let ups = names.iter().take_while(|name| **name == "super").count();
            if ups >= depth { names.get(ups).copied() } else { None }
        }
        _ => None,
    }
}

fn confined(source: &Source) -> Vec<Violation> {
    let code = source.production();
    let mut found = Vec::new();
    for path in paths(&tokens(&code)) {
        for (pattern, places) in CONFINED {
            let is_place = places.iter().any(|place| source.path.starts_with(place));
            if !is_place && matches(pattern, &path.names) {
                let rule = format!("{pattern} is named outside {}", places.join(", "));
                found.push(source.violation(path.at, rule));
            }
        }
    }
    found
}

/// Whether the path begins with the names of the pattern; a star stands for any end of a name.
fn matches(pattern: &str, names: &[&str]) -> bool {
    let expected: Vec<&str> = pattern.split("::").collect();
    names.len() >= expected.len()
        && names.iter().zip(expected).all(|(name, expected)| match expected.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => *name == expected,
        })
}

#[test]
fn modules_use_what_is_below_them() {
    check(directions);
}

#[test]
fn crates_are_named_where_they_belong() {
    check(confined);
}

#[test]
fn the_table_goes_down_only() {
    for (i, (layer, allowed)) in LAYERS.iter().enumerate() {
        for used in *allowed {
            let below = LAYERS[i + 1..].iter().any(|(name, _)| name == used);
            assert!(below, "{layer} uses {used}, which does not stand below it");
        }
    }
}

#[test]
fn directions_bite() {
    for (path, text, lines) in [
        ("src/http/blobs.rs", "use crate::registry::A;\nuse crate::store::B;\n", vec![2]),
        (
            "src/http/mod.rs",
            "use crate::{\n    auth, config::C,\n    meta::{D, E},\n    blobs};\n",
            vec![3, 3, 4],
        ),
        ("src/registry/pull.rs", "fn a() -> crate::meta::Key { $crate::http::b() }", vec![1, 1]),
        (
            "src/registry/pull.rs",
            "use super::super::blobs;\nuse super::push;\nuse super::super::super::x;\n",
            vec![1],
        ),
        ("src/config.rs", "use super::oci::Digest;\n", vec![1]),
        ("src/oci/mod.rs", "use super::config;\nuse super::oci::a;\nuse crate::oci::b;\n", vec![1]),
        ("src/main.rs", "fn main() { wharfinger::cli::run(); wharfinger::store::open() }", vec![1]),
        ("migrations/m0001.rs", "use crate::meta;\nuse crate::store;\n", vec![2]),
        ("src/store/mod.rs", "use crate::{meta as rows, registry as verbs};\n", vec![1]),
        ("src/unheard/of.rs", "", vec![1]),
        ("src/lib.rs", "pub use crate::store::Store;\n", vec![]),
        ("src/cli/serve.rs", "use crate::{store, http, oci};\n", vec![]),
        ("src/http/a.rs", "// crate::store\nfn a() { \"crate::meta\"; crate_::store }\n", vec![]),
        ("src/http/a.rs", "#[cfg(test)]\nmod tests { use crate::store::Store; }\n", vec![]),
    ] {
        assert_eq!(bites(directions, path, text), lines, "{path}: {text}");
    }
}

#[test]
fn confined_bites() {
    for (path, text, lines) in [
        ("src/registry/a.rs", "use actix_web::web;\n", vec![1]),
        ("src/lib.rs", "fn a() { actix_http::b() }", vec![1]),
        ("src/cli/gc.rs", "use actix_server::Server;", vec![1]),
        ("src/store/mod.rs", "use redb::Database;\n", vec![1]),
        ("src/meta/keys.rs", "impl redb::Key for A {}", vec![1]),
        ("src/config.rs", "use std::{\n    fs::File,\n    io,\n    fs,\n};\n", vec![2, 4]),
        ("src/cli/serve.rs", "async fn a() { tokio::fs::read(b).await; ::std::fs::c() }", vec![1, 1]),
        ("src/cli/serve.rs", "use ::std::fs;\nuse ::{std::{fs as files}};\n", vec![1, 2]),
        ("src/store/mod.rs", "use rustix::fs::fsync;\nuse rustix::process;\n", vec![1]),
        ("src/cli/serve.rs", "use actix_web::App;\n", vec![]),
        ("src/http/mod.rs", "use actix_web::{App, web};\n", vec![]),
        ("src/meta/engine/redb.rs", "use redb::{Database, Key};\n", vec![]),
        ("src/blobs/disk.rs", "use std::{fs, io}; use rustix::fs::fsync;", vec![]),
        ("tests/crash/main.rs", "use std::fs;\n", vec![]),
    ] {
        assert_eq!(bites(confined, path, text), lines, "{path}: {text}");
    }
}
