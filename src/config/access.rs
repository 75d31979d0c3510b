//! Who may do what: the rules of access and the groups of users, as they are written. What follows from them
//! for a caller is `auth`'s business.

use super::pattern::AccessPattern;
use super::source::Source;
use std::collections::BTreeMap;
use std::fmt;

/// What can be said in a rule of access, for the example and for the one who misspelt it.
pub const ACCESS_KEYS: &[AccessKey] = &[
    AccessKey {
        name: "who",
        example: "[\"group:ci\", \"alice\"]",
        meaning: "Who is meant: users by name, the users of a group, `users` for everybody who has logged in \
                  as a user, `anonymous` for everybody at all.",
    },
    AccessKey {
        name: "repos",
        example: "[\"ci/**\", \"home/{user}/**\"]",
        meaning: "The repositories that are meant, by patterns as in `match`; `{user}` is the caller's own \
                  name.",
    },
    AccessKey {
        name: "can",
        example: "[\"pull\", \"push\"]",
        meaning: "What they may do there: pull, create (add, but leave tags where they are), push, delete, \
                  admin (all of it). `[]`: nothing.",
    },
];

/// The actions that a rule can allow.
pub const ACTION_WORDS: [&str; 5] = ["pull", "create", "push", "delete", "admin"];

/// Something that can be said in a rule of access.
#[derive(Debug)]
pub struct AccessKey {
    /// Its key in the configuration file.
    pub name: &'static str,
    /// A value.
    pub example: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

/// Whom a rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody, with credentials or without.
    Anonymous,
    /// Everybody with credentials of a user.
    Users,
    /// The users of a group.
    Group(String),
    /// A user.
    User(String),
}

impl Who {
    /// Reads what stands in `who`. The error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "anonymous" => Ok(Self::Anonymous),
            None if text == "users" => Ok(Self::Users),
            None if is_name(text) => Ok(Self::User(text.to_owned())),
            Some(("group", name)) if is_name(name) => Ok(Self::Group(name.to_owned())),
            Some(("robot", _)) => {
                Err("expected no robot: what one may do stands in its token and in no rule".to_owned())
            }
            _ => Err("expected the name of a user, group:NAME, users or anonymous".to_owned()),
        }
    }
}

/// Whether a user or a group can be called that: no colon is in it, for that is what ends a user's name in
/// credentials (RFC 7617, section 2), and nothing that cannot be seen.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(|c: char| c == ':' || c.is_control())
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Users => f.write_str("users"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::User(name) => f.write_str(name),
        }
    }
}

/// One `[[access]]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Whom it means.
    pub who: Vec<Who>,
    /// The repositories that are meant.
    pub repos: Vec<AccessPattern>,
    /// What they may do there, in the words of [`ACTION_WORDS`]; nothing if it is empty.
    pub can: Vec<&'static str>,
    /// Where it stands.
    pub source: Source,
    /// The groups in `who`, each with its place: whether there are such is known when everything is read.
    pub(super) groups: Vec<(String, Source)>,
}

impl AccessRule {
    /// What it says, wherever it stands: keys with their values in TOML.
    #[must_use]
    pub fn says(&self) -> Vec<(&'static str, String)> {
        vec![
            ("who", list(self.who.iter().map(ToString::to_string))),
            ("repos", list(self.repos.iter().map(ToString::to_string))),
            ("can", list(self.can.iter().map(|&word| word.to_owned()))),
        ]
    }

    fn shown(&self) -> String {
        let said = self.says().into_iter().map(|(key, value)| format!("{key} = {value}"));
        format!("{{{}}}", said.collect::<Vec<_>>().join(", "))
    }
}

/// A list of texts in TOML.
fn list(texts: impl Iterator<Item = String>) -> String {
    toml::Value::from(texts.collect::<Vec<_>>()).to_string()
}

/// All rules of access, and whether anything was said of it: no rule at all lets nobody in, and no word at
/// all is something else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessRules(Option<Vec<AccessRule>>);

impl AccessRules {
    /// Rules that were written, if only as an empty list.
    #[must_use]
    pub fn new(rules: Vec<AccessRule>) -> Self {
        Self(Some(rules))
    }

    /// The rules. Their order means nothing.
    #[must_use]
    pub fn rules(&self) -> &[AccessRule] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether anything was said, if only that there is no rule.
    #[must_use]
    pub fn is_said(&self) -> bool {
        self.0.is_some()
    }

    /// The rules that differ from those `before`, each as it was and as it is.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<(String, String)> {
        let nothing = || "nothing".to_owned();
        let mut gone: Vec<&AccessRule> = before.rules().iter().collect();
        let mut take = |is_it: &dyn Fn(&AccessRule) -> bool| {
            let at = gone.iter().position(|old| is_it(old))?;
            Some(gone.remove(at))
        };
        let come = self.rules().iter().filter(|new| take(&|old| old.says() == new.says()).is_none());
        let come: Vec<_> = come.collect();
        let mut changes: Vec<_> = come
            .into_iter()
            .map(|new| {
                let old = take(&|old| old.who == new.who && old.repos == new.repos);
                (old.map_or_else(nothing, AccessRule::shown), new.shown())
            })
            .collect();
        changes.extend(gone.into_iter().map(|old| (old.shown(), nothing())));
        if changes.is_empty() && before.is_said() != self.is_said() {
            let shown = |rules: &Self| if rules.is_said() { "[]".to_owned() } else { nothing() };
            changes.push((shown(before), shown(self)));
        }
        changes
    }
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their names.
    pub users: Vec<String>,
    /// Where it stands.
    pub source: Source,
}

impl Group {
    /// Its users in TOML.
    #[must_use]
    pub fn says(&self) -> String {
        list(self.users.iter().cloned())
    }
}

/// All groups, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups(BTreeMap<String, Group>);

impl Groups {
    /// Groups that were written.
    #[must_use]
    pub fn new(groups: BTreeMap<String, Group>) -> Self {
        Self(groups)
    }

    /// The groups in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.0.iter().map(|(name, group)| (name.as_str(), group))
    }

    /// A group.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.0.get(name)
    }

    /// The groups that differ from those `before`, each as it was and as it is.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<(String, String)> {
        let shown = |groups: &Self, name: &str| {
            let group = groups.get(name).map(|group| format!("{name} = {}", group.says()));
            group.unwrap_or_else(|| "nothing".to_owned())
        };
        let gone = before.iter().filter(|(name, _)| self.get(name).is_none());
        let names = self.iter().chain(gone).map(|(name, _)| name);
        let changes = names.map(|name| (shown(before, name), shown(self, name)));
        changes.filter(|(old, new)| old != new).collect()
    }
}
