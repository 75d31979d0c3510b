//! What is read from where, what is refused, and what a change does.

use super::*;

fn of(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config.apply_file(Path::new("w.toml"), file)?;
    let variables: Vec<_> = variables.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    config.apply_variables(&variables)?;
    Ok(config)
}

#[test]
fn a_variable_overrules_the_file_and_an_argument_both() {
    let config = of("page_max = 7\nlisten = \"[::1]:1\"", &[("WHARFINGER_PAGE_MAX", "1_0")]).unwrap();
    assert_eq!(config.settings, Settings { page_max: 10, ..Settings::default() });
    assert_eq!(config.source("page_max").to_string(), "WHARFINGER_PAGE_MAX");
    assert_eq!(config.source("listen").to_string(), "w.toml:2");
    assert_eq!(config.source("data"), Source::Default);
    let inputs = Inputs {
        variables: vec![("WHARFINGER_DATA".into(), "/a".into())],
        arguments: vec![("data", "--data", "/b".into())],
        file: None,
    };
    let config = inputs.load().unwrap();
    assert_eq!((config.data, config.sources["data"].clone()), ("/b".into(), Source::Argument("--data")));
}

#[test]
fn a_value_out_of_bounds_is_refused_in_words() {
    for value in [" ", "0", "-1", "10001", "many", "1 000"] {
        let words = of("", &[("WHARFINGER_PAGE_MAX", value)]).unwrap_err().to_string();
        assert!(words.contains("WHARFINGER_PAGE_MAX") && words.contains("from 1 to 10000"), "{words}");
    }
    for value in ["0", "-1", "10001", "\"7\"", "1.5", "[1]", "true"] {
        let words = of(&format!("\npage_max = {value}"), &[]).unwrap_err().to_string();
        assert!(words.starts_with("w.toml:2: page_max=") && words.contains("from 1 to 10000"), "{words}");
    }
    for (key, value) in [("listen", "\"5000\""), ("data", "\"\""), ("data", "5"), ("anonymous", "[\"pull\"]")]
    {
        let words = of(&format!("{key} = {value}"), &[]).unwrap_err().to_string();
        assert!(words.starts_with(&format!("w.toml:1: {key}=")) && words.contains("expected"), "{words}");
    }
}

/// `${X:-}` in a Compose file makes an empty variable of one that is not set.
#[test]
fn an_empty_variable_is_none() {
    let file = "page_max = 7\nanonymous = \"pull\"\n[[repository]]\nmatch = \"a\"";
    let empty = ["PAGE_MAX", "ANONYMOUS", "REPOSITORY", "LISTEN", "DATA", "PAGEMAX"];
    let variables: Vec<_> = empty.iter().map(|key| (format!("WHARFINGER_{key}"), OsString::new())).collect();
    let mut config = of(file, &[]).unwrap();
    config.apply_variables(&variables).unwrap();
    assert!(config.changes_since(&of(file, &[]).unwrap()).is_empty());
    assert_eq!(config.source("page_max").to_string(), "w.toml:1");
    let inputs = Inputs { variables, ..Inputs::default() };
    assert!(inputs.load().unwrap().changes_since(&Config::default()).is_empty());
    assert!(inputs.strange_variables().is_empty());
}

#[test]
fn an_address_is_a_number_or_localhost() {
    let listen = |value: &str| of("", &[("WHARFINGER_LISTEN", value)]);
    assert_eq!(listen("localhost:5001").unwrap().listen.to_string(), "127.0.0.1:5001");
    assert_eq!(listen("[::]:0").unwrap().listen.to_string(), "[::]:0");
    for (value, expected) in [
        (":5001", "such as 127.0.0.1:5001 for this machine alone or 0.0.0.0:5001 for all"),
        ("5001", "such as 127.0.0.1:5001 for this machine alone or 0.0.0.0:5001 for all"),
        ("localhost", "such as 127.0.0.1:5000 or [::1]:5000"),
        ("localhost:99999", "such as 127.0.0.1:5000 or [::1]:5000"),
        ("example.org:5000", "such as 127.0.0.1:5000 or [::1]:5000"),
    ] {
        let words = listen(value).unwrap_err().to_string();
        assert!(words.contains(expected) && words.starts_with("WHARFINGER_LISTEN="), "{words}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for (key, nearest) in [
        ("pagemax", "page_max"),
        ("lisen", "listen"),
        ("upload_idle", "upload_idle_secs"),
        ("repositry", "repository"),
    ] {
        for value in ["1", "\"1\"", "true"] {
            let words = of(&format!("{key} = {value}"), &[]).unwrap_err().to_string();
            assert_eq!(words, format!("w.toml:1: there is no setting {key}; did you mean {nearest}?"));
        }
    }
}

#[test]
fn strange_variables_are_told_but_not_refused() {
    let variables =
        ["WHARFINGER_PAGEMAX", "WHARFINGER_PORT_5000_TCP", "WHARFINGER_CONFIG", "WHARFINGER_DATA", "HOME"];
    let inputs = Inputs {
        variables: variables.iter().map(|name| ((*name).to_owned(), "1".into())).collect(),
        ..Inputs::default()
    };
    let strange = inputs.strange_variables();
    assert_eq!(strange[0], ("WHARFINGER_PAGEMAX".to_owned(), "WHARFINGER_PAGE_MAX".to_owned()));
    assert_eq!(strange.len(), 2, "{strange:?}");
    assert!(inputs.load().is_ok());
}

#[test]
fn changes_are_told_with_when_they_take_effect() {
    let before = of("", &[]).unwrap();
    let after = of("page_max = 7\nhttp_workers = 3\n[[repository]]\nmatch = \"a\"", &[]).unwrap();
    let changes = after.changes_since(&before);
    let names: Vec<_> = changes.iter().map(|(name, _, new, reload)| (*name, new.as_str(), *reload)).collect();
    assert_eq!(
        names,
        [
            ("page_max", "7", Reload::Live),
            ("http_workers", "3", Reload::Restart),
            ("repository", "{match = \"a\"}", Reload::Live)
        ]
    );
    assert!(before.changes_since(&before).is_empty());
}

#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(b"/data/\xff".to_vec());
    let variables = vec![("WHARFINGER_DATA".to_owned(), value.clone())];
    let inputs = Inputs { variables, ..Inputs::default() };
    let words = inputs.load().unwrap_err().to_string();
    assert!(words.contains("WHARFINGER_DATA") && words.contains("UTF-8"), "{words}");
    let inputs = Inputs { variables: vec![("WHARFINGER_PORT".to_owned(), value)], ..Inputs::default() };
    assert!(inputs.load().is_ok(), "none of ours");
}

#[test]
fn a_change_of_a_rule_is_told_and_its_place_is_none() {
    let before = of("[[repository]]\nmatch = \"a\"\nkeep_newest = 3\n", &[]).unwrap();
    let moved = of("# a comment\n[[repository]]\nmatch = \"a\"\nkeep_newest = 3\n", &[]).unwrap();
    assert_eq!(moved.changes_since(&before), []);
    let after = of("[[repository]]\nmatch = \"a\"\nkeep_newest = 4\n[[repository]]\nmatch = \"b\"\n", &[]);
    let after = after.unwrap();
    let told = |after: &Config, before: &Config| {
        let changes = after.changes_since(before).into_iter();
        changes.map(|(key, old, new, _)| format!("{key} was {old} and is {new}")).collect::<Vec<_>>()
    };
    let changed =
        "repository was {match = \"a\", keep_newest = 3} and is {match = \"a\", keep_newest = 4}".to_owned();
    assert_eq!(told(&after, &before), [changed, "repository was nothing and is {match = \"b\"}".to_owned()]);
    assert!(told(&before, &after).contains(&"repository was {match = \"b\"} and is nothing".to_owned()));
    let rules = |one: &str, other: &str| {
        of(&format!("[[repository]]\nmatch = \"{one}\"\n[[repository]]\nmatch = \"{other}\"\n"), &[]).unwrap()
    };
    assert_eq!(told(&rules("*/a", "*/b"), &rules("*/b", "*/a")).len(), 1, "the later one holds");
}

#[test]
fn a_certificate_and_its_key_come_together() {
    for (there, missing) in [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")] {
        let arguments = vec![(there, "--test", "/a.pem".to_owned())];
        let words = Inputs { arguments, ..Inputs::default() }.load().unwrap_err().to_string();
        assert_eq!(words, format!("--test=/a.pem: expected {missing} beside it: TLS needs both"));
        let words = of(&format!("{there} = \"\""), &[]).unwrap_err().to_string();
        assert!(words.contains("expected the path of a file in PEM"), "{words}");
    }
    let both = of("tls_certificate = \"/a\"\ntls_key = \"/b\"", &[]).unwrap();
    assert!(both.expect_pair().is_ok() && both.text("tls_key").as_deref() == Some("/b"));
    let reloaded = of("page_max = 7", &[]).unwrap().reloaded_over(&both);
    assert_eq!((reloaded.tls, reloaded.settings.page_max), (both.tls, 7));
}

#[test]
fn what_can_be_no_proxy_or_address_is_refused_in_words() {
    for (key, value, expected) in [
        ("trusted_proxies", "10.0.0.0/8, localhost", "\"localhost\" is none: expected a list of addresses"),
        ("public_url", "https://a/v2", "nothing behind it but a port"),
    ] {
        let words = of(&format!("{key} = \"{value}\""), &[]).unwrap_err().to_string();
        assert!(words.starts_with(&format!("w.toml:1: {key}=")) && words.contains(expected), "{words}");
    }
    let config = of("trusted_proxies = \"127.0.0.1,10.1.0.0/8\"", &[]).unwrap();
    assert_eq!(config.text("trusted_proxies").as_deref(), Some("127.0.0.1, 10.0.0.0/8"));
}
