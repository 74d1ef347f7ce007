//! Who calls, and what they may do. [`authenticate`] stands before every route that is not public; a handler names the
//! scope it needs by the type of its caller, so that none can forget to ask.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::address::Address;
use super::error::{ApiError, Code, Result};
use super::idempotency::Attempt;
use super::state::Api;
use super::usage::path_shown;
use crate::config::Signup;
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, Scope, presented_hash};
use crate::domain::ids::{AccountId, ApiKeyId};
use crate::store::accounts;
use crate::store::usage::Call;

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
        if accounts::list_after(&mut conn, None, 1).await?.first() == Some(&self.account) {
            return Ok(());
        }
        Err(ApiError::new(Code::Forbidden, "Only the operator's account, the first one, may change the whole system."))
    }
}

/// Finds the caller of a request, counts the call, and hands both on.
pub(super) async fn authenticate(
    State(api): State<Api>,
    address: Address,
    mut request: Request,
    next: Next,
) -> Response {
    let now = api.now();
    let Presented { caller, client_kind, hash } = match caller_of(&api, address, request.headers(), now).await {
        Ok(presented) => presented,
        Err(error) => return error.into_response(),
    };
    let account = caller.account;
    let standing = api.calls.count(hash, now);
    let mut response = match standing.is_over() {
        true => standing.refusal().into_response(),
        false => {
            note_use(&api, &caller, client_kind, &request, now);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
    };
    standing.write(response.headers_mut());
    // For the log line.
    response.extensions_mut().insert(account);
    response
}

/// A key that was presented and is valid.
struct Presented {
    caller: Caller,
    client_kind: ClientKind,
    hash: String,
}

/// Who fails too often from one address is told to wait, and the database is not asked any more. Keys that were used here
/// within the last minute go on working from it: behind a proxy that we do not trust, or a company's router, sits more
/// than the one who fails.
async fn caller_of(api: &Api, address: Address, headers: &HeaderMap, now: Timestamp) -> Result<Presented> {
    let presented = presented(headers);
    let is_known = presented.as_deref().is_some_and(|hash| api.calls.look(hash, now).is_some());
    let failed = api.failed_authentications.look(&address, now).filter(|failed| failed.is_full());
    if let Some(failed) = failed.filter(|_| !is_known) {
        return Err(failed.refusal());
    }
    if let Some(hash) = presented {
        let mut conn = api.app.store.read().await?;
        if let Some(key) = accounts::find_key(&mut conn, &hash).await? {
            let caller = Caller { account: key.account_id, key: key.id, scopes: key.scopes, attempt: None };
            return Ok(Presented { caller, client_kind: key.client_kind, hash });
        }
    }
    api.failed_authentications.count(address, now);
    Err(ApiError::new(Code::Unauthorized, "Send a valid key: Authorization: Bearer ak_live_…."))
}

/// The hash of the key in the header, if there is one that has the form of a key.
fn presented(headers: &HeaderMap) -> Option<String> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") { presented_hash(key.trim()) } else { None }
}

fn note_use(api: &Api, caller: &Caller, client_kind: ClientKind, request: &Request, now: Timestamp) {
    let route = request.extensions().get::<MatchedPath>().map(path_shown).unwrap_or_default();
    let method = request.method().as_str().to_owned();
    let call = Call { account_id: caller.account, day: now.utc_day(), client_kind, method, route };
    api.app.usage.note(caller.key, call, now);
}

fn allowed(parts: &Parts, scope: Scope) -> Result<Caller> {
    let caller = parts.extensions.get::<Caller>().cloned();
    // A route without `authenticate` before it would be a fault of ours, and is closed.
    let caller = caller.ok_or_else(|| ApiError::new(Code::Unauthorized, "This route needs a key."))?;
    caller.require(scope)?;
    // Only whoever has the scope of a call is told what it was answered: some answers hold a secret.
    if let Some(attempt) = &caller.attempt {
        attempt.check_unanswered()?;
    }
    Ok(caller)
}
