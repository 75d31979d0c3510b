//! `/token`: tokens for those who have credentials, and for everybody where everybody may do something
//! (Distribution's "Token Authentication Specification" for GET, its "`OAuth2` Token Authentication" for
//! POST).
//!
//! A token is for the scopes that were asked for, as far as its holder may have them. What its holder may do
//! with it is asked of the policy at each request all the same.

use super::body;
use super::call::Call;
use super::challenge::password_challenge;
use super::error::{ApiError, Code};
use super::login::{Caller, Holder, Refusal};
use super::query::Query;
use super::reply::blocking;
use super::rights::{too_many_logins, unauthorized};
use crate::auth::Principal;
use crate::auth::bearer::{Claims, SERVICE, Use};
use crate::auth::scope::{Grant, Scopes};
use crate::random;
use crate::registry::rfc3339;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Payload;
use serde_json::json;

/// What a client asks for, by GET or by POST.
struct Asked {
    caller: Caller,
    scopes: Scopes,
    /// Whether it wants a token to get others with.
    wants_refresh: bool,
    /// The refresh token that it came with.
    refresh: Option<String>,
    /// Whether the answer names the scopes that were granted (RFC 6749, section 5.1).
    names_scopes: bool,
}

/// GET and POST.
pub async fn token(call: &Call, body: &mut Payload) -> Result<HttpResponse, ApiError> {
    let asked = if call.request.method() == Method::POST {
        asked_by_post(call, body).await?
    } else {
        asked_by_get(call).await?
    };
    if asked.caller.principal == Principal::Anonymous && !call.policy.anonymous_may_anything() {
        let message = "log in with name and password: nobody gets a token here without";
        return Err(login_needed(message));
    }
    answer(call, asked).await
}

/// The credentials are in the request's head.
async fn asked_by_get(call: &Call) -> Result<Asked, ApiError> {
    let caller = call
        .state
        .login
        .identify(&call.state.registry, call.request.headers(), call.origin.address, false)
        .await
        .map_err(refused)?;
    // What is only for some scopes would become one for others.
    if caller.is_scoped() {
        return Err(login_needed("a token is got with name and password, not with a token"));
    }
    expect_service(call.query.get("service"))?;
    Ok(Asked {
        caller,
        scopes: scopes(call.query.get_all("scope"))?,
        wants_refresh: call.query.get("offline_token") == Some("true"),
        refresh: None,
        names_scopes: false,
    })
}

/// The credentials are in the form that is the body.
async fn asked_by_post(call: &Call, body: &mut Payload) -> Result<Asked, ApiError> {
    let config = call.state.registry.config();
    let form = body::form(body, &config.settings, &call.state.limits).await?;
    let form = Query::parse_form(&form)?;
    let need = |key: &str| {
        form.get(key).filter(|value| !value.is_empty()).ok_or_else(|| {
            ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, &format!("the form lacks {key}"))
        })
    };
    expect_service(form.get("service"))?;
    let (login, registry) = (&call.state.login, &call.state.registry);
    let (caller, refresh) = match need("grant_type")? {
        "password" => {
            let (name, password) = (need("username")?, need("password")?);
            let found = login.by_password(registry, name, password, call.origin.address).await;
            (found, None)
        }
        "refresh_token" => {
            let token = need("refresh_token")?;
            (login.by_refresh_token(registry, token), Some(token.to_owned()))
        }
        _ => {
            let message = "grant_type: expected password or refresh_token";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, message));
        }
    };
    Ok(Asked {
        caller: caller.map_err(refused)?,
        scopes: scopes(form.get_all("scope"))?,
        wants_refresh: form.get("access_type") == Some("offline"),
        refresh,
        names_scopes: true,
    })
}

fn expect_service(service: Option<&str>) -> Result<(), ApiError> {
    match service {
        None | Some("" | SERVICE) => Ok(()),
        Some(_) => {
            let message = format!("service: tokens are made for {SERVICE} alone");
            Err(ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, &message))
        }
    }
}

fn scopes<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Scopes, ApiError> {
    Scopes::parse(texts)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, &error.to_string()))
}

async fn answer(call: &Call, asked: Asked) -> Result<HttpResponse, ApiError> {
    let registry = call.registry();
    // The first token of a registry makes the first key.
    blocking(move || registry.ensure_signing_key()).await?;
    let (registry, login) = (&call.state.registry, &call.state.login);
    let (book, settings) = (registry.accounts(), registry.config().settings.clone());
    let principal = &asked.caller.principal;
    let Holder { sub, mark, ends_at_ms } = &asked.caller.holder;
    let now_ms = registry.now_ms();
    let life_secs = |max_secs: u64| {
        let left_secs = ends_at_ms.map(|ends_at_ms| ends_at_ms.saturating_sub(now_ms) / 1000);
        left_secs.map_or(max_secs, |left_secs| left_secs.min(max_secs))
    };
    let claims =
        |purpose, life_secs| Claims::new(purpose, sub, mark, now_ms / 1000, life_secs, random::number());
    let grants = asked.scopes.granted(|name| call.policy.actions(principal, name.as_str()));
    let expires_in = life_secs(settings.token_life_secs);
    let scope = scope_of(&grants);
    let mut access = claims(Use::Access, expires_in);
    access.access = grants;
    let sign = |claims: &Claims| {
        let unsigned = || ApiError::internal("the key to sign with is gone".to_owned());
        login.sign(&book, claims).ok_or_else(unsigned)
    };
    let token = sign(&access)?;
    let mut body = json!({
        "token": token,
        "access_token": token,
        "expires_in": expires_in,
        "issued_at": rfc3339(access.iat * 1000),
    });
    if asked.names_scopes {
        body["token_type"] = json!("Bearer");
        body["scope"] = json!(scope);
    }
    if let Some(refresh) = asked.refresh {
        // It stays as good as it was: clients keep the one that they are told.
        body["refresh_token"] = json!(refresh);
    } else if asked.wants_refresh && matches!(principal, Principal::User(_)) {
        // A robot's secret is kept by its client: it lives as long as it was meant to.
        let refresh = claims(Use::Refresh, life_secs(settings.refresh_token_life_secs));
        body["refresh_token"] = json!(sign(&refresh)?);
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(body.to_string()))
}

/// The scopes of grants, as one text.
fn scope_of(grants: &[Grant]) -> String {
    let one = |grant: &Grant| format!("{}:{}:{}", grant.kind, grant.name, grant.actions.join(","));
    grants.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn refused(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Later(wait) => too_many_logins(wait),
        Refusal::Wrong | Refusal::Expired => {
            login_needed("name, password or token is not, or not any more, right")
        }
    }
}

/// Here it is always the password that is asked for: the token service is where tokens come from.
fn login_needed(message: &str) -> ApiError {
    unauthorized(message, &password_challenge())
}
