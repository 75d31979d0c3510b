//! Who calls.

use super::action::Actions;
use crate::config::Pattern;
use std::fmt;
use std::sync::Arc;

/// Who calls: nobody in particular, a person, or a program with a token of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Without credentials.
    Anonymous,
    /// A user, of the ledger or of the htpasswd file. The configuration says what users may do.
    User(String),
    /// A robot. Its token says what it may do.
    Robot(Arc<Robot>),
}

/// The holder of a token that was made by `wharfinger token create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Robot {
    /// Its name, without `robot:` before it.
    pub name: String,
    /// The repositories it may do something to.
    pub repositories: Vec<Pattern>,
    /// What it may do there.
    pub can: Actions,
}

impl Principal {
    /// The name in rules, histories and logs: `anonymous`, `alice`, `robot:builder`. No user is called
    /// `anonymous`, and no user's name holds a colon.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User(name) => name.clone(),
            Self::Robot(robot) => format!("robot:{}", robot.name),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
