//! `Warning` headers: what a push or a delete did beyond what was asked for in so many words.

use crate::support::{Client, ImageBuilder, Manifest, Reply, Server};

const REPOSITORY: &str = "warned";

/// The texts of the answer's warnings, checked for their form.
#[track_caller]
fn warnings(reply: &Reply) -> Vec<String> {
    let values = reply.headers.iter().filter(|(name, _)| name == "warning").map(|(_, value)| value);
    let values: Vec<&String> = values.collect();
    assert!(values.iter().map(|value| value.len()).sum::<usize>() <= 4096, "distribution-spec's limit");
    let text = |value: &String| {
        let text = value.strip_prefix("299 - \"").and_then(|text| text.strip_suffix('"'));
        text.unwrap_or_else(|| panic!("the form of a warning, not {value}")).to_owned()
    };
    values.into_iter().map(text).collect()
}

fn push(client: &Client, image: &Manifest, reference: &str) -> Reply {
    client.push_manifest(REPOSITORY, reference, &image.media_type, &image.bytes).expect_status(201)
}

#[test]
fn moving_a_tag_says_from_where() {
    let server = Server::start();
    let client = server.client();
    let (one, two) = (ImageBuilder::sample(820).build(), ImageBuilder::sample(821).build());
    one.push_blobs(&client, REPOSITORY);
    two.push_blobs(&client, REPOSITORY);
    assert!(warnings(&push(&client, &one, "v1")).is_empty(), "a new tag");
    assert!(warnings(&push(&client, &one, "v1")).is_empty(), "the same again");
    let told = warnings(&push(&client, &two, &format!("{}?tag=v1&tag=v2", two.digest)));
    assert_eq!(told, [format!("the tag v1 of {REPOSITORY} was {} and is {}", one.digest, two.digest)]);
    let long = |number: usize| format!("{number:0>100}");
    let query: Vec<_> = (0..60).map(|number| format!("tag={}", long(number))).collect();
    push(&client, &one, &format!("{}?{}", one.digest, query.join("&")));
    let told = warnings(&push(&client, &two, &format!("{}?{}", two.digest, query.join("&"))));
    assert_eq!(told.last().map(String::as_str), Some(&*format!("and {} more like this", 61 - told.len())));
}

#[test]
fn deleting_by_digest_says_which_tags_went() {
    let server = Server::start();
    let client = server.client();
    let image = ImageBuilder::sample(822).build();
    for tag in ["b", "a"] {
        image.push(&client, REPOSITORY, tag);
    }
    let told = warnings(&client.delete_manifest(REPOSITORY, "b").expect_status(202));
    assert!(told.is_empty(), "that is what was asked for: {told:?}");
    push(&client, &image, "c");
    let told = warnings(&client.delete_manifest(REPOSITORY, &image.digest).expect_status(202));
    assert_eq!(told, [format!("with {} went its tags in {REPOSITORY}: a, c", image.digest)]);
    image.push_untagged(&client, REPOSITORY);
    assert!(warnings(&client.delete_manifest(REPOSITORY, &image.digest).expect_status(202)).is_empty());
    for number in 0..25 {
        image.push(&client, REPOSITORY, &format!("{number:02}"));
    }
    let told = warnings(&client.delete_manifest(REPOSITORY, &image.digest).expect_status(202));
    assert!(told[0].ends_with("18, 19 and 5 more"), "{told:?}");
}
