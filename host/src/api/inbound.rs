//! Providers' webhooks: the request is handed on as it came, and answered as the adapter's outcome asks.

use std::time::Duration;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::body::{Ids, Raw};
use super::error::{ApiError, Code, Result};
use super::state::Api;
use crate::extensions::CallScope;
use crate::inbound::{self, Answer, Received};

/// The address and the headers of a request are stored with it: together at most this long.
const LONGEST_HEAD: usize = 32 * 1024;
/// For a place among those that are read at once, and for a body to come to its end.
const PATIENCE: Duration = Duration::from_secs(15);

/// A provider is told of a failure of ours in the status that makes it come again: some throw an event away at any other.
pub(super) async fn receive(
    State(api): State<Api>,
    ids: Result<Ids<(String, String)>>,
    request: Request,
) -> Result<Response> {
    let Ids((provider, token)) = ids.map_err(|_| unknown())?;
    let mut scope = CallScope::default();
    match take(&api, &provider, &token, request, &mut scope).await {
        Err(ApiError { cause: Some(cause), .. }) => {
            tracing::error!(
                provider,
                error = &*cause as &dyn std::error::Error,
                "A provider's request could not be taken, and is sent again"
            );
            Ok(come_again(&api, &provider, &scope))
        }
        taken => taken,
    }
}

/// Whoever does not know an address is turned away before a byte of a body is read. `scope` is told whose address it is.
async fn take(api: &Api, provider: &str, token: &str, request: Request, scope: &mut CallScope) -> Result<Response> {
    let endpoint = inbound::endpoint(&api.app, provider, token).await?.ok_or_else(unknown)?;
    scope.account = Some(endpoint.account_id);
    let Ok(Ok(_place)) = timeout(PATIENCE, api.inbound_requests.acquire()).await else {
        return Ok(come_again(api, provider, scope));
    };
    let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
    if head_length(&uri, &headers) > LONGEST_HEAD {
        return Err(ApiError::bad_request("The address and the headers are longer than they may be together."));
    }
    let body = timeout(PATIENCE, Raw::from_request(request, api)).await;
    let Raw(body) = body.map_err(|_| ApiError::bad_request("The body did not come to its end in time."))??;
    let received = received(&method, &uri, &headers, body.to_vec());
    Ok(shown(inbound::receive(&api.app, endpoint, received).await?))
}

fn head_length(uri: &Uri, headers: &HeaderMap) -> usize {
    let of_headers: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    uri.path().len() + uri.query().map_or(0, str::len) + of_headers
}

fn received(method: &Method, uri: &Uri, headers: &HeaderMap, body: Vec<u8>) -> Received {
    Received {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), latin1(value))).collect(),
        body,
    }
}

/// In the status that the adapter's manifest names for it.
fn come_again(api: &Api, provider: &str, scope: &CallScope) -> Response {
    let adapter = api.app.extensions.adapter(scope, provider);
    let status = adapter.and_then(|adapter| StatusCode::from_u16(adapter.manifest().retry_status()).ok());
    (status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), [(header::RETRY_AFTER, "10")]).into_response()
}

fn unknown() -> ApiError {
    ApiError::missing(Code::InboundEndpointNotFound)
}

/// Header values are octets; the ones beyond ASCII are read as ISO 8859-1, so that none is lost.
fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|byte| char::from(*byte)).collect()
}

fn shown(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
