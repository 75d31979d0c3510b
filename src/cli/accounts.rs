//! What commands can have done to users and tokens.
//!
//! Passwords and secrets stay in the command: only what they are checked against is sent, and that is not
//! shown where the action is logged.

use super::text::{entries, text, texts};
use crate::auth::{Actions, Principal, Robot, password};
use crate::config::Pattern;
use crate::oci::{Hidden, NAME_MAX_BYTES, UserName};
use crate::registry::{Error, NewToken, Registry, Token, User};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many patterns of repositories a token may have: it is read at each request that comes with it.
const PATTERNS_MAX: usize = 64;

/// One of these things.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAction {
    /// Add a user, whose password has this hash.
    AddUser(String, Hidden<String>),
    /// Give a user another password, of this hash.
    SetPassword(String, Hidden<String>),
    /// Keep a user from logging in, or let it again.
    SetDisabled(String, bool),
    /// Remove a user.
    RemoveUser(String),
    /// Every user.
    Users,
    /// Make a token.
    CreateToken(TokenWish),
    /// End a token, by its name or id.
    RevokeToken(String),
    /// Every token.
    Tokens,
    /// Drop the keys that Bearer tokens are signed with.
    NewKeys,
}

/// A token that is to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenWish {
    /// Its id, drawn at random.
    pub id: u64,
    /// The SHA-256 of its secret.
    pub hash: Hidden<[u8; 32]>,
    /// The robot's name.
    pub name: String,
    /// Patterns of repositories.
    pub repositories: Vec<String>,
    /// What it may do there: a list such as `pull,push`.
    pub can: String,
    /// How long it is accepted; none: for ever.
    pub life_secs: Option<u64>,
}

impl AccountAction {
    /// Whether it only looks.
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::Users | Self::Tokens)
    }
}

/// Does it.
pub fn perform(registry: &Registry, action: &AccountAction, who: &str) -> Result<Value, String> {
    let words = |error: Error| error.to_string();
    match action {
        AccountAction::AddUser(name, hash) => {
            registry.add_user(&user_name(name)?, checked(hash)?, who).map_err(words)?;
            Ok(json!({"name": name}))
        }
        AccountAction::SetPassword(name, hash) => {
            registry.set_password(&user_name(name)?, checked(hash)?, who).map_err(words)?;
            Ok(json!({"name": name}))
        }
        AccountAction::SetDisabled(name, disabled) => {
            registry.set_disabled(&user_name(name)?, *disabled, who).map_err(words)?;
            Ok(json!({"name": name, "disabled": disabled}))
        }
        AccountAction::RemoveUser(name) => {
            registry.remove_user(&user_name(name)?, who).map_err(words)?;
            Ok(json!({"name": name}))
        }
        AccountAction::Users => {
            let users = registry.users().map_err(words)?;
            Ok(json!({"users": users.iter().map(user).collect::<Vec<_>>()}))
        }
        AccountAction::CreateToken(wish) => create(registry, wish, who),
        AccountAction::RevokeToken(name_or_id) => {
            let revoked = registry.revoke_token(name_or_id, who).map_err(words)?;
            Ok(json!({"name": revoked.record.name.as_str(), "id": id_text(revoked.id)}))
        }
        AccountAction::Tokens => {
            let (tokens, now_ms) = (registry.tokens().map_err(words)?, registry.now_ms());
            Ok(json!({"tokens": tokens.iter().map(|one| token(one, now_ms)).collect::<Vec<_>>()}))
        }
        AccountAction::NewKeys => {
            let dropped = registry.new_signing_keys(who).map_err(words)?;
            Ok(json!({"dropped": dropped}))
        }
    }
}

fn create(registry: &Registry, wish: &TokenWish, who: &str) -> Result<Value, String> {
    let name = user_name(&wish.name)?;
    let repositories = patterns(&wish.repositories)?;
    let can: Vec<String> = actions(&wish.can)?.words().map(str::to_owned).collect();
    let (id, hash) = (wish.id, wish.hash.clone());
    let new = NewToken { id, name, hash, repositories, can: can.clone(), life_secs: wish.life_secs };
    let expires_at_ms = registry.create_token(new, who).map_err(|error| error.to_string())?;
    Ok(json!({
        "name": wish.name,
        "id": id_text(id),
        "repositories": wish.repositories,
        "can": can,
        "expires_at_ms": expires_at_ms,
    }))
}

fn user(user: &User) -> Value {
    let User { name, record } = user;
    json!({
        "name": name.as_str(),
        "created_at_ms": record.created_at_ms,
        "password_changed_at_ms": record.changed_at_ms,
        "disabled_at_ms": record.disabled_at_ms,
    })
}

fn token(token: &Token, now_ms: u64) -> Value {
    let Token { id, record } = token;
    json!({
        "name": record.name.as_str(),
        "id": id_text(*id),
        "repositories": record.repositories,
        "can": record.can,
        "created_at_ms": record.created_at_ms,
        "created_by": record.who,
        "expires_at_ms": record.expires_at_ms,
        "expired": record.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms),
        "last_used_at_ms": record.last_used_at_ms,
    })
}

/// The robot of that name among tokens as they are listed.
pub fn robot(tokens: &Value, name: &str) -> Result<Principal, String> {
    let found = entries(tokens, "tokens").iter().find(|token| text(token, "name") == name);
    let found = found.ok_or_else(|| format!("no token is called {name}: `token ls` lists them"))?;
    if found["expired"] == json!(true) {
        return Err(format!("the token of {name} has expired, so it may do nothing any more"));
    }
    let repositories: Vec<_> =
        entries(found, "repositories").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let (repositories, can) = (patterns(&repositories)?, actions(&texts(found, "can"))?);
    Ok(Principal::Robot(Arc::new(Robot { name: name.to_owned(), repositories, can })))
}

/// As the secret has it.
fn id_text(id: u64) -> String {
    format!("{id:016x}")
}

/// The name of a user or a robot.
pub fn user_name(name: &str) -> Result<UserName, String> {
    UserName::parse(name).map_err(|error| format!("{}: {error}", name.escape_debug()))
}

/// Patterns of repositories: at least one, and none that is longer than every name.
pub fn patterns(texts: &[String]) -> Result<Vec<Pattern>, String> {
    if texts.is_empty() {
        return Err("a token is for some repositories: say which by --repo 'team/**'".to_owned());
    }
    if texts.len() > PATTERNS_MAX {
        return Err(format!("a token has at most {PATTERNS_MAX} --repo: use patterns, or several tokens"));
    }
    if let Some(long) = texts.iter().find(|text| text.len() > NAME_MAX_BYTES) {
        return Err(format!("--repo {long}: expected at most {NAME_MAX_BYTES} bytes, as names have"));
    }
    let parse = |text: &String| Pattern::parse(text).map_err(|error| format!("--repo {text}: {error}"));
    texts.iter().map(parse).collect()
}

/// What can be done: at least one thing.
pub fn actions(list: &str) -> Result<Actions, String> {
    Actions::parse(list).map_err(|error| format!("--can {list}: {error}"))
}

/// A hash that logins can be checked against at a bounded cost.
fn checked(hash: &Hidden<String>) -> Result<Hidden<String>, String> {
    if password::is_argon2id(hash.reveal()) {
        Ok(hash.clone())
    } else {
        Err("the command sent no hash of argon2id: is it of another version?".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_some_patterns_and_not_too_many() {
        let texts = |count: usize, text: &str| vec![text.to_owned(); count];
        assert_eq!(patterns(&texts(64, "team/**")).unwrap().len(), 64);
        assert!(patterns(&texts(1, &"a".repeat(255))).is_ok());
        for refused in [texts(0, ""), texts(65, "a"), texts(1, &"a".repeat(256)), texts(1, "A"), texts(1, "")]
        {
            assert!(patterns(&refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn what_is_logged_of_an_action_has_no_secret() {
        let hash = Hidden::new(password::hash("correct horse"));
        let wish = TokenWish {
            id: 7,
            hash: Hidden::new([0xab; 32]),
            name: "builder".to_owned(),
            repositories: vec!["team/**".to_owned()],
            can: "pull".to_owned(),
            life_secs: None,
        };
        let actions = [
            AccountAction::AddUser("alice".to_owned(), hash.clone()),
            AccountAction::SetPassword("alice".to_owned(), hash),
            AccountAction::CreateToken(wish),
        ];
        for action in actions {
            let shown = format!("{action:?}");
            assert!(!shown.contains("argon2id") && !shown.contains("171"), "{shown}");
            assert!(shown.contains("alice") || shown.contains("builder"), "{shown}");
            let sent = serde_json::to_string(&action).unwrap();
            let read: AccountAction = serde_json::from_str(&sent).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), sent);
        }
    }
}
