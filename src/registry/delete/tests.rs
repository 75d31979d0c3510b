//! Deleting what has more tags than any client sets in a test.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::oci::Algorithm;
use crate::registry::{DataDir, LedgerOptions, ManifestPush, ManualClock, StoreOptions};
use crate::store::Store;

const INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn registry(root: &Path) -> Registry {
    let on_failure = Arc::new(|reason: &str| panic!("the disk failed: {reason}"));
    let dir = DataDir::open(root).unwrap();
    let store = Store::open(dir, StoreOptions { ledger: LedgerOptions::default(), on_failure }).unwrap();
    Registry::new(store, Arc::new(ManualClock::default()), Config::default())
}

/// Tags as long as they may be.
fn tag(number: usize) -> Tag {
    Tag::parse(&format!("{number:0128}")).unwrap()
}

/// Sets tags as pushes would, from the number `from` to before `to`.
fn set_tags(registry: &Registry, repository: RepoId, digest: Digest, from: usize, to: usize) {
    const AT_ONCE: usize = 2500;
    for first in (from..to).step_by(AT_ONCE) {
        let numbers = first..to.min(first + AT_ONCE);
        let change = registry.change(&"tagger".into(), Cause::Push);
        let set = move |tx: &mut Tx<'_>| {
            for number in numbers.clone() {
                tagging::set(tx, repository, &tag(number), digest, &change)?;
            }
            Ok::<_, Error>(())
        };
        registry.store.write(set).unwrap();
    }
}

fn push_index(registry: &Registry, name: &RepositoryName) -> Digest {
    let digest = Digest::of(Algorithm::Sha512, INDEX);
    let push = ManifestPush {
        name: name.clone(),
        reference: Reference::Digest(digest),
        tags: Vec::new(),
        content_type: None,
        bytes: INDEX.to_vec(),
        condition: Condition::default(),
        actor: "pusher".into(),
    };
    registry.put_manifest(push).unwrap();
    digest
}

#[test]
fn tags_go_with_their_manifest_all_or_none() {
    let home = tempfile::tempdir().unwrap();
    let registry = registry(home.path());
    let name = RepositoryName::parse("many").unwrap();
    let digest = push_index(&registry, &name);
    let repository = repositories::find(&registry.store.snapshot().unwrap(), &name).unwrap().unwrap();
    let tags = || registry.tags(&name, None, usize::MAX - 1).unwrap().entries.len();

    set_tags(&registry, repository, digest, 0, TAGS_MAX + 1);
    let error = registry.delete_manifest(&name, digest, Condition::default(), "deleter").unwrap_err();
    assert!(matches!(error, Error::TooManyTags { max: TAGS_MAX, .. }), "{error}");
    assert_eq!(tags(), TAGS_MAX + 1);

    registry.delete_tag(&name, &tag(7), Condition::default(), "deleter").unwrap();
    assert_eq!(
        registry.delete_manifest(&name, digest, Condition::default(), "deleter").unwrap().tags.len(),
        TAGS_MAX
    );
    assert!(matches!(registry.tags(&name, None, 1), Err(Error::RepositoryUnknown(_))));
    assert_eq!(registry.verify(true).unwrap().violations, []);
}

/// The tags of a repository that goes as a whole are too many for one transaction as well.
#[test]
fn a_repository_goes_whatever_the_number_of_tags() {
    let home = tempfile::tempdir().unwrap();
    let registry = registry(home.path());
    let name = RepositoryName::parse("many").unwrap();
    let digest = push_index(&registry, &name);
    let repository = repositories::find(&registry.store.snapshot().unwrap(), &name).unwrap().unwrap();
    set_tags(&registry, repository, digest, 0, TAGS_MAX + 1);
    registry.delete_repository(&name, "deleter").unwrap();
    registry.collect_now().unwrap();
    assert_eq!(registry.totals().unwrap().usage, crate::registry::Usage::default());
    assert_eq!(registry.verify(true).unwrap().violations, []);
}
