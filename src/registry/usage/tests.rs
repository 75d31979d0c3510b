//! Numbers that change with what they count. Each scene ends with a recount.

use super::*;
use crate::registry::repositories;
use crate::registry::scene::{Scene, name};

fn usage(scene: &Scene, repository: &str) -> Usage {
    let rows = scene.registry.store.snapshot().unwrap();
    let id = repositories::find(&rows, &name(repository)).unwrap().unwrap();
    let usage = Usage::of(&rows, id).unwrap();
    assert_eq!(usage, Usage::recount(&rows, id).unwrap());
    usage
}

#[test]
fn shared_bytes_are_nobodys_own() {
    let scene = Scene::new(|_| {});
    let one = scene.push_image("one", "v1", &[b"shared", b"own"]);
    scene.push_image("one", "v2", &[b"shared"]);
    let found = usage(&scene, "one");
    assert_eq!((found.manifests, found.tags, found.blobs, found.blob_bytes), (2, 2, 3, 11));
    assert_eq!(found.own_bytes, 11);

    scene.push_image("other", "v1", &[b"shared"]);
    assert_eq!((usage(&scene, "one").own_bytes, usage(&scene, "other").own_bytes), (3, 0));
    let third = scene.push_image("third", "v1", &[b"shared"]);
    assert_eq!((usage(&scene, "one").own_bytes, usage(&scene, "third").own_bytes), (3, 0));
    let all = Usage::of_all(&scene.registry.store.snapshot().unwrap()).unwrap();
    assert_eq!((all.manifests, all.tags, all.blobs, all.blob_bytes), (4, 4, 3, 11));

    scene.delete("third", third);
    scene.delete("other", third);
    assert_eq!(usage(&scene, "one").own_bytes, 11, "nobody else shows it");
    assert_eq!(usage(&scene, "other"), Usage::default());
    scene.undelete("other", "").unwrap();
    assert_eq!((usage(&scene, "one").own_bytes, usage(&scene, "other").blob_bytes), (3, 8));
    scene.delete("one", one);
    assert_eq!(usage(&scene, "one").blob_bytes, 8);
}

#[test]
fn a_number_that_is_wrong_is_found() {
    let scene = Scene::new(|_| {});
    scene.push_image("app", "v1", &[b"layer"]);
    let repository = {
        let rows = scene.registry.store.snapshot().unwrap();
        repositories::find(&rows, &name("app")).unwrap().unwrap()
    };
    for counter in [Quantity::Tags.of_all(), Quantity::OwnBytes.of_repository(repository)] {
        let add = |delta| {
            let counter = counter.clone();
            scene.registry.store.write(move |tx| Ok::<_, Error>(tx.add(&counter, delta)?)).unwrap();
        };
        add(1);
        let violations = scene.violations(false);
        assert!(violations.len() == 1 && violations[0].starts_with("I11"), "{counter}: {violations:?}");
        add(-1);
    }
}
