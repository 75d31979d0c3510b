//! Settings of repositories by patterns of their names: the one place for what differs between them.

use super::pattern::Pattern;
use super::source::Source;

/// What can be said of a repository, for the example and for the one who misspelt it.
pub const REPOSITORY_KEYS: &[(&str, &str)] = &[
    ("match", "The repositories that are meant: `*` is any text within a part, `**` any number of parts."),
    (
        "sparse_index",
        "Whether an index may list manifests that the repository lacks, as copies of some platforms do.",
    ),
];

/// One `[[repository]]` of the configuration. What it leaves out, others may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRule {
    /// Which repositories are meant.
    pub pattern: Pattern,
    /// Whether an index may list manifests that are not there.
    pub sparse_index: Option<bool>,
    /// Where it stands.
    pub source: Source,
}

/// What is in force for one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepositorySettings {
    /// Whether an index may list manifests that are not there.
    pub sparse_index: bool,
}

/// All rules, the least specific first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryRules(Vec<RepositoryRule>);

impl RepositoryRules {
    /// Rules in the order in which they were written: of two that say as much, the later one holds.
    #[must_use]
    pub fn new(mut rules: Vec<RepositoryRule>) -> Self {
        rules.sort_by(|one, other| one.pattern.specificity(&other.pattern));
        Self(rules)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[RepositoryRule] {
        &self.0
    }

    /// What holds for a repository: each setting as the most specific rule has it that names it.
    #[must_use]
    pub fn of(&self, name: &str) -> RepositorySettings {
        let mut settings = RepositorySettings::default();
        for rule in self.0.iter().filter(|rule| rule.pattern.matches(name)) {
            settings.sparse_index = rule.sparse_index.unwrap_or(settings.sparse_index);
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_rule_that_says_something_holds() {
        let rule = |pattern: &str, sparse_index| RepositoryRule {
            pattern: Pattern::parse(pattern).unwrap(),
            sparse_index,
            source: Source::Default,
        };
        let rules = RepositoryRules::new(vec![
            rule("ci/app", None),
            rule("ci/**", Some(true)),
            rule("ci/strict", Some(false)),
            rule("**", Some(false)),
        ]);
        assert!(rules.of("ci/app").sparse_index, "a rule that says nothing leaves the others' word");
        assert!(rules.of("ci/a/b").sparse_index);
        assert!(!rules.of("ci/strict").sparse_index);
        assert!(!rules.of("other").sparse_index);
        assert!(!RepositoryRules::default().of("ci/app").sparse_index);
    }
}
