//! Accounts over time, and what the book says of them.

use super::*;
use crate::config::Pattern;
use crate::registry::scene::{DAY_MS, Scene};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";

fn user(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn hidden(text: &str) -> Hidden<String> {
    Hidden::new(text.to_owned())
}

fn wish(id: u64, name: &str, life_secs: Option<u64>) -> NewToken {
    NewToken {
        id,
        name: user(name),
        hash: Hidden::new([7; 32]),
        repositories: vec![Pattern::parse("team/**").unwrap()],
        can: vec!["pull".to_owned()],
        life_secs,
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>) -> AccountError {
    match outcome.unwrap_err() {
        Error::Account(refusal) => refusal,
        error => panic!("{error}"),
    }
}

fn last_use(scene: &Scene, id: u64) -> Option<u64> {
    let rows = scene.registry.store.snapshot().unwrap();
    rows.get(&crate::store::tables::ACCESS_TOKEN, &id).unwrap().unwrap().last_used_at_ms
}

fn key_ids(scene: &Scene) -> Vec<u64> {
    scene.registry.accounts().signing_keys().iter().map(|key| key.id).collect()
}

#[test]
fn a_user_comes_changes_and_goes() {
    let scene = Scene::new(|_| {});
    let registry = &scene.registry;
    let alice = user("alice");
    assert!(registry.accounts().user("alice").is_none());
    registry.add_user(&alice, hidden(HASH), "local").unwrap();
    let entry = registry.accounts().user("alice").unwrap().clone();
    assert!(entry.hash.reveal() == HASH && !entry.disabled);
    assert_eq!(
        refusal(registry.add_user(&alice, hidden("other"), "local")),
        AccountError::UserExists(alice.clone())
    );
    assert_eq!(registry.accounts().user("alice").unwrap().hash.reveal(), HASH, "a refusal changes nothing");

    scene.clock.advance_ms(1000);
    registry.set_password(&alice, hidden("$2y$10$other"), "local").unwrap();
    assert_eq!(registry.accounts().user("alice").unwrap().hash.reveal(), "$2y$10$other");
    let record = registry.users().unwrap().remove(0).record;
    assert_eq!(record.changed_at_ms - record.created_at_ms, 1000);

    registry.set_disabled(&alice, true, "local").unwrap();
    let since_ms = registry.now_ms();
    scene.clock.advance_ms(1000);
    registry.set_disabled(&alice, true, "local").unwrap();
    assert!(registry.accounts().user("alice").unwrap().disabled);
    assert_eq!(registry.users().unwrap()[0].record.disabled_at_ms, Some(since_ms), "since the first time");
    registry.set_disabled(&alice, false, "local").unwrap();
    assert!(!registry.accounts().user("alice").unwrap().disabled);

    registry.remove_user(&alice, "local").unwrap();
    assert!(registry.accounts().user("alice").is_none());
    let unknown = AccountError::UserUnknown(alice.clone());
    assert_eq!(refusal(registry.remove_user(&alice, "local")), unknown);
    assert_eq!(refusal(registry.set_password(&alice, hidden(HASH), "local")), unknown);
    assert_eq!(refusal(registry.set_disabled(&alice, true, "local")), unknown);
}

#[test]
fn the_book_says_which_kinds_of_hashes_there_are() {
    let scene = Scene::new(|_| {});
    let kinds = || scene.registry.accounts().hash_kinds().map(str::to_owned).collect::<Vec<_>>();
    assert!(kinds().is_empty());
    for (name, hash) in [("a", HASH), ("b", HASH), ("c", "$argon2id$v=19$m=1,t=2,p=1$c2FsdA$aGFzaA")] {
        scene.registry.add_user(&user(name), hidden(hash), "local").unwrap();
    }
    assert_eq!(kinds(), ["$argon2id$v=19$m=1,t=2,p=1", "$argon2id$v=19$m=19456,t=2,p=1"]);
    scene.registry.remove_user(&user("c"), "local").unwrap();
    assert_eq!(kinds(), ["$argon2id$v=19$m=19456,t=2,p=1"]);
}

#[test]
fn all_of_it_is_there_after_a_restart() {
    let mut scene = Scene::new(|_| {});
    // More than a page.
    for number in 0..600 {
        scene.registry.add_user(&user(&format!("user{number}")), hidden(HASH), "local").unwrap();
    }
    scene.registry.create_token(wish(7, "builder", Some(60)), "local").unwrap();
    let key = scene.registry.ensure_signing_key().unwrap();
    scene.start();
    let book = scene.registry.accounts();
    assert!((0..600).all(|number| book.user(&format!("user{number}")).is_some()));
    assert_eq!(book.token(7).unwrap().name, user("builder"));
    assert_eq!(book.signing_keys(), [key]);
    assert_eq!(scene.registry.users().unwrap().len(), 600);
}

/// Each thread changes its own users and must see each change as soon as it has returned.
#[test]
fn a_change_holds_once_it_has_returned() {
    let scene = Scene::new(|_| {});
    let wrong = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (registry, wrong) = (&*scene.registry, &wrong);
            scope.spawn(move || {
                let name = user(&format!("worker{worker}"));
                let sees = |expected: Option<bool>| {
                    let seen = registry.accounts().user(name.as_str()).map(|user| user.disabled);
                    if seen != expected {
                        wrong.store(true, Ordering::Relaxed);
                    }
                };
                for _ in 0..20 {
                    registry.add_user(&name, hidden(HASH), "local").unwrap();
                    sees(Some(false));
                    registry.set_disabled(&name, true, "local").unwrap();
                    sees(Some(true));
                    registry.remove_user(&name, "local").unwrap();
                    sees(None);
                }
            });
        }
    });
    assert!(!wrong.load(Ordering::Relaxed));
}

#[test]
fn a_change_without_room_changes_nothing() {
    let scene = Scene::new(|_| {});
    let alice = user("alice");
    scene.registry.add_user(&alice, hidden(HASH), "local").unwrap();
    scene.registry.store.faults.refuse_writes(2);
    assert!(scene.registry.set_disabled(&alice, true, "local").is_err());
    assert!(scene.registry.ensure_signing_key().is_err());
    assert!(!scene.registry.accounts().user("alice").unwrap().disabled);
    scene.registry.set_disabled(&alice, true, "local").unwrap();
    assert!(scene.registry.accounts().user("alice").unwrap().disabled);
}

#[test]
fn a_token_has_a_name_of_its_own_until_it_is_revoked() {
    let scene = Scene::new(|_| {});
    let registry = &scene.registry;
    let expires_at_ms = registry.create_token(wish(1, "builder", Some(60)), "local").unwrap();
    assert_eq!(expires_at_ms, Some(registry.now_ms() + 60_000));
    assert_eq!(registry.create_token(wish(2, "mirror", None), "local").unwrap(), None);
    let exists = AccountError::TokenExists(user("builder"));
    assert_eq!(refusal(registry.create_token(wish(3, "builder", None), "local")), exists);
    assert_eq!(refusal(registry.create_token(wish(1, "third", None), "local")), AccountError::TokenIdInUse);
    assert!(registry.accounts().token(3).is_none());
    let token = registry.accounts().token(1).unwrap().clone();
    assert!(token.repositories[0].matches("team/app") && token.can == ["pull"]);
    assert!(!token.is_expired(registry.now_ms() + 59_999) && token.is_expired(registry.now_ms() + 60_000));
    assert!(!registry.accounts().token(2).unwrap().is_expired(u64::MAX));
    let names: Vec<_> = registry.tokens().unwrap().into_iter().map(|token| token.record.name).collect();
    assert_eq!(names, [user("builder"), user("mirror")]);

    assert_eq!(registry.revoke_token("builder", "local").unwrap().id, 1);
    assert!(registry.accounts().token(1).is_none());
    assert_eq!(
        refusal(registry.revoke_token("builder", "local")),
        AccountError::TokenUnknown("builder".to_owned())
    );
    registry.create_token(wish(0xabc, "builder", None), "local").unwrap();
    // A name that looks like the id of another token is that name first.
    registry.create_token(wish(5, "0000000000000abc", None), "local").unwrap();
    assert_eq!(registry.revoke_token("0000000000000abc", "local").unwrap().id, 5);
    assert_eq!(registry.revoke_token("0000000000000abc", "local").unwrap().id, 0xabc);
    assert!(registry.revoke_token("2", "local").is_err(), "an id has all its digits");
}

#[test]
fn the_last_use_of_a_token_is_written_once_a_minute() {
    let scene = Scene::new(|_| {});
    let registry = &scene.registry;
    for (id, name) in [(1, "one"), (2, "two"), (3, "three")] {
        registry.create_token(wish(id, name, None), "local").unwrap();
    }
    let writes = || registry.store.commits().closures.count();
    let (begun_ms, before) = (registry.now_ms(), writes());
    registry.note_token_use(1, begun_ms);
    registry.note_token_use(2, begun_ms);
    assert_eq!((last_use(&scene, 1), writes()), (None, before), "no I/O");
    assert_eq!(registry.tokens().unwrap()[0].record.last_used_at_ms, Some(begun_ms), "but it is listed");
    registry.write_due_token_uses().unwrap();
    assert_eq!(writes(), before + 1, "one write for all");
    assert_eq!([1, 2, 3].map(|id| last_use(&scene, id)), [Some(begun_ms), Some(begun_ms), None]);

    scene.clock.advance_ms(59_000);
    let later_ms = registry.now_ms();
    registry.note_token_use(1, later_ms);
    registry.note_token_use(1, later_ms - 5000);
    registry.note_token_use(3, later_ms);
    registry.write_due_token_uses().unwrap();
    assert_eq!([1, 3].map(|id| last_use(&scene, id)), [Some(begun_ms), Some(later_ms)]);
    scene.clock.advance_ms(1000);
    registry.write_due_token_uses().unwrap();
    assert_eq!(last_use(&scene, 1), Some(later_ms), "the latest of those noted");
    let before = writes();
    registry.write_due_token_uses().unwrap();
    assert_eq!(writes(), before, "nothing is left to write");

    registry.note_token_use(2, registry.now_ms());
    registry.note_token_use(3, registry.now_ms());
    registry.revoke_token("two", "local").unwrap();
    registry.write_token_uses().unwrap();
    assert_eq!(last_use(&scene, 3), Some(registry.now_ms()), "the end of a server waits for no minute");
    assert_eq!(registry.tokens().unwrap().len(), 2, "what is revoked does not come back");
}

#[test]
fn uses_that_could_not_be_written_are_written_later() {
    let scene = Scene::new(|_| {});
    scene.registry.create_token(wish(1, "one", None), "local").unwrap();
    let now_ms = scene.registry.now_ms();
    scene.registry.note_token_use(1, now_ms);
    scene.registry.store.faults.refuse_writes(1);
    assert!(scene.registry.write_due_token_uses().is_err());
    assert_eq!(last_use(&scene, 1), None);
    scene.registry.write_due_token_uses().unwrap();
    assert_eq!(last_use(&scene, 1), Some(now_ms));
}

#[test]
fn an_expired_token_is_listed_for_a_while_and_then_goes() {
    let scene = Scene::new(|_| {});
    let registry = &scene.registry;
    registry.create_token(wish(1, "short", Some(60)), "local").unwrap();
    registry.create_token(wish(2, "endless", None), "local").unwrap();
    scene.clock.advance_ms(60_000 + 30 * DAY_MS - 1);
    registry.keep_house().unwrap();
    assert!(registry.accounts().token(1).unwrap().is_expired(registry.now_ms()));
    scene.clock.advance_ms(1);
    registry.keep_house().unwrap();
    assert!(registry.accounts().token(1).is_none());
    assert_eq!(registry.tokens().unwrap().len(), 1);
    registry.create_token(wish(3, "short", None), "local").unwrap();
}

#[test]
fn keys_are_made_when_they_are_needed_and_kept_while_they_check() {
    let scene = Scene::new(|_| {});
    let registry = &scene.registry;
    registry.keep_house().unwrap();
    assert!(key_ids(&scene).is_empty(), "nobody needs one");
    let first = registry.ensure_signing_key().unwrap();
    assert_eq!(registry.ensure_signing_key().unwrap(), first);
    assert_ne!(first.seed.reveal(), &[0; 32]);

    scene.clock.advance_ms(30 * DAY_MS - 1);
    registry.keep_house().unwrap();
    assert_eq!(key_ids(&scene), [first.id]);
    scene.clock.advance_ms(1);
    registry.keep_house().unwrap();
    let second = registry.ensure_signing_key().unwrap();
    assert_ne!(second.seed, first.seed);
    assert_eq!(key_ids(&scene), [second.id, first.id], "the newest first");
    registry.keep_house().unwrap();
    assert_eq!(key_ids(&scene), [second.id, first.id]);

    // What the first signed last is accepted for as long as a refresh token is.
    scene.clock.advance_ms(30 * DAY_MS - 1);
    registry.keep_house().unwrap();
    assert_eq!(key_ids(&scene), [second.id, first.id]);
    scene.clock.advance_ms(1);
    registry.keep_house().unwrap();
    let third = registry.ensure_signing_key().unwrap();
    assert_eq!(key_ids(&scene), [third.id, second.id]);
    // After a long sleep the one that signed is left to check with.
    scene.clock.advance_ms(365 * DAY_MS);
    registry.keep_house().unwrap();
    let ids = key_ids(&scene);
    assert!(ids.len() == 2 && ids[1] == third.id, "{ids:?}");
}

#[test]
fn the_longest_life_keeps_a_key() {
    let scene = Scene::new(|config| {
        config.settings.signing_key_secs = 3600;
        config.settings.refresh_token_life_secs = 60;
        config.settings.token_life_secs = 7200;
    });
    let first = scene.registry.ensure_signing_key().unwrap();
    for (hours, is_there) in [(1, true), (2, true), (3, false)] {
        scene.clock.advance_ms(3600 * 1000);
        scene.registry.rotate_signing_keys().unwrap();
        assert_eq!(key_ids(&scene).contains(&first.id), is_there, "{hours} hours");
    }
}

#[test]
fn new_keys_leave_no_old_ones() {
    let scene = Scene::new(|_| {});
    let registry = &scene.registry;
    assert_eq!(registry.new_signing_keys("local").unwrap(), 0);
    let first = registry.ensure_signing_key().unwrap();
    scene.clock.advance_ms(30 * DAY_MS);
    registry.keep_house().unwrap();
    assert_eq!(registry.new_signing_keys("local").unwrap(), 2);
    let ids = key_ids(&scene);
    assert!(ids.len() == 1 && ids[0] != first.id, "{ids:?}");
}

/// Many who need the first key at once get the same.
#[test]
fn there_is_one_first_key() {
    let scene = Scene::new(|_| {});
    let ids: BTreeSet<u64> = thread::scope(|scope| {
        let ask = || scene.registry.ensure_signing_key().unwrap().id;
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1);
}

#[test]
fn nothing_secret_is_shown() {
    let scene = Scene::new(|_| {});
    scene.registry.add_user(&user("alice"), hidden(HASH), "local").unwrap();
    scene
        .registry
        .create_token(NewToken { hash: Hidden::new([201; 32]), ..wish(1, "one", None) }, "local")
        .unwrap();
    let key = scene.registry.ensure_signing_key().unwrap();
    let book = scene.registry.accounts();
    let shown = format!("{book:?} {key:?} {:?} {:?}", scene.registry.users(), scene.registry.tokens());
    assert!(!shown.contains("c2FsdHNhbHQ") && !shown.contains("201, 201"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", key.seed.reveal())) && shown.contains("alice"), "{shown}");
}

#[test]
fn a_row_that_cannot_be_read_lets_nobody_in_and_keeps_nobody_out() {
    let scene = Scene::new(|_| {});
    scene.registry.add_user(&user("alice"), hidden(HASH), "local").unwrap();
    let bad = crate::store::records::AccessTokenRecord {
        name: user("bad"),
        hash: Hidden::new([7; 32]),
        repositories: vec!["NOT a pattern".to_owned()],
        can: vec!["pull".to_owned()],
        created_at_ms: 0,
        expires_at_ms: None,
        last_used_at_ms: None,
        who: "local".to_owned(),
    };
    let put = bad.clone();
    let wrote = scene.registry.change_accounts(move |tx| {
        tx.put(&crate::store::tables::ACCESS_TOKEN, &9, &put)?;
        tx.put(&crate::store::tables::ACCESS_TOKEN, &8, &put)?;
        Ok(())
    });
    wrote.unwrap();
    let book = scene.registry.accounts();
    assert!(book.token(9).is_none() && book.user("alice").is_some());
    let violations = scene.violations(false);
    assert!(violations.iter().any(|found| found.contains("NOT a pattern")), "{violations:?}");
    assert!(violations.iter().any(|found| found.starts_with("I12: ")), "{violations:?}");
    for id in ["0000000000000009", "0000000000000008"] {
        scene.registry.revoke_token(id, "local").unwrap();
    }
}
