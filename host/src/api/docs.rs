//! What is read by people and their tools: the OpenAPI document, the reference page made of it (Swagger UI, which is in
//! the binary: the page needs no network), and a page for each error code.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::error::{ApiError, Code};
use super::state::Api;

/// Swagger UI sets styles by script; nothing comes from elsewhere.
const POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// `/openapi.json`, `/docs` and `/docs/errors/{code}`.
pub(super) fn routes(document: &Value) -> Router<Api> {
    let text: Arc<str> = document.to_string().into();
    // "none": the badge of a validator elsewhere is not asked for.
    let config = Config::from("/openapi.json").use_base_layout().validator_url("none").default_models_expand_depth(0);
    let reference: Router<Api> = SwaggerUi::new("/docs").config(config).into();
    let document = move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) };
    reference
        .route("/docs/errors/{code}", get(error_page))
        .layer(map_response(with_policy))
        .route("/openapi.json", get(document))
}

async fn with_policy(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

async fn error_page(Path(code): Path<String>) -> Response {
    let Some(code) = Code::parse(&code) else {
        return ApiError::new(Code::NotFound, "There is no such error code.").into_response();
    };
    let page = include_str!("pages/error_code.html")
        .replace("{code}", code.as_str())
        .replace("{status}", &code.status().to_string())
        .replace("{meaning}", code.meaning());
    (StatusCode::OK, Html(page)).into_response()
}

impl Code {
    /// What it means and what to do about it, in one or two sentences.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Unauthorized => "The key is missing, malformed or revoked. Send Authorization: Bearer ak_live_….",
            Self::Forbidden => "The key is valid, but its scopes do not allow the call. Use a key with the scope.",
            Self::NotFound => "There is no such route. The reference lists all of them.",
            Self::MethodNotAllowed => "The route does not have this method; the header Allow names those it has.",
            Self::CampaignNotFound
            | Self::ContactNotFound
            | Self::ContactImportNotFound
            | Self::OutreachNotFound
            | Self::SmtpCredentialNotFound
            | Self::ApiKeyNotFound
            | Self::WebhookNotFound
            | Self::EnrollmentNotFound
            | Self::SendNotFound
            | Self::ExtensionNotFound
            | Self::InboundEndpointNotFound
            | Self::SuppressionNotFound => "Your account has nothing with this id. It may have been deleted.",
            Self::BadRequest => {
                "The body is not JSON, the content type is wrong, or a parameter of the path or query is. The message \
                 says which."
            }
            Self::RequestTimeout => {
                "The request took too long to arrive. Send it again over a faster line, or in parts."
            }
            Self::PayloadTooLarge => {
                "The body is larger than 1 MiB (32 MiB for imports and extensions). Send it in parts."
            }
            Self::PreconditionFailed => "If-Match names another version: somebody changed it since. Read it again.",
            Self::IdempotencyInProgress => {
                "The first request with this Idempotency-Key is still running. Send the same request again in a moment."
            }
            Self::IdempotencyKeyReused => {
                "This Idempotency-Key was used within 24 h for another method, path or body. Use a new key for a new request."
            }
            Self::ValidationFailed => {
                "Fields are wrong: details names every one of them by its path, with what to mend."
            }
            Self::Unprocessable => "The request is well formed, but it breaks a rule; the message says which.",
            Self::PlanLimitReached => {
                "The account has sent the messages that its plan allows in a calendar month (UTC); details has the figures. \
                 It goes on with the next month, or with another plan."
            }
            Self::NoEmailsProvided => "emails is missing or empty. Give one to ten addresses to send the test to.",
            Self::RateLimited => "Too many calls. Wait as many seconds as Retry-After says.",
            Self::NoPendingEnrollments => "No enrollment waits for a dispatch. Enroll contacts first.",
            Self::CampaignNotActive => {
                "The campaign is not active, so it can't be paused, or dispatched while it is paused."
            }
            Self::CampaignNotPaused => "Only a paused campaign can be resumed.",
            Self::ContactAlreadyEnrolled => "The contact is in this campaign already, or in a sibling of its outreach.",
            Self::NoContactsProvided => "The import holds no contacts.",
            Self::CannotRevokeLastKey => "This is the account's last active key. Make another one first.",
            Self::InternalError => {
                "A fault of ours, which is logged. Give the request_id in details when you report it."
            }
            Self::ServiceUnavailable => {
                "The database does not answer at the moment, and the call may or may not have been carried out. Make it \
                 again after as many seconds as Retry-After says; with an Idempotency-Key it is carried out once."
            }
        }
    }
}
