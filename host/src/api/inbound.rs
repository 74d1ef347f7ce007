//! Providers' webhooks: the request is handed on as it came, and answered as the adapter's outcome asks.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::body::{Ids, Raw};
use super::error::{ApiError, Code, Result};
use super::state::Api;
use crate::inbound::{self, Answer, Received};

pub(super) async fn receive(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Ids((provider, token)): Ids<(String, String)>,
    Raw(body): Raw,
) -> Result<Response> {
    let request = Received {
        provider,
        token,
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), latin1(value))).collect(),
        body: body.to_vec(),
    };
    let answer = inbound::receive(&api.app, request).await?;
    if answer.status == StatusCode::NOT_FOUND && answer.body.is_empty() {
        return Err(unknown());
    }
    Ok(shown(answer))
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
