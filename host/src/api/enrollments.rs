//! Enrollments: contacts are put into a campaign, in batches or one by one, and listed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::campaigns::found as campaign_found;
use super::contact_imports::found as import_found;
use super::error::{ApiError, Code, Result};
use super::input::read;
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::{flag, id, whole};
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Outreach};
use crate::domain::ids::{CampaignId, ContactId, ContactImportId, CredentialId, EnrollmentId};
use crate::domain::status::EnrollmentStatus;
use crate::store::enrollments::{self, Enrollment, Filter, NewEnrollment};
use crate::store::facts::enrolled::{self, Batching, Part, SkipReason, Skipped};
use crate::store::{Conn, contacts, outreaches};

/// Contacts of one transaction.
const CHUNK: i64 = 5000;
const DEFAULT_BATCH_SIZE: u64 = 50;
const LARGEST_BATCH_SIZE: u64 = 1_000_000;
/// More than these are counted and not named: an answer stays within a few megabytes.
const MOST_SKIPPED_NAMED: usize = 10_000;

#[derive(Serialize)]
pub(super) struct Enrolled {
    enrolled: u64,
    batches: u64,
    batch_size: u64,
    skipped: Vec<Skipped>,
    skipped_count: u64,
}

#[derive(Serialize)]
pub(super) struct ContactEnrolled {
    id: EnrollmentId,
    contact_id: ContactId,
    batch_number: i64,
    status: EnrollmentStatus,
}

#[derive(Serialize)]
pub(super) struct EnrollmentShown {
    id: EnrollmentId,
    contact_id: ContactId,
    smtp_credential_id: Option<CredentialId>,
    status: EnrollmentStatus,
    batch_number: i64,
    sent_at: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    replied_at: Option<Timestamp>,
    bounce_reason: Option<String>,
    stopped_at: Option<Timestamp>,
    stop_reason: Option<String>,
}

pub(super) async fn enroll(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(campaign): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Json<Enrolled>> {
    let (import, batch_size) = read(body, |fields| {
        let import = fields.required("contact_import_id", id::<ContactImportId>);
        let size = fields.optional("batch_size", whole(1, LARGEST_BATCH_SIZE)).unwrap_or(DEFAULT_BATCH_SIZE);
        Some((import?, size))
    })?;
    let mut conn = api.app.store.read().await?;
    let campaign = campaign_found(&mut conn, caller.account, campaign).await?;
    import_found(&mut conn, caller.account, import).await?;
    let unique_in = enrolled::unique_in(outreach_of(&mut conn, &campaign).await?.as_ref());
    let last_batch = enrollments::last_batch(&mut conn, campaign.id).await?.unwrap_or(0).max(0);
    drop(conn);

    let mut answer = Enrolled { enrolled: 0, batches: 0, batch_size, skipped: Vec::new(), skipped_count: 0 };
    let mut batching = Batching { number: last_batch + 1, filled: 0, size: batch_size };
    let mut after = None;
    loop {
        let mut tx = api.app.store.begin().await?;
        let part = Part { import, unique_in, after, limit: CHUNK };
        let chunk = enrolled::enroll_chunk(&mut tx, &campaign, part, &mut batching, api.now()).await?;
        tx.commit().await?;
        answer.enrolled += chunk.enrolled;
        answer.skipped_count += u64::try_from(chunk.skipped.len()).unwrap_or(u64::MAX);
        let room = MOST_SKIPPED_NAMED - answer.skipped.len();
        answer.skipped.extend(chunk.skipped.into_iter().take(room));
        if chunk.last.is_none() {
            break;
        }
        after = chunk.last;
    }
    answer.batches = answer.enrolled.div_ceil(batch_size);
    Ok(Json(answer))
}

pub(super) async fn enroll_contact(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(campaign): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<ContactEnrolled>)> {
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
    contacts::hold(&mut tx, contact_id).await?;
    let candidate = enrollments::candidate(tx.conn(), caller.account, campaign.id, unique_in, contact_id).await?;
    let candidate = candidate.ok_or_else(|| ApiError::missing(Code::ContactNotFound))?;
    if let Some(reason) = SkipReason::of(&candidate) {
        return Err(refused(reason));
    }
    let enrollment = NewEnrollment { id: EnrollmentId::new(now), contact_id, batch_number: batch, priority };
    if !enrolled::enroll_one(&mut tx, &campaign, &enrollment, now).await? {
        return Err(refused(SkipReason::AlreadyEnrolled));
    }
    tx.commit().await?;
    let NewEnrollment { id, contact_id, batch_number, .. } = enrollment;
    let answer = ContactEnrolled { id, contact_id, batch_number, status: EnrollmentStatus::Pending };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(campaign): Ids<CampaignId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    let words = EnrollmentStatus::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ");
    let status = parameters.optional("status", EnrollmentStatus::parse, format!("one of {words}"));
    let batch_number = parameters.optional("batch_number", |text| text.parse().ok(), "a whole number");
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
