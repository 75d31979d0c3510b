//! Reading TOML: the configuration file, and the variable that stands for its rules.

use super::access::{AccessRules, Groups};
use super::access_file;
use super::error::{ConfigError, nearest};
use super::pattern::{Pattern, TagPattern};
use super::repository::{REPOSITORY_KEYS, RepositoryRule};
use super::source::Source;
use std::fmt;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest time that can be said of a repository: ten years.
const UNTAGGED_KEEP_SECS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// The greatest number of images that can be said.
const KEEP_NEWEST_MAX: u64 = 1_000_000;

/// A value as it was written, before anybody asked whether it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A text.
    Text(String),
    /// A whole number that is not negative.
    Number(u64),
    /// Something else, as the file has it.
    Other(String),
}

impl Written {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => number.fmt(f),
            Self::Other(shown) => f.write_str(shown),
        }
    }
}

/// What a file says: keys with their values, and rules.
#[derive(Debug, Default)]
pub struct Content {
    /// The settings, in any order.
    pub values: Vec<(String, Written, Source)>,
    /// The rules, in the order of the file.
    pub repositories: Vec<RepositoryRule>,
    /// The rules of access.
    pub access: AccessRules,
    /// The groups that these may name.
    pub groups: Groups,
}

/// The text of a file, and how places in it are named.
pub struct Document<'a> {
    text: &'a str,
    place: Place<'a>,
}

enum Place<'a> {
    File(&'a Path),
    Variable(&'a str),
}

impl<'a> Document<'a> {
    /// What a variable holds.
    pub fn of_variable(name: &'a str, text: &'a str) -> Self {
        Self { text, place: Place::Variable(name) }
    }

    /// The whole text as one value.
    pub fn value(&self) -> Result<Spanned<DeValue<'a>>, ConfigError> {
        DeValue::parse(self.text).map_err(|error| self.syntax(&error))
    }

    /// Where a part of it stands.
    pub fn source(&self, spanned: &Spanned<impl Sized>) -> Source {
        match self.place {
            Place::Variable(name) => Source::Variable(name.to_owned()),
            Place::File(path) => {
                let before = self.text.get(..spanned.span().start).unwrap_or_default();
                let line = 1 + before.matches('\n').count();
                Source::File { path: path.to_path_buf(), line }
            }
        }
    }

    /// A part of it as it was written, in one line.
    pub fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        let written = self.text.get(value.span()).unwrap_or_default();
        written.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let place = match self.place {
            Place::File(path) => path.display().to_string(),
            Place::Variable(name) => name.to_owned(),
        };
        ConfigError::Syntax { place, words: error.to_string().trim_end().to_owned() }
    }
}

/// Reads a file's text.
pub fn parse_file(path: &Path, text: &str) -> Result<Content, ConfigError> {
    let document = Document { text, place: Place::File(path) };
    let table = DeTable::parse(text).map_err(|error| document.syntax(&error))?;
    let mut content = Content::default();
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            "repository" => content.repositories = rules(&document, value)?,
            "access" => content.access = access_file::access(&document, value)?,
            "groups" => content.groups = access_file::groups(&document, value)?,
            other => {
                let written = written(&document, value);
                content.values.push((other.to_owned(), written, document.source(key)));
            }
        }
    }
    Ok(content)
}

/// Reads the rules that a variable holds: `[{match = "ci/**", sparse_index = true}]`.
pub fn parse_rules(variable: &str, text: &str) -> Result<Vec<RepositoryRule>, ConfigError> {
    let document = Document::of_variable(variable, text);
    rules(&document, &document.value()?)
}

fn written(document: &Document<'_>, value: &Spanned<DeValue<'_>>) -> Written {
    match value.get_ref() {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Written::Other(document.shown(value)), Written::Number),
        _ => Written::Other(document.shown(value)),
    }
}

fn rules(document: &Document<'_>, value: &Spanned<DeValue<'_>>) -> Result<Vec<RepositoryRule>, ConfigError> {
    let refuse = |value: &Spanned<DeValue<'_>>| ConfigError::Value {
        at: document.source(value),
        key: "repository".to_owned(),
        value: document.shown(value),
        expected: "expected [[repository]] tables, each with a match".to_owned(),
    };
    let tables = value.get_ref().as_array().ok_or_else(|| refuse(value))?;
    let mut rules: Vec<RepositoryRule> = Vec::new();
    for value in tables {
        let table = value.get_ref().as_table().ok_or_else(|| refuse(value))?;
        let rule = rule(document, table, document.source(value))?;
        if let Some(before) = rules.iter().find(|before| before.pattern == rule.pattern) {
            let (pattern, before) = (rule.pattern.to_string(), before.source.clone());
            return Err(ConfigError::Twice { at: rule.source, pattern, before });
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(document: &Document<'_>, table: &DeTable<'_>, source: Source) -> Result<RepositoryRule, ConfigError> {
    let mut pattern = None;
    let (mut sparse_index, mut untagged_keep_secs, mut keep_newest, mut keep_tags) = (None, None, None, None);
    for (key, value) in table {
        let refuse = |expected: &str| ConfigError::Value {
            at: document.source(value),
            key: key.get_ref().to_string(),
            value: document.shown(value),
            expected: expected.to_owned(),
        };
        let number = |max: u64| {
            let number = match written(document, value) {
                Written::Number(number) => Some(number),
                Written::Text(_) | Written::Other(_) => None,
            };
            let allowed = number.filter(|&number| number <= max);
            allowed.ok_or_else(|| refuse(&format!("expected a whole number from 0 to {max}")))
        };
        match key.get_ref().as_ref() {
            "match" => {
                let text = value.get_ref().as_str().ok_or_else(|| refuse("expected a pattern in quotes"))?;
                let reason = |reason| {
                    let at = document.source(value);
                    ConfigError::Pattern { at, pattern: text.to_owned(), reason }
                };
                pattern = Some(Pattern::parse(text).map_err(reason)?);
            }
            "sparse_index" => {
                let value = value.get_ref().as_bool();
                sparse_index = Some(value.ok_or_else(|| refuse("expected true or false"))?);
            }
            "untagged_keep_secs" => untagged_keep_secs = Some(number(UNTAGGED_KEEP_SECS_MAX)?),
            "keep_newest" => keep_newest = Some(number(KEEP_NEWEST_MAX)?),
            "keep_tags" => {
                let tags = tag_patterns(value.get_ref());
                let expected = "expected a list of tags in quotes, * for any text: [\"latest\", \"v*\"]";
                keep_tags = Some(tags.ok_or_else(|| refuse(expected))?);
            }
            other => {
                return Err(ConfigError::UnknownKey {
                    at: document.source(key),
                    key: other.to_owned(),
                    nearest: nearest(other, REPOSITORY_KEYS.iter().map(|key| key.name)),
                });
            }
        }
    }
    let pattern = pattern.ok_or_else(|| ConfigError::NoPattern(source.clone()))?;
    Ok(RepositoryRule { pattern, sparse_index, untagged_keep_secs, keep_newest, keep_tags, source })
}

fn tag_patterns(value: &DeValue<'_>) -> Option<Vec<TagPattern>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.get_ref().as_str().and_then(TagPattern::parse)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        parse_file(Path::new("w.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn values_come_with_their_lines() {
        let content = parse_file(
            Path::new("w.toml"),
            "# a comment\npage_max = 1_000\nlisten = \"[::1]:5000\"\n\n[[repository]]\nmatch = \"ci/**\"\n\
             sparse_index = true\n",
        )
        .unwrap();
        let line = |line| Source::File { path: "w.toml".into(), line };
        assert_eq!(content.values[1], ("page_max".into(), Written::Number(1000), line(2)));
        assert_eq!(content.values[0], ("listen".into(), Written::Text("[::1]:5000".into()), line(3)));
        let [rule] = content.repositories.as_slice() else { panic!("one rule") };
        assert_eq!((rule.pattern.to_string().as_str(), rule.sparse_index), ("ci/**", Some(true)));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("page_max = ", "w.toml is not TOML"),
            ("a = 1\na = 2\n", "w.toml is not TOML"),
            ("\n[[repository]]\nmatc = \"a\"\n", "w.toml:3: there is no setting matc; did you mean match?"),
            ("[[repository]]\n", "w.toml:1: a [[repository]] needs match"),
            ("[[repository]]\nmatch = \"A\"\n", "w.toml:2: match=A: 'A' cannot be part"),
            ("[[repository]]\nmatch = 1\n", "w.toml:2: match=1: expected a pattern in quotes"),
            ("[[repository]]\nmatch = \"a\"\nsparse_index = 1\n", "w.toml:3: sparse_index=1: expected true"),
            (
                "[[repository]]\nmatch = \"a\"\nkeep_newest = -1\n",
                "w.toml:3: keep_newest=-1: expected a whole number from 0 to",
            ),
            (
                "[[repository]]\nmatch = \"a\"\nkeep_tags = \"v*\"\n",
                "w.toml:3: keep_tags=\"v*\": expected a list of tags in quotes",
            ),
            ("repository = 1\n", "w.toml:1: repository=1: expected [[repository]] tables"),
            ("[repository]\nmatch = \"a\"\n", "expected [[repository]] tables"),
            (
                "[[repository]]\nmatch = \"a\"\n[[repository]]\nmatch = \"a\"\n",
                "w.toml:3: match=a stands at w.toml:1 already",
            ),
        ] {
            assert!(words(text).contains(expected), "{text:?}: {}", words(text));
        }
    }

    #[test]
    fn rules_come_by_a_variable_as_well() {
        let rules = parse_rules("W", "[{match = \"ci/**\", sparse_index = true}]").unwrap();
        assert_eq!(rules[0].source, Source::Variable("W".into()));
        assert!(parse_rules("W", "ci/**").unwrap_err().to_string().contains("W is not TOML"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse_file(Path::new("w.toml"), &text);
            let _ = parse_rules("W", &text);
        }
    }
}
