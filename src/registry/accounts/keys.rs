//! The keys that Bearer tokens are signed with.

use super::super::actor::Actor;
use super::super::error::Error;
use super::super::{Registry, audit};
use crate::oci::Hidden;
use crate::random;
use crate::store::records::{AuditAction, SigningKeyRecord};
use crate::store::tables::SIGNING_KEY;
use crate::store::{KeyRange, MetaError, Read, Tx};

/// More keys than there can be: each stands for at least an hour.
const KEYS_MAX: usize = 100_000;

/// A key that Bearer tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its number, drawn at random.
    pub id: u64,
    /// When it was made, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// What the pair of keys is made of (RFC 8032, section 5.1.5).
    pub seed: Hidden<[u8; 32]>,
}

/// When keys come and go, in milliseconds.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "a time has its unit in its name")]
struct Times {
    now_ms: u64,
    /// From which age on a key signs no more.
    max_age_ms: u64,
    /// For how long anything that a key signs is accepted.
    life_ms: u64,
}

impl Times {
    /// Whether there has to be a new key behind these, the newest first.
    fn wants_new(self, keys: &[SigningKey]) -> bool {
        keys.first().is_some_and(|key| self.now_ms.saturating_sub(key.created_at_ms) >= self.max_age_ms)
    }

    /// The keys of these, the newest first, that nothing is checked with any more. One ends to sign when the
    /// next one is made.
    fn outlived(self, keys: &[SigningKey]) -> impl Iterator<Item = &SigningKey> {
        let pairs = keys
            .windows(2)
            .filter(move |pair| pair[0].created_at_ms.saturating_add(self.life_ms) <= self.now_ms);
        pairs.map(|pair| &pair[1])
    }
}

impl Registry {
    /// The key that signs. Where there is none it is made, which is the only time that this writes.
    pub fn ensure_signing_key(&self) -> Result<SigningKey, Error> {
        if let Some(key) = self.accounts().signing_keys().first() {
            return Ok(key.clone());
        }
        let new = self.draw_signing_key();
        self.change_accounts(move |tx| {
            // Another request may have made it since.
            if let Some(key) = keys(tx)?.into_iter().next() {
                return Ok(key);
            }
            put(tx, &new)?;
            Ok(new.clone())
        })
    }

    /// Makes a new key where the one that signs is older than `signing_key_secs`, and drops those with which
    /// nothing is checked any more. Where there is none, nobody needed one yet.
    pub fn rotate_signing_keys(&self) -> Result<(), Error> {
        let settings = &self.config().settings;
        let times = Times {
            now_ms: self.clock.now_ms(),
            max_age_ms: settings.signing_key_secs * 1000,
            life_ms: settings.token_life_secs.max(settings.refresh_token_life_secs) * 1000,
        };
        let book = self.accounts();
        let present = book.signing_keys();
        if !times.wants_new(present) && times.outlived(present).next().is_none() {
            return Ok(());
        }
        let new = self.draw_signing_key();
        let (made, dropped) = self.change_accounts(move |tx| {
            let present = keys(tx)?;
            let outlived: Vec<_> = times.outlived(&present).collect();
            for key in &outlived {
                tx.remove(&SIGNING_KEY, &(key.created_at_ms, key.id))?;
            }
            let made = times.wants_new(&present);
            if made {
                put(tx, &new)?;
            }
            Ok((made, outlived.len()))
        })?;
        log::info!("keys that sign Bearer tokens: {} made, {dropped} dropped", u8::from(made));
        Ok(())
    }

    /// Drops every key and makes another: no Bearer token that was handed out before is accepted any more.
    /// Says how many were dropped.
    pub fn new_signing_keys(&self, who: impl Into<Actor>) -> Result<usize, Error> {
        let act = self.act(&who.into(), AuditAction::KeysNew);
        let new = self.draw_signing_key();
        self.change_accounts(move |tx| {
            let present = keys(tx)?;
            for key in &present {
                tx.remove(&SIGNING_KEY, &(key.created_at_ms, key.id))?;
            }
            put(tx, &new)?;
            audit::note(tx, &act)?;
            Ok(present.len())
        })
    }

    fn draw_signing_key(&self) -> SigningKey {
        let (id, seed) = (random::number(), Hidden::new(random::bytes()));
        SigningKey { id, created_at_ms: self.clock.now_ms(), seed }
    }
}

/// Every key, the newest first.
fn keys(rows: &impl Read) -> Result<Vec<SigningKey>, MetaError> {
    let page = rows.page(&SIGNING_KEY, &KeyRange::all(), KEYS_MAX)?;
    let key = |((created_at_ms, id), record): ((u64, u64), SigningKeyRecord)| SigningKey {
        id,
        created_at_ms,
        seed: record.seed,
    };
    Ok(page.into_iter().rev().map(key).collect())
}

fn put(tx: &mut Tx<'_>, key: &SigningKey) -> Result<(), MetaError> {
    let record = SigningKeyRecord { seed: key.seed.clone() };
    tx.put(&SIGNING_KEY, &(key.created_at_ms, key.id), &record)
}
