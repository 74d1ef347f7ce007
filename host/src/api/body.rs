//! The forms in which requests come: JSON bodies, raw bytes, ids in paths. Whatever is wrong with them is told in our
//! shape.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{ApiError, Code};
use super::json::{self, Given};

/// A JSON body.
pub(super) struct Json(pub(super) Given);

/// A JSON body that may be left out: `{}` then.
pub(super) struct OptionalJson(pub(super) Given);

/// The body as it came.
pub(super) struct Raw(pub(super) Bytes);

/// The ids of the path.
pub(super) struct Ids<T>(pub(super) T);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        check_json(request.headers())?;
        let Raw(bytes) = Raw::from_request(request, state).await?;
        json::parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalJson {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = check_json(request.headers());
        let Raw(bytes) = Raw::from_request(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Value::Object(Map::new()).into()));
        }
        is_json?;
        json::parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::PayloadTooLarge, "The body is larger than it may be."),
            _ => ApiError::bad_request("The body could not be read to its end."),
        })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // No id holds it, and PostgreSQL takes no text with it.
        if parts.uri.path().contains("%00") {
            return Err(ApiError::bad_request("The path must not contain the character U+0000."));
        }
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(ids)| Self(ids)).map_err(|_: PathRejection| {
            ApiError::bad_request("The path holds no id; ids are UUIDs, such as 019ab7c0-0000-7000-8000-000000000000.")
        })
    }
}

/// The media type of a request in lower case, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses a text in another character set than UTF-8, of which ASCII is a part.
pub(super) fn check_charset(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for parameter in value.split(';').skip(1) {
        let Some((name, charset)) = parameter.split_once('=') else { continue };
        let charset = charset.trim().trim_matches('"').to_ascii_lowercase();
        if name.trim().eq_ignore_ascii_case("charset") && !matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii") {
            return Err(ApiError::bad_request("The body must be in UTF-8; leave the charset out or name utf-8."));
        }
    }
    Ok(())
}

fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = media_type(headers);
    if given == "application/json" || (given.starts_with("application/") && given.ends_with("+json")) {
        return check_charset(headers);
    }
    Err(ApiError::bad_request("The body must be JSON: send it with Content-Type: application/json."))
}
