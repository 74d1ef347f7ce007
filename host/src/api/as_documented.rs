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

/// What each operation takes, by route and method.
#[derive(Clone)]
pub(super) struct Operations(Arc<HashMap<String, HashMap<Method, Operation>>>);

struct Operation {
    has_parameters: bool,
    has_body: bool,
}

impl Operations {
    /// Of a document as `openapi` finishes it.
    pub(super) fn of(document: &Value) -> Self {
        let of_route = |item: &Value| {
            let operations = item.as_object().into_iter().flatten();
            operations.filter_map(|(name, operation)| Some((method(name)?, Operation::of(operation)))).collect()
        };
        let routes = document["paths"].as_object().into_iter().flatten();
        Self(Arc::new(routes.map(|(route, item)| (route.clone(), of_route(item))).collect()))
    }

    fn find(&self, method: &Method, route: &MatchedPath) -> Option<&Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.get(route.as_str())?.get(method)
    }
}

impl Operation {
    fn of(documented: &Value) -> Self {
        let mut parameters = documented["parameters"].as_array().into_iter().flatten();
        Self {
            has_parameters: parameters.any(|parameter| parameter["in"] == "query"),
            has_body: !documented["requestBody"].is_null(),
        }
    }
}

/// The document's names are in lower case.
fn method(name: &str) -> Option<Method> {
    name.to_ascii_uppercase().parse().ok()
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
