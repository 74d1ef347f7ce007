//! The bodies of the campaigns' calls, as the OpenAPI document shows them; `input` and the handlers read them.
#![expect(dead_code, reason = "the shapes alone")]

use utoipa::ToSchema;

use super::super::credentials::requests::CredentialFields;
use crate::domain::ids::{CredentialId, OutreachId};

/// A new campaign.
#[derive(ToSchema)]
pub(super) struct NewCampaign {
    campaign: CampaignFields,
}

#[derive(ToSchema)]
struct CampaignFields {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    outreach_id: Option<OutreachId>,
    /// The shortest gap between two first messages of a batch.
    #[schema(default = 120, minimum = 0, maximum = 86400)]
    min_wait_seconds: Option<u64>,
    /// The longest.
    #[schema(default = 420, minimum = 0, maximum = 86400)]
    max_wait_seconds: Option<u64>,
    /// Whether domains must have an MX record.
    #[schema(default = false)]
    verify_email_mx: Option<bool>,
    /// In percent; the bounce policy is given it.
    #[schema(default = 8.0, minimum = 0.5, maximum = 25.0)]
    bounce_rate_threshold: Option<f64>,
    #[schema(default = true)]
    track_opens: Option<bool>,
    #[schema(min_items = 1)]
    smtp_credentials: Vec<CredentialFields>,
    #[schema(min_items = 1)]
    sequence_steps: Vec<StepFields>,
}

/// A message of the sequence. Merge tags: `{{first_name}}`, `{{last_name}}`, `{{email}}`, `{{company}}`.
#[derive(ToSchema)]
struct StepFields {
    #[schema(minimum = 1, maximum = 1000)]
    position: u32,
    #[schema(min_length = 1, max_length = 998)]
    subject: String,
    #[schema(min_length = 1, max_length = 500000)]
    body_html: String,
    /// Made from the HTML where it is left out.
    #[schema(min_length = 1, max_length = 500000)]
    body_text: Option<String>,
    /// After the step before was accepted. Of the first step it is not used: that leaves when it is dispatched.
    #[schema(default = 0, minimum = 0, maximum = 2635200)]
    delay_minutes: Option<u64>,
}

/// What to change.
#[derive(ToSchema)]
pub(super) struct CampaignChange {
    campaign: CampaignChanges,
}

#[derive(ToSchema)]
struct CampaignChanges {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    name: Option<String>,
    /// Holds for what is given its time from then on: first messages that are dispatched, and follow-ups of steps that are
    /// accepted. What has its time keeps it.
    #[schema(minimum = 0, maximum = 86400, nullable = false)]
    min_wait_seconds: Option<u64>,
    /// As `min_wait_seconds`.
    #[schema(minimum = 0, maximum = 86400, nullable = false)]
    max_wait_seconds: Option<u64>,
    #[schema(nullable = false)]
    verify_email_mx: Option<bool>,
    #[schema(minimum = 0.5, maximum = 25.0, nullable = false)]
    bounce_rate_threshold: Option<f64>,
    #[schema(nullable = false)]
    track_opens: Option<bool>,
}

/// What to dispatch.
#[derive(ToSchema)]
pub(super) struct Dispatch {
    /// This batch alone.
    #[schema(minimum = 0, maximum = 4294967295_u64)]
    batch_number: Option<u64>,
}

/// Where to send a step.
#[derive(ToSchema)]
pub(super) struct TestSend {
    /// Your own addresses.
    #[schema(min_items = 1, max_items = 10)]
    emails: Vec<String>,
    /// The position of the step; the first where it is left out.
    #[schema(minimum = 1)]
    step: Option<u32>,
    /// The first enabled one where it is left out.
    smtp_credential_id: Option<CredentialId>,
}
