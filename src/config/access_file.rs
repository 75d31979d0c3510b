//! Reading rules of access and groups, from the file or from the variables that stand for them.

use super::access::{ACCESS_KEYS, ACTION_WORDS, AccessRule, AccessRules, Group, Groups, Who, is_name};
use super::error::{ConfigError, nearest};
use super::file::Document;
use super::pattern::AccessPattern;
use super::source::Source;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the rules that a variable holds: `[{who = ["users"], repos = ["**"], can = ["pull"]}]`.
pub fn parse_access(variable: &str, text: &str) -> Result<AccessRules, ConfigError> {
    let document = Document::of_variable(variable, text);
    access(&document, &document.value()?)
}

/// Reads the groups that a variable holds: `{ci = ["builder"]}`.
pub fn parse_groups(variable: &str, text: &str) -> Result<Groups, ConfigError> {
    let document = Document::of_variable(variable, text);
    groups(&document, &document.value()?)
}

/// The rules of a document.
pub fn access(document: &Document<'_>, value: &Spanned<DeValue<'_>>) -> Result<AccessRules, ConfigError> {
    let expected = "expected [[access]] tables, each with who, repos and can";
    let refuse = |value| refuse(document, value, "access", expected);
    let tables = value.get_ref().as_array().ok_or_else(|| refuse(value))?;
    let rules = tables.iter().map(|value| {
        let table = value.get_ref().as_table().ok_or_else(|| refuse(value))?;
        rule(document, table, document.source(value))
    });
    Ok(AccessRules::new(rules.collect::<Result<_, _>>()?))
}

/// The groups of a document.
pub fn groups(document: &Document<'_>, value: &Spanned<DeValue<'_>>) -> Result<Groups, ConfigError> {
    let expected = "expected a table of groups, each with its users: ci = [\"builder\", \"alice\"]";
    let table = value.get_ref().as_table().ok_or_else(|| refuse(document, value, "groups", expected))?;
    let mut groups = BTreeMap::new();
    for (key, value) in table {
        let name = key.get_ref().to_string();
        if !is_name(&name) {
            let expected = "expected the name of a group, without a colon or blanks around it";
            let (at, value) = (document.source(key), format!("{name:?}"));
            return Err(ConfigError::InRule {
                at,
                key: "groups".to_owned(),
                value,
                expected: expected.to_owned(),
            });
        }
        let users = texts(document, value, &name, "expected a list of users: [\"builder\", \"alice\"]")?;
        let user = |(text, place): (&str, &Spanned<DeValue<'_>>)| match Who::parse(text) {
            Ok(Who::User(user)) => Ok(user),
            _ => {
                Err(refuse(document, place, &name, "expected the name of a user: a group is a list of these"))
            }
        };
        let users = users.into_iter().map(user).collect::<Result<_, _>>()?;
        groups.insert(name.clone(), Group { users, source: document.source(key) });
    }
    Ok(Groups::new(groups))
}

/// Refuses a rule that names a group which nobody made.
pub fn expect_groups(rules: &AccessRules, groups: &Groups) -> Result<(), ConfigError> {
    let named = rules.rules().iter().flat_map(|rule| &rule.groups);
    let Some((name, at)) = named.into_iter().find(|(name, _)| groups.get(name).is_none()) else {
        return Ok(());
    };
    let mut known = groups.iter().map(|(known, _)| known).peekable();
    let expected = if known.peek().is_some() {
        let nearest = nearest(name, known);
        format!("expected a group of [groups]; did you mean group:{nearest}?")
    } else {
        format!("expected a group of [groups], and there is none; say {name} = [\"USER\"] there")
    };
    let value = format!("{:?}", format!("group:{name}"));
    Err(ConfigError::InRule { at: at.clone(), key: "who".to_owned(), value, expected })
}

fn rule(document: &Document<'_>, table: &DeTable<'_>, source: Source) -> Result<AccessRule, ConfigError> {
    let (mut who, mut repos, mut can) = (None, None, None);
    let mut groups = Vec::new();
    for (key, value) in table {
        let key_text = key.get_ref().as_ref();
        let refused = |place, expected: String| refuse(document, place, key_text, &expected);
        match key_text {
            "who" => {
                let expected = "expected a list of users, group:NAME, users and anonymous: [\"group:ci\"]";
                let mut callers = Vec::new();
                for (text, place) in some_texts(document, value, key_text, expected)? {
                    let caller = Who::parse(text).map_err(|expected| refused(place, expected))?;
                    if let Who::Group(name) = &caller {
                        groups.push((name.clone(), document.source(place)));
                    }
                    callers.push(caller);
                }
                who = Some(callers);
            }
            "repos" => {
                let expected = "expected a list of patterns: [\"team/**\", \"home/{user}/**\"]";
                let texts = some_texts(document, value, key_text, expected)?.into_iter();
                let pattern = |(text, place)| {
                    AccessPattern::parse(text)
                        .map_err(|reason| refused(place, format!("{reason}, or {{user}}")))
                };
                repos = Some(texts.map(pattern).collect::<Result<Vec<_>, _>>()?);
            }
            "can" => {
                let expected = "expected a list of pull, create, push, delete and admin: [\"pull\"]";
                let texts = texts(document, value, key_text, expected)?.into_iter();
                let word = |(text, place)| action_word(text).map_err(|expected| refused(place, expected));
                can = Some(texts.map(word).collect::<Result<Vec<_>, _>>()?);
            }
            other => {
                return Err(ConfigError::UnknownKey {
                    at: document.source(key),
                    key: other.to_owned(),
                    nearest: nearest(other, ACCESS_KEYS.iter().map(|key| key.name)),
                });
            }
        }
    }
    let missing = |index: usize| {
        let (at, key) = (source.clone(), &ACCESS_KEYS[index]);
        ConfigError::Missing { at, key: key.name, example: key.example }
    };
    let who = who.ok_or_else(|| missing(0))?;
    let repos = repos.ok_or_else(|| missing(1))?;
    let can = can.ok_or_else(|| missing(2))?;
    Ok(AccessRule { who, repos, can, source, groups })
}

fn action_word(text: &str) -> Result<&'static str, String> {
    ACTION_WORDS.into_iter().find(|word| *word == text).ok_or_else(|| {
        let nearest = nearest(text, ACTION_WORDS.into_iter());
        format!("expected pull, create, push, delete or admin; did you mean {nearest}?")
    })
}

/// The texts of a list, each with its place.
fn texts<'a>(
    document: &Document<'_>,
    value: &'a Spanned<DeValue<'_>>,
    key: &str,
    expected: &str,
) -> Result<Vec<(&'a str, &'a Spanned<DeValue<'a>>)>, ConfigError> {
    let refused = |value| refuse(document, value, key, expected);
    let values = value.get_ref().as_array().ok_or_else(|| refused(value))?.iter();
    values.map(|value| Ok((value.get_ref().as_str().ok_or_else(|| refused(value))?, value))).collect()
}

/// The same where an empty list would mean nobody or nothing.
fn some_texts<'a>(
    document: &Document<'_>,
    value: &'a Spanned<DeValue<'_>>,
    key: &str,
    expected: &str,
) -> Result<Vec<(&'a str, &'a Spanned<DeValue<'a>>)>, ConfigError> {
    let texts = texts(document, value, key, expected)?;
    if texts.is_empty() { Err(refuse(document, value, key, expected)) } else { Ok(texts) }
}

fn refuse(document: &Document<'_>, value: &Spanned<DeValue<'_>>, key: &str, expected: &str) -> ConfigError {
    ConfigError::InRule {
        at: document.source(value),
        key: key.to_owned(),
        value: document.shown(value),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests;
