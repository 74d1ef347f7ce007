//! Who calls, and what they may do. [`authenticate`] stands before every route that is not public; a handler names the
//! scope it needs by the type of its caller, so that none can forget to ask.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, Code, Result};
use super::idempotency::Attempt;
use super::state::Api;
use crate::config::Signup;
use crate::domain::api_key::{Scope, presented_hash};
use crate::domain::ids::{AccountId, ApiKeyId};
use crate::store::accounts;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) key: ApiKeyId,
    pub(super) scopes: Vec<Scope>,
    /// Set where the call carries an `Idempotency-Key`.
    pub(super) attempt: Option<Arc<Attempt>>,
}

macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident = $scope:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Caller);

        impl FromRequestParts<Api> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self> {
                allowed(parts, Scope::$scope).map(Self)
            }
        }
    )+};
}

callers! {
    /// May read.
    MayRead = Read,
    /// May create and change.
    MayWrite = Write,
    /// May send.
    MaySend = Send,
    /// May upload scripts and bind them.
    MayExtend = Extensions,
    /// May manage keys.
    MayAdmin = Admin,
}

impl Caller {
    /// Refuses a key without `scope`.
    pub(super) fn require(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(ApiError::new(
            Code::Forbidden,
            format!("This key does not have the scope {scope:?}, which the call needs.", scope = scope.as_str()),
        ))
    }

    /// Refuses whoever may not change what is everybody's. Where anybody can sign up, every account has a key with all
    /// scopes: the system is then the first account's, which the operator made.
    pub(super) async fn require_system(&self, api: &Api) -> Result<()> {
        self.require(Scope::Admin)?;
        if api.app.config.signup == Signup::Closed {
            return Ok(());
        }
        let mut conn = api.app.store.read().await?;
        if accounts::list(&mut conn).await?.first() == Some(&self.account) {
            return Ok(());
        }
        Err(ApiError::new(Code::Forbidden, "Only the operator's account, the first one, may change the whole system."))
    }
}

/// Finds the caller of a request, counts the call, and hands both on.
pub(super) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let caller = match caller_of(&api, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let (account, now) = (caller.account, api.now());
    let mut response = match api.calls.count(caller.key, now) {
        Ok(standing) => {
            api.note_use(caller.key, now);
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            standing.write(response.headers_mut());
            response
        }
        Err((error, standing)) => {
            let mut response = error.into_response();
            standing.write(response.headers_mut());
            response
        }
    };
    // For the log line.
    response.extensions_mut().insert(account);
    response
}

async fn caller_of(api: &Api, headers: &HeaderMap) -> Result<Caller> {
    let refused = || {
        let message = "Send a valid key: Authorization: Bearer ak_live_….";
        ApiError::new(Code::Unauthorized, message)
    };
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused());
    }
    let hash = presented_hash(key.trim()).ok_or_else(refused)?;
    let mut conn = api.app.store.read().await?;
    let key = accounts::find_key(&mut conn, &hash).await?.ok_or_else(refused)?;
    Ok(Caller { account: key.account_id, key: key.id, scopes: key.scopes, attempt: None })
}

fn allowed(parts: &Parts, scope: Scope) -> Result<Caller> {
    let caller = parts.extensions.get::<Caller>().cloned();
    // A route without `authenticate` before it would be a fault of ours, and is closed.
    let caller = caller.ok_or_else(|| ApiError::new(Code::Unauthorized, "This route needs a key."))?;
    caller.require(scope)?;
    Ok(caller)
}
