//! Enrollments: contacts are put into a campaign, in batches or one by one, and listed.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::campaigns::found as campaign_found;
use super::contact_imports::found as import_found;
use super::error::{ApiError, Code, Result};
use super::input::read;
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::{flag, id, whole};
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Outreach};
use crate::domain::ids::{CampaignId, ContactId, ContactImportId, CredentialId, EnrollmentId};
use crate::domain::status::EnrollmentStatus;
use crate::store::enrollments::{self, Enrollment, Filter, NewEnrollment};
use crate::store::facts::enrolled::{self, Batching, Part, SkipReason, Skipped};
use crate::store::{Conn, outreaches};

/// Contacts of one transaction.
const CHUNK: i64 = 2000;
const DEFAULT_BATCH_SIZE: u64 = 50;
const LARGEST_BATCH_SIZE: u64 = 1_000_000;
/// More than these are counted and not named: an answer stays within a few megabytes.
const MOST_SKIPPED_NAMED: usize = 10_000;

/// What came of enrolling an import.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolled {
    enrolled: u64,
    /// Batches that were made for it.
    batches: u64,
    batch_size: u64,
    /// The first 10 000.
    skipped: Vec<SkippedContact>,
    /// All.
    skipped_count: u64,
}

/// A contact that was not enrolled.
#[derive(Serialize, ToSchema)]
struct SkippedContact {
    contact_id: ContactId,
    email: String,
    reason: SkipReason,
}

/// What came of enrolling one contact.
#[derive(Serialize, ToSchema)]
pub(super) struct ContactEnrolled {
    id: EnrollmentId,
    contact_id: ContactId,
    batch_number: i64,
    status: EnrollmentStatus,
}

/// A contact in a campaign.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrollmentShown {
    id: EnrollmentId,
    contact_id: ContactId,
    /// The credential that sent step 1.
    smtp_credential_id: Option<CredentialId>,
    status: EnrollmentStatus,
    batch_number: i64,
    sent_at: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    replied_at: Option<Timestamp>,
    bounce_reason: Option<String>,
    /// Since when nothing more is sent.
    stopped_at: Option<Timestamp>,
    stop_reason: Option<String>,
}

/// Whom to enroll.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `enroll` reads it")]
struct Enroll {
    contact_import_id: ContactImportId,
    #[schema(default = 50, minimum = 1, maximum = 1000000)]
    batch_size: Option<u64>,
}

/// Whom to enroll, and where.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `enroll_contact` reads it")]
struct EnrollContact {
    contact_id: ContactId,
    #[schema(default = 0, minimum = 0, maximum = 4294967295_u64)]
    batch_number: Option<u64>,
    /// Goes first in its batch.
    #[schema(default = false)]
    priority: Option<bool>,
}

/// Enroll an import
///
/// All its contacts that nothing speaks against, in batches. A call that was cut off is made again: who is enrolled already
/// is skipped.
#[utoipa::path(post, path = "/campaigns/{id}/enroll", operation_id = "enroll", tag = "Enrollments",
    request_body = Enroll, responses((status = OK, description = "They wait for a dispatch.", body = Enrolled)))]
pub(super) async fn enroll(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(campaign): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let (import, batch_size) = read(body, |fields| {
        let import = fields.required("contact_import_id", id::<ContactImportId>);
        let size = fields.optional("batch_size", whole(1, LARGEST_BATCH_SIZE)).unwrap_or(DEFAULT_BATCH_SIZE);
        Some((import?, size))
    })?;
    let mut conn = api.app.store.read().await?;
    let campaign = campaign_found(&mut conn, caller.account, campaign).await?;
    import_found(&mut conn, caller.account, import).await?;
    let unique_in = enrolled::unique_in(outreach_of(&mut conn, &campaign).await?.as_ref());
    drop(conn);

    let mut answer = Enrolled { enrolled: 0, batches: 0, batch_size, skipped: Vec::new(), skipped_count: 0 };
    let mut batching = Batching::new(batch_size);
    let mut after = None;
    loop {
        let mut tx = api.app.store.begin().await?;
        let part = Part { import, unique_in, after, limit: CHUNK };
        let chunk = enrolled::enroll_chunk(&mut tx, &campaign, part, &mut batching, api.now()).await?;
        answer.enrolled += chunk.enrolled;
        answer.skipped_count += u64::try_from(chunk.skipped.len()).unwrap_or(u64::MAX);
        let room = MOST_SKIPPED_NAMED - answer.skipped.len();
        answer.skipped.extend(chunk.skipped.into_iter().take(room).map(skipped_contact));
        if chunk.next.is_none() {
            answer.batches = batching.batches();
            return caller.commit(tx, StatusCode::OK, &answer).await;
        }
        caller.begun(&mut tx, &campaign.id.to_string()).await?;
        tx.commit().await?;
        after = chunk.next;
    }
}

/// Enroll a contact
#[utoipa::path(post, path = "/campaigns/{id}/enroll_contact", operation_id = "enroll_contact", tag = "Enrollments",
    request_body = EnrollContact,
    responses((status = CREATED, description = "It waits for a dispatch.", body = ContactEnrolled)))]
pub(super) async fn enroll_contact(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(campaign): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let (contact_id, batch, priority) = read(body, |fields| {
        let contact = fields.required("contact_id", id::<ContactId>);
        let batch = fields.optional("batch_number", whole(0, u64::from(u32::MAX))).unwrap_or(0);
        let priority = fields.optional("priority", flag).unwrap_or(false);
        Some((contact?, i64::try_from(batch).unwrap_or(0), priority))
    })?;
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    let campaign = campaign_found(tx.conn(), caller.account, campaign).await?;
    let unique_in = enrolled::unique_in(outreach_of(tx.conn(), &campaign).await?.as_ref());
    enrolled::lock(&mut tx, &campaign, unique_in).await?;
    let candidate = enrollments::candidate(tx.conn(), caller.account, campaign.id, unique_in, contact_id).await?;
    let candidate = candidate.ok_or_else(|| ApiError::missing(Code::ContactNotFound))?;
    if let Some(reason) = SkipReason::of(&candidate) {
        return Err(refused(reason));
    }
    let enrollment = NewEnrollment { id: EnrollmentId::new(now), contact_id, batch_number: batch, priority };
    if !enrolled::enroll_one(&mut tx, &campaign, &enrollment, now).await? {
        return Err(refused(SkipReason::AlreadyEnrolled));
    }
    let NewEnrollment { id, contact_id, batch_number, .. } = enrollment;
    let answer = ContactEnrolled { id, contact_id, batch_number, status: EnrollmentStatus::Pending };
    caller.commit(tx, StatusCode::CREATED, &answer).await
}

/// List a campaign's enrollments
#[utoipa::path(get, path = "/campaigns/{id}/enrollments", operation_id = "list_enrollments", tag = "Enrollments",
    params(PageParameters,
        ("status" = Option<EnrollmentStatus>, Query, description = "Only those."),
        ("batch_number" = Option<u64>, Query, minimum = 0, maximum = 4294967295_u64, description = "Only this batch.")),
    responses((status = OK, description = "Newest first.", body = [EnrollmentShown])))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(campaign): Ids<CampaignId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    let words = EnrollmentStatus::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ");
    let status = parameters.optional("status", EnrollmentStatus::parse, format!("one of {words}"));
    let batch_number = parameters.optional("batch_number", |text| text.parse::<u32>().ok(), "a batch's number");
    let batch_number = batch_number.map(i64::from);
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    campaign_found(&mut conn, caller.account, campaign).await?;
    let rows = enrollments::list(&mut conn, campaign, Filter { status, batch_number }, &asked.page()).await?;
    Ok(asked.answer(rows, |enrollment| enrollment.id, shown))
}

async fn outreach_of(conn: &mut Conn, campaign: &Campaign) -> Result<Option<Outreach>> {
    match campaign.outreach_id {
        None => Ok(None),
        Some(id) => Ok(outreaches::find(conn, campaign.account_id, id).await?),
    }
}

fn refused(reason: SkipReason) -> ApiError {
    match reason {
        SkipReason::AlreadyEnrolled => {
            ApiError::new(Code::ContactAlreadyEnrolled, "The contact is enrolled in this campaign already.")
        }
        SkipReason::Unsubscribed => ApiError::unprocessable("The contact unsubscribed."),
        SkipReason::Suppressed => ApiError::unprocessable("The contact's address or domain is suppressed."),
        SkipReason::CrossCampaignDuplicate => ApiError::unprocessable(
            "Another campaign of the same outreach has the contact, and its contacts are unique.",
        ),
    }
}

fn skipped_contact(skipped: Skipped) -> SkippedContact {
    let Skipped { contact_id, email, reason } = skipped;
    SkippedContact { contact_id, email, reason }
}

fn shown(row: Enrollment) -> EnrollmentShown {
    EnrollmentShown {
        id: row.id,
        contact_id: row.contact_id,
        smtp_credential_id: row.smtp_credential_id,
        status: row.status,
        batch_number: row.batch_number,
        sent_at: row.sent_at,
        opened_at: row.opened_at,
        replied_at: row.replied_at,
        bounce_reason: row.bounce_reason,
        stopped_at: row.stopped_at,
        stop_reason: row.stop_reason,
    }
}
