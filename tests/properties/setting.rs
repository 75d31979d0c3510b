//! Settings as text: the list of `--anonymous`, what variables of the environment hold, and patterns.

use wharfinger::auth::{Access, Action};
use wharfinger::config::{Inputs, Pattern, SETTINGS, variable_name};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Access::parse(text) {
        Ok(access) => {
            assert_eq!(Access::parse(&access.to_string()), Ok(access.clone()));
            for action in [Action::Pull, Action::Push, Action::Delete] {
                let is_named = text.split(',').any(|word| word.trim() == action.word());
                assert_eq!(access.allows(action), is_named, "{text:?} and {}", action.word());
            }
        }
        Err(error) => assert!(error.to_string().contains("expected a list such as pull")),
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
    for variable in ["WHARFINGER_LISTEN", "WHARFINGER_REPOSITORY"] {
        if let Err(error) = read(variable) {
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
    if let Ok(pattern) = Pattern::parse(text) {
        assert_eq!(pattern.to_string(), text);
        let _ = pattern.matches("team/app/cache");
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    [
        "[{match=\"ci/**\", sparse_index=true}]",
        "ci/**",
        "[::1]:80",
        "pull",
        "pull,push,delete",
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
