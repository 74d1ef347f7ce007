//! Enrollments: contacts in campaigns.

mod candidates;
mod changes;
pub mod standings;
mod undispatched;

use sqlx::AssertSqlSafe;

use super::row::RowExt;
use super::{Conn, Page, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CampaignId, ContactId, CredentialId, EnrollmentId, SendId};
use crate::domain::status::EnrollmentStatus;

pub use candidates::*;
pub use changes::*;
pub use undispatched::*;

/// A contact in a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// Its owner.
    pub account_id: AccountId,
    /// Where it is enrolled.
    pub campaign_id: CampaignId,
    /// Who is enrolled.
    pub contact_id: ContactId,
    /// In which batch.
    pub batch_number: i64,
    /// Goes first in its batch.
    pub priority: bool,
    /// How far it got.
    pub status: EnrollmentStatus,
    /// The credential that sent step 1.
    pub smtp_credential_id: Option<CredentialId>,
    /// When its first step was given a time.
    pub dispatched_at: Option<Timestamp>,
    /// When step 1 was accepted.
    pub sent_at: Option<Timestamp>,
    /// When the pixel was first loaded.
    pub opened_at: Option<Timestamp>,
    /// When a person first answered.
    pub replied_at: Option<Timestamp>,
    /// When it bounced.
    pub bounced_at: Option<Timestamp>,
    /// Why it bounced.
    pub bounce_reason: Option<String>,
    /// Since when nothing more is sent.
    pub stopped_at: Option<Timestamp>,
    /// Why nothing more is sent.
    pub stop_reason: Option<String>,
    /// The send that opened the thread.
    pub first_send_id: Option<SendId>,
    /// When it was enrolled.
    pub created_at: Timestamp,
}

/// An enrollment that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// Who.
    pub contact_id: ContactId,
    /// In which batch.
    pub batch_number: i64,
    /// Goes first in its batch.
    pub priority: bool,
}

/// A recent bounce in a campaign's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentBounce {
    /// Which enrollment.
    pub enrollment_id: EnrollmentId,
    /// The contact's address.
    pub email: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What to look for in a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only these.
    pub status: Option<EnrollmentStatus>,
    /// Only this batch.
    pub batch_number: Option<i64>,
}

/// Makes many enrollments by one statement; those that exist are passed over. Gives how many were made.
pub async fn insert_many(
    tx: &mut Tx,
    account: AccountId,
    campaign: CampaignId,
    enrollments: &[NewEnrollment],
    now: Timestamp,
) -> Result<u64> {
    let rows: Vec<_> = enrollments
        .iter()
        .map(|e| {
            (e.id.to_string(), e.contact_id.to_string(), e.batch_number.to_string(), i64::from(e.priority).to_string())
        })
        .collect();
    let sql = format!(
        "INSERT INTO enrollments (id, contact_id, batch_number, priority, account_id, campaign_id, status, created_at)
         SELECT c0, c1, CAST(c2 AS BIGINT), CAST(c3 AS BIGINT), $2, $3, 'pending', $4 FROM {} AS given WHERE true
         ON CONFLICT (campaign_id, contact_id) DO NOTHING",
        tx.dialect().json_rows(4)
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(account.to_string())
        .bind(campaign.to_string())
        .bind(now.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}

/// The highest batch number of a campaign.
pub async fn last_batch(conn: &mut Conn, campaign: CampaignId) -> Result<Option<i64>> {
    let row = sqlx::query("SELECT MAX(batch_number) AS last FROM batch_counters WHERE campaign_id = $1")
        .bind(campaign.to_string())
        .fetch_one(conn)
        .await?;
    row.opt_int("last")
}

/// One enrollment, for the engine itself.
pub async fn get(conn: &mut Conn, id: EnrollmentId) -> Result<Option<Enrollment>> {
    let row = sqlx::query("SELECT * FROM enrollments WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(enrollment_of).transpose()
}

/// The same, and nobody else changes it until the transaction ends: what is decided on it holds when it is written.
pub async fn get_for_update(tx: &mut Tx, id: EnrollmentId) -> Result<Option<Enrollment>> {
    let sql = format!("SELECT * FROM enrollments WHERE id = $1{}", tx.dialect().for_update());
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(tx.conn()).await?;
    row.as_ref().map(enrollment_of).transpose()
}

/// One enrollment of an account.
pub async fn find(conn: &mut Conn, account: AccountId, id: EnrollmentId) -> Result<Option<Enrollment>> {
    Ok(get(conn, id).await?.filter(|enrollment| enrollment.account_id == account))
}

/// A campaign's enrollments, newest first.
pub async fn list(conn: &mut Conn, campaign: CampaignId, filter: Filter, page: &Page) -> Result<Vec<Enrollment>> {
    let by_status = match filter.status {
        None => "$3 IS NULL",
        // As their index has it: a few of a million.
        Some(EnrollmentStatus::Replied | EnrollmentStatus::Bounced) => {
            "status = $3 AND status IN ('replied', 'bounced')"
        }
        Some(_) => "status = $3",
    };
    let sql = format!(
        "SELECT * FROM enrollments WHERE campaign_id = $1 AND id < $2
           AND {by_status} AND ($4 IS NULL OR batch_number = $4)
         ORDER BY id DESC LIMIT $5"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(campaign.to_string())
        .bind(page.before())
        .bind(filter.status.map(EnrollmentStatus::as_str))
        .bind(filter.batch_number)
        .bind(page.limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(enrollment_of).collect()
}

/// The latest bounces of a campaign.
pub async fn recent_bounces(conn: &mut Conn, campaign: CampaignId, limit: i64) -> Result<Vec<RecentBounce>> {
    let rows = sqlx::query(
        "SELECT e.id, c.email, e.bounce_reason, e.bounced_at FROM enrollments e JOIN contacts c ON c.id = e.contact_id
         WHERE e.campaign_id = $1 AND e.bounced_at IS NOT NULL ORDER BY e.bounced_at DESC, e.id DESC LIMIT $2",
    )
    .bind(campaign.to_string())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(RecentBounce {
                enrollment_id: row.id("id")?,
                email: row.text("email")?,
                reason: row.opt_text("bounce_reason")?.unwrap_or_default(),
                at: row.time("bounced_at")?,
            })
        })
        .collect()
}

/// What [`enrollment_of`] reads.
const COLUMNS: &[&str] = &[
    "id",
    "account_id",
    "campaign_id",
    "contact_id",
    "batch_number",
    "priority",
    "status",
    "smtp_credential_id",
    "dispatched_at",
    "sent_at",
    "opened_at",
    "replied_at",
    "bounced_at",
    "bounce_reason",
    "stopped_at",
    "stop_reason",
    "first_send_id",
    "created_at",
];

fn enrollment_of(row: &impl RowExt) -> Result<Enrollment> {
    Ok(Enrollment {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        campaign_id: row.id("campaign_id")?,
        contact_id: row.id("contact_id")?,
        batch_number: row.int("batch_number")?,
        priority: row.flag("priority")?,
        status: row.word("status", EnrollmentStatus::parse)?,
        smtp_credential_id: row.opt_id("smtp_credential_id")?,
        dispatched_at: row.opt_time("dispatched_at")?,
        sent_at: row.opt_time("sent_at")?,
        opened_at: row.opt_time("opened_at")?,
        replied_at: row.opt_time("replied_at")?,
        bounced_at: row.opt_time("bounced_at")?,
        bounce_reason: row.opt_text("bounce_reason")?,
        stopped_at: row.opt_time("stopped_at")?,
        stop_reason: row.opt_text("stop_reason")?,
        first_send_id: row.opt_id("first_send_id")?,
        created_at: row.time("created_at")?,
    })
}
