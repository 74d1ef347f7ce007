//! `Idempotency-Key`: a mutating call that is made again does nothing and is given the first answer, byte for byte.
//!
//! [`once`] stands before every keyed route. It looks the key up, hands the handler an [`Attempt`] by its caller, and
//! afterwards stores what no transaction of the handler has stored: refusals, and answers of calls that write nothing.
//! A handler that writes ends in [`Caller::commit`], which puts the answer into the write's own transaction: a crash
//! can't separate the two. Two nodes that get the same key at once both begin, and the one that commits second finds the
//! first one's answer, undoes its own work and gives that.
//!
//! Not stored, because the same call may fare better a moment later, or with another key of the account: 5xx, and refusals
//! that say "not you", "not now" or "too much". An answer is given again where the handler names the scope that it needs.

mod attempt;
mod fingerprint;
mod running;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(super) use attempt::Attempt;
use attempt::Before;
use fingerprint::Fingerprint;
pub(super) use running::Running;

use super::answer::Answer;
use super::auth::Caller;
use super::error::{ApiError, Code, Result};
use super::finish::shape;
use super::state::Api;
use super::{LARGEST_BODY, LARGEST_UPLOAD, is_upload};
use crate::store::idempotent_answers::{self as answers, KeyOf, Stored};
use crate::store::{Dialect, StoreError};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;
/// For how long an answer is given again.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Answers of calls that wrote nothing: a refusal or a page, never more than this.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
const NOT_STORED: [StatusCode; 6] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::TOO_MANY_REQUESTS,
];

/// Runs a call once for each key.
pub(super) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    let is_mutating = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
    match key_of(request.headers()) {
        Ok(Some(key)) if is_mutating => run(&api, key, request, next).await.unwrap_or_else(IntoResponse::into_response),
        Err(error) if is_mutating => error.into_response(),
        _ => next.run(request).await,
    }
}

async fn run(api: &Api, key: String, mut request: Request, next: Next) -> Result<Response> {
    let caller = request.extensions().get::<Caller>().cloned();
    let mut caller = caller.ok_or_else(|| ApiError::new(Code::Unauthorized, "This route needs a key."))?;
    let Some(_running) = api.running.begin(caller.account, &key) else { return Err(in_progress()) };

    let of = KeyOf { account: caller.account, key: &key };
    let fingerprint = Fingerprint::begin(request.method(), request.uri());
    let opening = fingerprint.so_far();
    let before = match find(api, of).await? {
        None => Before::Nothing,
        Some(Stored::Answered { .. }) => Before::Answered,
        Some(Stored::Begun { fingerprint: begun, .. }) if !begun.starts_with(&opening) => return Err(reused()),
        // SQLite has one process: what is begun and not running here was cut off.
        Some(Stored::Begun { lease_until, .. })
            if lease_until > api.now() && api.app.store.dialect() != Dialect::Sqlite =>
        {
            return Err(in_progress());
        }
        Some(Stored::Begun { resource_id, fingerprint, .. }) => Before::CutOff { resource_id, fingerprint },
    };

    let (parts, body) = request.into_parts();
    let (body, fingerprint) = match before {
        // The handler gets no further than to ask who may make the call.
        Before::Answered => (Body::empty(), fingerprint.of_body(body, LARGEST_UPLOAD).await?),
        _ => read_beside(&parts.extensions, body, fingerprint).await?,
    };
    request = Request::from_parts(parts, body);
    let attempt = Arc::new(Attempt::new(api, of, opening, fingerprint, before));
    caller.attempt = Some(Arc::clone(&attempt));
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    api.sweep_answers();
    settle(api, &attempt, response).await
}

/// Uploads are large, and hashed while the handler reads them; everything else is read at once.
async fn read_beside(
    extensions: &axum::http::Extensions,
    body: Body,
    fingerprint: Fingerprint,
) -> Result<(Body, Arc<Fingerprint>)> {
    if extensions.get::<MatchedPath>().is_some_and(|route| is_upload(route.as_str())) {
        return Ok(fingerprint.beside(body));
    }
    let read = to_bytes(body, LARGEST_BODY).await;
    let bytes = read.map_err(|_| {
        ApiError::new(Code::PayloadTooLarge, "The body is larger than it may be, or could not be read to its end.")
    })?;
    fingerprint.add_last(&bytes);
    Ok((Body::from(bytes), Arc::new(fingerprint)))
}

/// Stores what is not stored yet, or gives the answer of whoever was first.
async fn settle(api: &Api, attempt: &Attempt, response: Response) -> Result<Response> {
    let error = response.extensions().get::<ApiError>().cloned();
    if error.as_ref().is_some_and(|error| error.code == Code::IdempotencyInProgress) {
        return attempt.first_answer(api).await;
    }
    let is_reused = error.as_ref().is_some_and(|error| error.code == Code::IdempotencyKeyReused);
    let status = response.status();
    if attempt.is_kept()
        || attempt.is_answered()
        || is_reused
        || status.is_server_error()
        || NOT_STORED.contains(&status)
    {
        return Ok(response);
    }
    let (answer, response) = match error {
        Some(error) => (shape(api, &error, ""), response),
        None => {
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, LARGEST_ANSWER).await.map_err(|_| too_large())?;
            let answer = Answer { status, etag: None, body: body.clone() };
            (answer, Response::from_parts(parts, Body::from(body)))
        }
    };
    if attempt.keep_alone(api, &answer).await? { Ok(response) } else { attempt.first_answer(api).await }
}

fn replay(api: &Api, of: KeyOf<'_>, (stored, given): (&str, &str), sealed: &answers::SealedAnswer) -> Result<Response> {
    if stored != given {
        return Err(reused());
    }
    let mut response = attempt::opened(api, of, sealed)?.into_response();
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

async fn find(api: &Api, of: KeyOf<'_>) -> std::result::Result<Option<Stored>, StoreError> {
    let mut conn = api.app.store.read().await?;
    answers::find(&mut conn, of, api.now().minus(KEPT_FOR)).await
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_visible = |byte: &u8| byte.is_ascii_graphic();
    let is_key = (1..=LONGEST_KEY).contains(&value.len()) && value.as_bytes().iter().all(is_visible);
    match value.to_str() {
        Ok(text) if is_key && values.next().is_none() => Ok(Some(text.to_owned())),
        _ => {
            let message =
                format!("Idempotency-Key must be given once, as 1 to {LONGEST_KEY} visible ASCII characters.");
            Err(ApiError::bad_request(message))
        }
    }
}

fn in_progress() -> ApiError {
    let message = "The first request with this Idempotency-Key is still running; try again in a moment.";
    ApiError { retry_after: Some(1), ..ApiError::new(Code::IdempotencyInProgress, message) }
}

fn reused() -> ApiError {
    let message = "This Idempotency-Key was used for another request: same key, different method, path or body.";
    ApiError::new(Code::IdempotencyKeyReused, message)
}

fn too_large() -> ApiError {
    #[derive(Debug, thiserror::Error)]
    #[error("an answer was too large to be stored under its idempotency key")]
    struct TooLarge;
    ApiError::internal(TooLarge)
}
