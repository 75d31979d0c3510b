//! Every setting and limit, with its unit in its name, its bounds and its default.
//!
//! [`Inputs::load`] puts a [`Config`] together from the defaults, a TOML file, the environment and the
//! command line, each overruling those before it. A key that nothing knows and a value out of bounds are
//! refused in words, with their place.

mod access;
mod access_file;
mod certificate;
mod error;
mod file;
mod load;
mod pattern;
mod print;
mod proxy;
mod repository;
mod settings;
mod source;
mod watched;

pub use access::{ACTION_WORDS, AccessRule, AccessRules, Group, Groups, Who};
pub use certificate::{CertificateFiles, CertificateText, FileStamps};
pub use error::ConfigError;
pub use file::Written;
pub use load::{
    CONFIG_VARIABLE, Challenge, Config, Inputs, LOG_FORMAT_VARIABLE, TEXTS, TextSetting, VARIABLE_PREFIX,
    variable_name,
};
pub use pattern::{AccessPattern, Pattern, PatternError, TagPattern};
pub use print::example;
pub use proxy::{PublicUrl, TrustedProxies, is_host};
pub use repository::{RepositoryRule, RepositoryRules, RepositorySettings};
pub use settings::{Reload, SETTINGS, Setting, Settings};
pub use source::Source;
pub use watched::{WatchedFile, WatchedFileError};
