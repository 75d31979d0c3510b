//! What each end-point asks of those who call it.
//!
//! There is one table, and it has no default: an end-point that does not stand in it does not compile. What
//! the policy does not allow to anybody is not there for them either: a repository that may not be read is
//! answered like one that does not exist.

use super::challenge::challenge;
use super::error::{ApiError, Code};
use super::login::{Caller, Refusal};
use super::origin::Origin;
use super::route::Route;
use crate::auth::scope;
use crate::auth::{Action, Policy, Principal};
use crate::config::Config;
use crate::oci::RepositoryName;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use std::time::Duration;

/// What a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right<'a> {
    /// Nothing: it tells nobody anything of what the registry holds.
    Nothing,
    /// To be somebody who may do something; what is listed is only what they may read.
    ToBeLetIn,
    /// The same, for lists of repositories.
    ToList,
    /// To be let in by credentials where not all is open: clients find out here that they need some.
    ToHaveLoggedIn,
    /// An action on a repository.
    On(&'a RepositoryName, Action),
    /// To run the registry: `admin` on `**`; or, where everybody may do everything, to be on its machine. The
    /// handlers ask it, since it depends on the connection as well.
    ToRunIt,
}

/// The methods of an end-point, each with the action on the end-point's repository that it asks for.
pub type Methods = &'static [(Method, Action)];

/// The methods of each end-point. What stands here is all there is.
#[must_use]
pub fn methods(route: &Route) -> Methods {
    const READ: Methods = &[(Method::GET, Action::Pull), (Method::HEAD, Action::Pull)];
    const MANIFEST: Methods = &[
        (Method::GET, Action::Pull),
        (Method::HEAD, Action::Pull),
        (Method::PUT, Action::Create),
        (Method::DELETE, Action::Delete),
    ];
    const BLOB: Methods =
        &[(Method::GET, Action::Pull), (Method::HEAD, Action::Pull), (Method::DELETE, Action::Delete)];
    const UPLOADS: Methods = &[(Method::POST, Action::Create)];
    const UPLOAD: Methods = &[
        (Method::GET, Action::Create),
        (Method::HEAD, Action::Create),
        (Method::PATCH, Action::Create),
        (Method::PUT, Action::Create),
        (Method::DELETE, Action::Create),
    ];
    const TOKEN: Methods =
        &[(Method::GET, Action::Pull), (Method::HEAD, Action::Pull), (Method::POST, Action::Pull)];
    match route {
        Route::Live
        | Route::Ready
        | Route::Metrics
        | Route::Base
        | Route::Catalog
        | Route::Extensions(_)
        | Route::TagHistory(..)
        | Route::Repositories
        | Route::Repository(_)
        | Route::Audit
        | Route::Tags(_)
        | Route::Referrers(..) => READ,
        Route::Manifest(..) | Route::ImpossibleTag(..) => MANIFEST,
        Route::Blob(..) => BLOB,
        Route::Uploads(_) => UPLOADS,
        Route::Upload(..) | Route::ImpossibleUpload(_) => UPLOAD,
        Route::Token => TOKEN,
    }
}

/// What a request to an end-point needs, where the end-point has the method for that action.
#[must_use]
pub fn right(route: &Route, action: Action) -> Right<'_> {
    match route {
        // The token service checks what it is given itself: credentials are what it is for.
        Route::Live | Route::Ready | Route::Token => Right::Nothing,
        Route::Metrics | Route::Audit => Right::ToRunIt,
        Route::Base => Right::ToHaveLoggedIn,
        Route::Extensions(None) => Right::ToBeLetIn,
        Route::Catalog | Route::Repositories => Right::ToList,
        Route::Extensions(Some(name))
        | Route::TagHistory(name, _)
        | Route::Repository(name)
        | Route::Tags(name)
        | Route::Manifest(name, _)
        | Route::ImpossibleTag(name, _)
        | Route::Blob(name, _)
        | Route::Uploads(name)
        | Route::Upload(name, _)
        | Route::ImpossibleUpload(name)
        | Route::Referrers(name, _) => Right::On(name, action),
    }
}

/// Everything that a decision needs.
pub struct Question<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The rules.
    pub policy: &'a Policy,
    /// Whether nobody has credentials that would make a difference: then nobody is asked for any.
    pub asks_nobody: bool,
    /// From where.
    pub origin: &'a Origin,
    /// The configuration.
    pub config: &'a Config,
}

impl Question<'_> {
    /// Whether the caller has the right, or what it is told. A repository that may not be read is no refusal
    /// here: what is read for the caller is read through a view that does not have it.
    pub fn decide(&self, right: &Right<'_>) -> Result<(), ApiError> {
        let Self { caller, policy, .. } = self;
        // Who presents something is taken at that word: a token for less is for less here, too.
        if policy.is_open() && !caller.is_known() {
            return Ok(());
        }
        let is_let_in = caller.principal != Principal::Anonymous || policy.anonymous_may_anything();
        if self.asks_nobody {
            return match right {
                Right::Nothing | Right::ToRunIt => Ok(()),
                Right::On(name, action) if policy.allows(&caller.principal, *action, name.as_str()) => Ok(()),
                Right::On(name, action) => Err(self.denied(name, *action)),
                _ if is_let_in => Ok(()),
                _ => Err(self.denied_all()),
            };
        }
        match right {
            Right::Nothing | Right::ToRunIt => Ok(()),
            Right::ToHaveLoggedIn if caller.is_known() && is_let_in => Ok(()),
            Right::ToBeLetIn if is_let_in => Ok(()),
            Right::ToHaveLoggedIn | Right::ToBeLetIn => Err(self.login_needed(None, None)),
            Right::ToList => {
                let scope = scope_of(right);
                match (is_let_in, caller.covers_catalog()) {
                    (true, true) => Ok(()),
                    (true, false) => Err(self.login_needed(scope.as_deref(), Some("insufficient_scope"))),
                    (false, _) => Err(self.login_needed(scope.as_deref(), None)),
                }
            }
            Right::On(name, action) => self.decide_on(name, *action),
        }
    }

    fn decide_on(&self, name: &RepositoryName, action: Action) -> Result<(), ApiError> {
        let Self { caller, policy, .. } = self;
        let is_allowed = policy.allows(&caller.principal, action, name.as_str());
        if is_allowed && caller.covers(action, name) {
            return Ok(());
        }
        let error = caller.is_scoped().then_some("insufficient_scope");
        if is_allowed || caller.principal == Principal::Anonymous {
            let scope = scope_of(&Right::On(name, action));
            return Err(self.login_needed(scope.as_deref(), error));
        }
        if action == Action::Pull {
            return Ok(());
        }
        Err(self.denied(name, action))
    }

    /// 403: whatever else this caller presents, the answer is the same.
    fn denied(&self, name: &RepositoryName, action: Action) -> ApiError {
        let message = format!(
            "{} may not {} {name}; who may is said by the [[access]] rules of the registry",
            self.caller.principal,
            verb(action)
        );
        ApiError::new(StatusCode::FORBIDDEN, Code::Denied, &message)
    }

    fn denied_all(&self) -> ApiError {
        let message =
            format!("{} may do nothing here; the [[access]] rules say who may", self.caller.principal);
        ApiError::new(StatusCode::FORBIDDEN, Code::Denied, &message)
    }

    /// What those are told who do not run the registry.
    #[must_use]
    pub fn refuse_ruling(&self) -> ApiError {
        if self.caller.principal == Principal::Anonymous || self.caller.is_scoped() {
            return self.login_needed(None, self.caller.is_scoped().then_some("insufficient_scope"));
        }
        let message = format!(
            "{} may not see this; it takes admin on all repositories (\"**\"), with a password or a robot's \
             token",
            self.caller.principal
        );
        ApiError::new(StatusCode::FORBIDDEN, Code::Denied, &message)
    }

    /// 401: with credentials, or with others, it may be another answer.
    #[must_use]
    pub fn login_needed(&self, scope: Option<&str>, error: Option<&str>) -> ApiError {
        let message = match error {
            Some(_) if self.caller.principal != Principal::Anonymous => {
                "the token is not for this: get one for the scope that WWW-Authenticate names"
            }
            // Also to one who holds the token that everybody gets.
            _ => "log in first: `docker login` with this registry's host, or send credentials",
        };
        unauthorized(message, &challenge(self.origin, self.config, scope, error))
    }
}

/// What is told to one whose credentials do not let them in.
#[must_use]
pub fn refuse(refusal: Refusal, right: &Right<'_>, origin: &Origin, config: &Config) -> ApiError {
    let message = match refusal {
        Refusal::Later(wait) => return too_many_logins(wait),
        Refusal::Expired => "the token's time is over: get another one",
        Refusal::Wrong => "these credentials are not, or not any more, right",
    };
    unauthorized(message, &challenge(origin, config, scope_of(right).as_deref(), Some("invalid_token")))
}

/// 429: the same may be right so much later.
#[must_use]
pub fn too_many_logins(wait: Duration) -> ApiError {
    let message = "too many logins that are wrong or wait to be checked: try again later";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message)
        .with_header(RETRY_AFTER, wait.as_secs().max(1).to_string())
}

/// 401, with what the client is to do.
#[must_use]
pub fn unauthorized(message: &str, challenge: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
        .with_header(WWW_AUTHENTICATE, challenge.to_owned())
}

/// The scope of a token that the right takes; none: it takes no certain one.
fn scope_of(right: &Right<'_>) -> Option<String> {
    match right {
        Right::On(name, action) => {
            // Who pushes asks what is there already.
            let reads = if matches!(action, Action::Create | Action::Push) { "pull," } else { "" };
            Some(format!("repository:{name}:{reads}{}", scope::word(*action)))
        }
        Right::ToList => Some("registry:catalog:*".to_owned()),
        Right::Nothing | Right::ToBeLetIn | Right::ToHaveLoggedIn | Right::ToRunIt => None,
    }
}

/// What one does by an action, in a sentence.
const fn verb(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull from",
        Action::Create | Action::Push => "push to",
        Action::Delete => "delete from",
        Action::Admin => "administer",
    }
}
