//! Tokens whose signature was found right, so that it need not be checked at each request.

use crate::auth::bearer::{Claims, Keyring};
use crate::registry::Book;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many tokens are remembered. Clients that push and pull have a handful each.
const TOKENS_MAX: usize = 10_000;

/// The longest token that is remembered: one for a few repositories is shorter, and one for a hundred is
/// checked each time, so that nobody fills the memory by asking for such.
const TOKEN_MAX_BYTES: usize = 2048;

/// The keys, and what they were found to have signed. With other keys all of it is forgotten.
#[derive(Default)]
struct Found {
    /// The numbers of the keys.
    keys: Vec<u64>,
    keyring: Arc<Keyring>,
    tokens: HashMap<[u8; 32], Arc<Claims>>,
}

/// The tokens that were read lately.
#[derive(Default)]
pub struct VerifiedTokens(Mutex<Found>);

impl VerifiedTokens {
    /// The keys that are in force.
    pub fn keyring(&self, book: &Book) -> Arc<Keyring> {
        Arc::clone(&self.found(book).keyring)
    }

    /// What a token says that a key in force has signed. Whether it still holds is the caller's to ask.
    pub fn read(&self, book: &Book, token: &str) -> Option<Arc<Claims>> {
        let entry: [u8; 32] = Sha256::digest(token).into();
        let keyring = {
            let found = self.found(book);
            if let Some(claims) = found.tokens.get(&entry) {
                return Some(Arc::clone(claims));
            }
            Arc::clone(&found.keyring)
        };
        let claims = Arc::new(keyring.read(token).ok()?);
        if token.len() > TOKEN_MAX_BYTES {
            return Some(claims);
        }
        let mut found = self.found(book);
        // What other keys have signed by now would be remembered as theirs.
        if Arc::ptr_eq(&found.keyring, &keyring) {
            if found.tokens.len() >= TOKENS_MAX {
                found.tokens.clear();
            }
            found.tokens.insert(entry, Arc::clone(&claims));
        }
        Some(claims)
    }

    fn found(&self, book: &Book) -> MutexGuard<'_, Found> {
        // What is half done after a panic is only less than it could be.
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = book.signing_keys();
        if !found.keys.iter().eq(keys.iter().map(|key| &key.id)) {
            found.tokens.clear();
            found.keys = keys.iter().map(|key| key.id).collect();
            found.keyring = Arc::new(Keyring::new(keys.iter().map(|key| (key.id, key.seed.reveal()))));
        }
        found
    }
}
