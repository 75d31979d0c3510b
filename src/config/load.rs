//! Putting a configuration together: defaults, then the file, then the environment, then the command line.

use super::access::{AccessRules, Groups};
use super::access_file::{self, expect_groups};
use super::certificate::CertificateFiles;
use super::error::{ConfigError, nearest};
use super::file::{self, Written};
use super::proxy::{PublicUrl, TrustedProxies};
use super::repository::RepositoryRules;
use super::settings::{Reload, SETTINGS, Setting, Settings};
use super::source::Source;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What every variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "WHARFINGER_";

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "WHARFINGER_CONFIG";

/// The variable that says how the log is written. It is no setting: also what is said of a configuration that
/// cannot be read is logged.
pub const LOG_FORMAT_VARIABLE: &str = "WHARFINGER_LOG_FORMAT";

/// The key of the rules in the file, and with the prefix their variable.
const REPOSITORY: &str = "repository";
/// The same of the rules of access.
const ACCESS: &str = "access";
/// The same of the groups that these name.
const GROUPS: &str = "groups";

/// A setting that is a text.
pub struct TextSetting {
    /// Its key in the configuration file.
    pub name: &'static str,
    /// The value where nothing says another; none if that has a meaning of its own.
    pub default: Option<&'static str>,
    /// What it may be where there is no default.
    pub example: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// When a change takes effect.
    pub reload: Reload,
}

/// Every setting that is a text.
pub const TEXTS: &[TextSetting] = &[
    TextSetting {
        name: "data",
        default: Some("./data"),
        example: "./data",
        meaning: "The directory that holds everything.",
        reload: Reload::Restart,
    },
    TextSetting {
        name: "listen",
        default: Some("127.0.0.1:5000"),
        example: "127.0.0.1:5000",
        meaning: "Where to listen: an address and a port. Port 0 takes any free one; the address 0.0.0.0 is \
                  all of IPv4, [::] all there are.",
        reload: Reload::Restart,
    },
    TextSetting {
        name: "metrics_listen",
        default: None,
        example: "127.0.0.1:5001",
        meaning: "Where else to listen, for /metrics, /livez and /readyz alone, which everybody gets who \
                  reaches it. Without it /metrics is for this machine only.",
        reload: Reload::Restart,
    },
    TextSetting {
        name: "challenge",
        default: Some("bearer"),
        example: "bearer",
        meaning: "How clients are told to log in: bearer, by tokens from /token, or basic, with the password \
                  at each request. Both are accepted, whatever it is.",
        reload: Reload::Live,
    },
    TextSetting {
        name: "anonymous",
        default: None,
        example: "pull",
        meaning: "What everybody may do, with credentials or without: a list of pull, create, push and \
                  delete. It stands for an [[access]] rule with who = [\"anonymous\"] and repos = [\"**\"]. \
                  If neither it nor any such rule is there, everybody may do everything where only this \
                  machine can call; elsewhere nothing starts.",
        reload: Reload::Live,
    },
    TextSetting {
        name: "htpasswd",
        default: None,
        example: "/etc/wharfinger/htpasswd",
        meaning: "A file with more users: lines of name and hash, as `htpasswd -B` writes them. It is read \
                  again when it changes. Where the ledger has a user of the same name, that one counts.",
        reload: Reload::Live,
    },
    TextSetting {
        name: "tls_certificate",
        default: None,
        example: "/etc/wharfinger/registry.pem",
        meaning: "The file of the certificate for TLS in PEM, those between it and the root behind it. With \
                  it and `tls_key` the registry speaks TLS and nothing else. A renewed file is taken up by \
                  itself.",
        reload: Reload::Restart,
    },
    TextSetting {
        name: "tls_key",
        default: None,
        example: "/etc/wharfinger/registry.key",
        meaning: "The file of the certificate's private key in PEM, without a password.",
        reload: Reload::Restart,
    },
    TextSetting {
        name: "public_url",
        default: None,
        example: "https://registry.example.org",
        meaning: "The address by which clients know the registry, where absolute URLs are needed. Without it \
                  what the request says is taken.",
        reload: Reload::Live,
    },
    TextSetting {
        name: "trusted_proxies",
        default: None,
        example: "127.0.0.1, 10.0.0.0/8",
        meaning: "The proxies whose X-Forwarded-For, -Proto and -Host are believed: a list of addresses and \
                  networks. From all others these headers mean nothing.",
        reload: Reload::Live,
    },
];

/// How clients are told to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Challenge {
    /// By tokens of the token service.
    #[default]
    Bearer,
    /// By name and password at each request.
    Basic,
}

/// A configuration that was checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory that holds everything.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to listen for those who watch the server.
    pub metrics_listen: Option<SocketAddr>,
    /// How clients are told to log in.
    pub challenge: Challenge,
    /// What everybody may do everywhere, as it was written.
    pub anonymous: Option<String>,
    /// A file with more users.
    pub htpasswd: Option<PathBuf>,
    /// The certificate and its key, where the registry speaks TLS.
    pub tls: Option<CertificateFiles>,
    /// The address by which clients know the registry.
    pub public_url: Option<PublicUrl>,
    /// The proxies that are believed.
    pub trusted_proxies: TrustedProxies,
    /// The numbers.
    pub settings: Settings,
    /// The settings of repositories.
    pub repositories: RepositoryRules,
    /// Who may do what.
    pub access: AccessRules,
    /// The groups of users.
    pub groups: Groups,
    sources: BTreeMap<&'static str, Source>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./data"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            metrics_listen: None,
            challenge: Challenge::Bearer,
            anonymous: None,
            htpasswd: None,
            tls: None,
            public_url: None,
            trusted_proxies: TrustedProxies::default(),
            settings: Settings::default(),
            repositories: RepositoryRules::default(),
            access: AccessRules::default(),
            groups: Groups::default(),
            sources: BTreeMap::new(),
        }
    }
}

/// What a configuration is made of. It is kept, so that the same can be read again.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The file, if one is named.
    pub file: Option<PathBuf>,
    /// The environment. An empty variable is as good as none: Compose makes such of `${X:-}`.
    pub variables: Vec<(String, OsString)>,
    /// Keys that the command line says, with the name of the argument.
    pub arguments: Vec<(&'static str, &'static str, String)>,
}

impl Inputs {
    /// Reads and checks all of it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = &self.file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            config.apply_file(path, &text)?;
        }
        config.apply_variables(&self.variables)?;
        for (key, argument, value) in &self.arguments {
            config.apply_text(key, value, Source::Argument(argument))?;
        }
        expect_groups(&config.access, &config.groups)?;
        config.expect_pair()?;
        Ok(config)
    }

    /// Variables that look like ours and are none, each with the nearest that is. They are no error:
    /// Kubernetes makes such variables for a service called `wharfinger`.
    #[must_use]
    pub fn strange_variables(&self) -> Vec<(String, String)> {
        let strange = self.variables.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, _)| {
            let key = name.strip_prefix(VARIABLE_PREFIX)?.to_ascii_lowercase();
            let known = [CONFIG_VARIABLE, LOG_FORMAT_VARIABLE].contains(&name.as_str())
                || key.starts_with("test_")
                || all_keys().any(|known| known == key);
            (!known).then(|| (name.clone(), variable_name(nearest(&key, all_keys()))))
        });
        strange.collect()
    }
}

impl Config {
    /// Where a setting comes from.
    #[must_use]
    pub fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or_default()
    }

    /// The value of a text setting as it was written.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        match key {
            "data" => Some(self.data.display().to_string()),
            "listen" => Some(self.listen.to_string()),
            "metrics_listen" => self.metrics_listen.map(|address| address.to_string()),
            "challenge" => Some(
                match self.challenge {
                    Challenge::Bearer => "bearer",
                    Challenge::Basic => "basic",
                }
                .to_owned(),
            ),
            "anonymous" => self.anonymous.clone(),
            "htpasswd" => self.htpasswd.as_ref().map(|path| path.display().to_string()),
            "tls_certificate" => self.tls.as_ref().map(|tls| tls.certificate.display().to_string()),
            "tls_key" => self.tls.as_ref().map(|tls| tls.key.display().to_string()),
            "public_url" => self.public_url.as_ref().map(ToString::to_string),
            "trusted_proxies" if self.trusted_proxies.is_empty() => None,
            "trusted_proxies" => Some(self.trusted_proxies.to_string()),
            _ => None,
        }
    }

    /// The settings that differ from `before`, with both values and when the change takes effect.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<(&'static str, String, String, Reload)> {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
        let texts = TEXTS
            .iter()
            .map(|text| (text.name, shown(before.text(text.name)), shown(self.text(text.name)), text.reload));
        let numbers = SETTINGS.iter().map(|setting| {
            let value = |config: &Self| (setting.get)(&config.settings).to_string();
            (setting.name, value(before), value(self), setting.reload)
        });
        let mut changes: Vec<_> = texts.chain(numbers).filter(|(_, old, new, _)| old != new).collect();
        let rules = self.repositories.changes_since(&before.repositories);
        changes.extend(rules.into_iter().map(|(old, new)| (REPOSITORY, old, new, Reload::Live)));
        let groups = self.groups.changes_since(&before.groups);
        changes.extend(groups.into_iter().map(|(old, new)| (GROUPS, old, new, Reload::Live)));
        let access = self.access.changes_since(&before.access);
        changes.extend(access.into_iter().map(|(old, new)| (ACCESS, old, new, Reload::Live)));
        changes
    }

    /// What is in force after `self` was read while `running` is: what needs a restart stays as it is.
    #[must_use]
    pub fn reloaded_over(mut self, running: &Self) -> Self {
        for setting in SETTINGS.iter().filter(|setting| setting.reload == Reload::Restart) {
            (setting.set)(&mut self.settings, (setting.get)(&running.settings));
        }
        self.data.clone_from(&running.data);
        self.listen = running.listen;
        self.metrics_listen = running.metrics_listen;
        self.tls.clone_from(&running.tls);
        self
    }

    fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let content = file::parse_file(path, text)?;
        for (key, written, source) in content.values {
            if let Some(setting) = Setting::named(&key) {
                self.apply_number(setting, written.number(), &written.to_string(), source)?;
                continue;
            }
            let text = known_text(&key, &source)?;
            let Written::Text(value) = &written else {
                return Err(refuse(text.name, &written.to_string(), source, "expected a text in quotes"));
            };
            self.apply_text(&key, value, source)?;
        }
        self.repositories = RepositoryRules::new(content.repositories);
        (self.access, self.groups) = (content.access, content.groups);
        Ok(())
    }

    fn apply_variables(&mut self, variables: &[(String, OsString)]) -> Result<(), ConfigError> {
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let key = key.to_ascii_lowercase();
            if !all_keys().any(|known| known == key) {
                continue;
            }
            let source = Source::Variable(name.clone());
            let Some(value) = value.to_str() else {
                return Err(refuse(&key, &value.to_string_lossy(), source, "expected a text in UTF-8"));
            };
            if let Some(setting) = Setting::named(&key) {
                let digits = value.trim().replace('_', "");
                self.apply_number(setting, digits.parse().ok(), value, source)?;
            } else if TEXTS.iter().any(|text| text.name == key) {
                self.apply_text(&key, value, source)?;
            } else if key == REPOSITORY {
                self.repositories = RepositoryRules::new(file::parse_rules(name, value)?);
            } else if key == ACCESS {
                self.access = access_file::parse_access(name, value)?;
            } else if key == GROUPS {
                self.groups = access_file::parse_groups(name, value)?;
            }
        }
        Ok(())
    }

    fn apply_number(
        &mut self,
        setting: &'static Setting,
        number: Option<u64>,
        shown: &str,
        source: Source,
    ) -> Result<(), ConfigError> {
        match number {
            Some(number) if setting.allows(number) => (setting.set)(&mut self.settings, number),
            _ => return Err(refuse(setting.name, shown, source, &setting.expected())),
        }
        self.sources.insert(setting.name, source);
        Ok(())
    }

    fn apply_text(&mut self, key: &str, value: &str, source: Source) -> Result<(), ConfigError> {
        let text = known_text(key, &source)?;
        match text.name {
            "data" if value.is_empty() => {
                return Err(refuse(key, value, source, "expected the path of a directory"));
            }
            "data" => self.data = PathBuf::from(value),
            "listen" | "metrics_listen" => {
                let refused = |expected: String| refuse(key, value, source.clone(), &expected);
                let address = parse_address(value).map_err(refused)?;
                if text.name == "listen" {
                    self.listen = address;
                } else {
                    self.metrics_listen = Some(address);
                }
            }
            "challenge" => {
                self.challenge = match value {
                    "bearer" => Challenge::Bearer,
                    "basic" => Challenge::Basic,
                    _ => return Err(refuse(key, value, source, "expected bearer or basic")),
                }
            }
            "anonymous" => self.anonymous = Some(value.to_owned()),
            "htpasswd" if value.is_empty() => {
                return Err(refuse(key, value, source, "expected the path of a file"));
            }
            "htpasswd" => self.htpasswd = Some(PathBuf::from(value)),
            "tls_certificate" | "tls_key" if value.is_empty() => {
                return Err(refuse(key, value, source, "expected the path of a file in PEM"));
            }
            "tls_certificate" => self.tls_files().certificate = PathBuf::from(value),
            "tls_key" => self.tls_files().key = PathBuf::from(value),
            "public_url" => {
                let url = PublicUrl::parse(value);
                self.public_url = Some(url.map_err(|words| refuse(key, value, source.clone(), &words))?);
            }
            "trusted_proxies" => {
                let proxies = TrustedProxies::parse(value);
                self.trusted_proxies = proxies.map_err(|words| refuse(key, value, source.clone(), &words))?;
            }
            other => unreachable!("{other} is listed in TEXTS and set here"),
        }
        self.sources.insert(text.name, source);
        Ok(())
    }

    fn tls_files(&mut self) -> &mut CertificateFiles {
        let none = CertificateFiles { certificate: PathBuf::new(), key: PathBuf::new() };
        self.tls.get_or_insert(none)
    }

    /// A certificate is of no use without its key, nor the key without it.
    fn expect_pair(&self) -> Result<(), ConfigError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let (there, path, missing) = match (&tls.certificate, &tls.key) {
            (certificate, key) if key.as_os_str().is_empty() => ("tls_certificate", certificate, "tls_key"),
            (certificate, key) if certificate.as_os_str().is_empty() => ("tls_key", key, "tls_certificate"),
            _ => return Ok(()),
        };
        let expected = format!("expected {missing} beside it: TLS needs both");
        Err(refuse(there, &path.display().to_string(), self.source(there), &expected))
    }
}

/// The variable of a setting.
#[must_use]
pub fn variable_name(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_ascii_uppercase())
}

fn all_keys() -> impl Iterator<Item = &'static str> {
    let texts = TEXTS.iter().map(|text| text.name);
    texts.chain(SETTINGS.iter().map(|setting| setting.name)).chain([REPOSITORY, ACCESS, GROUPS])
}

/// An address and a port. Of names there is one: what it stands for needs no network to be known.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let expected = "expected an address and a port, such as";
    text.parse().map_err(|_| match text.trim_start_matches(':').parse::<u16>() {
        // Programs do not agree on what it means, and one of the meanings opens the registry to the world.
        Ok(port) => {
            format!(
                "{expected} 127.0.0.1:{port} for this machine alone or 0.0.0.0:{port} for all that reach it"
            )
        }
        Err(_) => format!("{expected} 127.0.0.1:5000 or [::1]:5000"),
    })
}

fn known_text(key: &str, source: &Source) -> Result<&'static TextSetting, ConfigError> {
    TEXTS.iter().find(|text| text.name == key).ok_or_else(|| ConfigError::UnknownKey {
        at: source.clone(),
        key: key.to_owned(),
        nearest: nearest(key, all_keys()),
    })
}

fn refuse(key: &str, value: &str, source: Source, expected: &str) -> ConfigError {
    ConfigError::Value {
        at: source,
        key: key.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests;
