//! What a caller is told when a call fails: a code to branch on, a message for people, and details. An [`ApiError`] is
//! given its JSON shape by [`super::finish`], which knows the public address and the request's id.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::rate::Standing;
use crate::domain::Timestamp;
use crate::domain::plan::Plan;
use crate::domain::status::words;
use crate::secrets::SecretError;
use crate::store::StoreError;

/// What a caller is told to wait for the database.
const AGAIN_AFTER_SECONDS: u64 = 2;

words! {
    /// The codes of the contract.
    pub Code {
        /// The key is missing, malformed or revoked.
        Unauthorized = "unauthorized",
        /// The key's scopes do not allow the call.
        Forbidden = "forbidden",
        /// No such route.
        NotFound = "not_found",
        /// The route has no such method.
        MethodNotAllowed = "method_not_allowed",
        /// Of the account.
        CampaignNotFound = "campaign_not_found",
        /// Of the account.
        ContactNotFound = "contact_not_found",
        /// Of the account.
        ContactImportNotFound = "contact_import_not_found",
        /// Of the account.
        OutreachNotFound = "outreach_not_found",
        /// Of the campaign.
        SmtpCredentialNotFound = "smtp_credential_not_found",
        /// Of the account.
        ApiKeyNotFound = "api_key_not_found",
        /// Of the account.
        WebhookNotFound = "webhook_not_found",
        /// Of the account.
        EnrollmentNotFound = "enrollment_not_found",
        /// Of the account.
        SendNotFound = "send_not_found",
        /// The system's or the account's.
        ExtensionNotFound = "extension_not_found",
        /// Of the account.
        InboundEndpointNotFound = "inbound_endpoint_not_found",
        /// Of the account.
        SuppressionNotFound = "suppression_not_found",
        /// Not JSON, a wrong content type, a wrong path or query parameter.
        BadRequest = "bad_request",
        /// The request took too long to arrive.
        RequestTimeout = "request_timeout",
        /// The body is too large.
        PayloadTooLarge = "payload_too_large",
        /// `If-Match` names another version.
        PreconditionFailed = "precondition_failed",
        /// Fields are wrong: all of them are in the details.
        ValidationFailed = "validation_failed",
        /// Well formed, but it breaks a rule.
        Unprocessable = "unprocessable",
        /// The account has sent what its plan allows in this month.
        PlanLimitReached = "plan_limit_reached",
        /// The key was used for another request.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// The first request with the key is still running.
        IdempotencyInProgress = "idempotency_in_progress",
        /// Too many calls.
        RateLimited = "rate_limited",
        /// Nothing to dispatch.
        NoPendingEnrollments = "no_pending_enrollments",
        /// Only an active campaign can be paused.
        CampaignNotActive = "campaign_not_active",
        /// Only a paused campaign can be resumed.
        CampaignNotPaused = "campaign_not_paused",
        /// Once a campaign.
        ContactAlreadyEnrolled = "contact_already_enrolled",
        /// A test message to nobody.
        NoEmailsProvided = "no_emails_provided",
        /// An import without contacts.
        NoContactsProvided = "no_contacts_provided",
        /// An account keeps one key.
        CannotRevokeLastKey = "cannot_revoke_last_key",
        /// Ours.
        InternalError = "internal_error",
        /// Ours, and over in a moment: the database does not answer, or had too much to do.
        ServiceUnavailable = "service_unavailable",
    }
}

/// A failed call.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) details: Value,
    /// After how many seconds the call may be made again.
    pub(super) retry_after: Option<u64>,
    /// The limit that the call went beyond.
    pub(super) standing: Option<Box<Standing>>,
    /// What went wrong inside: logged, never told.
    pub(super) cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Code {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound
            | Self::CampaignNotFound
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
            | Self::SuppressionNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::PlanLimitReached => StatusCode::PAYMENT_REQUIRED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::IdempotencyInProgress => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::ValidationFailed
            | Self::Unprocessable
            | Self::IdempotencyKeyReused
            | Self::NoPendingEnrollments
            | Self::CampaignNotActive
            | Self::CampaignNotPaused
            | Self::ContactAlreadyEnrolled
            | Self::NoEmailsProvided
            | Self::NoContactsProvided
            | Self::CannotRevokeLastKey => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl ApiError {
    /// A failure with a text for people.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let details = Value::Object(Map::new());
        Self { code, message: message.into(), details, retry_after: None, standing: None, cause: None }
    }

    /// Something that the account does not have.
    pub(super) fn missing(code: Code) -> Self {
        let what = code.as_str().trim_end_matches("_not_found").replace('_', " ");
        Self::new(code, format!("There is no such {what}."))
    }

    /// Something in the path, the query or the form of the body.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// A rule that the call breaks.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(Code::Unprocessable, message)
    }

    /// Wrong fields by their paths, with all that is wrong about each.
    pub(super) fn invalid(problems: BTreeMap<String, Vec<String>>) -> Self {
        let message = match problems.len() {
            1 => "A field is wrong; details names it.".to_owned(),
            count => format!("{count} fields are wrong; details names each."),
        };
        Self { details: json!(problems), ..Self::new(Code::ValidationFailed, message) }
    }

    /// One wrong field.
    pub(super) fn invalid_field(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::invalid(BTreeMap::from([(path.into(), vec![problem.into()])]))
    }

    /// The account's plan is used up until the next month.
    pub(super) fn plan_limit(plan: &Plan, until: Timestamp) -> Self {
        let limit = plan.monthly_limit.unwrap_or(0);
        let message =
            format!("The account has sent the {limit} messages of its month; the next one begins at {until}.");
        let details = json!({
            "current_period_sends": plan.current_period_sends,
            "monthly_limit": plan.monthly_limit,
            "plan_slug": plan.slug,
        });
        Self { details, ..Self::new(Code::PlanLimitReached, message) }
    }

    /// A fault of ours: the cause is logged, and the caller is given the request's id.
    pub(super) fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = "Something went wrong on our side. The request's id is in the details.";
        Self { cause: Some(Arc::new(cause)), ..Self::new(Code::InternalError, message) }
    }

    /// A fault of ours that is over in a moment. A connection may break while a transaction is ended, and then nobody
    /// knows how it ended.
    fn passing(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = "The database does not answer at the moment, and the call may or may not have been carried out. \
                       Make it again: with an Idempotency-Key it is carried out once.";
        let retry_after = Some(AGAIN_AFTER_SECONDS);
        Self { retry_after, cause: Some(Arc::new(cause)), ..Self::new(Code::ServiceUnavailable, message) }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_passing() { Self::passing(error) } else { Self::internal(error) }
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What handlers give.
pub(super) type Result<T> = std::result::Result<T, ApiError>;
