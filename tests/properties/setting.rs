//! Settings as text: the list of `--anonymous`, what variables of the environment hold, and patterns.

use wharfinger::auth::{Action, Actions};
use wharfinger::config::{AccessPattern, Inputs, Pattern, SETTINGS, variable_name};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Actions::parse(text) {
        Ok(actions) => {
            assert_eq!(Actions::parse(&actions.to_string()), Ok(actions));
            let is_named = |action: Action| text.split(',').any(|word| word.trim() == action.word());
            for action in Action::ALL {
                let is_implied =
                    is_named(Action::Admin) || (action == Action::Create && is_named(Action::Push));
                let expected = is_named(action) || is_implied;
                assert_eq!(actions.has(action), expected, "{text:?} and {}", action.word());
            }
        }
        Err(error) => assert!(error.to_string().contains("expected a list of pull")),
    }
    let read = |variable: &str| {
        let variables = vec![(variable.to_owned(), text.into())];
        Inputs { variables, ..Inputs::default() }.load()
    };
    for setting in SETTINGS {
        let variable = variable_name(setting.name);
        let number = text.trim().replace('_', "").parse::<u64>().ok();
        let number = number.filter(|number| (setting.min..=setting.max).contains(number));
        // An empty variable is as good as none.
        let number = if text.is_empty() { Some(setting.default) } else { number };
        match read(&variable) {
            Ok(config) => assert_eq!(Some((setting.get)(&config.settings)), number, "{variable}={text:?}"),
            Err(error) => {
                assert_eq!(number, None, "{variable}={text:?}");
                assert!(error.to_string().contains(&variable), "{error}");
            }
        }
    }
    for variable in ["WHARFINGER_LISTEN", "WHARFINGER_REPOSITORY", "WHARFINGER_ACCESS", "WHARFINGER_GROUPS"] {
        if let Err(error) = read(variable) {
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
    if let Ok(pattern) = Pattern::parse(text) {
        assert_eq!(pattern.to_string(), text);
        let _ = pattern.matches("team/app/cache");
    }
    if let Ok(pattern) = AccessPattern::parse(text) {
        assert_eq!(pattern.to_string(), text);
        let _ = pattern.matches("team/app/cache", Some("app"));
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    [
        "[{match=\"ci/**\", sparse_index=true}]",
        "[{who=[\"users\", \"group:ci\"], repos=[\"home/{user}/**\"], can=[\"pull\", \"push\"]}]",
        "{ci=[\"builder\", \"alice\"]}",
        "home/{user}/**",
        "ci/**",
        "[::1]:80",
        "pull",
        "pull,push,delete",
        "create,admin",
        " pull , push ",
        "1",
        "4096",
        " 64 ",
        "4194304",
        "18446744073709551615",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
