//! The rules of access one by one, and all of them against another reading of the same words.

use super::*;
use crate::config::{ACTION_WORDS, Inputs};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// The configuration of a file's text.
fn config(text: &str) -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let inputs = Inputs { file: Some(file.path().to_path_buf()), ..Inputs::default() };
    inputs.load().unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

fn policy(text: &str) -> Policy {
    Policy::of(&config(text)).unwrap()
}

/// An `[[access]]` table; the lists without their brackets.
fn rule(who: &str, repos: &str, can: &str) -> String {
    let list = |text: &str| {
        let quoted = text.split(' ').filter(|word| !word.is_empty()).map(|word| format!("\"{word}\""));
        quoted.collect::<Vec<_>>().join(", ")
    };
    format!("[[access]]\nwho = [{}]\nrepos = [{}]\ncan = [{}]\n", list(who), list(repos), list(can))
}

fn user(name: &str) -> Principal {
    Principal::User(name.to_owned())
}

fn robot(patterns: &[&str], can: &str) -> Principal {
    let repositories = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    Principal::Robot(Arc::new(Robot {
        name: "ci".to_owned(),
        repositories,
        can: Actions::parse(can).unwrap(),
    }))
}

/// What a caller may do, in words.
fn may(policy: &Policy, who: &Principal, repository: &str) -> String {
    policy.actions(who, repository).to_string()
}

#[test]
fn the_words_of_the_configuration_are_those_of_the_actions() {
    assert_eq!(Action::ALL.map(Action::word), ACTION_WORDS);
}

#[test]
fn what_no_rule_allows_is_not_allowed() {
    let policy = policy(&rule("ann", "team/**", "pull"));
    assert_eq!(may(&policy, &user("ann"), "team/app"), "pull");
    for (who, repository) in
        [(user("ann"), "team"), (user("ann"), "other"), (user("bob"), "team/app"), (user("Ann"), "team/app")]
    {
        assert_eq!(policy.actions(&who, repository), Actions::NONE, "{who} {repository}");
    }
    assert_eq!(policy.actions(&Principal::Anonymous, "team/app"), Actions::NONE);
}

#[test]
fn the_most_specific_pattern_decides_alone() {
    let rules = [
        rule("anonymous", "**", "pull"),
        rule("users", "team/**", "push"),
        rule("ann", "team/secret/**", ""),
        rule("bob", "team/secret/**", "pull delete"),
    ];
    let policy = policy(&rules.concat());
    assert_eq!(may(&policy, &Principal::Anonymous, "team/app"), "pull", "no rule for users names it");
    assert_eq!(may(&policy, &user("ann"), "team/app"), "push", "`**` adds nothing");
    assert_eq!(may(&policy, &user("ann"), "team/secret/x"), "", "an empty list takes away");
    assert_eq!(may(&policy, &user("bob"), "team/secret/x"), "pull,delete");
    assert_eq!(may(&policy, &user("carl"), "team/secret/x"), "push", "nobody named carl there");
    assert_eq!(may(&policy, &user("ann"), "other"), "pull", "anonymous is everybody");
}

#[test]
fn what_is_as_specific_adds_up() {
    let rules = [
        rule("ann", "team/**", "pull"),
        rule("users", "team/**", "create"),
        rule("group:ops", "a*/x", "pull"),
        rule("ann", "*b/x", "delete"),
    ];
    let policy = policy(&format!("[groups]\nops = [\"ann\"]\n{}", rules.concat()));
    assert_eq!(may(&policy, &user("ann"), "team/app"), "pull,create", "one pattern twice");
    assert_eq!(may(&policy, &user("ann"), "ab/x"), "pull,delete", "two patterns that say as much");
    assert_eq!(may(&policy, &user("bob"), "ab/x"), "");
}

#[test]
fn push_and_admin_have_others_in_them() {
    let policy = policy(&(rule("ann", "a", "push") + &rule("ann", "b", "admin")));
    assert!(
        policy.allows(&user("ann"), Action::Create, "a") && !policy.allows(&user("ann"), Action::Pull, "a")
    );
    assert_eq!(policy.actions(&user("ann"), "b"), Actions::ALL);
}

#[test]
fn everybody_has_a_home_of_the_own_name() {
    let policy = policy(&(rule("users", "home/{user}/**", "admin") + &rule("anonymous", "x-{user}", "pull")));
    assert_eq!(may(&policy, &user("ann"), "home/ann/app"), "admin");
    assert_eq!(may(&policy, &user("bob"), "home/ann/app"), "");
    assert_eq!(may(&policy, &user("ann"), "x-ann"), "pull");
    for (name, repository) in [
        ("**", "home/ann/app"),
        ("*", "home/ann/app"),
        ("ann/app", "home/ann/app/x"),
        ("", "home/app"),
        ("Ann", "home/ann/app"),
        ("a..b", "home/a..b/app"),
        ("{user}", "home/ann/app"),
        ("user", "home/ann/app"),
    ] {
        assert_eq!(may(&policy, &user(name), repository), "", "{name:?}");
    }
    assert_eq!(may(&policy, &Principal::Anonymous, "home/anonymous/app"), "");
    assert_eq!(may(&policy, &Principal::Anonymous, "x-anonymous"), "");
}

#[test]
fn a_robot_may_what_its_token_says() {
    let rules = rule("anonymous", "**", "pull") + &rule("users", "**", "admin");
    let (robot, all) = (robot(&["ci/**", "app"], "push"), robot(&["ci/**", "**"], "admin"));
    for policy in [policy(&rules), Policy::everything()] {
        assert_eq!(may(&policy, &robot, "ci/x"), "push");
        assert_eq!(may(&policy, &robot, "app"), "push");
        assert_eq!(may(&policy, &robot, "other"), "", "not even what anonymous callers may");
        assert!(policy.may_see(&robot).is_nothing() && !policy.rules_registry(&robot));
        assert!(policy.may_see(&all).is_everything() && policy.rules_registry(&all));
        let why = policy.explain(&robot, Action::Push, "ci/x");
        assert_eq!(
            (why.is_allowed, why.basis, why.deciding[0].pattern.as_str()),
            (true, Basis::Token, "ci/**")
        );
        assert!(!policy.explain(&robot, Action::Push, "other").is_allowed);
    }
}

#[test]
fn what_is_said_for_everybody_holds_for_users() {
    let policy = policy("anonymous = \"pull,push\"\n");
    for who in [Principal::Anonymous, user("ann")] {
        assert_eq!(may(&policy, &who, "a/b"), "pull,push");
    }
    assert!(policy.anonymous_may_anything() && !policy.is_open());
}

#[test]
fn silence_is_everything_on_this_machine_and_nothing_elsewhere() {
    let policy = policy("");
    assert!(policy.is_open() && policy.anonymous_may_anything());
    for who in [Principal::Anonymous, user("ann")] {
        assert_eq!(policy.actions(&who, "a"), Actions::ALL);
        assert!(policy.rules_registry(&who) && policy.may_see(&who).is_everything());
    }
    assert_eq!(policy.explain(&user("ann"), Action::Admin, "a").basis, Basis::Open);
    let words = Policy::of(&config("listen = \"0.0.0.0:5000\"\n[groups]\na = []\n")).unwrap_err();
    for cure in ["--anonymous pull,push,delete", "WHARFINGER_ANONYMOUS", "[[access]]", "users"] {
        assert!(words.contains(cure), "{words}");
    }
    for listen in ["127.0.0.1:5000", "0.0.0.0:5000"] {
        let closed = self::policy(&format!("listen = \"{listen}\"\naccess = []\n"));
        assert_eq!(closed.actions(&user("ann"), "a"), Actions::NONE, "somebody said that nobody may");
        assert!(!closed.is_open() && !closed.anonymous_may_anything());
        assert!(!closed.rules_registry(&user("ann")) && closed.may_see(&user("ann")).is_nothing());
    }
}

#[test]
fn a_list_of_actions_that_is_none_is_refused_with_its_place() {
    let words = Policy::of(&config("\nanonymous = \"pul\"\n")).unwrap_err();
    assert!(words.contains(":2: \"pul\" is no action"), "{words}");
}

#[test]
fn who_needs_credentials_is_known() {
    for (rules, is_open, may_anything) in [
        (rule("anonymous", "**", "admin"), true, true),
        (rule("anonymous", "**", "pull push delete create"), false, true),
        (rule("anonymous", "**", "admin") + &rule("anonymous", "a/**", "pull"), false, true),
        (rule("anonymous", "**", "admin") + &rule("ann", "a/**", ""), true, true),
        (rule("anonymous", "a/**", "admin"), false, true),
        (rule("users", "**", "admin"), false, false),
        (rule("anonymous", "**", "") + &rule("anonymous", "home/{user}", "pull"), false, false),
    ] {
        let policy = policy(&rules);
        assert_eq!((policy.is_open(), policy.anonymous_may_anything()), (is_open, may_anything), "{rules}");
    }
}

#[test]
fn the_registry_is_ruled_by_who_is_admin_everywhere() {
    let rules = [
        rule("root", "**", "admin"),
        rule("root", "secret", ""),
        rule("ann", "**", "push delete"),
        rule("bob", "**/* * a/**", "admin"),
    ];
    let policy = policy(&rules.concat());
    assert!(policy.rules_registry(&user("root")));
    for who in [user("ann"), user("bob"), Principal::Anonymous] {
        assert!(!policy.rules_registry(&who), "{who}");
    }
}

#[test]
fn a_rule_that_takes_back_keeps_a_list_from_being_whole() {
    let policy = policy(&(rule("anonymous", "**", "pull") + &rule("users", "secret/**", "")));
    assert!(policy.may_see(&Principal::Anonymous).is_everything());
    let seeing = policy.may_see(&user("ann"));
    assert!(!seeing.is_everything());
    assert_eq!(seeing.seek("secret/x"), Some("secret/x"), "the scanner asks for each name");
}

#[test]
fn an_explanation_names_what_decides_and_what_lost() {
    let text = format!(
        "anonymous = \"pull\"\n{}{}{}",
        rule("users", "team/**", "push"),
        rule("ann", "team/**", "delete"),
        rule("bob", "team/**", "admin")
    );
    let why = policy(&text).explain(&user("ann"), Action::Pull, "team/app");
    assert!(!why.is_allowed);
    assert_eq!(why.basis, Basis::Rules);
    let lines = |reasons: &[Reason]| {
        let line = |reason: &Reason| match &reason.source {
            Some(Source::File { line, .. }) => (*line, reason.pattern.clone(), reason.can.to_string()),
            other => panic!("{other:?}"),
        };
        reasons.iter().map(line).collect::<Vec<_>>()
    };
    let reason = |line, pattern: &str, can: &str| (line, pattern.to_owned(), can.to_owned());
    assert_eq!(lines(&why.deciding), [reason(2, "team/**", "push"), reason(6, "team/**", "delete")]);
    assert_eq!(lines(&why.lost), [reason(1, "**", "pull")]);
}

/// It is asked with every request. The bound is a hundred times what it costs, and still less than a sync.
#[test]
fn a_decision_of_many_rules_is_cheap() {
    const ROUNDS: u32 = 2000;
    let rules = (0..50).map(|i| rule("users bob", &format!("team{i}/** home/{{user}}/x{i}/**"), "pull"));
    let policy = policy(&(rules.collect::<String>() + &rule("users", "**", "pull")));
    let ann = user("ann");
    let began = Instant::now();
    for _ in 0..ROUNDS {
        assert!(policy.allows(&ann, Action::Pull, "some/other/repository"));
    }
    let each = began.elapsed() / ROUNDS;
    assert!(each < Duration::from_millis(2), "{each:?} each");
}

/// Rules as plain as can be, for the other reading: who, pattern and actions.
type Plain = (Vec<&'static str>, String, Vec<&'static str>);

/// Whether the parts of a pattern are those of a name, found by trying everything.
fn parts_match(pattern: &[String], name: &[&str]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((first, [])) if first == "**" => !name.is_empty(),
        Some((first, rest)) if first == "**" => {
            (0..=name.len()).any(|taken| parts_match(rest, &name[taken..]))
        }
        Some((first, rest)) => {
            let Some((text, others)) = name.split_first() else { return false };
            let fits = match first.split_once('*') {
                None => first == text,
                Some((head, tail)) => {
                    text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
                }
            };
            fits && parts_match(rest, others)
        }
    }
}

/// How plain the parts of a pattern are; more is more specific, and a longer list than its beginning.
fn plainness(pattern: &str) -> Vec<usize> {
    let plain = |part: &str| match part {
        "**" => 0,
        part if part.contains('*') => part.len(),
        _ => usize::MAX,
    };
    pattern.split('/').map(plain).collect()
}

/// The actions that the rules allow by the words of docs/access.md.
fn read_again(rules: &[Plain], groups: &[(&str, &str)], who: Option<&str>, name: &str) -> Vec<&'static str> {
    let names = |callers: &[&str]| {
        callers.iter().any(|&caller| match (caller, who) {
            ("anonymous", _) | ("users", Some(_)) => true,
            (caller, Some(user)) => match caller.strip_prefix("group:") {
                Some(group) => groups.contains(&(group, user)),
                None => caller == user,
            },
            (_, None) => false,
        })
    };
    let parts: Vec<&str> = name.split('/').collect();
    let matches = |pattern: &str| match (pattern.contains("{user}"), who) {
        (true, None) => false,
        (_, who) => {
            let pattern = pattern.replace("{user}", who.unwrap_or_default());
            parts_match(&pattern.split('/').map(str::to_owned).collect::<Vec<_>>(), &parts)
        }
    };
    let applying: Vec<_> =
        rules.iter().filter(|(callers, pattern, _)| names(callers) && matches(pattern)).collect();
    let most = applying.iter().map(|(_, pattern, _)| plainness(pattern)).max();
    let deciding = applying.iter().filter(|(_, pattern, _)| Some(plainness(pattern)) == most);
    let said: Vec<&str> = deciding.flat_map(|(_, _, can)| can.iter().copied()).collect();
    let is_allowed = |action: &&str| {
        said.contains(action) || said.contains(&"admin") || (*action == "create" && said.contains(&"push"))
    };
    ACTION_WORDS.into_iter().filter(is_allowed).collect()
}

fn plain_rule() -> impl Strategy<Value = Plain> {
    let callers = vec!["anonymous", "users", "group:g", "group:h", "a", "b"];
    let part = "(a|b|ab|a\\*|\\*b|\\*|\\*\\*|\\{user\\}|a\\{user\\})";
    (
        prop::sample::subsequence(callers, 1..3),
        prop::string::string_regex(&format!("{part}(/{part}){{0,2}}")).unwrap(),
        prop::sample::subsequence(ACTION_WORDS.to_vec(), 0..3),
    )
}

fn written(rules: &[Plain]) -> String {
    let groups = "[groups]\ng = [\"a\", \"c\"]\nh = [\"b\"]\n".to_owned();
    // Nobody at all may do anything without a word.
    let nothing = if rules.is_empty() { "access = []\n" } else { "" };
    let rules = rules.iter().map(|(who, pattern, can)| rule(&who.join(" "), pattern, &can.join(" ")));
    nothing.to_owned() + &groups + &rules.collect::<String>()
}

fn allowed(policy: &Policy, who: Option<&str>, name: &str) -> Vec<&'static str> {
    let who = who.map_or(Principal::Anonymous, user);
    let actions = Action::ALL.into_iter().filter(|&action| policy.allows(&who, action, name));
    actions.map(Action::word).collect()
}

const NAME: &str = "(a|b|ab|aa)(/(a|b|ab|aa)){0,2}";
const CALLERS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];

proptest! {
    #[test]
    fn a_decision_is_that_of_another_reading(
        rules in prop::collection::vec(plain_rule(), 0..6),
        names in prop::collection::vec(NAME, 6),
    ) {
        let policy = policy(&written(&rules));
        let groups = [("g", "a"), ("g", "c"), ("h", "b")];
        for (name, who) in names.iter().flat_map(|name| CALLERS.map(|who| (name, who))) {
            let expected = read_again(&rules, &groups, who, name);
            prop_assert_eq!(allowed(&policy, who, name), expected, "{:?} {}", who, name);
        }
    }

    #[test]
    fn another_rule_for_the_same_names_takes_nothing_away(
        rules in prop::collection::vec(plain_rule(), 1..5),
        at in any::<prop::sample::Index>(),
        can in prop::sample::subsequence(ACTION_WORDS.to_vec(), 0..3),
        names in prop::collection::vec(NAME, 6),
    ) {
        let (who, pattern, _) = at.get(&rules).clone();
        let more = [rules.clone(), vec![(who, pattern, can)]].concat();
        let (before, after) = (policy(&written(&rules)), policy(&written(&more)));
        for (name, who) in names.iter().flat_map(|name| CALLERS.map(|who| (name, who))) {
            let (old, new) = (allowed(&before, who, name), allowed(&after, who, name));
            prop_assert!(old.iter().all(|action| new.contains(action)), "{who:?} {name}: {old:?} {new:?}");
        }
    }

    #[test]
    fn a_list_leads_to_all_that_may_be_pulled(
        rules in prop::collection::vec(plain_rule(), 0..6),
        mut names in prop::collection::vec(NAME, 0..20),
    ) {
        let policy = policy(&written(&rules));
        names.sort();
        for caller in CALLERS {
            let who = caller.map_or(Principal::Anonymous, user);
            let seeing = policy.may_see(&who);
            for name in &names {
                let may_pull = policy.allows(&who, Action::Pull, name);
                prop_assert!(!may_pull || seeing.seek(name) == Some(name.as_str()), "{who} {name}");
                prop_assert!(may_pull || !seeing.is_everything(), "{who} {name}");
                prop_assert!(!may_pull || who != Principal::Anonymous || policy.anonymous_may_anything());
                let of_all = policy.actions(&Principal::Anonymous, name);
                prop_assert!(!policy.is_open() || of_all == Actions::ALL, "{}", name);
                let why = policy.explain(&who, Action::Pull, name);
                prop_assert_eq!(why.is_allowed, may_pull);
                prop_assert_eq!(why.is_allowed, why.deciding.iter().any(|by| by.can.has(Action::Pull)));
            }
        }
    }
}
