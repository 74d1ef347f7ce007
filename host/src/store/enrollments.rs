//! Enrollments: contacts in campaigns.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Page, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{
    AccountId, CampaignId, ContactId, ContactImportId, CredentialId, EnrollmentId, OutreachId, SendId,
};
use crate::domain::status::EnrollmentStatus;

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

/// A contact that could be enrolled, with what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub contact_id: ContactId,
    /// The address, for the answer.
    pub email: String,
    /// Enrolled in this campaign already.
    pub already_enrolled: bool,
    /// Unsubscribed.
    pub unsubscribed: bool,
    /// The address or its domain is suppressed.
    pub suppressed: bool,
    /// A sibling campaign of an outreach with unique contacts has it.
    pub in_sibling: bool,
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

/// An enrollment that has not been dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undispatched {
    /// Its id.
    pub id: EnrollmentId,
    /// Who.
    pub contact_id: ContactId,
    /// In which batch.
    pub batch_number: i64,
    /// Goes first in its batch.
    pub priority: bool,
}

/// Batches with as many enrollments that have not been dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndispatchedAlike {
    /// How many batches.
    pub batches: u64,
    /// Enrollments of each.
    pub each: u64,
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

const CANDIDATE: &str = "SELECT c.id, c.email,
       CASE WHEN EXISTS (SELECT 1 FROM enrollments e WHERE e.campaign_id = $2 AND e.contact_id = c.id)
            THEN 1 ELSE 0 END AS already_enrolled,
       CASE WHEN c.unsubscribed_at IS NULL THEN 0 ELSE 1 END AS unsubscribed,
       CASE WHEN EXISTS (SELECT 1 FROM suppressions s WHERE s.account_id = c.account_id
                           AND ((s.kind = 'address' AND s.value = c.email_key) OR (s.kind = 'domain' AND s.value = c.domain)))
            THEN 1 ELSE 0 END AS suppressed,
       CASE WHEN EXISTS (SELECT 1 FROM enrollments e JOIN campaigns k ON k.id = e.campaign_id
                         WHERE e.contact_id = c.id AND k.outreach_id = $3 AND e.campaign_id <> $2)
            THEN 1 ELSE 0 END AS in_sibling
     FROM contacts c";

/// The next contacts of an import after `after`, oldest first. `unique_in` is the outreach whose other campaigns
/// must not have them.
pub async fn candidates(
    conn: &mut Conn,
    campaign: CampaignId,
    unique_in: Option<OutreachId>,
    import: ContactImportId,
    after: &str,
    limit: i64,
) -> Result<Vec<Candidate>> {
    let sql = format!(
        "{CANDIDATE} WHERE c.contact_import_id = $1 AND c.deleted_at IS NULL AND c.id > $4 ORDER BY c.id LIMIT $5"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(import.to_string())
        .bind(campaign.to_string())
        .bind(unique_in.map(|id| id.to_string()))
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(candidate_of).collect()
}

/// One contact of an account as a candidate.
pub async fn candidate(
    conn: &mut Conn,
    account: AccountId,
    campaign: CampaignId,
    unique_in: Option<OutreachId>,
    contact: ContactId,
) -> Result<Option<Candidate>> {
    let sql = format!(
        "{CANDIDATE} WHERE c.id = $1 AND c.account_id = $4 AND c.deleted_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM contact_imports i WHERE i.id = c.contact_import_id AND i.deleted_at IS NOT NULL)"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(contact.to_string())
        .bind(campaign.to_string())
        .bind(unique_in.map(|id| id.to_string()))
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(candidate_of).transpose()
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

/// Enrollments that wait for a dispatch, in the order in which they will be sent.
pub async fn undispatched(
    conn: &mut Conn,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
) -> Result<Vec<Undispatched>> {
    undispatched_and(conn, campaign, batch, limit, "").await
}

/// The same, and nobody else takes or deletes them until the transaction ends. One that somebody has is passed over.
pub async fn hold_undispatched(
    tx: &mut Tx,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
) -> Result<Vec<Undispatched>> {
    let lock = tx.dialect().skip_locked();
    undispatched_and(tx.conn(), campaign, batch, limit, lock).await
}

async fn undispatched_and(
    conn: &mut Conn,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
    lock: &str,
) -> Result<Vec<Undispatched>> {
    let sql = format!(
        "SELECT id, contact_id, batch_number, priority FROM enrollments
         WHERE campaign_id = $1 AND dispatched_at IS NULL AND stopped_at IS NULL AND ($2 IS NULL OR batch_number = $2)
         ORDER BY batch_number, priority DESC, id LIMIT $3{lock}"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(campaign.to_string()).bind(batch).bind(limit).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(Undispatched {
                id: row.id("id")?,
                contact_id: row.id("contact_id")?,
                batch_number: row.int("batch_number")?,
                priority: row.flag("priority")?,
            })
        })
        .collect()
}

/// How many batches have how many enrollments that wait for a dispatch.
pub async fn undispatched_alike(conn: &mut Conn, campaign: CampaignId) -> Result<Vec<UndispatchedAlike>> {
    let rows = sqlx::query(
        "SELECT COUNT(*) AS batches, waiting FROM
            (SELECT COUNT(*) AS waiting FROM enrollments
             WHERE campaign_id = $1 AND dispatched_at IS NULL AND stopped_at IS NULL GROUP BY batch_number) AS b
         GROUP BY waiting",
    )
    .bind(campaign.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok(UndispatchedAlike { batches: row.count("batches")?, each: row.count("waiting")? }))
        .collect()
}

/// Marks them dispatched.
pub async fn mark_dispatched(tx: &mut Tx, ids: &[EnrollmentId], now: Timestamp) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE enrollments SET dispatched_at = $2 WHERE id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(now.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
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
    let rows = sqlx::query(
        "SELECT * FROM enrollments WHERE campaign_id = $1 AND id < $2
           AND ($3 IS NULL OR status = $3) AND ($4 IS NULL OR batch_number = $4)
         ORDER BY id DESC LIMIT $5",
    )
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

/// Nothing more is sent to it; false when that was already so.
pub async fn stop(conn: &mut Conn, id: EnrollmentId, reason: &str, now: Timestamp) -> Result<bool> {
    let done =
        sqlx::query("UPDATE enrollments SET stopped_at = $2, stop_reason = $3 WHERE id = $1 AND stopped_at IS NULL")
            .bind(id.to_string())
            .bind(now.as_millis())
            .bind(reason)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Nothing more is sent to any of them.
pub async fn stop_many(tx: &mut Tx, ids: &[EnrollmentId], reason: &str, now: Timestamp) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE enrollments SET stopped_at = $2, stop_reason = $3
         WHERE stopped_at IS NULL AND id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(now.as_millis())
        .bind(reason)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A stopped one has another reason, which takes the place of some that are weaker.
pub async fn replace_stop_reason(conn: &mut Conn, id: EnrollmentId, reason: &str, weaker: &[&str]) -> Result<()> {
    for weak in weaker {
        sqlx::query("UPDATE enrollments SET stop_reason = $3 WHERE id = $1 AND stop_reason = $2")
            .bind(id.to_string())
            .bind(*weak)
            .bind(reason)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Writes its status; the counters are the caller's (see `facts`).
pub(super) async fn set_status(conn: &mut Conn, id: EnrollmentId, status: EnrollmentStatus) -> Result<()> {
    sqlx::query("UPDATE enrollments SET status = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(status.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Its first message was accepted.
pub(super) async fn opened_thread(
    conn: &mut Conn,
    id: EnrollmentId,
    send: SendId,
    credential: CredentialId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE enrollments SET sent_at = $2, smtp_credential_id = $3, first_send_id = $4 WHERE id = $1 AND first_send_id IS NULL")
        .bind(id.to_string())
        .bind(now.as_millis())
        .bind(credential.to_string())
        .bind(send.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn set_bounced(conn: &mut Conn, id: EnrollmentId, reason: &str, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE enrollments SET bounced_at = $2, bounce_reason = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millis())
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// One that bounced is told of in other words.
pub(super) async fn reword_bounce(conn: &mut Conn, id: EnrollmentId, reason: &str) -> Result<()> {
    sqlx::query("UPDATE enrollments SET bounce_reason = $2 WHERE id = $1 AND bounced_at IS NOT NULL")
        .bind(id.to_string())
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn set_replied(conn: &mut Conn, id: EnrollmentId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE enrollments SET replied_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn set_opened(conn: &mut Conn, id: EnrollmentId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE enrollments SET opened_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

fn candidate_of(row: &AnyRow) -> Result<Candidate> {
    Ok(Candidate {
        contact_id: row.id("id")?,
        email: row.text("email")?,
        already_enrolled: row.flag("already_enrolled")?,
        unsubscribed: row.flag("unsubscribed")?,
        suppressed: row.flag("suppressed")?,
        in_sibling: row.flag("in_sibling")?,
    })
}

fn enrollment_of(row: &AnyRow) -> Result<Enrollment> {
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
