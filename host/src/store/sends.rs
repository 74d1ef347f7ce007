//! The ledger: one row a step and enrollment, written before anything is sent.
//!
//! `due → claimed → sending → sent | bounced | failed | in_doubt | skipped`. Every function that moves a row names the
//! state that it moves it from, so that a node that lost its lease can't undo what another has done since.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::contact::Contact;
use crate::domain::ids::{AccountId, CampaignId, ContactId, CredentialId, EnrollmentId, NodeId, SendId};
use crate::domain::status::{CampaignStatus, SendState};

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Its id; the Message-ID is made from it.
    pub id: SendId,
    /// Its owner.
    pub account_id: AccountId,
    /// Of which campaign.
    pub campaign_id: CampaignId,
    /// To which enrollment.
    pub enrollment_id: EnrollmentId,
    /// To whom.
    pub contact_id: ContactId,
    /// Which step, from 1.
    pub step_position: u32,
    /// Through which credential; none until a first step is claimed.
    pub smtp_credential_id: Option<CredentialId>,
    /// Where it stands.
    pub state: SendState,
    /// When it may leave.
    pub due_at: Timestamp,
    /// SMTP transactions tried.
    pub attempts: u32,
    /// MX look-ups without an answer.
    pub mx_attempts: u32,
    /// The UTC day whose limit it has a place of.
    pub reserved_day: Option<i64>,
    /// The provider's id for it.
    pub provider_message_id: Option<String>,
    /// The last reply's code.
    pub smtp_code: Option<u16>,
    /// The last reply's enhanced code.
    pub smtp_status: Option<String>,
    /// The last reply's text.
    pub smtp_reply: Option<String>,
    /// Why it was skipped, failed, put off or is in doubt.
    pub reason: Option<String>,
    /// When it was accepted.
    pub sent_at: Option<Timestamp>,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// A send that a node holds, with what is needed to make its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSend {
    /// The row, with its credential.
    pub send: Send,
    /// The credential that it goes out through.
    pub credential_id: CredentialId,
    /// The recipient.
    pub contact: Contact,
    /// The batch of its enrollment.
    pub batch_number: i64,
    /// The send that opened the thread; none for a first step.
    pub first_send_id: Option<SendId>,
}

/// A send that is about to be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSend {
    /// Its id.
    pub id: SendId,
    /// To which enrollment.
    pub enrollment_id: EnrollmentId,
    /// To whom.
    pub contact_id: ContactId,
    /// Which step.
    pub step_position: u32,
    /// A follow-up's credential.
    pub smtp_credential_id: Option<CredentialId>,
    /// When it may leave.
    pub due_at: Timestamp,
    /// Goes first among those that are due.
    pub priority: bool,
}

/// A lease: who holds a row, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub owner: NodeId,
    /// Until then.
    pub until: Timestamp,
}

/// Why a claimed send must not leave after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The enrollment was stopped: replied, bounced, unsubscribed, ….
    Stopped(String),
    /// The contact unsubscribed.
    Unsubscribed,
    /// The address or its domain is suppressed.
    Suppressed,
    /// The campaign is not active.
    CampaignNotActive,
    /// The credential was disabled or deleted.
    CredentialOff,
    /// Another node has taken it over, or it was moved otherwise.
    Lost,
}

/// Plans many sends by one statement; a step that is planned already is passed over. Gives how many were planned.
pub async fn plan_many(
    tx: &mut Tx,
    account: AccountId,
    campaign: CampaignId,
    sends: &[NewSend],
    now: Timestamp,
) -> Result<u64> {
    let rows: Vec<_> = sends
        .iter()
        .map(|s| {
            (
                s.id.to_string(),
                s.enrollment_id.to_string(),
                s.contact_id.to_string(),
                s.step_position.to_string(),
                s.smtp_credential_id.map(|id| id.to_string()),
                s.due_at.as_millis().to_string(),
                i64::from(s.priority).to_string(),
            )
        })
        .collect();
    let sql = format!(
        "INSERT INTO sends (id, enrollment_id, contact_id, step_position, smtp_credential_id, due_at, priority,
                            account_id, campaign_id, state, created_at)
         SELECT c0, c1, c2, CAST(c3 AS BIGINT), c4, CAST(c5 AS BIGINT), CAST(c6 AS BIGINT), $2, $3, 'due', $4
         FROM {} AS given WHERE true
         ON CONFLICT (enrollment_id, step_position) DO NOTHING",
        tx.dialect().json_rows(7)
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

/// When the next send of a campaign may leave: `None` for `credential` are the first steps.
pub async fn next_due(
    conn: &mut Conn,
    campaign: CampaignId,
    credential: Option<CredentialId>,
) -> Result<Option<Timestamp>> {
    let row = match credential {
        None => {
            sqlx::query("SELECT MIN(due_at) AS next FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL")
                .bind(campaign.to_string())
                .fetch_one(conn)
                .await?
        }
        Some(credential) => {
            sqlx::query("SELECT MIN(due_at) AS next FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = $2")
                .bind(campaign.to_string())
                .bind(credential.to_string())
                .fetch_one(conn)
                .await?
        }
    };
    row.opt_time("next")
}

/// The first steps of a campaign that are due, at most `limit`, in the order in which they leave.
pub async fn due_first_steps(tx: &mut Tx, campaign: CampaignId, now: Timestamp, limit: i64) -> Result<Vec<SendId>> {
    let sql = format!(
        "SELECT id FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL AND due_at <= $2
         ORDER BY due_at, priority DESC, id LIMIT $3{}",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(campaign.to_string())
        .bind(now.as_millis())
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// The follow-ups of a credential that are due.
pub async fn due_follow_ups(
    tx: &mut Tx,
    campaign: CampaignId,
    credential: CredentialId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<SendId>> {
    let sql = format!(
        "SELECT id FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = $2 AND due_at <= $3
         ORDER BY due_at, id LIMIT $4{}",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(campaign.to_string())
        .bind(credential.to_string())
        .bind(now.as_millis())
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Claims sends, each for its credential. `reserved_day` is given for first steps; one that was put off keeps its own.
pub async fn claim(
    tx: &mut Tx,
    claims: &[(SendId, CredentialId)],
    reserved_day: Option<i64>,
    lease: Lease,
) -> Result<()> {
    let rows: Vec<_> = claims.iter().map(|(send, credential)| (send.to_string(), credential.to_string())).collect();
    let sql = format!(
        "UPDATE sends SET state = 'claimed', smtp_credential_id = given.c1, reserved_day = COALESCE($2, sends.reserved_day), lease_owner = $3,
                lease_until = $4
         FROM {} AS given WHERE sends.id = given.c0 AND sends.state = 'due'",
        tx.dialect().json_rows(2)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(reserved_day)
        .bind(lease.owner.to_string())
        .bind(lease.until.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What was claimed, with its recipients.
pub async fn claimed(tx: &mut Tx, ids: &[SendId], owner: NodeId) -> Result<Vec<ClaimedSend>> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "SELECT s.*, e.batch_number, e.first_send_id, c.contact_import_id, c.email, c.domain, c.first_name, c.last_name,
                c.company, c.unsubscribed_at, c.created_at AS contact_created_at
         FROM {} AS given JOIN sends s ON s.id = given.c0 JOIN enrollments e ON e.id = s.enrollment_id
              JOIN contacts c ON c.id = s.contact_id
         WHERE s.state = 'claimed' AND s.lease_owner = $2 ORDER BY s.due_at, s.priority DESC, s.id",
        tx.dialect().json_rows(1)
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(owner.to_string())
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(claimed_of).collect()
}

/// The intent: from `claimed` to `sending`, unless something speaks against it in this very moment.
pub async fn begin_sending(conn: &mut Conn, id: SendId, lease: Lease) -> Result<std::result::Result<(), Obstacle>> {
    let done = sqlx::query(
        "UPDATE sends SET state = 'sending', attempts = attempts + 1, lease_until = $3
         WHERE id = $1 AND state = 'claimed' AND lease_owner = $2
           AND EXISTS (SELECT 1 FROM enrollments e WHERE e.id = sends.enrollment_id AND e.stopped_at IS NULL)
           AND EXISTS (SELECT 1 FROM campaigns k WHERE k.id = sends.campaign_id AND k.status = 'active')
           AND EXISTS (SELECT 1 FROM smtp_credentials x WHERE x.id = sends.smtp_credential_id
                         AND x.disabled_at IS NULL AND x.deleted_at IS NULL)
           AND EXISTS (SELECT 1 FROM contacts c WHERE c.id = sends.contact_id AND c.unsubscribed_at IS NULL
                         AND NOT EXISTS (SELECT 1 FROM suppressions p WHERE p.account_id = c.account_id
                               AND ((p.kind = 'address' AND p.value = c.email_key)
                                 OR (p.kind = 'domain' AND p.value = c.domain))))",
    )
    .bind(id.to_string())
    .bind(lease.owner.to_string())
    .bind(lease.until.as_millis())
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    Ok(Err(obstacle(conn, id, lease.owner).await?))
}

/// Moves a held row back to due. `credential` is kept for follow-ups and taken from first steps.
pub async fn give_back(conn: &mut Conn, held: &ClaimedSend, due_at: Timestamp, reason: &str) -> Result<bool> {
    let is_first = held.send.reserved_day.is_some();
    let done = sqlx::query(
        "UPDATE sends SET state = 'due', due_at = $2, reason = $3, lease_owner = NULL, lease_until = NULL,
                reserved_day = NULL, smtp_credential_id = CASE WHEN $4 = 1 THEN NULL ELSE smtp_credential_id END
         WHERE id = $1 AND state IN ('claimed', 'sending')",
    )
    .bind(held.send.id.to_string())
    .bind(due_at.as_millis())
    .bind(reason)
    .bind(i64::from(is_first))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that an MX look-up gave no answer.
pub async fn count_mx_attempt(conn: &mut Conn, id: SendId) -> Result<()> {
    sqlx::query("UPDATE sends SET mx_attempts = mx_attempts + 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// How a send ended, for the row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// The reply's code.
    pub smtp_code: Option<u16>,
    /// The reply's enhanced code.
    pub smtp_status: Option<String>,
    /// The reply's text.
    pub smtp_reply: Option<String>,
    /// Why, where it did not go well.
    pub reason: Option<String>,
    /// The provider's id, where its reply tells it.
    pub provider_message_id: Option<String>,
}

/// Moves a held row to an end; false when it has one. A row in doubt is settled by what its sender has seen after all.
pub async fn finish(conn: &mut Conn, id: SendId, state: SendState, ending: &Ending, now: Timestamp) -> Result<bool> {
    let sent_at = (state == SendState::Sent).then(|| now.as_millis());
    let done = sqlx::query(
        "UPDATE sends SET state = $2, smtp_code = $3, smtp_status = $4, smtp_reply = $5, reason = $6,
                provider_message_id = $7, sent_at = $8, lease_owner = NULL, lease_until = NULL
         WHERE id = $1 AND state IN ('claimed', 'sending', 'in_doubt')",
    )
    .bind(id.to_string())
    .bind(state.as_str())
    .bind(ending.smtp_code.map(i64::from))
    .bind(ending.smtp_status.as_deref())
    .bind(ending.smtp_reply.as_deref())
    .bind(ending.reason.as_deref())
    .bind(ending.provider_message_id.as_deref())
    .bind(sent_at)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The server put it off: due again later, with its credential and its place of the daily limit.
pub async fn put_off(conn: &mut Conn, id: SendId, due_at: Timestamp, ending: &Ending) -> Result<()> {
    sqlx::query(
        "UPDATE sends SET state = 'due', due_at = $2, smtp_code = $3, smtp_status = $4, smtp_reply = $5, reason = $6,
                lease_owner = NULL, lease_until = NULL
         WHERE id = $1 AND state IN ('claimed', 'sending')",
    )
    .bind(id.to_string())
    .bind(due_at.as_millis())
    .bind(ending.smtp_code.map(i64::from))
    .bind(ending.smtp_status.as_deref())
    .bind(ending.smtp_reply.as_deref())
    .bind(ending.reason.as_deref())
    .execute(conn)
    .await?;
    Ok(())
}

/// A doubt is settled: it left. False when there was none. What follows from it is in `facts::delivery`.
pub(super) async fn settle_sent(conn: &mut Conn, id: SendId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query("UPDATE sends SET state = 'sent', sent_at = $2 WHERE id = $1 AND state = 'in_doubt'")
        .bind(id.to_string())
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Evidence that it bounced.
pub async fn settle_bounced(conn: &mut Conn, id: SendId, reason: &str) -> Result<()> {
    sqlx::query(
        "UPDATE sends SET state = 'bounced', reason = $2, lease_owner = NULL, lease_until = NULL
         WHERE id = $1 AND state IN ('claimed', 'sending', 'sent', 'in_doubt')",
    )
    .bind(id.to_string())
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// First steps that wait for a credential which is off are free for any other.
pub async fn free_first_steps(conn: &mut Conn, campaign: CampaignId, credential: CredentialId) -> Result<()> {
    sqlx::query(
        "UPDATE sends SET smtp_credential_id = NULL, reserved_day = NULL
         WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = $2 AND reserved_day IS NOT NULL",
    )
    .bind(campaign.to_string())
    .bind(credential.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// What an enrollment has yet to be sent is not sent any more.
pub async fn cancel_due(conn: &mut Conn, enrollment: EnrollmentId, reason: &str) -> Result<u64> {
    let done =
        sqlx::query("UPDATE sends SET state = 'skipped', reason = $2 WHERE enrollment_id = $1 AND state = 'due'")
            .bind(enrollment.to_string())
            .bind(reason)
            .execute(conn)
            .await?;
    Ok(done.rows_affected())
}

/// Follow-ups of a credential that is gone are not sent any more.
pub async fn cancel_of_credential(
    conn: &mut Conn,
    campaign: CampaignId,
    credential: CredentialId,
    reason: &str,
) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE sends SET state = 'skipped', reason = $3 WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = $2",
    )
    .bind(campaign.to_string())
    .bind(credential.to_string())
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Frees what nodes held whose leases have ended: `claimed` had not left and is due again; `sending` may have left and is
/// in doubt. Gives the freed (with their reservations) and how many came into doubt.
pub async fn recover_expired(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<(Vec<Send>, Vec<Send>)> {
    let sql = format!(
        "SELECT * FROM sends WHERE state IN ('claimed', 'sending') AND lease_until < $1 ORDER BY lease_until LIMIT $2{}",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(now.as_millis()).bind(limit).fetch_all(tx.conn()).await?;
    let expired = rows.iter().map(send_of).collect::<Result<Vec<_>>>()?;
    let (claimed, sending): (Vec<_>, Vec<_>) = expired.into_iter().partition(|send| send.state == SendState::Claimed);
    for send in &claimed {
        sqlx::query(
            "UPDATE sends SET state = 'due', lease_owner = NULL, lease_until = NULL, reserved_day = NULL,
                    smtp_credential_id = CASE WHEN $2 = 1 THEN NULL ELSE smtp_credential_id END
             WHERE id = $1 AND state = 'claimed'",
        )
        .bind(send.id.to_string())
        .bind(i64::from(send.reserved_day.is_some()))
        .execute(tx.conn())
        .await?;
    }
    for send in &sending {
        sqlx::query(
            "UPDATE sends SET state = 'in_doubt', lease_owner = NULL, lease_until = NULL,
                    reason = 'the node stopped while it was sending' WHERE id = $1 AND state = 'sending'",
        )
        .bind(send.id.to_string())
        .execute(tx.conn())
        .await?;
    }
    Ok((claimed, sending))
}

/// Holds on to what a node is still working on.
pub async fn extend_leases(tx: &mut Tx, ids: &[SendId], lease: Lease) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE sends SET lease_until = $3 WHERE lease_owner = $2 AND state IN ('claimed', 'sending')
           AND id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(lease.owner.to_string())
        .bind(lease.until.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// One row.
pub async fn get(conn: &mut Conn, id: SendId) -> Result<Option<Send>> {
    let row = sqlx::query("SELECT * FROM sends WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(send_of).transpose()
}

/// An enrollment's rows in the order of the steps.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<Send>> {
    let rows = sqlx::query("SELECT * FROM sends WHERE enrollment_id = $1 ORDER BY step_position")
        .bind(enrollment.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(send_of).collect()
}

/// An account's send by the provider's id for it.
pub async fn by_provider_message_id(conn: &mut Conn, account: AccountId, id: &str) -> Result<Option<Send>> {
    let row =
        sqlx::query("SELECT * FROM sends WHERE provider_message_id = $1 AND account_id = $2 ORDER BY id DESC LIMIT 1")
            .bind(id)
            .bind(account.to_string())
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(send_of).transpose()
}

/// Keeps the provider's id for a send that has none.
pub async fn learn_provider_message_id(conn: &mut Conn, id: SendId, provider_message_id: &str) -> Result<()> {
    sqlx::query("UPDATE sends SET provider_message_id = $2 WHERE id = $1 AND provider_message_id IS NULL")
        .bind(id.to_string())
        .bind(provider_message_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// An account's newest send to an address; only those of `credential` where one is given.
pub async fn newest_to(
    conn: &mut Conn,
    account: AccountId,
    email_key: &str,
    credential: Option<CredentialId>,
) -> Result<Option<Send>> {
    let row = sqlx::query(
        "SELECT s.* FROM contacts c JOIN enrollments e ON e.contact_id = c.id JOIN sends s ON s.enrollment_id = e.id
         WHERE c.account_id = $1 AND c.email_key = $2 AND s.state IN ('sent', 'bounced', 'in_doubt', 'sending')
           AND ($3 IS NULL OR s.smtp_credential_id = $3)
         ORDER BY s.sent_at DESC, s.id DESC LIMIT 1",
    )
    .bind(account.to_string())
    .bind(email_key)
    .bind(credential.map(|id| id.to_string()))
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(send_of).transpose()
}

/// How many are due now (counted up to 100 000) and how many are in doubt.
pub async fn queue_sizes(conn: &mut Conn) -> Result<(u64, u64)> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 AS one FROM sends WHERE state = 'due' LIMIT 100000) AS d) AS due,
                (SELECT COUNT(*) FROM sends WHERE state = 'in_doubt') AS in_doubt",
    )
    .fetch_one(conn)
    .await?;
    Ok((row.count("due")?, row.count("in_doubt")?))
}

async fn obstacle(conn: &mut Conn, id: SendId, owner: NodeId) -> Result<Obstacle> {
    let row = sqlx::query(
        "SELECT s.state, s.lease_owner, e.stopped_at, e.stop_reason, k.status, c.unsubscribed_at,
                CASE WHEN x.id IS NULL OR x.disabled_at IS NOT NULL OR x.deleted_at IS NOT NULL THEN 1 ELSE 0 END AS credential_off
         FROM sends s JOIN enrollments e ON e.id = s.enrollment_id JOIN campaigns k ON k.id = s.campaign_id
              JOIN contacts c ON c.id = s.contact_id LEFT JOIN smtp_credentials x ON x.id = s.smtp_credential_id
         WHERE s.id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(Obstacle::Lost) };
    let held =
        row.text("state")? == SendState::Claimed.as_str() && row.opt_text("lease_owner")? == Some(owner.to_string());
    if !held {
        return Ok(Obstacle::Lost);
    }
    if row.opt_time("unsubscribed_at")?.is_some() {
        return Ok(Obstacle::Unsubscribed);
    }
    if row.opt_time("stopped_at")?.is_some() {
        return Ok(Obstacle::Stopped(row.opt_text("stop_reason")?.unwrap_or_default()));
    }
    if row.word("status", CampaignStatus::parse)? != CampaignStatus::Active {
        return Ok(Obstacle::CampaignNotActive);
    }
    if row.flag("credential_off")? {
        return Ok(Obstacle::CredentialOff);
    }
    Ok(Obstacle::Suppressed)
}

fn claimed_of(row: &AnyRow) -> Result<ClaimedSend> {
    let send = send_of(row)?;
    Ok(ClaimedSend {
        credential_id: row.id("smtp_credential_id")?,
        contact: Contact {
            id: send.contact_id,
            contact_import_id: row.id("contact_import_id")?,
            email: row.text("email")?,
            domain: row.text("domain")?,
            first_name: row.opt_text("first_name")?,
            last_name: row.opt_text("last_name")?,
            company: row.opt_text("company")?,
            unsubscribed_at: row.opt_time("unsubscribed_at")?,
            created_at: row.time("contact_created_at")?,
        },
        batch_number: row.int("batch_number")?,
        first_send_id: row.opt_id("first_send_id")?,
        send,
    })
}

fn send_of(row: &AnyRow) -> Result<Send> {
    Ok(Send {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        campaign_id: row.id("campaign_id")?,
        enrollment_id: row.id("enrollment_id")?,
        contact_id: row.id("contact_id")?,
        step_position: row.small("step_position")?,
        smtp_credential_id: row.opt_id("smtp_credential_id")?,
        state: row.word("state", SendState::parse)?,
        due_at: row.time("due_at")?,
        attempts: row.small("attempts")?,
        mx_attempts: row.small("mx_attempts")?,
        reserved_day: row.opt_int("reserved_day")?,
        provider_message_id: row.opt_text("provider_message_id")?,
        smtp_code: row.opt_int("smtp_code")?.and_then(|code| u16::try_from(code).ok()),
        smtp_status: row.opt_text("smtp_status")?,
        smtp_reply: row.opt_text("smtp_reply")?,
        reason: row.opt_text("reason")?,
        sent_at: row.opt_time("sent_at")?,
        created_at: row.time("created_at")?,
    })
}
