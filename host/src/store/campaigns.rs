//! Campaigns and their steps.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::row::RowExt;
use super::sends::{ANY_HELD, ANY_PLANNED};
use super::{Answers, Conn, Nth, Page, Reads, Result, Tx, Writes, counters};
use crate::domain::campaign::{Campaign, Step, Waits};
use crate::domain::ids::{AccountId, CampaignId, CredentialId, StepId};
use crate::domain::status::CampaignStatus;

/// Makes a campaign with its counters.
pub async fn insert(conn: &mut Conn, campaign: &Campaign) -> Result<()> {
    sqlx::query(
        "INSERT INTO campaigns (id, account_id, outreach_id, name, status, min_wait_seconds, max_wait_seconds,
                                verify_email_mx, bounce_rate_threshold, track_opens, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(campaign.id.to_string())
    .bind(campaign.account_id.to_string())
    .bind(campaign.outreach_id.map(|id| id.to_string()))
    .bind(&campaign.name)
    .bind(campaign.status.as_str())
    .bind(seconds(campaign.waits.min))
    .bind(seconds(campaign.waits.max))
    .bind(i64::from(campaign.verify_email_mx))
    .bind(campaign.bounce_rate_threshold)
    .bind(i64::from(campaign.track_opens))
    .bind(campaign.created_at.as_millis())
    .execute(&mut *conn)
    .await?;
    counters::start_campaign(conn, campaign.id).await
}

/// Adds a step.
pub async fn insert_step(conn: &mut Conn, campaign: CampaignId, step: &Step) -> Result<()> {
    sqlx::query(
        "INSERT INTO sequence_steps (id, campaign_id, position, subject, body_html, body_text, delay_minutes)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(step.id.to_string())
    .bind(campaign.to_string())
    .bind(i64::from(step.position))
    .bind(&step.subject)
    .bind(&step.body_html)
    .bind(step.body_text.as_deref())
    .bind(seconds(step.delay) / 60)
    .execute(conn)
    .await?;
    Ok(())
}

/// One campaign of an account.
pub async fn find(conn: &mut Conn, account: AccountId, id: CampaignId) -> Result<Option<Campaign>> {
    let row = sqlx::query("SELECT * FROM campaigns WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL")
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(campaign_of).transpose()
}

/// One campaign, for the engine itself.
pub async fn get(conn: &mut Conn, id: CampaignId) -> Result<Option<Campaign>> {
    let row = sqlx::query("SELECT * FROM campaigns WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(campaign_of).transpose()
}

/// An account's campaigns, newest first.
pub async fn list(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<Campaign>> {
    let rows = sqlx::query(
        "SELECT * FROM campaigns WHERE account_id = $1 AND deleted_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(account.to_string())
    .bind(page.before())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(campaign_of).collect()
}

/// All campaigns that send, and whose they are.
pub async fn active(conn: &mut Conn) -> Result<Vec<(CampaignId, AccountId)>> {
    let sql = "SELECT id, account_id FROM campaigns WHERE status = 'active' ORDER BY id";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.id("id")?, row.id("account_id")?))).collect()
}

/// A campaign for the length of a claim: on PostgreSQL its row is locked, so that its credentials' daily limits are
/// reserved by one node at a time; none when another node has it.
pub async fn lock_for_claim(tx: &mut Tx, id: CampaignId) -> Result<Option<Campaign>> {
    let mut reads = tx.reads();
    let asked = ask_claimable(&mut reads, id);
    claimable_of(&tx.ask(reads).await?, asked)
}

/// Asks the same together with others; [`claimable_of`] reads the answer.
pub fn ask_claimable(reads: &mut Reads, id: CampaignId) -> Nth {
    let sql = format!("SELECT * FROM campaigns WHERE id = $1{}", reads.dialect().skip_locked_but_refer());
    reads.add(sql, [id.to_string().into()])
}

/// What [`ask_claimable`] asked for.
pub fn claimable_of(answers: &Answers, asked: Nth) -> Result<Option<Campaign>> {
    answers.rows(asked).first().map(campaign_of).transpose()
}

/// Whether a campaign is deleted, though perhaps not yet gone.
pub async fn is_deleted(conn: &mut Conn, id: CampaignId) -> Result<bool> {
    let row = sqlx::query("SELECT 1 AS one FROM campaigns WHERE id = $1 AND deleted_at IS NULL")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_none())
}

/// A campaign's steps in order.
pub async fn steps(conn: &mut Conn, campaign: CampaignId) -> Result<Vec<Step>> {
    let rows = sqlx::query("SELECT * FROM sequence_steps WHERE campaign_id = $1 ORDER BY position")
        .bind(campaign.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Step {
                id: row.id("id")?,
                position: row.small("position")?,
                subject: row.text("subject")?,
                body_html: row.text("body_html")?,
                body_text: row.opt_text("body_text")?,
                delay: Duration::from_secs(row.count("delay_minutes")? * 60),
            })
        })
        .collect()
}

/// Asks for the ids of a campaign's steps in order; [`step_ids_of`] reads the answer.
pub fn ask_step_ids(reads: &mut Reads, campaign: CampaignId) -> Nth {
    let sql = "SELECT id FROM sequence_steps WHERE campaign_id = $1 ORDER BY position";
    reads.add(sql, [campaign.to_string().into()])
}

/// What [`ask_step_ids`] asked for.
pub fn step_ids_of(answers: &Answers, asked: Nth) -> Result<Vec<StepId>> {
    answers.rows(asked).iter().map(|row| row.id("id")).collect()
}

/// Makes other changes of a campaign wait for this transaction.
pub async fn lock(conn: &mut Conn, id: CampaignId) -> Result<()> {
    sqlx::query("UPDATE campaigns SET name = name WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Writes the fields that PATCH may change.
pub async fn update(conn: &mut Conn, campaign: &Campaign) -> Result<()> {
    sqlx::query(
        "UPDATE campaigns SET name = $2, min_wait_seconds = $3, max_wait_seconds = $4, verify_email_mx = $5,
                bounce_rate_threshold = $6, track_opens = $7
         WHERE id = $1",
    )
    .bind(campaign.id.to_string())
    .bind(&campaign.name)
    .bind(seconds(campaign.waits.min))
    .bind(seconds(campaign.waits.max))
    .bind(i64::from(campaign.verify_email_mx))
    .bind(campaign.bounce_rate_threshold)
    .bind(i64::from(campaign.track_opens))
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves it from one of `from` to `to`; false when it was in none of them.
pub async fn move_status(
    conn: &mut Conn,
    id: CampaignId,
    from: &[CampaignStatus],
    to: CampaignStatus,
    paused_reason: Option<&str>,
) -> Result<bool> {
    // The vocabulary has four words, so the list is padded to four.
    let word = |n: usize| from.get(n).or(from.first()).map_or("", |status| status.as_str());
    let done = sqlx::query(
        "UPDATE campaigns SET status = $2, paused_reason = $3 WHERE id = $1 AND status IN ($4, $5, $6, $7)",
    )
    .bind(id.to_string())
    .bind(to.as_str())
    .bind(paused_reason)
    .bind(word(0))
    .bind(word(1))
    .bind(word(2))
    .bind(word(3))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Those that are finished have something to do again.
pub fn reopen(writes: &mut Writes, campaigns: &[CampaignId]) {
    let sql = format!(
        "UPDATE campaigns SET status = 'active', paused_reason = NULL
         WHERE status = 'finished' AND id IN (SELECT c0 FROM {} AS given)",
        writes.dialect().json_rows(1)
    );
    writes.add(sql, [json_of(campaigns.iter().map(|id| [id.to_string()])).into()]);
}

/// Notes which credential the rotation used last.
pub fn set_last_credential(writes: &mut Writes, id: CampaignId, credential: CredentialId) {
    let sql = "UPDATE campaigns SET last_credential_id = $2 WHERE id = $1";
    writes.add(sql, [id.to_string().into(), credential.to_string().into()]);
}

/// An active campaign that has nothing left to send, and nothing to wait for, is finished; false when that is not so.
/// Enrollments that were never dispatched do not hold it open: they wait for a dispatch of their own.
pub async fn finish_if_done(conn: &mut Conn, id: CampaignId) -> Result<bool> {
    let sql = format!(
        "UPDATE campaigns SET status = 'finished' WHERE id = $1 AND status = 'active' AND NOT {ANY_PLANNED} AND NOT {ANY_HELD}"
    );
    let done = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

fn campaign_of(row: &AnyRow) -> Result<Campaign> {
    Ok(Campaign {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        outreach_id: row.opt_id("outreach_id")?,
        name: row.text("name")?,
        status: row.word("status", CampaignStatus::parse)?,
        paused_reason: row.opt_text("paused_reason")?,
        waits: Waits {
            min: Duration::from_secs(row.count("min_wait_seconds")?),
            max: Duration::from_secs(row.count("max_wait_seconds")?),
        },
        verify_email_mx: row.flag("verify_email_mx")?,
        bounce_rate_threshold: row.float("bounce_rate_threshold")?,
        track_opens: row.flag("track_opens")?,
        last_credential_id: row.opt_id("last_credential_id")?,
        created_at: row.time("created_at")?,
    })
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
