//! Registries of random images, of which a random part of the files is lost.

use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;

const STEPS: usize = 40;
const TAGS: [&str; 4] = ["v1", "v2", "latest", ""];
const REPOSITORIES: [&str; 2] = ["app", "team/base"];

/// Numbers that follow from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

type Place = (&'static str, Digest);

/// What was pushed, as its bytes say, and what is left of the files.
#[derive(Default)]
struct World {
    manifests: HashMap<Place, Value>,
    contents: Vec<Vec<u8>>,
    lost: HashSet<Digest>,
}

impl World {
    /// All that a manifest refers to, whatever it is.
    fn references(&self, place: Place) -> Vec<Digest> {
        let manifest = &self.manifests[&place];
        let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
        let one = manifest.get("config").cloned().into_iter();
        one.chain(list("layers")).chain(list("manifests")).map(|one| text_of(&one["digest"])).collect()
    }

    /// The blobs of a manifest and of all that it lists.
    fn blobs(&self, place: Place) -> Vec<Digest> {
        let inner = self.references(place).into_iter().flat_map(|digest| {
            let child = (place.0, digest);
            if self.manifests.contains_key(&child) { self.blobs(child) } else { vec![digest] }
        });
        inner.collect()
    }

    fn is_whole(&self, place: Place) -> bool {
        self.blobs(place).iter().all(|blob| !self.lost.contains(blob))
    }

    fn push(&mut self, scene: &Scene, chance: &mut Chance) {
        let (repository, tag) = (chance.pick(&REPOSITORIES), chance.pick(&TAGS));
        let layers: Vec<_> =
            (0..=chance.below(2)).map(|_| vec![u8::try_from(chance.below(12)).unwrap(); 9]).collect();
        let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
        let pushed = scene.push_image(repository, tag, &layers);
        self.contents.extend(layers.iter().map(|layer| layer.to_vec()));
        self.note(scene, (repository, pushed));
    }

    fn push_index(&mut self, scene: &Scene, chance: &mut Chance) {
        let (repository, tag) = (chance.pick(&REPOSITORIES), chance.pick(&TAGS));
        let mut visible = self.visible(scene);
        visible.retain(|place| place.0 == repository);
        if visible.is_empty() {
            return;
        }
        let mut children: Vec<_> = (0..=chance.below(3)).map(|_| chance.pick(&visible).1).collect();
        children.sort_unstable();
        children.dedup();
        let pushed = scene.push_index(repository, tag, &children).unwrap();
        self.note(scene, (repository, pushed));
    }

    fn note(&mut self, scene: &Scene, place: Place) {
        let stored = scene.registry.manifest(&name(place.0), &Reference::Digest(place.1)).unwrap();
        self.manifests.insert(place, serde_json::from_slice(&stored.bytes).unwrap());
    }

    /// In an order that follows from the seed.
    fn visible(&self, scene: &Scene) -> Vec<Place> {
        let mut visible: Vec<_> = self
            .manifests
            .keys()
            .copied()
            .filter(|&(repository, digest)| scene.is_visible(repository, digest))
            .collect();
        visible.sort_unstable();
        visible
    }

    fn delete(&self, scene: &Scene, chance: &mut Chance) {
        let visible = self.visible(scene);
        if visible.is_empty() {
            return;
        }
        let (repository, digest) = chance.pick(&visible);
        // One that an index lists is not deleted.
        drop(scene.registry.delete_manifest(&name(repository), digest, Condition::default(), "deleter"));
    }

    fn lose_some(&mut self, scene: &Scene, chance: &mut Chance) {
        let mut contents = std::mem::take(&mut self.contents);
        contents.sort_unstable();
        contents.dedup();
        let one_in = chance.pick(&[2, 4, 12]);
        for content in &contents {
            let file = scene.file(digest(content));
            match chance.below(one_in * 4) {
                0 | 1 => fs::remove_file(file).unwrap(),
                2 => fs::write(file, b"short").unwrap(),
                3 => {
                    fs::rename(file, other_file(scene, content, 7)).unwrap();
                    continue;
                }
                _ => continue,
            }
            self.lost.insert(digest(content));
        }
        self.contents = contents;
    }
}

fn text_of(value: &Value) -> Digest {
    Digest::parse(value.as_str().unwrap()).unwrap()
}

/// What each tag that is there should name: the newest of its history since it was set that was visible and
/// is whole.
fn expected_tags(
    scene: &Scene,
    world: &World,
    visible: &[Place],
) -> Vec<(&'static str, Tag, Option<Digest>)> {
    let mut expected = Vec::new();
    for repository in REPOSITORIES {
        for tag in TAGS.into_iter().filter(|tag| !tag.is_empty()) {
            if scene.tag(repository, tag).is_none() {
                continue;
            }
            let name: RepositoryName = name(repository);
            let tag = Tag::parse(tag).unwrap();
            let (changes, more) = scene.registry.tag_history(&name, &tag, None, 1000).unwrap();
            assert!(!more);
            // Nothing comes back from before the tag was removed.
            let since = changes.into_iter().map_while(|change| change.record.after);
            let mut named = since.map(|after| (repository, after.digest));
            let newest = named.find(|place| visible.contains(place) && world.is_whole(*place));
            expected.push((repository, tag, newest.map(|(_, digest)| digest)));
        }
    }
    expected
}

fn assert_served(scene: &Scene, world: &World, visible: &[Place], tags: &[(&str, Tag, Option<Digest>)]) {
    for &place in world.manifests.keys() {
        let (repository, digest) = place;
        let is_served = visible.contains(&place) && world.is_whole(place);
        assert_eq!(scene.is_visible(repository, digest), is_served, "{repository}@{digest}");
        if is_served {
            for blob in world.blobs(place) {
                let read = scene.read(repository, blob).unwrap();
                assert_eq!(crate::oci::Digest::of(Algorithm::Sha256, &read), blob);
            }
        }
    }
    for (repository, tag, expected) in tags {
        assert_eq!(scene.tag(repository, tag.as_str()), *expected, "{repository}:{tag}");
    }
    assert_eq!(scene.violations(true), [""; 0]);
}

fn run(seed: u64) {
    let mut chance = Chance(seed);
    let (mut scene, mut world) = (Scene::new(|_| {}), World::default());
    for _ in 0..STEPS {
        match chance.below(8) {
            0..=4 => world.push(&scene, &mut chance),
            5 | 6 => world.push_index(&scene, &mut chance),
            _ => world.delete(&scene, &mut chance),
        }
        scene.clock.advance_ms(1000);
    }
    let visible = world.visible(&scene);
    world.lose_some(&scene, &mut chance);
    let tags = expected_tags(&scene, &world, &visible);
    for _ in 0..2 {
        settle(&mut scene);
        assert_served(&scene, &world, &visible, &tags);
    }
    // With its bytes, everything is there again.
    for content in &world.contents {
        for repository in REPOSITORIES {
            scene.push_blob(repository, content);
        }
    }
    world.lost.clear();
    assert_eq!(world.visible(&scene), visible);
}

proptest! {
    // Another seed is another registry: there is nothing to shrink.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn what_is_served_is_whole_and_tags_name_the_newest_of_it(seed: u64) {
        run(seed);
    }
}
