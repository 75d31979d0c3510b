//! Who there is: users with passwords, robots with tokens, and the keys that Bearer tokens are signed with.
//!
//! All of it is rows. Who is asked at each request is the [`Book`]: the rows of one committed state in
//! memory, which nothing else copies. A change is committed and the book read again before the change
//! returns, and changes wait for each other: so who was disabled is refused by every request that begins
//! afterwards.
//!
//! Passwords and secrets do not come here: only what they are checked against does.

mod book;
mod error;
mod keys;
mod tokens;

pub use book::{Book, TokenEntry, UserEntry};
pub use error::AccountError;
pub use keys::SigningKey;
pub use tokens::{NewToken, Token};

use super::actor::Actor;
use super::error::Error;
use super::{Registry, audit};
use crate::oci::{Hidden, UserName};
use crate::store::records::{AuditAction, UserRecord};
use crate::store::tables::USER;
use crate::store::{Read, Tx};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokens::Uses;

/// What a registry remembers of its accounts.
#[derive(Default)]
pub struct Accounts {
    /// None: to be read from the ledger.
    book: RwLock<Option<Arc<Book>>>,
    /// Held around each change and the reading after it: a reading that began before a change must not end
    /// after it.
    changing: Mutex<()>,
    uses: Mutex<Uses>,
}

impl Accounts {
    fn book(&self) -> Option<Arc<Book>> {
        // Setting it is one assignment: a panic cannot leave it half done.
        self.book.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_book(&self, book: Option<Arc<Book>>) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = book;
    }

    fn hold_changes(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The rest.
    pub record: UserRecord,
}

impl Registry {
    /// Who there is now. Ask once for things that have to fit each other. Where the ledger cannot be read
    /// there is nobody.
    #[must_use]
    pub fn accounts(&self) -> Arc<Book> {
        if let Some(book) = self.accounts.book() {
            return book;
        }
        self.load_accounts().unwrap_or_else(|error| {
            log::error!("users and tokens cannot be read, so nobody is let in: {error}");
            Arc::default()
        })
    }

    /// Reads who there is, if that is not known.
    pub(super) fn load_accounts(&self) -> Result<Arc<Book>, Error> {
        let _changes = self.accounts.hold_changes();
        if let Some(book) = self.accounts.book() {
            return Ok(book);
        }
        let book = Arc::new(Book::load(&self.store)?);
        self.accounts.set_book(Some(Arc::clone(&book)));
        Ok(book)
    }

    /// Makes a change and reads who there is then. The change holds for whoever asks after this has returned.
    fn change_accounts<T: Send + 'static>(
        &self,
        write: impl FnMut(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _changes = self.accounts.hold_changes();
        let done = self.store.write(write)?;
        let book = Book::load(&self.store).inspect_err(|error| {
            log::error!("users and tokens have changed and cannot be read, which is tried again: {error}");
        });
        // Nobody may be let in by what was true before.
        self.accounts.set_book(book.ok().map(Arc::new));
        Ok(done)
    }

    /// Adds a user whose password has this hash (a PHC string).
    pub fn add_user(
        &self,
        name: &UserName,
        hash: Hidden<String>,
        who: impl Into<Actor>,
    ) -> Result<(), Error> {
        let act = self.act(&who.into(), AuditAction::UserAdd).saying(name.as_str());
        let (name, now_ms) = (name.clone(), self.clock.now_ms());
        let record = UserRecord { hash, created_at_ms: now_ms, changed_at_ms: now_ms, disabled_at_ms: None };
        self.change_accounts(move |tx| {
            if !tx.insert_if_absent(&USER, &name, &record)? {
                return Err(AccountError::UserExists(name.clone()).into());
            }
            Ok(audit::note(tx, &act)?)
        })
    }

    /// Gives a user another password, of this hash (a PHC string).
    pub fn set_password(
        &self,
        name: &UserName,
        hash: Hidden<String>,
        who: impl Into<Actor>,
    ) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        self.change_user(name, who, AuditAction::UserPassword, move |user| {
            user.hash = hash.clone();
            user.changed_at_ms = now_ms;
        })
    }

    /// Keeps a user from logging in, or lets it again. What is so already stays as it is.
    pub fn set_disabled(&self, name: &UserName, disabled: bool, who: impl Into<Actor>) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let action = if disabled { AuditAction::UserDisable } else { AuditAction::UserEnable };
        self.change_user(name, who, action, move |user| {
            let since_ms = user.disabled_at_ms.unwrap_or(now_ms);
            user.disabled_at_ms = disabled.then_some(since_ms);
        })
    }

    /// Removes a user.
    pub fn remove_user(&self, name: &UserName, who: impl Into<Actor>) -> Result<(), Error> {
        let act = self.act(&who.into(), AuditAction::UserRemove).saying(name.as_str());
        let name = name.clone();
        self.change_accounts(move |tx| {
            tx.remove(&USER, &name)?.ok_or_else(|| AccountError::UserUnknown(name.clone()))?;
            Ok(audit::note(tx, &act)?)
        })
    }

    /// Every user of the ledger, in the order of the names.
    pub fn users(&self) -> Result<Vec<User>, Error> {
        let mut users = Vec::new();
        self.pages(&USER, |_, name, record| {
            users.push(User { name, record });
            Ok(())
        })?;
        Ok(users)
    }

    fn change_user(
        &self,
        name: &UserName,
        who: impl Into<Actor>,
        action: AuditAction,
        mut change: impl FnMut(&mut UserRecord) + Send + 'static,
    ) -> Result<(), Error> {
        let act = self.act(&who.into(), action).saying(name.as_str());
        let name = name.clone();
        self.change_accounts(move |tx| {
            let user = tx.get(&USER, &name)?;
            let mut user = user.ok_or_else(|| AccountError::UserUnknown(name.clone()))?;
            change(&mut user);
            tx.put(&USER, &name, &user)?;
            Ok(audit::note(tx, &act)?)
        })
    }
}

#[cfg(test)]
mod tests;
