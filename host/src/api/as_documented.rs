//! Holds calls against the OpenAPI document: a query parameter or a body that an operation does not have is told, so that
//! `POST …/dispatch?batch_number=2` does not dispatch everything. What an operation does have its handler reads.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::LARGEST_BODY;
use super::auth::Caller;
use super::body::{check_json, too_large};
use super::error::Result;
use super::input::read;
use super::json;
use super::query::refuse_any;

/// What each operation takes, by method and route.
#[derive(Clone)]
pub(super) struct Operations(Arc<HashMap<(String, String), Operation>>);

#[derive(Default)]
struct Operation {
    has_parameters: bool,
    has_body: bool,
}

impl Operations {
    /// Of a document as `openapi` finishes it.
    pub(super) fn of(document: &Value) -> Self {
        let mut operations = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let mut parameters = operation["parameters"].as_array().into_iter().flatten();
                let operation = Operation {
                    has_parameters: parameters.any(|parameter| parameter["in"] == "query"),
                    has_body: !operation["requestBody"].is_null(),
                };
                operations.insert((method.to_ascii_uppercase(), path.clone()), operation);
            }
        }
        Self(Arc::new(operations))
    }

    fn find(&self, method: &Method, route: &MatchedPath) -> Option<&Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.get(&(method.as_str().to_owned(), route.as_str().to_owned()))
    }
}

/// Refuses what the call's operation does not take.
pub(super) async fn check(State(operations): State<Operations>, request: Request, next: Next) -> Response {
    match checked(&operations, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn checked(operations: &Operations, request: Request) -> Result<Request> {
    let Some(route) = request.extensions().get::<MatchedPath>() else { return Ok(request) };
    let Some(operation) = operations.find(request.method(), route) else { return Ok(request) };
    let attempt = request.extensions().get::<Caller>().and_then(|caller| caller.attempt.as_ref());
    if attempt.is_some_and(|attempt| attempt.is_answered()) {
        return Ok(request);
    }
    if !operation.has_parameters {
        refuse_any(request.uri().query().unwrap_or_default())?;
    }
    // What a GET carries means nothing (RFC 9110 §9.3.1).
    if operation.has_body || matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_BODY).await.map_err(|_| too_large())?;
    // Some clients send an empty object where there is nothing to say.
    if !body.trim_ascii().is_empty() {
        check_json(&parts.headers)?;
        read(json::parse(&body)?, |_| Some(()))?;
    }
    Ok(Request::from_parts(parts, Body::empty()))
}
