//! Providers' webhooks: the request is handed on as it came, and answered as the adapter's outcome asks.

use std::time::Duration;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::body::{Ids, Raw};
use super::error::{ApiError, Code, Result};
use super::openapi::Error;
use super::state::Api;
use crate::extensions::CallScope;
use crate::inbound::{self, Answer, Received};

/// The address and the headers of a request are stored with it: together at most this long.
const LONGEST_HEAD: usize = 32 * 1024;
/// For a place among those that are read at once, and for a body to come to its end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Take a provider's webhook
///
/// The address is that of an inbound endpoint, and the request is as the provider makes it: it is kept as it came, and the
/// endpoint's adapter reads it. Handshakes come by other methods, too. What became of a request and why is in
/// `GET /inbound_endpoints/{id}/requests`.
#[utoipa::path(post, path = "/inbound/{provider}/{token}", operation_id = "receive_provider_webhook",
    tag = "Inbound webhooks", security(()),
    params(("provider" = String, Path), ("token" = String, Path)),
    responses(
        (status = OK, description = "Its events are applied. A handshake is answered in the provider's words."),
        (status = UNAUTHORIZED, description = "The adapter refuses its signature.", body = Error),
        (status = UNPROCESSABLE_ENTITY, description = "The adapter can't read it; it is kept.", body = Error),
        (status = TOO_MANY_REQUESTS, description = "As 503, for providers that come again at this status alone."),
        (status = SERVICE_UNAVAILABLE, description = "Not now: the provider is to send it again."),
    ))]
pub(super) async fn receive(
    State(api): State<Api>,
    ids: Result<Ids<(String, String)>>,
    request: Request,
) -> Result<Response> {
    let Ids((provider, token)) = ids.map_err(|_| unknown())?;
    let mut scope = CallScope::default();
    match take(&api, &provider, &token, request, &mut scope).await {
        Err(ApiError { cause: Some(cause), .. }) => {
            // In the status that makes the provider come again: some throw an event away at any other.
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
    let answer = inbound::receive(&api.app, endpoint, received).await?;
    refusal(&answer).map_or_else(|| Ok(shown(answer)), Err)
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

/// The error that a refused request is told in our shape. The adapter's reason is for the endpoint's owner; what an adapter
/// chose to say itself has headers, and is left as it is.
fn refusal(answer: &Answer) -> Option<ApiError> {
    if !answer.headers.is_empty() || !answer.body.is_empty() {
        return None;
    }
    match answer.status {
        401 => {
            let message = "The request does not prove that it comes from the provider.";
            Some(ApiError::new(Code::Unauthorized, message))
        }
        422 => {
            let message = "The request can't be read; it is kept, and GET /inbound_endpoints/:id/requests says why.";
            Some(ApiError::unprocessable(message))
        }
        _ => None,
    }
}

fn shown(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    // RFC 9110 section 8.6: such an answer has no content, and no length of one.
    let has_content = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut response = if has_content { (status, answer.body).into_response() } else { status.into_response() };
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
