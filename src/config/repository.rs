//! Settings of repositories by patterns of their names: the one place for what differs between them.

use super::pattern::{Pattern, TagPattern};
use super::source::Source;

/// What can be said of a repository, for the example and for the one who misspelt it.
pub const REPOSITORY_KEYS: &[RepositoryKey] = &[
    RepositoryKey {
        name: "match",
        example: "\"ci/**\"",
        meaning: "The repositories that are meant: `*` is any text within a part, `**` any number of parts.",
    },
    RepositoryKey {
        name: "sparse_index",
        example: "true",
        meaning: "Whether an index may list manifests that the repository lacks, as copies of some platforms \
                  do.",
    },
    RepositoryKey {
        name: "untagged_keep_secs",
        example: "604800",
        meaning: "Seconds after which a manifest goes that has no tag, that no index lists and that refers \
                  to no manifest of the repository; 0: never.",
    },
    RepositoryKey {
        name: "keep_newest",
        example: "20",
        meaning: "How many tagged images are kept, those that were pushed last; 0: all.",
    },
    RepositoryKey {
        name: "keep_tags",
        example: "[\"latest\", \"v*\"]",
        meaning: "Tags whose images keep_newest neither counts nor lets go; `*` is any text.",
    },
];

/// Something that can be said of a repository.
#[derive(Debug)]
pub struct RepositoryKey {
    /// Its key in the configuration file.
    pub name: &'static str,
    /// A value.
    pub example: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

/// One `[[repository]]` of the configuration. What it leaves out, others may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRule {
    /// Which repositories are meant.
    pub pattern: Pattern,
    /// Whether an index may list manifests that are not there.
    pub sparse_index: Option<bool>,
    /// How long a manifest without a tag is kept, in seconds; 0: for ever.
    pub untagged_keep_secs: Option<u64>,
    /// How many tagged images are kept; 0: all.
    pub keep_newest: Option<u64>,
    /// The tags whose images are kept whatever their number is.
    pub keep_tags: Option<Vec<TagPattern>>,
    /// Where it stands.
    pub source: Source,
}

impl RepositoryRule {
    /// What it says, wherever it stands: keys with their values in TOML.
    #[must_use]
    pub fn says(&self) -> Vec<(&'static str, String)> {
        let tags = |tags: &Vec<TagPattern>| {
            format!("{:?}", tags.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let said = [
            ("match", Some(format!("{:?}", self.pattern.to_string()))),
            ("sparse_index", self.sparse_index.map(|value| value.to_string())),
            ("untagged_keep_secs", self.untagged_keep_secs.map(|value| value.to_string())),
            ("keep_newest", self.keep_newest.map(|value| value.to_string())),
            ("keep_tags", self.keep_tags.as_ref().map(tags)),
        ];
        said.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// What is in force for one repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositorySettings {
    /// Whether an index may list manifests that are not there.
    pub sparse_index: bool,
    /// How long a manifest without a tag is kept, in seconds; 0: for ever.
    pub untagged_keep_secs: u64,
    /// How many tagged images are kept; 0: all.
    pub keep_newest: u64,
    /// The tags whose images are kept whatever their number is.
    pub keep_tags: Vec<TagPattern>,
}

impl RepositorySettings {
    /// Whether anything in the repository goes by itself.
    #[must_use]
    pub const fn lets_go(&self) -> bool {
        self.untagged_keep_secs > 0 || self.keep_newest > 0
    }
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

    /// The rules that differ from those `before`, each as it was and as it is.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<(String, String)> {
        let shown = |rules: &Self, pattern: &Pattern| {
            let rule = rules.0.iter().find(|rule| rule.pattern == *pattern);
            let said = rule.map(|rule| {
                let said = rule.says().into_iter().map(|(key, value)| format!("{key} = {value}"));
                format!("{{{}}}", said.collect::<Vec<_>>().join(", "))
            });
            said.unwrap_or_else(|| "nothing".to_owned())
        };
        let gone = before.0.iter().filter(|old| self.0.iter().all(|new| new.pattern != old.pattern));
        let patterns = self.0.iter().chain(gone).map(|rule| &rule.pattern);
        let changes = patterns.map(|pattern| (shown(before, pattern), shown(self, pattern)));
        let mut changes: Vec<_> = changes.filter(|(old, new)| old != new).collect();
        // Of two that say as much, the later one holds.
        let order = |rules: &Self| {
            let patterns = rules.0.iter().map(|rule| rule.pattern.to_string());
            patterns.collect::<Vec<_>>().join(", ")
        };
        if changes.is_empty() && order(before) != order(self) {
            changes
                .push((format!("in the order {}", order(before)), format!("in the order {}", order(self))));
        }
        changes
    }

    /// Whether there can be a repository in which anything goes by itself.
    #[must_use]
    pub fn any_lets_go(&self) -> bool {
        let says = |value: Option<u64>| value.is_some_and(|value| value > 0);
        self.0.iter().any(|rule| says(rule.untagged_keep_secs) || says(rule.keep_newest))
    }

    /// What holds for a repository: each setting as the most specific rule has it that names it.
    #[must_use]
    pub fn of(&self, name: &str) -> RepositorySettings {
        let mut settings = RepositorySettings::default();
        for rule in self.0.iter().filter(|rule| rule.pattern.matches(name)) {
            settings.sparse_index = rule.sparse_index.unwrap_or(settings.sparse_index);
            settings.untagged_keep_secs = rule.untagged_keep_secs.unwrap_or(settings.untagged_keep_secs);
            settings.keep_newest = rule.keep_newest.unwrap_or(settings.keep_newest);
            if let Some(keep_tags) = &rule.keep_tags {
                settings.keep_tags.clone_from(keep_tags);
            }
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
            untagged_keep_secs: None,
            keep_newest: None,
            keep_tags: None,
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
