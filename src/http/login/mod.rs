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
use crate::registry::{Book, Registry};
use actix_web::http::header::{self, HeaderMap};
use failures::{Delayed, Failures};
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
    /// Whether there were credentials.
    pub is_known: bool,
}

impl Caller {
    /// Somebody without credentials.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self { principal: Principal::Anonymous, claims: None, is_known: false }
    }

    fn known(principal: Principal) -> Self {
        Self { principal, claims: None, is_known: true }
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
                self.by_password(registry, &name, &password, address).await.map(Caller::known)
            }
            Credentials::Bearer(token) if token.starts_with(secret::PREFIX) => {
                self.by_secret(registry, &token, address).await.map(Caller::known)
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
    ) -> Result<Principal, Refusal> {
        if password.starts_with(secret::PREFIX) {
            return self.by_secret(registry, password, address).await;
        }
        let config = registry.config();
        let settings = &config.settings;
        let stored = self.stored(&registry.accounts(), name);
        if let Some(stored) = stored.as_ref().filter(|stored| !stored.is_disabled)
            && self.passwords.is_remembered(stored.hash.reveal(), password)
        {
            return Ok(Principal::User(name.to_owned()));
        }
        self.expect_turn(address, settings)?;
        self.outcomes.checked.add(1);
        let verdict = match &stored {
            Some(stored) => {
                let (hash, password) = (stored.hash.clone(), Hidden::new(password.to_owned()));
                let check = move || password::verify(hash.reveal(), password.reveal().as_bytes());
                self.passwords.check(check).await
            }
            None => self.waste(registry, name, password).await,
        };
        match (verdict, stored) {
            (Verdict::Busy, _) => {
                self.outcomes.later.add(1);
                Err(Refusal::Later(Duration::from_secs(1)))
            }
            (Verdict::Right, Some(stored)) if !stored.is_disabled => {
                // It may have been changed while it was checked: then what was found out is of no use.
                let now = self.stored(&registry.accounts(), name);
                if now.is_none_or(|now| now.is_disabled || now.hash != stored.hash) {
                    return Err(Refusal::Wrong);
                }
                self.passwords.remember(stored.hash.reveal(), password, settings);
                Ok(Principal::User(name.to_owned()))
            }
            _ => self.failed(address, settings).await,
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
    ) -> Result<Principal, Refusal> {
        let config = registry.config();
        let (book, now_ms) = (registry.accounts(), registry.now_ms());
        let parsed = secret::parse(text);
        let token = parsed.as_ref().and_then(|(id, secret)| {
            let token = book.token(*id).filter(|token| !token.is_expired(now_ms))?;
            secret.matches(token.hash.reveal()).then_some((*id, token))
        });
        // It costs next to nothing to check one, and none can be guessed.
        let Some((id, token)) = token else { return self.failed(address, &config.settings).await };
        registry.note_token_use(id, now_ms);
        Ok(robot(token))
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
        let principal = self.holder(registry, &book, &claims).ok_or(Refusal::Wrong)?;
        Ok(Caller { principal, claims: Some(claims), is_known: true })
    }

    /// The principal of a refresh token.
    pub fn by_refresh_token(&self, registry: &Registry, token: &str) -> Result<Principal, Refusal> {
        let book = registry.accounts();
        let claims = self.verified.read(&book, token).ok_or(Refusal::Wrong)?;
        if claims.purpose != Use::Refresh || !claims.holds_at(registry.now_ms() / 1000) {
            return Err(Refusal::Wrong);
        }
        self.holder(registry, &book, &claims).ok_or(Refusal::Wrong)
    }

    /// Who a token is for, if that one still is as the token says.
    fn holder(&self, registry: &Registry, book: &Book, claims: &Claims) -> Option<Principal> {
        match claims.sub.split_once(':') {
            None => claims.sub.is_empty().then_some(Principal::Anonymous),
            Some(("user", name)) => {
                let stored = self.stored(book, name)?;
                let is_same = !stored.is_disabled && mark_of(stored.hash.reveal().as_bytes()) == claims.mark;
                is_same.then(|| Principal::User(name.to_owned()))
            }
            Some(("robot", name)) => {
                let now_ms = registry.now_ms();
                let (id, token) = book.tokens().find(|(_, token)| token.name.as_str() == name)?;
                let is_same = !token.is_expired(now_ms) && mark_of(token.hash.reveal()) == claims.mark;
                is_same.then(|| {
                    registry.note_token_use(id, now_ms);
                    robot(token)
                })
            }
            Some(_) => None,
        }
    }

    /// What a new token for a principal says of it: the holder, the mark of the secret, and until when the
    /// principal is one, in milliseconds since the epoch.
    pub fn describe(&self, book: &Book, principal: &Principal) -> Option<(String, String, Option<u64>)> {
        match principal {
            Principal::Anonymous => Some((String::new(), String::new(), None)),
            Principal::User(name) => {
                let stored = self.stored(book, name).filter(|stored| !stored.is_disabled)?;
                Some((format!("user:{name}"), mark_of(stored.hash.reveal().as_bytes()), None))
            }
            Principal::Robot(robot) => {
                let (_, token) = book.tokens().find(|(_, token)| token.name.as_str() == robot.name)?;
                let mark = mark_of(token.hash.reveal());
                Some((format!("robot:{}", robot.name), mark, token.expires_at_ms))
            }
        }
    }

    /// Signs a token. None: there is no key, which is made before the first token.
    pub fn sign(&self, book: &Book, claims: &Claims) -> Option<String> {
        self.outcomes.tokens.add(1);
        self.verified.keyring(book).sign(claims)
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

    fn expect_turn(&self, address: Option<IpAddr>, settings: &Settings) -> Result<(), Refusal> {
        let Some(wait) = self.failures.wait(address, settings, Instant::now()) else { return Ok(()) };
        self.outcomes.later.add(1);
        Err(Refusal::Later(wait))
    }

    async fn failed(&self, address: Option<IpAddr>, settings: &Settings) -> Result<Principal, Refusal> {
        // Also where what was wrong costs nothing to check, there is an end to it.
        self.expect_turn(address, settings)?;
        self.outcomes.wrong.add(1);
        let delay = self.failures.note(address, settings, Instant::now());
        // Where too many wait, this one is told so at once. It was counted, so it is no way to more tries.
        let _waiting = self.delayed.begin(settings).ok_or(Refusal::Later(Duration::from_secs(1)))?;
        tokio::time::sleep(delay).await;
        Err(Refusal::Wrong)
    }
}

fn robot(token: &crate::registry::TokenEntry) -> Principal {
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
