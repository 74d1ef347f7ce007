//! What a mutating call answers: its JSON is made before the transaction is committed, so that [`super::idempotency`]
//! can store it with what the call did.

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A status and a JSON body, and the version of what is shown where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) body: Bytes,
}

impl Answer {
    /// `body` as JSON.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // Our own types always have a JSON form.
        Self { status, etag: None, body: serde_json::to_vec(body).unwrap_or_default().into() }
    }

    /// With the header `ETag`.
    pub(super) fn with_etag(self, etag: String) -> Self {
        Self { etag: Some(etag), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (self.status, json, self.body).into_response();
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}
