//! Who may do what: the rules of the configuration, ready to be asked with every request.
//!
//! Of all rules that name the caller, the most specific patterns that match the repository decide alone;
//! patterns that say as much add up. Where none matches, nothing is allowed. A robot is named by no rule: its
//! token says what it may do, and nothing else is.

use super::action::{Action, Actions};
use super::principal::{Principal, Robot};
use super::seeing::Seeing;
use crate::config::{AccessPattern, AccessRule, Config, Groups, Pattern, Source, Who};
use crate::oci::RepositoryName;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether nobody said anything, so that everything is allowed to everybody but robots.
    is_unsaid: bool,
    /// A pattern of a rule each, the most specific first.
    entries: Vec<Entry>,
    /// Whether `{user}` is in any of them.
    names_the_caller: bool,
}

/// One pattern of one rule.
#[derive(Debug, Clone)]
struct Entry {
    pattern: AccessPattern,
    /// Those that say as much have the same.
    rank: usize,
    rule: Arc<Rule>,
}

/// What the patterns of a rule have in common.
#[derive(Debug)]
struct Rule {
    who: Vec<Who>,
    callers: Callers,
    can: Actions,
    source: Source,
}

/// Those whom a rule names, with the groups resolved.
#[derive(Debug, Default)]
struct Callers {
    everybody: bool,
    users: bool,
    names: BTreeSet<String>,
}

impl Callers {
    fn of(who: &[Who], groups: &Groups) -> Result<Self, String> {
        let mut callers = Self::default();
        for who in who {
            match who {
                Who::Anonymous => callers.everybody = true,
                Who::Users => callers.users = true,
                Who::User(name) => drop(callers.names.insert(name.clone())),
                Who::Group(name) => {
                    let group = groups.get(name);
                    let group = group.ok_or_else(|| format!("there is no group {name} in [groups]"))?;
                    callers.names.extend(group.users.iter().cloned());
                }
            }
        }
        Ok(callers)
    }

    fn have(&self, who: &Principal) -> bool {
        match who {
            Principal::Anonymous => self.everybody,
            Principal::User(name) => self.everybody || self.users || self.names.contains(name),
            Principal::Robot(_) => false,
        }
    }
}

/// Why something is allowed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// What that follows from.
    pub basis: Basis,
    /// The patterns that decide. None: no rule names the caller for such a repository.
    pub deciding: Vec<Reason>,
    /// The patterns that match and name the caller, but say less about the repository.
    pub lost: Vec<Reason>,
}

/// What a decision follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Nothing was said of access, and only this machine can call.
    Open,
    /// The rules of the configuration.
    Rules,
    /// The token of a robot.
    Token,
}

/// A pattern that matches a repository and names the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Where its rule stands; none in a token.
    pub source: Option<Source>,
    /// The pattern.
    pub pattern: String,
    /// Whom the rule names, as it was written.
    pub who: Vec<String>,
    /// What it allows.
    pub can: Actions,
}

impl Policy {
    /// Everything is allowed to everybody: right where only this machine can call.
    #[must_use]
    pub fn everything() -> Self {
        Self { is_unsaid: true, entries: Vec::new(), names_the_caller: false }
    }

    /// What the configuration says. A refusal is in words for the one who wrote it.
    pub fn of(config: &Config) -> Result<Self, String> {
        if !says_something(config) {
            let is_behind_a_proxy = config.public_url.is_some() || !config.trusted_proxies.is_empty();
            return if config.listen.ip().is_loopback() && !is_behind_a_proxy {
                Ok(Self::everything())
            } else {
                Err(unsaid(config))
            };
        }
        let mut entries = Vec::new();
        if let Some(list) = &config.anonymous {
            let source = config.source("anonymous");
            let can = Actions::parse(list).map_err(|error| format!("{source}: {error}"))?;
            let everything = AccessPattern::parse("**").expect("it is a pattern");
            let callers = Callers { everybody: true, ..Callers::default() };
            let rule = Rule { who: vec![Who::Anonymous], callers, can, source };
            entries.push(Entry { pattern: everything, rank: 0, rule: Arc::new(rule) });
        }
        for rule in config.access.rules() {
            let shared = Arc::new(Rule::of(rule, &config.groups)?);
            let patterns = rule.repos.iter().cloned();
            entries.extend(patterns.map(|pattern| Entry { pattern, rank: 0, rule: Arc::clone(&shared) }));
        }
        Ok(Self::of_entries(entries))
    }

    fn of_entries(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|one, other| other.pattern.specificity(&one.pattern));
        for at in 1..entries.len() {
            let order = entries[at - 1].pattern.specificity(&entries[at].pattern);
            entries[at].rank = entries[at - 1].rank + usize::from(order != Ordering::Equal);
        }
        let names_the_caller = entries.iter().any(|entry| entry.pattern.names_the_caller());
        Self { is_unsaid: false, entries, names_the_caller }
    }

    /// Whether nothing is said of access, so that everybody may do everything.
    #[must_use]
    pub const fn is_unsaid(&self) -> bool {
        self.is_unsaid
    }

    /// Whether nobody needs credentials for anything: what there is to be done, a caller without any may do.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let mut for_all = self.entries.iter().filter(|entry| entry.rule.callers.everybody);
        let everywhere = for_all.clone().any(Entry::is_everywhere);
        self.is_unsaid || (everywhere && for_all.all(|entry| entry.rule.can == Actions::ALL))
    }

    /// Whether anything is allowed to some callers and not to others.
    #[must_use]
    pub fn names_users(&self) -> bool {
        self.entries.iter().any(|entry| !entry.rule.callers.everybody)
    }

    /// Whether a caller without credentials is allowed anything anywhere. A rule that others take back
    /// everywhere counts as well.
    #[must_use]
    pub fn anonymous_may_anything(&self) -> bool {
        let mut for_all = self.entries.iter().filter(|entry| entry.rule.callers.everybody);
        self.is_unsaid || for_all.any(|entry| !entry.pattern.names_the_caller() && !entry.rule.can.is_empty())
    }

    /// Whether a caller may do that to the repository of that name, be there one or not.
    #[must_use]
    pub fn allows(&self, who: &Principal, action: Action, repository: &str) -> bool {
        self.actions(who, repository).has(action)
    }

    /// All that a caller may do to the repository of that name.
    #[must_use]
    pub fn actions(&self, who: &Principal, repository: &str) -> Actions {
        if let Principal::Robot(robot) = who {
            let is_meant = robot.repositories.iter().any(|pattern| pattern.matches(repository));
            return if is_meant { robot.can } else { Actions::NONE };
        }
        if self.is_unsaid {
            return Actions::ALL;
        }
        let user = self.own_part(who);
        let mut matching = self.matching(who, user, repository).peekable();
        let Some(rank) = matching.peek().map(|entry| entry.rank) else { return Actions::NONE };
        let deciding = matching.take_while(|entry| entry.rank == rank);
        deciding.fold(Actions::NONE, |all, entry| all.and(entry.rule.can))
    }

    /// Whether a caller rules the registry as a whole, its numbers and its history: whether the patterns `**`
    /// that name the caller allow `admin`.
    #[must_use]
    pub fn rules_registry(&self, who: &Principal) -> bool {
        if let Principal::Robot(robot) = who {
            let everywhere = robot.repositories.iter().any(Pattern::is_everything);
            return everywhere && robot.can.has(Action::Admin);
        }
        let mut naming = self.entries.iter().filter(|entry| entry.rule.callers.have(who));
        self.is_unsaid || naming.any(|entry| entry.is_everywhere() && entry.rule.can.has(Action::Admin))
    }

    /// Where in the order of names the repositories are that a caller may pull.
    #[must_use]
    pub fn may_see(&self, who: &Principal) -> Seeing {
        if let Principal::Robot(robot) = who {
            return if robot.can.has(Action::Pull) {
                Seeing::of(&robot.repositories)
            } else {
                Seeing::of(&[])
            };
        }
        if self.is_unsaid {
            return Seeing::everything();
        }
        let user = self.own_part(who);
        let naming = self.entries.iter().filter(|entry| entry.rule.callers.have(who));
        let applying: Vec<_> = naming
            .filter_map(|entry| Some((entry.pattern.of(user)?, entry.rule.can.has(Action::Pull))))
            .collect();
        let everywhere = applying.iter().any(|(pattern, _)| pattern.is_everything());
        if everywhere && applying.iter().all(|(_, can_pull)| *can_pull) {
            return Seeing::everything();
        }
        let granting = applying.into_iter().filter(|(_, can_pull)| *can_pull).map(|(pattern, _)| pattern);
        Seeing::in_parts(&granting.collect::<Vec<_>>())
    }

    /// Why a caller may do that to the repository of that name, or not.
    #[must_use]
    pub fn explain(&self, who: &Principal, action: Action, repository: &str) -> Explanation {
        let is_allowed = self.allows(who, action, repository);
        let (basis, deciding, lost) = match who {
            Principal::Robot(robot) => (Basis::Token, reasons_of(robot, repository), Vec::new()),
            _ if self.is_unsaid => (Basis::Open, Vec::new(), Vec::new()),
            _ => {
                let matching: Vec<_> = self.matching(who, self.own_part(who), repository).collect();
                let rank = matching.first().map(|entry| entry.rank);
                let (deciding, lost) = matching.into_iter().partition(|entry| Some(entry.rank) == rank);
                let reasons = |entries: Vec<&Entry>| entries.into_iter().map(Entry::reason).collect();
                (Basis::Rules, reasons(deciding), reasons(lost))
            }
        };
        Explanation { is_allowed, basis, deciding, lost }
    }

    /// The patterns that name the caller and match, the most specific first.
    fn matching<'a>(
        &'a self,
        who: &'a Principal,
        user: Option<&'a str>,
        repository: &'a str,
    ) -> impl Iterator<Item = &'a Entry> {
        let naming = self.entries.iter().filter(move |entry| entry.rule.callers.have(who));
        naming.filter(move |entry| entry.pattern.matches(repository, user))
    }

    /// What `{user}` stands for: the name of a user, if it can be a part of a repository's name. Any other
    /// could be made to mean somebody else's repositories.
    fn own_part<'a>(&self, who: &'a Principal) -> Option<&'a str> {
        let Principal::User(name) = who else { return None };
        let is_part = self.names_the_caller && !name.contains('/') && RepositoryName::parse(name).is_ok();
        is_part.then_some(name.as_str())
    }
}

impl Rule {
    fn of(rule: &AccessRule, groups: &Groups) -> Result<Self, String> {
        let refused = |error| format!("{}: {error}", rule.source);
        let callers = Callers::of(&rule.who, groups).map_err(refused)?;
        let can: Vec<_> = rule.can.iter().filter_map(|word| Action::parse(word)).collect();
        Ok(Self { who: rule.who.clone(), callers, can: Actions::of(&can), source: rule.source.clone() })
    }
}

impl Entry {
    fn is_everywhere(&self) -> bool {
        self.pattern.is_everything()
    }

    fn reason(&self) -> Reason {
        Reason {
            source: Some(self.rule.source.clone()),
            pattern: self.pattern.to_string(),
            who: self.rule.who.iter().map(ToString::to_string).collect(),
            can: self.rule.can,
        }
    }
}

fn reasons_of(robot: &Robot, repository: &str) -> Vec<Reason> {
    let matching = robot.repositories.iter().filter(|pattern| pattern.matches(repository));
    let reason = |pattern: &Pattern| Reason {
        source: None,
        pattern: pattern.to_string(),
        who: vec![format!("robot:{}", robot.name)],
        can: robot.can,
    };
    matching.map(reason).collect()
}

/// Whether the configuration says anything of access.
fn says_something(config: &Config) -> bool {
    config.anonymous.is_some() || config.access.is_said() || config.htpasswd.is_some()
}

fn unsaid(config: &Config) -> String {
    let how = if config.listen.ip().is_loopback() {
        "a proxy (public_url, trusted_proxies)".to_owned()
    } else {
        format!("listening on {}", config.listen)
    };
    format!(
        "{how} would open the registry to others, and nothing says what they may do. Say it with \
         --anonymous pull,push,delete (or fewer), with WHARFINGER_ANONYMOUS, or with an [[access]] rule in \
         the configuration that names users; or listen on 127.0.0.1"
    )
}

#[cfg(test)]
mod tests;
