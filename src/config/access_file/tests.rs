//! Rules of access and groups: what is read, what is refused and with which words, and which changes are
//! told.

use super::super::load::{Config, Inputs};
use super::*;

/// A configuration of the file's text and of variables.
fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("w.toml");
    std::fs::write(&path, file).unwrap();
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    let inputs = Inputs { file: Some(path), variables, ..Inputs::default() };
    inputs.load().map_err(|error| error.to_string().replace(&format!("{}/", place.path().display()), ""))
}

const RULES: &str = r#"[groups]
ci = ["builder", "alice"]

[[access]]
who = ["group:ci", "anonymous", "users", "bob"]
repos = ["public/**", "home/{user}/**"]
can = ["pull", "push"]
"#;

#[test]
fn rules_and_groups_are_read_with_their_lines() {
    let config = load(RULES, &[]).unwrap();
    let [rule] = config.access.rules() else { panic!("one rule") };
    assert_eq!(rule.who, [Who::Group("ci".into()), Who::Anonymous, Who::Users, Who::User("bob".into())]);
    assert_eq!(
        rule.repos.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["public/**", "home/{user}/**"]
    );
    assert_eq!(rule.can, ["pull", "push"]);
    assert!(rule.source.to_string().ends_with("w.toml:4"));
    let ci = config.groups.get("ci").unwrap();
    assert_eq!(ci.users, ["builder", "alice"]);
    assert!(ci.source.to_string().ends_with("w.toml:2"));
    let none = load("access = []\n", &[]).unwrap();
    assert!(none.access.is_said() && none.access.rules().is_empty());
    assert!(!load("", &[]).unwrap().access.is_said());
}

#[test]
fn a_variable_overrules_the_file() {
    let access = "[{who=[\"group:ops\"],repos=[\"**\"],can=[]}]";
    let variables = [("WHARFINGER_ACCESS", access), ("WHARFINGER_GROUPS", "{ops=[\"root\"]}")];
    let config = load(RULES, &variables).unwrap();
    let [rule] = config.access.rules() else { panic!("the variable's rule alone") };
    assert_eq!(rule.source, Source::Variable("WHARFINGER_ACCESS".into()));
    assert!(rule.can.is_empty() && config.groups.get("ci").is_none());
    let words = load(RULES, &variables[..1]).unwrap_err();
    assert_eq!(
        words,
        "WHARFINGER_ACCESS: who=\"group:ops\": expected a group of [groups]; did you mean group:ci?"
    );
    let empty = load(RULES, &[("WHARFINGER_ACCESS", ""), ("WHARFINGER_GROUPS", "")]).unwrap();
    assert!(empty.changes_since(&load(RULES, &[]).unwrap()).is_empty(), "an empty variable is none");
    for (variable, value, expected) in [
        ("WHARFINGER_ACCESS", "pull", "WHARFINGER_ACCESS is not TOML"),
        ("WHARFINGER_ACCESS", "{}", "WHARFINGER_ACCESS: access={}: expected [[access]] tables"),
        ("WHARFINGER_GROUPS", "[]", "WHARFINGER_GROUPS: groups=[]: expected a table of groups"),
        ("WHARFINGER_GROUPS", "{a=1}", "WHARFINGER_GROUPS: a=1: expected a list of users"),
    ] {
        let words = load("", &[(variable, value)]).unwrap_err();
        assert!(words.starts_with(expected), "{words}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_was_expected() {
    let rule = |who: &str, repos: &str, can: &str| {
        format!("[[access]]\nwho = {who}\nrepos = {repos}\ncan = {can}\n")
    };
    let fine = ("[\"a\"]", "[\"**\"]", "[\"pull\"]");
    for (text, expected) in [
        ("access = 1\n".into(), "w.toml:1: access=1: expected [[access]] tables"),
        ("[access]\nwho = [\"a\"]\n".into(), "expected [[access]] tables, each with who, repos and can"),
        ("access = [1]\n".into(), "w.toml:1: access=1: expected [[access]] tables"),
        (
            "[[access]]\nrepos = [\"**\"]\ncan = []\n".into(),
            "w.toml:1: an [[access]] needs who, such as who = [\"group:ci\"",
        ),
        ("[[access]]\nwho = [\"a\"]\ncan = []\n".into(), "w.toml:1: an [[access]] needs repos, such as"),
        (
            "\n[[access]]\nwho = [\"a\"]\nrepos = [\"a\"]\n".into(),
            "w.toml:2: an [[access]] needs can, such as",
        ),
        (
            rule(fine.0, fine.1, fine.2) + "whom = 1\n",
            "w.toml:5: there is no setting whom; did you mean who?",
        ),
        (rule("\"a\"", fine.1, fine.2), "w.toml:2: who=\"a\": expected a list of users"),
        (rule("[]", fine.1, fine.2), "w.toml:2: who=[]: expected a list of users"),
        (rule("[\"a\",\n 1]", fine.1, fine.2), "w.toml:3: who=1: expected a list of users"),
        (rule("[\"a:b\"]", fine.1, fine.2), "w.toml:2: who=\"a:b\": expected the name of a user, group:NAME"),
        (rule("[\" a\"]", fine.1, fine.2), "w.toml:2: who=\" a\": expected the name of a user"),
        (rule("[\"robot:x\"]", fine.1, fine.2), "w.toml:2: who=\"robot:x\": expected no robot"),
        (
            rule("[\"a\",\n\"group:ci\"]", fine.1, fine.2),
            "w.toml:3: who=\"group:ci\": expected a group of [groups], and there is none",
        ),
        (rule(fine.0, "[]", fine.2), "w.toml:3: repos=[]: expected a list of patterns"),
        (rule(fine.0, "[\"A\"]", fine.2), "w.toml:3: repos=\"A\": 'A' cannot be part of a repository's name"),
        (rule(fine.0, "[\"{me}\"]", fine.2), "or {user}"),
        (rule(fine.0, fine.1, "\"pull\""), "w.toml:4: can=\"pull\": expected a list of pull, create"),
        (
            rule(fine.0, fine.1, "[\"pul\"]"),
            "w.toml:4: can=\"pul\": expected pull, create, push, delete or admin",
        ),
        (rule(fine.0, fine.1, "[\"pul\"]"), "did you mean pull?"),
        ("groups = 1\n".into(), "w.toml:1: groups=1: expected a table of groups"),
        ("[groups]\nci = \"a\"\n".into(), "w.toml:2: ci=\"a\": expected a list of users"),
        ("[groups]\nci = [\"users\"]\n".into(), "w.toml:2: ci=\"users\": expected the name of a user"),
        ("[groups]\nci = [\"group:a\"]\n".into(), "w.toml:2: ci=\"group:a\": expected the name of a user"),
        ("[groups]\n\"a:b\" = []\n".into(), "w.toml:2: groups=\"a:b\": expected the name of a group"),
        ("acces = []\n".into(), "w.toml:1: there is no setting acces; did you mean access?"),
    ] {
        let words = load(&text, &[]).unwrap_err();
        assert!(words.contains(expected), "{text:?}: {words}");
    }
}

#[test]
fn changes_are_told_and_places_are_none() {
    let rule =
        |who: &str, can: &str| format!("[[access]]\nwho = [\"{who}\"]\nrepos = [\"**\"]\ncan = [{can}]\n");
    let told = |before: &str, after: &str| {
        let changes = load(after, &[]).unwrap().changes_since(&load(before, &[]).unwrap());
        let changes = changes.into_iter().map(|(key, old, new, _)| format!("{key} was {old} and is {new}"));
        changes.collect::<Vec<_>>()
    };
    let (ann, bob) = (rule("ann", "\"pull\""), rule("bob", "\"pull\""));
    assert_eq!(told(&format!("{ann}{bob}"), &format!("# moved\n{bob}{ann}")), Vec::<String>::new());
    let shown = |who: &str, can: &str| format!("{{who = [\"{who}\"], repos = [\"**\"], can = [{can}]}}");
    let (old, new) = (shown("ann", "\"pull\""), shown("ann", "\"push\""));
    assert_eq!(told(&ann, &rule("ann", "\"push\"")), [format!("access was {old} and is {new}")]);
    assert_eq!(told(&ann, &format!("{ann}{bob}")).len(), 1);
    assert_eq!(told(&ann, &format!("{ann}{ann}")), [format!("access was nothing and is {old}")]);
    assert_eq!(told(&ann, ""), [format!("access was {old} and is nothing")]);
    assert_eq!(told("", "access = []"), ["access was nothing and is []"]);
    assert_eq!(
        told("[groups]\na = [\"x\"]\nb = []\n", "[groups]\na = [\"y\"]\nc = []\n"),
        [
            "groups was a = [\"x\"] and is a = [\"y\"]",
            "groups was nothing and is c = []",
            "groups was b = [] and is nothing"
        ]
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = parse_access("W", &text);
        let _ = parse_groups("W", &text);
    }
}
