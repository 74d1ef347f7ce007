//! Settling: how a held send ended, and what becomes of sends whose enrollment or credential has ended.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::ClaimedSend;
use crate::domain::Timestamp;
use crate::domain::ids::{CampaignId, CredentialId, EnrollmentId, NodeId, SendId};
use crate::domain::status::SendState;
use crate::store::dialect::json_of;
use crate::store::row::RowExt;
use crate::store::{Conn, Dialect, Result, Tx, Writes};

/// The states of a send whose sender may still tell how it ended, as long as the row names it: a node whose lease ended has
/// nothing to say of what another holds since. A row that came in doubt is settled by what its sender has seen after all.
pub(in crate::store) const HELD: &str = "'claimed', 'sending', 'in_doubt'";

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

/// Moves a held row to an end that is no acceptance; false when it has one, or is not held any more.
pub async fn finish(conn: &mut Conn, held: &ClaimedSend, state: SendState, ending: &Ending) -> Result<bool> {
    let sql = format!(
        "UPDATE sends SET state = $2, smtp_code = $3, smtp_status = $4, smtp_reply = $5, reason = $6,
                provider_message_id = $7, lease_owner = NULL, lease_until = NULL
         WHERE id = $1 AND state IN ({HELD}) AND lease_owner = $8",
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(held.send.id.to_string())
        .bind(state.as_str())
        .bind(ending.smtp_code.map(i64::from))
        .bind(ending.smtp_status.as_deref())
        .bind(ending.smtp_reply.as_deref())
        .bind(ending.reason.as_deref())
        .bind(ending.provider_message_id.as_deref())
        .bind(held.owner.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Moves rows that `owner` holds to `sent`.
pub fn finish_sent(writes: &mut Writes, accepted: &[(SendId, &Ending)], owner: NodeId, now: Timestamp) {
    let values = [sent_rows(accepted).into(), now.as_millis().into(), owner.to_string().into()];
    writes.add(sent_statement(writes.dialect()), values);
}

/// The same where others may have done it meanwhile; gives those that were still held.
pub async fn finish_sent_of(
    tx: &mut Tx,
    accepted: &[(SendId, &Ending)],
    owner: NodeId,
    now: Timestamp,
) -> Result<HashSet<SendId>> {
    let sql = format!("{} RETURNING sends.id AS id", sent_statement(tx.dialect()));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(sent_rows(accepted)).bind(now.as_millis()).bind(owner.to_string());
    query.fetch_all(tx.conn()).await?.iter().map(|row| row.id("id")).collect()
}

fn sent_rows(accepted: &[(SendId, &Ending)]) -> String {
    let rows = accepted.iter().map(|(id, ending)| {
        let code = ending.smtp_code.map(|code| code.to_string());
        let (status, reply) = (ending.smtp_status.as_deref(), ending.smtp_reply.as_deref());
        (id.to_string(), code, status, reply, ending.provider_message_id.as_deref())
    });
    json_of(rows)
}

fn sent_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE sends SET state = 'sent', smtp_code = CAST(given.c1 AS BIGINT), smtp_status = given.c2,
                smtp_reply = given.c3, reason = NULL, provider_message_id = given.c4, sent_at = $2,
                lease_owner = NULL, lease_until = NULL
         FROM {} AS given
         WHERE sends.id = given.c0 AND sends.state IN ({HELD}) AND sends.lease_owner = $3",
        dialect.json_rows(5)
    )
}

/// Moves a held row that has not left back to due; its places are given back with it. The credential is kept for follow-ups
/// and taken from first steps. False when it is not held any more.
pub async fn give_back(conn: &mut Conn, held: &ClaimedSend, due_at: Timestamp, reason: &str) -> Result<bool> {
    let is_first = held.send.reserved_day.is_some();
    let sql = format!(
        "UPDATE sends SET state = 'due', due_at = $2, reason = $3, lease_owner = NULL, lease_until = NULL,
                attempts = CASE WHEN state = 'claimed' THEN attempts ELSE attempts - 1 END,
                reserved_day = NULL, reserved_month = NULL,
                smtp_credential_id = CASE WHEN $4 = 1 THEN NULL ELSE smtp_credential_id END
         WHERE id = $1 AND state IN ({HELD}) AND lease_owner = $5",
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(held.send.id.to_string())
        .bind(due_at.as_millis())
        .bind(reason)
        .bind(i64::from(is_first))
        .bind(held.owner.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The server put it off: due again later, with its credential and its place of the daily limit. A first step whose
/// credential went off meanwhile is free for any other. False when it is not held any more.
pub async fn put_off(conn: &mut Conn, held: &ClaimedSend, due_at: Timestamp, ending: &Ending) -> Result<bool> {
    let sql = format!(
        "UPDATE sends SET state = 'due', due_at = $2, smtp_code = $3, smtp_status = $4, smtp_reply = $5, reason = $6,
                lease_owner = NULL, lease_until = NULL,
                smtp_credential_id = CASE WHEN reserved_day IS NOT NULL AND EXISTS (SELECT 1 FROM smtp_credentials x
                        WHERE x.id = sends.smtp_credential_id AND (x.disabled_at IS NOT NULL OR x.deleted_at IS NOT NULL))
                    THEN NULL ELSE smtp_credential_id END
         WHERE id = $1 AND state IN ({HELD}) AND lease_owner = $7",
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(held.send.id.to_string())
        .bind(due_at.as_millis())
        .bind(ending.smtp_code.map(i64::from))
        .bind(ending.smtp_status.as_deref())
        .bind(ending.smtp_reply.as_deref())
        .bind(ending.reason.as_deref())
        .bind(held.owner.to_string())
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

/// A doubt is settled: it left; or that is known before its sender tells. False when neither is so. What follows from it is
/// in `facts::delivery`.
pub(in crate::store) async fn settle_sent(conn: &mut Conn, id: SendId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE sends SET state = 'sent', sent_at = $2, lease_owner = NULL, lease_until = NULL
         WHERE id = $1 AND state IN ('sending', 'in_doubt')",
    )
    .bind(id.to_string())
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// One that bounced is told of in other words.
pub async fn reword_bounced(conn: &mut Conn, id: SendId, reason: &str) -> Result<()> {
    sqlx::query("UPDATE sends SET reason = $2 WHERE id = $1 AND state = 'bounced'")
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

/// Follow-ups of credentials that are gone are not sent any more, at most `limit` of them; gives their enrollments.
pub async fn cancel_of_deleted_credentials(
    conn: &mut Conn,
    campaign: CampaignId,
    reason: &str,
    limit: i64,
) -> Result<Vec<EnrollmentId>> {
    let rows = sqlx::query(
        "UPDATE sends SET state = 'skipped', reason = $2 WHERE state = 'due' AND id IN
            (SELECT s.id FROM smtp_credentials c JOIN sends s
               ON s.campaign_id = c.campaign_id AND s.smtp_credential_id = c.id AND s.state = 'due'
             WHERE c.campaign_id = $1 AND c.deleted_at IS NOT NULL LIMIT $3)
         RETURNING enrollment_id",
    )
    .bind(campaign.to_string())
    .bind(reason)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.id("enrollment_id")).collect()
}
