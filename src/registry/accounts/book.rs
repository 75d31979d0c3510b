//! Who there is, as the last change of it left it.

use super::super::error::Error;
use super::keys::SigningKey;
use crate::config::Pattern;
use crate::oci::{Hidden, UserName};
use crate::store::records::{AccessTokenRecord, UserRecord};
use crate::store::tables::{ACCESS_TOKEN, SIGNING_KEY, Table, USER};
use crate::store::{Key, KeyRange, Limit, MetaError, Read, Store, Value};
use std::collections::{BTreeSet, HashMap};

/// How many rows are read at once.
const PAGE: Limit = Limit::rows(512);

/// Every user, token and signing key, for answers without I/O.
#[derive(Debug, Default)]
pub struct Book {
    users: HashMap<String, UserEntry>,
    tokens: HashMap<u64, TokenEntry>,
    /// The newest first.
    keys: Vec<SigningKey>,
    hash_kinds: BTreeSet<String>,
}

/// A user, as a login needs it.
#[derive(Debug, Clone)]
pub struct UserEntry {
    /// What the password is checked against, as a PHC string.
    pub hash: Hidden<String>,
    /// Whether the user may not log in.
    pub disabled: bool,
}

/// The token of a robot, as a login needs it.
#[derive(Debug, Clone)]
pub struct TokenEntry {
    /// The robot's name.
    pub name: UserName,
    /// The SHA-256 of the secret.
    pub hash: Hidden<[u8; 32]>,
    /// The repositories it may do something to.
    pub repositories: Vec<Pattern>,
    /// What it may do there, in the words of the configuration.
    pub can: Vec<String>,
    /// From when on it is not accepted, in milliseconds since the epoch; none: never.
    pub expires_at_ms: Option<u64>,
}

impl TokenEntry {
    /// Whether it is not accepted any more at a time in milliseconds since the epoch.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }
}

impl Book {
    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&UserEntry> {
        self.users.get(name)
    }

    /// Whether there is any user.
    #[must_use]
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// The token with that id, expired or not.
    #[must_use]
    pub fn token(&self, id: u64) -> Option<&TokenEntry> {
        self.tokens.get(&id)
    }

    /// Every token with its id, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = (u64, &TokenEntry)> {
        self.tokens.iter().map(|(&id, token)| (id, token))
    }

    /// The keys that Bearer tokens are signed with, the newest first: that one signs, the others only check.
    #[must_use]
    pub fn signing_keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The kinds of password hashes that users have: what stands before salt and hash in the PHC strings,
    /// such as `$argon2id$v=19$m=19456,t=2,p=1`.
    pub fn hash_kinds(&self) -> impl Iterator<Item = &str> {
        self.hash_kinds.iter().map(String::as_str)
    }

    /// Reads all of it from one committed state. A row that cannot be read lets nobody in and locks nobody
    /// else out; `verify` names it, too.
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        store.read(|rows| {
            let mut book = Self::default();
            each(rows, &USER, |name: UserName, user: UserRecord| {
                book.hash_kinds.extend(hash_kind(user.hash.reveal()).map(str::to_owned));
                let entry = UserEntry { hash: user.hash, disabled: user.disabled_at_ms.is_some() };
                book.users.insert(name.as_str().to_owned(), entry);
            })?;
            each(rows, &ACCESS_TOKEN, |id, token| match entry_of(token) {
                Ok(entry) => drop(book.tokens.insert(id, entry)),
                Err(words) => log::error!("token {id:016x} is not accepted: {words}"),
            })?;
            each(rows, &SIGNING_KEY, |(created_at_ms, id), key| {
                book.keys.push(SigningKey { id, created_at_ms, seed: key.seed });
            })?;
            book.keys.reverse();
            Ok(book)
        })
    }
}

fn entry_of(token: AccessTokenRecord) -> Result<TokenEntry, String> {
    let patterns = token.repositories.iter().map(|pattern| Pattern::parse(pattern));
    let repositories = patterns.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let AccessTokenRecord { name, hash, can, expires_at_ms, .. } = token;
    Ok(TokenEntry { name, hash, repositories, can, expires_at_ms })
}

/// What stands before salt and hash in a PHC string.
fn hash_kind(hash: &str) -> Option<&str> {
    hash.rsplitn(3, '$').nth(2)
}

/// Hands every row of a table that can be read to `visit`.
fn each<K: Key, V: Value>(
    rows: &impl Read,
    table: &Table<K, V>,
    mut visit: impl FnMut(K, V),
) -> Result<(), MetaError> {
    let mut range = KeyRange::all();
    loop {
        let page = rows.scan(table, &range, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        range = range.after_bytes(last);
        for (key, row) in page {
            match row {
                Ok((key, value)) => visit(key, value),
                Err(error) => {
                    let name = table.id().name();
                    log::error!("row {} of table {name} counts as not there: {error}", key.escape_ascii());
                }
            }
        }
    }
}
