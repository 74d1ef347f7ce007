//! Campaigns on their way out. They go only while nothing is being sent.

use sqlx::AssertSqlSafe;

use super::Marked;
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CampaignId, CredentialId};
use crate::domain::status::CampaignStatus;
use crate::store::row::RowExt;
use crate::store::sends::{ANY_HELD, ANY_PLANNED};
use crate::store::{Result, Tx, counters, credentials, extensions};

/// Why a campaign can't be deleted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Messages of it are on their way.
    Sending,
    /// It is active and has something planned.
    Active,
}

/// Marks a campaign: nothing of it is claimed any more, its mailboxes are no longer watched.
pub async fn mark_campaign(
    tx: &mut Tx,
    account: AccountId,
    id: CampaignId,
    now: Timestamp,
) -> Result<std::result::Result<Marked, Busy>> {
    // Nobody waits for somebody who guesses ids.
    let is_theirs = sqlx::query("SELECT 1 AS one FROM campaigns WHERE id = $1 AND account_id = $2");
    let is_theirs = is_theirs.bind(id.to_string()).bind(account.to_string()).fetch_optional(tx.conn()).await?;
    if is_theirs.is_none() {
        return Ok(Ok(Marked::NotThere));
    }
    // Who is enrolling into it comes before or after, not meanwhile.
    counters::lock_campaign(tx.conn(), id).await?;
    let sql = format!(
        "SELECT status, deleted_at FROM campaigns WHERE id = $1 AND account_id = $2{}",
        tx.dialect().for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = row else { return Ok(Ok(Marked::NotThere)) };
    if row.opt_time("deleted_at")?.is_some() {
        return Ok(Ok(Marked::Before));
    }
    let status = row.word("status", CampaignStatus::parse)?;
    let sql = format!(
        "SELECT CASE WHEN {ANY_HELD} THEN 1 ELSE 0 END AS sending, CASE WHEN {ANY_PLANNED} THEN 1 ELSE 0 END AS planned"
    );
    let work = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_one(tx.conn()).await?;
    if work.flag("sending")? {
        return Ok(Err(Busy::Sending));
    }
    if status == CampaignStatus::Active && work.flag("planned")? {
        return Ok(Err(Busy::Active));
    }
    for credential in credentials::of_campaign(tx.conn(), id).await? {
        credentials::delete(tx.conn(), credential.id, now).await?;
    }
    sqlx::query("UPDATE campaigns SET deleted_at = $2, status = $3, paused_reason = 'deleted' WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millis())
        .bind(CampaignStatus::Paused.as_str())
        .execute(tx.conn())
        .await?;
    Ok(Ok(Marked::Now))
}

/// Takes away charges of a campaign's credentials, which go with it; gives how many, at most `limit`.
pub async fn take_charges(tx: &mut Tx, id: CampaignId, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM charges WHERE send_id IN
            (SELECT h.send_id FROM charges h JOIN smtp_credentials c ON c.id = h.credential_id
             WHERE c.campaign_id = $1 LIMIT $2)",
    )
    .bind(id.to_string())
    .bind(limit)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Takes away a campaign that has no enrollments any more, with its steps, credentials and bindings.
pub async fn take_campaign(tx: &mut Tx, id: CampaignId) -> Result<()> {
    let row = sqlx::query(
        "SELECT 1 AS one FROM campaigns WHERE id = $1 AND deleted_at IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM enrollments WHERE campaign_id = $1)",
    )
    .bind(id.to_string())
    .fetch_optional(tx.conn())
    .await?;
    if row.is_none() {
        return Ok(());
    }
    extensions::unbind(tx, "campaign", &id.to_string()).await?;
    let rows = sqlx::query("SELECT id FROM smtp_credentials WHERE campaign_id = $1")
        .bind(id.to_string())
        .fetch_all(tx.conn())
        .await?;
    for row in rows {
        let credential: CredentialId = row.id("id")?;
        extensions::unbind(tx, "credential", &credential.to_string()).await?;
        for sql in [
            "DELETE FROM mailboxes WHERE credential_id = $1",
            "DELETE FROM credential_counters WHERE credential_id = $1",
            "DELETE FROM credential_slots WHERE credential_id = $1",
            "DELETE FROM credential_days WHERE credential_id = $1",
            "DELETE FROM smtp_credentials WHERE id = $1",
        ] {
            sqlx::query(sql).bind(credential.to_string()).execute(tx.conn()).await?;
        }
    }
    for sql in [
        "DELETE FROM sequence_steps WHERE campaign_id = $1",
        "DELETE FROM batch_counters WHERE campaign_id = $1",
        "DELETE FROM campaign_counters WHERE campaign_id = $1",
        "DELETE FROM campaigns WHERE id = $1",
    ] {
        sqlx::query(sql).bind(id.to_string()).execute(tx.conn()).await?;
    }
    Ok(())
}
