//! The tokens of robots.

use super::super::actor::Actor;
use super::super::error::Error;
use super::super::{Registry, audit};
use super::error::AccountError;
use crate::config::Pattern;
use crate::oci::{Hidden, UserName};
use crate::store::records::{AccessTokenRecord, AuditAction};
use crate::store::tables::ACCESS_TOKEN;
use crate::store::{KeyRange, MetaError, Read, Tx};
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

/// How many tokens are read at once, and how many uses are written in one transaction.
const PAGE_ROWS: usize = 256;

/// A token to be made. The secret stays with the caller, who hands it to somebody once.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its id, drawn at random.
    pub id: u64,
    /// The robot's name.
    pub name: UserName,
    /// The SHA-256 of the secret.
    pub hash: Hidden<[u8; 32]>,
    /// The repositories it may do something to.
    pub repositories: Vec<Pattern>,
    /// What it may do there, in the words of the configuration.
    pub can: Vec<String>,
    /// How long it is accepted, in seconds; none: for ever.
    pub life_secs: Option<u64>,
}

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: u64,
    /// The rest.
    pub record: AccessTokenRecord,
}

/// When tokens were used, as far as the ledger does not say so yet. Times are milliseconds since the epoch.
#[derive(Debug, Default)]
pub struct Uses {
    used: HashMap<u64, u64>,
    /// When the last use of a token was written.
    written: HashMap<u64, u64>,
}

impl Uses {
    /// The uses of tokens for which none was written in the last `interval_ms`.
    fn due(&mut self, now_ms: u64, interval_ms: u64) -> Vec<(u64, u64)> {
        self.written.retain(|_, written_at_ms| now_ms.saturating_sub(*written_at_ms) < interval_ms);
        let due = self.used.iter().filter(|(id, _)| !self.written.contains_key(id));
        due.map(|(&id, &at_ms)| (id, at_ms)).collect()
    }

    fn note_written(&mut self, uses: &[(u64, u64)], now_ms: u64) {
        for (id, at_ms) in uses {
            self.written.insert(*id, now_ms);
            // It may have been used again meanwhile.
            if self.used.get(id) == Some(at_ms) {
                self.used.remove(id);
            }
        }
    }
}

impl Registry {
    /// Makes a token; says when it expires, in milliseconds since the epoch.
    pub fn create_token(&self, token: NewToken, who: impl Into<Actor>) -> Result<Option<u64>, Error> {
        let actor = who.into();
        let NewToken { id, name, hash, repositories, can, life_secs } = token;
        let now_ms = self.clock.now_ms();
        let record = AccessTokenRecord {
            name,
            hash,
            repositories: repositories.iter().map(ToString::to_string).collect(),
            can,
            created_at_ms: now_ms,
            expires_at_ms: life_secs.map(|secs| now_ms.saturating_add(secs.saturating_mul(1000))),
            last_used_at_ms: None,
            who: actor.label(),
        };
        let words = format!("robot:{} ({id:016x})", record.name);
        let act = self.act(&actor, AuditAction::TokenCreate).saying(&words);
        let expires_at_ms = record.expires_at_ms;
        self.change_accounts(move |tx| {
            if find(tx, |other| other.name == record.name)?.is_some() {
                return Err(AccountError::TokenExists(record.name.clone()).into());
            }
            if !tx.insert_if_absent(&ACCESS_TOKEN, &id, &record)? {
                return Err(AccountError::TokenIdInUse.into());
            }
            Ok(audit::note(tx, &act)?)
        })?;
        Ok(expires_at_ms)
    }

    /// Ends a token, by the robot's name or its id in 16 hexadecimal digits; says which it was. From then on
    /// it is not accepted, and its name is free.
    pub fn revoke_token(&self, name_or_id: &str, who: impl Into<Actor>) -> Result<Token, Error> {
        let act = self.act(&who.into(), AuditAction::TokenRevoke);
        let what = name_or_id.to_owned();
        self.change_accounts(move |tx| {
            // A name may look like an id; who gave it that knows it by that.
            let found = match find(tx, |token| token.name.as_str() == what)? {
                None => by_id(tx, &what)?,
                found => found,
            };
            let found = found.ok_or_else(|| AccountError::TokenUnknown(what.clone()))?;
            tx.remove(&ACCESS_TOKEN, &found.id)?;
            let words = format!("robot:{} ({:016x})", found.record.name, found.id);
            audit::note(tx, &act.clone().saying(&words))?;
            Ok(found)
        })
    }

    /// Every token, in the order of their names, with its last use.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        let mut tokens = Vec::new();
        self.pages(&ACCESS_TOKEN, |_, id, record| {
            tokens.push(Token { id, record });
            Ok(())
        })?;
        let uses = self.token_uses();
        for Token { id, record } in &mut tokens {
            record.last_used_at_ms = record.last_used_at_ms.max(uses.used.get(id).copied());
        }
        tokens.sort_by(|one, other| one.record.name.cmp(&other.record.name));
        Ok(tokens)
    }

    /// Notes that a token which [`Registry::accounts`] has was used at a time in milliseconds since the
    /// epoch. It costs no I/O: the housekeeping writes it.
    pub fn note_token_use(&self, id: u64, now_ms: u64) {
        let mut uses = self.token_uses();
        let used_at_ms = uses.used.entry(id).or_default();
        *used_at_ms = now_ms.max(*used_at_ms);
    }

    /// Writes all uses of tokens that were noted, for the end of a server.
    pub fn write_token_uses(&self) -> Result<(), Error> {
        self.write_uses(0)
    }

    /// Writes the uses of tokens, of each at most every `token_use_write_secs`.
    pub(in crate::registry) fn write_due_token_uses(&self) -> Result<(), Error> {
        self.write_uses(self.config().settings.token_use_write_secs * 1000)
    }

    fn write_uses(&self, interval_ms: u64) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let due = self.token_uses().due(now_ms, interval_ms);
        for uses in due.chunks(PAGE_ROWS) {
            let rows = uses.to_vec();
            self.store.write(move |tx| {
                let present =
                    tx.get_many(&ACCESS_TOKEN, &rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())?;
                for (&(id, at_ms), record) in rows.iter().zip(present) {
                    // A token that was revoked meanwhile does not come back.
                    let Some(mut record) = record else { continue };
                    if record.last_used_at_ms < Some(at_ms) {
                        record.last_used_at_ms = Some(at_ms);
                        tx.put(&ACCESS_TOKEN, &id, &record)?;
                    }
                }
                Ok::<_, Error>(())
            })?;
            self.token_uses().note_written(uses, now_ms);
        }
        Ok(())
    }

    /// Drops the tokens that expired `expired_token_keep_secs` ago.
    pub(in crate::registry) fn drop_expired_tokens(&self) -> Result<(), Error> {
        let keep_ms = self.config().settings.expired_token_keep_secs * 1000;
        let before_ms = self.clock.now_ms().saturating_sub(keep_ms);
        let book = self.accounts();
        let expired = book.tokens().filter(|(_, token)| token.is_expired(before_ms));
        let mut expired: Vec<_> = expired.map(|(id, token)| (id, token.name.clone())).collect();
        expired.truncate(PAGE_ROWS);
        if expired.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = expired.iter().map(|(_, name)| name.as_str()).collect();
        let words = format!("dropped tokens that expired long ago: {}", names.join(", "));
        self.change_accounts(move |tx| {
            for (id, _) in &expired {
                tx.remove(&ACCESS_TOKEN, id)?;
            }
            Ok(())
        })?;
        log::info!("{words}");
        Ok(())
    }

    fn token_uses(&self) -> MutexGuard<'_, Uses> {
        // Each critical section ends whole or changes one entry.
        self.accounts.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token with that id, in 16 hexadecimal digits.
fn by_id(tx: &Tx<'_>, digits: &str) -> Result<Option<Token>, MetaError> {
    let id = u64::from_str_radix(digits, 16).ok().filter(|id| format!("{id:016x}") == digits);
    let Some(id) = id else { return Ok(None) };
    Ok(tx.get(&ACCESS_TOKEN, &id)?.map(|record| Token { id, record }))
}

/// The first token that is as wanted.
fn find(tx: &Tx<'_>, wanted: impl Fn(&AccessTokenRecord) -> bool) -> Result<Option<Token>, MetaError> {
    let mut range = KeyRange::all();
    loop {
        let page = tx.page(&ACCESS_TOKEN, &range, PAGE_ROWS)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        range = range.after(last);
        let mut tokens = page.into_iter().map(|(id, record)| Token { id, record });
        if let Some(found) = tokens.find(|token| wanted(&token.record)) {
            return Ok(Some(found));
        }
    }
}
