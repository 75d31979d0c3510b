//! Scopes: what a client asks a token for, and what the token allows
//! (`repository:<name>:<actions>`, as in Distribution's "Token Scope Documentation").
//!
//! Clients know four words: `pull`, `push` (which here covers `create`), `delete`, and `*` for all of them.

use super::action::{Action, Actions};
use crate::oci::RepositoryName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The repositories that one token can be asked for.
pub const REPOSITORIES_MAX: usize = 100;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes {
    /// The list of repositories (`registry:catalog:*`).
    pub catalog: bool,
    /// What is asked for of each repository.
    pub repositories: BTreeMap<RepositoryName, Actions>,
}

/// Why scopes cannot be granted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// It has no such form.
    #[error("scope {0:?}: expected repository:NAME:ACTIONS, such as repository:team/app:pull,push")]
    Form(String),
    /// There are too many.
    #[error("a token for more than {REPOSITORIES_MAX} repositories: ask for several tokens")]
    TooMany,
}

/// One entry of a token's `access` (Distribution's "Token Authentication Implementation").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository, or `catalog`.
    pub name: String,
    /// The words for what is allowed.
    pub actions: Vec<String>,
}

impl Scopes {
    /// Reads scopes: each text may hold several with blanks between them, which some clients write as a plus,
    /// and what is said of one repository in several places is joined. What is of another kind than ours is
    /// passed over.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut scopes = Self::default();
        for text in
            texts.into_iter().flat_map(|text| text.split([' ', '\t', '+'])).filter(|text| !text.is_empty())
        {
            let malformed = || ScopeError::Form(text.chars().take(300).collect());
            let (kind, rest) = text.split_once(':').ok_or_else(malformed)?;
            let (name, actions) = rest.rsplit_once(':').ok_or_else(malformed)?;
            // `repository(plugin)` is a repository like others.
            match kind.split('(').next() {
                Some("repository") => {
                    let name = RepositoryName::parse(name).map_err(|_| malformed())?;
                    let actions = actions.split(',').fold(Actions::NONE, |all, word| all.and(asked(word)));
                    let present = scopes.repositories.entry(name).or_default();
                    *present = present.and(actions);
                }
                Some("registry") if name == "catalog" => scopes.catalog = true,
                _ => {}
            }
            if scopes.repositories.len() > REPOSITORIES_MAX {
                return Err(ScopeError::TooMany);
            }
        }
        Ok(scopes)
    }

    /// What of it is allowed, where `allowed` says what is of a repository.
    pub fn granted(&self, allowed: impl Fn(&RepositoryName) -> Actions) -> Vec<Grant> {
        let catalog = self.catalog.then(|| Grant {
            kind: "registry".to_owned(),
            name: "catalog".to_owned(),
            actions: vec!["*".to_owned()],
        });
        let repositories = self.repositories.iter().map(|(name, asked)| Grant {
            kind: "repository".to_owned(),
            name: name.to_string(),
            actions: words(asked.only(allowed(name))).map(str::to_owned).collect(),
        });
        catalog.into_iter().chain(repositories.filter(|grant| !grant.actions.is_empty())).collect()
    }
}

/// What a client's word stands for.
fn asked(word: &str) -> Actions {
    match word {
        "pull" => Actions::of(&[Action::Pull]),
        "push" => Actions::of(&[Action::Push]),
        "delete" => Actions::of(&[Action::Delete]),
        "*" => Actions::ALL,
        _ => Actions::NONE,
    }
}

/// The clients' words for actions.
fn words(actions: Actions) -> impl Iterator<Item = &'static str> {
    let words = [
        ("pull", actions.has(Action::Pull)),
        ("push", actions.has(Action::Create)),
        ("delete", actions.has(Action::Delete)),
        ("*", actions.has(Action::Admin)),
    ];
    words.into_iter().filter_map(|(word, has)| has.then_some(word))
}

/// The client's word for an action: what a token has to hold for it.
#[must_use]
pub const fn word(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull",
        Action::Create | Action::Push => "push",
        Action::Delete => "delete",
        Action::Admin => "*",
    }
}

/// Whether the grants cover an action on a repository.
#[must_use]
pub fn covers(grants: &[Grant], action: Action, repository: &str) -> bool {
    let of_it = grants.iter().filter(|grant| grant.kind == "repository" && grant.name == repository);
    of_it.flat_map(|grant| &grant.actions).any(|held| held == word(action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(texts: &[&str]) -> Scopes {
        Scopes::parse(texts.iter().copied()).unwrap()
    }

    fn granted(texts: &[&str], allowed: Actions) -> Vec<String> {
        let grants = parsed(texts).granted(|_| allowed);
        grants.iter().map(|grant| format!("{}:{}", grant.name, grant.actions.join(","))).collect()
    }

    #[test]
    fn repeated_and_joined_scopes_are_one() {
        let joined = parsed(&["repository:a/b:pull,push repository:c:pull"]);
        assert_eq!(parsed(&["repository:a/b:push", "repository:c:pull", "repository:a/b:pull"]), joined);
        assert_eq!(parsed(&["repository:a/b:pull,push", "repository:c:pull", "repository:a/b:pull"]), joined);
        assert_eq!(parsed(&["repository:a/b:pull,push+repository:c:pull"]), joined);
        assert_eq!(parsed(&[""]), Scopes::default());
        assert!(parsed(&["registry:catalog:*"]).catalog);
        assert_eq!(parsed(&["repository(plugin):a:pull"]), parsed(&["repository:a:pull"]));
        assert_eq!(parsed(&["something:else:pull", "registry:other:*"]), Scopes::default());
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in ["repository", "repository:a", "repository:A:pull", "repository::pull", "x"] {
            assert_eq!(Scopes::parse([text]), Err(ScopeError::Form(text.to_owned())), "{text}");
        }
        let many: Vec<_> = (0..=REPOSITORIES_MAX).map(|i| format!("repository:r{i}:pull")).collect();
        assert_eq!(Scopes::parse(many.iter().map(String::as_str)), Err(ScopeError::TooMany));
    }

    #[test]
    fn no_more_is_granted_than_is_asked_for_and_allowed() {
        let pull_push = Actions::parse("pull,push").unwrap();
        assert_eq!(granted(&["repository:a:pull,push,delete"], pull_push), ["a:pull,push"]);
        assert_eq!(granted(&["repository:a:pull"], Actions::ALL), ["a:pull"]);
        assert_eq!(granted(&["repository:a:*"], Actions::ALL), ["a:pull,push,delete,*"]);
        assert_eq!(granted(&["repository:a:*"], pull_push), ["a:pull,push"]);
        assert_eq!(granted(&["repository:a:push"], Actions::parse("create").unwrap()), ["a:push"]);
        assert_eq!(granted(&["repository:a:push"], Actions::parse("pull").unwrap()), [""; 0]);
        assert_eq!(granted(&["repository:a:fly"], Actions::ALL), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = Scopes::parse([text.as_str()]);
        }

        #[test]
        fn a_grant_covers_what_was_asked_for_and_allowed(asked: u8, allowed: u8) {
            let of = |bits: u8| {
                let all = Action::ALL.into_iter().enumerate();
                let some = all.filter(|(i, _)| bits & (1 << i) != 0).map(|(_, action)| action);
                Actions::of(&some.collect::<Vec<_>>())
            };
            let (asked, allowed) = (of(asked & 0b1_1111), of(allowed & 0b1_1111));
            let name = RepositoryName::parse("a/b").unwrap();
            let scopes = Scopes { catalog: false, repositories: BTreeMap::from([(name, asked)]) };
            let grants = scopes.granted(|_| allowed);
            for action in [Action::Pull, Action::Create, Action::Delete, Action::Admin] {
                let expected = asked.has(action) && allowed.has(action);
                prop_assert_eq!(covers(&grants, action, "a/b"), expected, "{:?}", action);
                prop_assert!(!covers(&grants, action, "a"));
            }
        }
    }
}
