//! Why a configuration is refused, in words for the one who wrote it.

use super::pattern::PatternError;
use super::source::Source;
use std::io;
use std::path::PathBuf;

/// Why a configuration is refused. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "the configuration {path} cannot be read: {source}; name another with --config or WHARFINGER_CONFIG"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The file or a variable is not TOML.
    #[error("{place} is not TOML: {words}")]
    Syntax {
        /// The file or the variable.
        place: String,
        /// What the parser says, with the place.
        words: String,
    },
    /// A key that nothing knows.
    #[error("{at}: there is no setting {key}; did you mean {nearest}?")]
    UnknownKey {
        /// Where it stands.
        at: Source,
        /// The key.
        key: String,
        /// The known one that looks most like it.
        nearest: &'static str,
    },
    /// A value that the setting cannot have.
    #[error("{}={value}: {expected}", place(at, key))]
    Value {
        /// Where it stands.
        at: Source,
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// What it has to be.
        expected: String,
    },
    /// A value within a rule that its key cannot have.
    #[error("{at}: {key}={value}: {expected}")]
    InRule {
        /// Where it stands.
        at: Source,
        /// The key within the rule.
        key: String,
        /// The value as it was written.
        value: String,
        /// What it has to be.
        expected: String,
    },
    /// A rule of access that leaves something out.
    #[error("{at}: an [[access]] needs {key}, such as {key} = {example}")]
    Missing {
        /// Where the rule stands.
        at: Source,
        /// The key that is not there.
        key: &'static str,
        /// A value for it.
        example: &'static str,
    },
    /// A rule without a pattern, or whose pattern is none.
    #[error("{at}: match={pattern}: {reason}")]
    Pattern {
        /// Where the rule stands.
        at: Source,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: PatternError,
    },
    /// A rule without a pattern.
    #[error("{0}: a [[repository]] needs match = \"...\", the pattern of the names that it is about")]
    NoPattern(Source),
    /// Two rules for the same names.
    #[error("{at}: match={pattern} stands at {before} already: put both into one [[repository]]")]
    Twice {
        /// Where the second stands.
        at: Source,
        /// The pattern of both.
        pattern: String,
        /// Where the first stands.
        before: Source,
    },
}

/// A variable or an argument says by its own name which setting it is.
fn place(at: &Source, key: &str) -> String {
    match at {
        Source::Variable(_) | Source::Argument(_) => at.to_string(),
        Source::File { .. } | Source::Default => format!("{at}: {key}"),
    }
}

/// The known key that looks most like `key`.
pub fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    let distance = |known: &&'a str| strsim::damerau_levenshtein(key, known);
    known.min_by_key(distance).expect("there is at least one key")
}
