//! Settings as text: the list of `--anonymous`, and the numbers of the environment.

use wharfinger::auth::{Access, Action};
use wharfinger::config::{SETTINGS, Settings};

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
    for &(name, min, _, max, _) in SETTINGS {
        let variable = format!("WHARFINGER_{}", name.to_ascii_uppercase());
        let read = Settings::from_variables(|asked| (asked == variable).then(|| text.to_owned()));
        let number = text.trim().parse::<u64>().ok().filter(|number| (min..=max).contains(number));
        assert_eq!(read.is_ok(), number.is_some(), "{variable}={text:?}");
        if let Err(error) = read {
            assert!(error.to_string().contains(&variable), "{error}");
        }
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    ["pull", "pull,push,delete", " pull , push ", "1", "4096", " 64 ", "4194304", "18446744073709551615"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}
