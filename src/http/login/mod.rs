//! Who makes a request.
//!
//! What a caller presents is checked against what the accounts say now, at every request: a password that
//! was changed, a user that was disabled, a token that was revoked and a key that was dropped count for
//! nothing from the moment that the command which did it has returned. What is remembered is only that a
//! password fits a hash, or that a token is signed: neither says what its holder may do.

mod failures;
mod passwords;
mod verified;

use crate::auth::bearer::{Claims, Use};
use crate::auth::credentials::Credentials;
use crate::auth::htpasswd::Htpasswd;
use crate::auth::password::{self, Decoys};
use crate::auth::scope::{self, Grant};
use crate::auth::{Action, Actions, Principal, Robot, secret};
use crate::config::{Settings, WatchedFile};
use crate::meters::{Counter, Exposition, Kind};
use crate::oci::{Hidden, RepositoryName};
use crate::registry::{Book, Registry, TokenEntry};
use actix_web::http::header::{self, HeaderMap};
use failures::{Attempt, Delayed, FIRST_DELAY, Failures};
use passwords::{Passwords, Verdict};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use verified::VerifiedTokens;

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who that is.
    pub principal: Principal,
    /// What a token of the token service says. None: nothing limits what the principal may.
    claims: Option<Arc<Claims>>,
    /// What a token for the caller says of it.
    pub holder: Holder,
}

/// Who was let in by what: a token that is made for the caller is one of the secret that was checked, and not
/// of what the account has when the token is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// `user:` and a name, or `robot:` and the number of a token; empty: anybody.
    pub sub: String,
    /// The mark of the secret.
    pub mark: String,
    /// Until when the secret itself is accepted, in milliseconds since the epoch; none: for as long as it is.
    pub ends_at_ms: Option<u64>,
}

impl Caller {
    /// Somebody without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { principal: Principal::Anonymous, claims: None, holder: Holder::default() }
    }

    fn user(name: &str, hash: &str) -> Self {
        let (sub, mark) = (format!("user:{name}"), mark_of(hash.as_bytes()));
        let holder = Holder { sub, mark, ends_at_ms: None };
        Self { principal: Principal::User(name.to_owned()), claims: None, holder }
    }

    fn robot(id: u64, token: &TokenEntry) -> Self {
        let (sub, mark) = (format!("robot:{id:016x}"), mark_of(token.hash.reveal()));
        let holder = Holder { sub, mark, ends_at_ms: token.expires_at_ms };
        Self { principal: robot(token), claims: None, holder }
    }

    /// Whether there were credentials, if only the token that everybody gets.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.principal != Principal::Anonymous || self.is_scoped()
    }

    /// Whether what the caller presented is for this, whatever the policy says.
    #[must_use]
    pub fn covers(&self, action: Action, repository: &RepositoryName) -> bool {
        self.grants().is_none_or(|grants| scope::covers(grants, action, repository.as_str()))
    }

    /// Whether what the caller presented is for lists of repositories.
    #[must_use]
    pub fn covers_catalog(&self) -> bool {
        let is_catalog = |grant: &Grant| grant.kind == "registry" && grant.name == "catalog";
        self.grants().is_none_or(|grants| grants.iter().any(is_catalog))
    }

    /// Whether the caller holds a token for only some of what the principal may.
    #[must_use]
    pub fn is_scoped(&self) -> bool {
        self.claims.is_some()
    }

    fn grants(&self) -> Option<&[Grant]> {
        self.claims.as_ref().map(|claims| claims.access.as_slice())
    }

    /// When the token that was presented ends or has ended, in milliseconds since the epoch.
    #[must_use]
    pub fn ends_at_ms(&self) -> Option<u64> {
        self.claims.as_ref().map(|claims| claims.exp.saturating_mul(1000))
    }
}

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What was presented is wrong, or not any more right.
    Wrong,
    /// It is a token whose time is over: another is to be got.
    Expired,
    /// There were too many wrong logins from that address, or too many wait to be checked. The same may be
    /// right so much later.
    Later(Duration),
}

/// A user as a login needs it.
struct Stored {
    hash: Hidden<String>,
    is_disabled: bool,
}

/// What became of logins since the start.
#[derive(Default)]
struct Outcomes {
    /// Passwords and secrets that were wrong.
    wrong: Counter,
    /// Those that were not looked at, since there had been too many.
    later: Counter,
    /// Passwords that were checked.
    checked: Counter,
    /// Tokens that were handed out.
    tokens: Counter,
}

/// Finds out who calls.
pub struct Login {
    passwords: Passwords,
    failures: Failures,
    delayed: Delayed,
    verified: VerifiedTokens,
    outcomes: Outcomes,
    decoys: Arc<Decoys>,
    htpasswd: RwLock<Option<Arc<WatchedFile<Htpasswd>>>>,
}

impl Login {
    /// Begins with the users of a file, if there is one.
    pub fn start(settings: &Settings, users: Option<WatchedFile<Htpasswd>>) -> Result<Self, String> {
        let passwords = Passwords::start(settings);
        let passwords = passwords.map_err(|error| format!("no thread to check passwords: {error}"))?;
        Ok(Self {
            passwords,
            failures: Failures::default(),
            delayed: Delayed::default(),
            verified: VerifiedTokens::default(),
            outcomes: Outcomes::default(),
            decoys: Arc::default(),
            htpasswd: RwLock::new(users.map(Arc::new)),
        })
    }

    /// Whose users count from now on.
    pub fn set_htpasswd(&self, file: Option<WatchedFile<Htpasswd>>) {
        *self.htpasswd.write().unwrap_or_else(PoisonError::into_inner) = file.map(Arc::new);
    }

    /// The users of the file, as it is now.
    fn htpasswd(&self) -> Option<Arc<Htpasswd>> {
        let file = self.htpasswd.read().unwrap_or_else(PoisonError::into_inner).clone();
        file.map(|file| file.get())
    }

    /// Whether anybody could present anything that is right.
    pub fn knows_anybody(&self, registry: &Registry) -> bool {
        let book = registry.accounts();
        book.has_users() || book.tokens().next().is_some() || self.htpasswd().is_some()
    }

    /// Whether the header holds what this registry alone gives out. Such a thing is looked at even where
    /// there is nobody who could have any: who was shut out is not to come in as a stranger.
    #[must_use]
    pub fn are_ours(headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).filter_map(|value| value.to_str().ok());
        values.any(|value| match Credentials::parse(value) {
            Ok(Credentials::Bearer(_)) => true,
            Ok(Credentials::Basic { password, .. }) => password.starts_with(secret::PREFIX),
            Err(_) => false,
        })
    }

    fn stored(&self, book: &Book, name: &str) -> Option<Stored> {
        if let Some(user) = book.user(name) {
            return Some(Stored { hash: user.hash.clone(), is_disabled: user.disabled });
        }
        let file = self.htpasswd()?;
        file.hash(name).map(|hash| Stored { hash: Hidden::new(hash.to_owned()), is_disabled: false })
    }

    /// Who presents the header, or nobody in particular without one. A token that has ended is accepted only
    /// where `also_ended`.
    pub async fn identify(
        &self,
        registry: &Registry,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        also_ended: bool,
    ) -> Result<Caller, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION);
        let Some(value) = values.next() else { return Ok(Caller::anonymous()) };
        // Of two, the one that passed the request on may have looked at the other.
        if values.next().is_some() {
            return Err(Refusal::Wrong);
        }
        let text = value.to_str().map_err(|_| Refusal::Wrong)?;
        match Credentials::parse(text).map_err(|_| Refusal::Wrong)? {
            Credentials::Basic { name, password } => {
                self.by_password(registry, &name, &password, address).await
            }
            Credentials::Bearer(token) if token.starts_with(secret::PREFIX) => {
                self.by_secret(registry, &token, address).await
            }
            Credentials::Bearer(token) => self.by_token(registry, &token, also_ended),
        }
    }

    /// Who has this name and password; a robot's token stands for both.
    pub async fn by_password(
        &self,
        registry: &Registry,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        if password.starts_with(secret::PREFIX) {
            return self.by_secret(registry, password, address).await;
        }
        let config = registry.config();
        let settings = &config.settings;
        let stored = self.stored(&registry.accounts(), name);
        if let Some(stored) = stored.as_ref().filter(|stored| !stored.is_disabled)
            && self.passwords.is_remembered(stored.hash.reveal(), password, settings)
        {
            return Ok(Caller::user(name, stored.hash.reveal()));
        }
        let known = stored.as_ref().map(|stored| stored.hash.reveal().as_str());
        if self.passwords.is_known_wrong(known, name, password) {
            return self.refuse(FIRST_DELAY, settings).await;
        }
        let attempt = self.begin(address, name, settings)?;
        self.outcomes.checked.add(1);
        let verdict = match &stored {
            Some(stored) => {
                let (hash, password) = (stored.hash.clone(), Hidden::new(password.to_owned()));
                let check = move || password::verify(hash.reveal(), password.reveal().as_bytes());
                self.passwords.check(check).await
            }
            None => self.waste(registry, name, password).await,
        };
        match (verdict, &stored) {
            (Verdict::Busy, _) => {
                attempt.was_right();
                self.outcomes.later.add(1);
                Err(Refusal::Later(Duration::from_secs(1)))
            }
            (Verdict::Right, Some(stored)) if !stored.is_disabled => {
                // It may have been changed while it was checked: then what was found out is of no use.
                let now = self.stored(&registry.accounts(), name);
                if now.is_none_or(|now| now.is_disabled || now.hash != stored.hash) {
                    return Err(Refusal::Wrong);
                }
                attempt.was_right();
                self.passwords.remember(stored.hash.reveal(), password, settings);
                Ok(Caller::user(name, stored.hash.reveal()))
            }
            (verdict, _) => {
                if verdict == Verdict::Wrong {
                    self.passwords.remember_wrong(known, name, password, settings);
                }
                self.failed(attempt, settings).await
            }
        }
    }

    /// What an unknown name costs: as much as a known one.
    async fn waste(&self, registry: &Registry, name: &str, password: &str) -> Verdict {
        let (decoys, book, file) = (Arc::clone(&self.decoys), registry.accounts(), self.htpasswd());
        let (name, password) = (name.to_owned(), Hidden::new(password.to_owned()));
        let check = move || {
            let kinds = book.hash_kinds().chain(file.iter().flat_map(|file| file.hash_kinds()));
            decoys.waste(&name, password.reveal().as_bytes(), kinds);
            false
        };
        self.passwords.check(check).await
    }

    /// The robot whose token this is.
    async fn by_secret(
        &self,
        registry: &Registry,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        let config = registry.config();
        let (book, now_ms) = (registry.accounts(), registry.now_ms());
        let parsed = secret::parse(text);
        let token = parsed.as_ref().and_then(|(id, secret)| {
            let token = book.token(*id).filter(|token| !token.is_expired(now_ms))?;
            secret.matches(token.hash.reveal()).then_some((*id, token))
        });
        // It costs next to nothing to check one.
        let Some((id, token)) = token else {
            // None can be guessed: a client that goes on with one that was revoked is no attack.
            let settings = &config.settings;
            if self.passwords.is_known_wrong(None, "", text) {
                return self.refuse(FIRST_DELAY, settings).await;
            }
            let attempt = self.begin(address, "", settings)?;
            self.passwords.remember_wrong(None, "", text, settings);
            return self.failed(attempt, settings).await;
        };
        registry.note_token_use(id, now_ms);
        Ok(Caller::robot(id, token))
    }

    /// Who holds a token of the token service.
    fn by_token(&self, registry: &Registry, token: &str, also_ended: bool) -> Result<Caller, Refusal> {
        let book = registry.accounts();
        let claims = self.verified.read(&book, token).ok_or(Refusal::Wrong)?;
        if claims.purpose != Use::Access {
            return Err(Refusal::Wrong);
        }
        if !claims.holds_at(registry.now_ms() / 1000) && !also_ended {
            return Err(Refusal::Expired);
        }
        let caller = self.holder(registry, &book, &claims).ok_or(Refusal::Wrong)?;
        Ok(Caller { claims: Some(claims), ..caller })
    }

    /// Who holds a refresh token.
    pub fn by_refresh_token(&self, registry: &Registry, token: &str) -> Result<Caller, Refusal> {
        let book = registry.accounts();
        let claims = self.verified.read(&book, token).ok_or(Refusal::Wrong)?;
        if claims.purpose != Use::Refresh || !claims.holds_at(registry.now_ms() / 1000) {
            return Err(Refusal::Wrong);
        }
        self.holder(registry, &book, &claims).ok_or(Refusal::Wrong)
    }

    /// Who a token is for, if that one still is as the token says.
    fn holder(&self, registry: &Registry, book: &Book, claims: &Claims) -> Option<Caller> {
        let caller = match claims.sub.split_once(':') {
            None if claims.sub.is_empty() => Caller::anonymous(),
            Some(("user", name)) => {
                let stored = self.stored(book, name).filter(|stored| !stored.is_disabled)?;
                Caller::user(name, stored.hash.reveal())
            }
            Some(("robot", number)) => {
                let (id, now_ms) = (u64::from_str_radix(number, 16).ok()?, registry.now_ms());
                let token = book.token(id).filter(|token| !token.is_expired(now_ms))?;
                registry.note_token_use(id, now_ms);
                Caller::robot(id, token)
            }
            _ => return None,
        };
        (caller.holder.mark == claims.mark).then_some(caller)
    }

    /// Signs a token. None: there is no key, which is made before the first token.
    pub fn sign(&self, book: &Book, claims: &Claims) -> Option<String> {
        let token = self.verified.keyring(book).sign(claims)?;
        self.outcomes.tokens.add(1);
        Some(token)
    }

    /// Writes what became of logins.
    pub fn expose(&self, page: &mut Exposition) {
        let Outcomes { wrong, later, checked, tokens } = &self.outcomes;
        let name = "wharfinger_logins_failed_total";
        page.family(
            name,
            Kind::Counter,
            "Logins that were wrong, or not looked at since there were too many.",
        );
        page.sample(name, &[("reason", "wrong")], wrong.get());
        page.sample(name, &[("reason", "too_many")], later.get());
        let help = "Passwords that were checked; those that were found right a short time ago are not.";
        page.counter("wharfinger_password_checks_total", help, checked.get());
        page.counter("wharfinger_tokens_signed_total", "Bearer tokens that were handed out.", tokens.get());
    }

    fn begin(
        &self,
        address: Option<IpAddr>,
        name: &str,
        settings: &Settings,
    ) -> Result<Attempt<'_>, Refusal> {
        self.failures.begin(address, name, settings, Instant::now()).map_err(|wait| {
            self.outcomes.later.add(1);
            Refusal::Later(wait)
        })
    }

    async fn failed(&self, attempt: Attempt<'_>, settings: &Settings) -> Result<Caller, Refusal> {
        let delay = attempt.delay(settings);
        // What it waits for is no check.
        drop(attempt);
        self.refuse(delay, settings).await
    }

    async fn refuse(&self, delay: Duration, settings: &Settings) -> Result<Caller, Refusal> {
        self.outcomes.wrong.add(1);
        // Where too many wait, this one is told so at once. It was counted, so it is no way to more tries.
        let _waiting = self.delayed.begin(settings).ok_or(Refusal::Later(Duration::from_secs(1)))?;
        tokio::time::sleep(delay).await;
        Err(Refusal::Wrong)
    }
}

fn robot(token: &TokenEntry) -> Principal {
    // What was written was read from such words.
    let can = Actions::parse(&token.can.join(",")).unwrap_or_default();
    let robot = Robot { name: token.name.to_string(), repositories: token.repositories.clone(), can };
    Principal::Robot(Arc::new(robot))
}

/// What a token remembers of its holder's secret: enough to see that it is another now, and nothing that
/// helps to guess it, since what is hashed is salted or random.
fn mark_of(hash: &[u8]) -> String {
    let digest = Sha256::digest(hash);
    base16ct::lower::encode_string(&digest[..16])
}
