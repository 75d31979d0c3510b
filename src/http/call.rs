//! A request on its way to its answer, and what its caller may.

use super::admit::decisive;
use super::error::{ApiError, Code};
use super::login::Caller;
use super::origin::Origin;
use super::query::Query;
use super::rights::Question;
use super::state::{Audience, State};
use crate::auth::{Action, Policy, Principal, Seeing};
use crate::config::Config;
use crate::oci::RepositoryName;
use crate::registry::{Actor, Registry, Sight, View};
use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use std::sync::{Arc, OnceLock};

/// A request whose path and query are read.
pub struct Call {
    /// What everything is answered from.
    pub state: Data<State>,
    /// Method and headers.
    pub request: HttpRequest,
    /// The query's parameters.
    pub query: Query,
    /// Whom the listener is for.
    pub audience: Audience,
    /// Who calls.
    pub caller: Caller,
    /// What the caller may.
    pub policy: Arc<Policy>,
    /// Whether nobody has credentials that would make a difference.
    pub asks_nobody: bool,
    /// From where the request comes.
    pub origin: Origin,
    /// The id that the request is answered and logged with.
    pub id: String,
}

/// What a caller may read, by the policy.
struct MayPull {
    policy: Arc<Policy>,
    principal: Principal,
    /// Where lists have to look, made when one asks: most requests are no lists.
    seeing: OnceLock<Seeing>,
    /// What the caller's token is for, where that is asked, too.
    caller: Option<Caller>,
}

impl Sight for MayPull {
    fn sees(&self, name: &RepositoryName) -> bool {
        self.policy.allows(&self.principal, Action::Pull, name.as_str())
            && self.caller.as_ref().is_none_or(|caller| caller.covers(Action::Pull, name))
    }

    fn seek(&self, from: &str) -> Option<String> {
        let seeing = self.seeing.get_or_init(|| self.policy.may_see(&self.principal));
        seeing.seek(from).map(str::to_owned)
    }
}

impl Call {
    /// The registry.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.state.registry)
    }

    /// The registry as the caller sees it: all that is read for a caller is read here.
    #[must_use]
    pub fn view(&self) -> View {
        self.view_by(None)
    }

    /// The same, less what the caller's token is not for: of repositories that the request is not itself
    /// about, nobody else has asked that.
    #[must_use]
    pub fn view_by_token(&self) -> View {
        self.view_by(Some(self.caller.clone()))
    }

    fn view_by(&self, caller: Option<Caller>) -> View {
        let (policy, principal) = (Arc::clone(&self.policy), self.caller.principal.clone());
        let sight = MayPull { policy, principal, seeing: OnceLock::new(), caller };
        View::new(self.registry(), Arc::new(sight))
    }

    /// Whether the caller may do something to a repository.
    #[must_use]
    pub fn may(&self, action: Action, name: &RepositoryName) -> bool {
        self.policy.allows(&self.caller.principal, action, name.as_str()) && self.caller.covers(action, name)
    }

    /// Whether the caller runs the registry as a whole.
    #[must_use]
    pub fn rules_registry(&self) -> bool {
        self.policy.rules_registry(&self.caller.principal) && !self.caller.is_scoped()
    }

    /// What the caller is told who may not do something.
    #[must_use]
    pub fn question<'a>(&'a self, config: &'a Config) -> Question<'a> {
        let Self { caller, policy, asks_nobody, origin, .. } = self;
        Question { caller, policy, asks_nobody: *asks_nobody, origin, config }
    }

    /// Who calls, for what is remembered of it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let (who, request_id) = (self.caller.principal.name(), Some(self.id.clone()));
        Actor { who, address: self.origin.address, request_id }
    }

    /// Whether only the head of the answer is wanted.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.request.method() == Method::HEAD
    }

    /// A header's value. One that is not visible ASCII is as good as none.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a header that decides what the body is, or where it belongs.
    pub fn decisive_header(
        &self,
        name: &HeaderName,
        status: StatusCode,
        code: Code,
    ) -> Result<Option<&str>, ApiError> {
        decisive(self.request.headers(), name, status, code)
    }
}
