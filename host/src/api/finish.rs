//! The last hand on every answer: the request's id, the shape of errors, the log line and the counter. The cause of a
//! fault of ours is logged here, once, and leaves through nothing else.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::{ApiError, Code};
use super::patience::with_patience;
use super::state::Api;
use crate::domain::ids::AccountId;
use crate::secrets::random_bytes;
use crate::telemetry::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An error as callers see it.
#[derive(Serialize)]
struct Shape<'a> {
    code: Code,
    #[serde(rename = "type")]
    address: String,
    message: &'a str,
    details: Value,
}

/// A panic, as the cause of an internal error.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

/// Runs the request and finishes its answer.
pub(super) async fn finish(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = format!("req_{}", hex::encode(random_bytes::<12>()));
    let method = request.method().clone();
    // The route and never the path: tokens stand in paths.
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());

    let patience = api.app.config.request_timeout;
    let (request, slowness) = with_patience(request, patience);
    let mut response = next.run(request).await;
    let account = response.extensions_mut().remove::<AccountId>();
    let error = match slowness.was_met() {
        true => Some(too_slow(patience)),
        false => response.extensions_mut().remove::<ApiError>(),
    };
    if let Some(error) = &error {
        response = shaped(&api, error, &request_id, response);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let status = response.status();
    Metrics::count(&api.app.metrics.requests, status_class(status));
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let route = route.as_deref().unwrap_or("none");
    let account = account.map(|id| id.to_string()).unwrap_or_default();
    let code = error.as_ref().map_or("", |error| error.code.as_str());
    match error.as_ref().and_then(|error| error.cause.as_deref()) {
        Some(cause) => tracing::error!(request.id = request_id, http.method = %method, http.route = route,
            http.status = status.as_u16(), account.id = account, duration_ms,
            error = cause as &dyn std::error::Error, "Request failed"),
        None => tracing::info!(request.id = request_id, http.method = %method, http.route = route,
            http.status = status.as_u16(), account.id = account, error.code = code, duration_ms, "Request"),
    }
    response
}

/// Turns a panic into an internal error.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    ApiError::internal(Panicked(text.unwrap_or_else(|| "without a message".to_owned()))).into_response()
}

/// No such route. Who wrote a slash at the end is sent to the address without it, with their method and body.
pub(super) async fn no_route(uri: Uri) -> Response {
    // Two slashes at the beginning would name another host.
    let is_ours = |path: &&str| !path.is_empty() && !path.starts_with("//") && !path.ends_with('/');
    let path = uri.path().strip_suffix('/').filter(is_ours);
    let Some(path) = path else { return ApiError::new(Code::NotFound, "There is no such route.").into_response() };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::permanent(&format!("{path}{query}")).into_response()
}

/// No such method. OPTIONS asks for the methods, which the header Allow names either way.
pub(super) async fn no_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let message = "The route does not have this method; the header Allow names those it has.";
    ApiError::new(Code::MethodNotAllowed, message).into_response()
}

fn too_slow(patience: Duration) -> ApiError {
    let message = format!("The body did not arrive within {} s.", patience.as_secs());
    ApiError::new(Code::RequestTimeout, message)
}

/// The body of an error. All but a fault of ours are the same for every request's id.
pub(super) fn shape(api: &Api, error: &ApiError, request_id: &str) -> Answer {
    let details = match error.cause {
        Some(_) => json!({ "request_id": request_id }),
        None => error.details.clone(),
    };
    let address = format!("{}/docs/errors/{}", api.app.links.public_url(), error.code);
    Answer::json(error.code.status(), &Shape { code: error.code, address, message: &error.message, details })
}

fn shaped(api: &Api, error: &ApiError, request_id: &str, bare: Response) -> Response {
    let mut response = shape(api, error, request_id).into_response();
    // What was set on the way, such as Allow and RateLimit-*, is kept; what described the empty body is not.
    for (name, value) in bare.headers() {
        if *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(standing) = &error.standing {
        standing.write(response.headers_mut());
    }
    if error.code == Code::Unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

const fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
