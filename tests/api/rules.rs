//! What goes by the rules of repositories, and what is said of it beforehand.

use crate::support::command::{answer, command};
use crate::support::{ImageBuilder, Server};

const RULES: &str = "[{match=\"ci/**\", keep_newest=2, keep_tags=[\"stable\"], untagged_keep_secs=1000000}]";

#[test]
fn the_newest_are_kept_and_the_rest_is_told_before_it_goes() {
    let server = Server::builder()
        .env("WHARFINGER_REPOSITORY", RULES)
        .env("WHARFINGER_RETENTION_SECS", "2592000")
        .start();
    let client = server.client();
    let images: Vec<_> = (0..4).map(|seed| ImageBuilder::sample(970 + seed).build()).collect();
    for (number, image) in images.iter().enumerate() {
        image.push(&client, "ci/app", &format!("v{number}"));
        image.push(&client, "other", &format!("v{number}"));
    }
    images[0].push_document(&client, "ci/app", "stable");
    let report = answer(&server, &["gc", "--dry-run"]);
    let rules = report["rules"].as_array().expect("a list");
    assert_eq!(rules.len(), 4);
    let goes: Vec<_> = rules.iter().filter(|verdict| verdict["goes"] == true).collect();
    assert_eq!((goes.len(), &goes[0]["digest"]), (1, &images[1].digest.as_str().into()));
    assert!(goes[0]["why"].as_str().expect("words").contains("keep_newest"));
    command(&server, &["gc", "--dry-run"])
        .expect_code(0)
        .expect_words(&format!("goes by rule: ci/app@{} (v1)", images[1].digest))
        .expect_words("kept by rule: 3");
    images[1].assert_pullable(&client, "ci/app", "v1");

    command(&server, &["gc", "--now"]).expect_code(0);
    client.get_manifest("ci/app", "v1").expect_status(404);
    assert_eq!(client.tags("ci/app"), ["stable", "v0", "v2", "v3"]);
    assert_eq!(client.tags("other").len(), 4);
    let history = answer(&server, &["tag", "history", "ci/app:v1"]);
    assert_eq!(
        (&history["changes"][0]["cause"], &history["changes"][0]["who"]),
        (&"rule".into(), &"rule".into())
    );
    assert_eq!(
        answer(&server, &["undelete", "ci/app:v1"])["manifests"],
        1,
        "`--now` ends no wait of a rule's"
    );
    images[1].assert_pullable(&client, "ci/app", "v1");
    let log = server.log();
    assert!(log.contains(&format!("a rule deleted {}", images[1].digest)), "{log}");
}

#[test]
fn a_rule_deletes_by_itself_and_can_be_taken_back() {
    let server = Server::builder()
        .env("WHARFINGER_REPOSITORY", "[{match=\"**\", untagged_keep_secs=1}]")
        .env("WHARFINGER_RETENTION_SECS", "1")
        .env("WHARFINGER_HOUSEKEEPING_SECS", "1")
        .start();
    let client = server.client();
    let (tagged, untagged) = (ImageBuilder::sample(975).build(), ImageBuilder::sample(976).build());
    tagged.push(&client, "app", "v1");
    untagged.push_untagged(&client, "app");
    crate::support::wait::until_true("the manifest without a tag to go", || {
        client.get_manifest("app", &untagged.digest).status == 404
    });
    tagged.assert_pullable(&client, "app", "v1");
    let by_digest = format!("app@{}", untagged.digest);
    assert_eq!(answer(&server, &["undelete", &by_digest])["manifests"], 1);
}
