//! Where a setting comes from.

use std::fmt;
use std::path::PathBuf;

/// Where a setting comes from. A later kind overrules those before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// The program.
    #[default]
    Default,
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// An argument of the command, such as `--data`.
    Argument(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Argument(name) => f.write_str(name),
        }
    }
}
