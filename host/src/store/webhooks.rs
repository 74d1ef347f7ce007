//! The customers' webhooks: where events go, and whether they are taken there.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::row::RowExt;
use super::{Answers, Conn, Nth, Page, Reads, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, WebhookId};
use crate::domain::status::words;
use crate::wake::Wake;

/// What both secrets of a row are sealed for: the old one is the sealed text of the one before, moved over.
pub const SECRET: &str = "webhooks.secret";

/// A customer's webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Its owner.
    pub account_id: AccountId,
    /// Where events go.
    pub url: String,
    /// Which events go there.
    pub event_filters: Vec<String>,
    /// Sealed.
    pub secret: String,
    /// Sealed; signs, too, until its time is over.
    pub old_secret: Option<String>,
    /// Until then.
    pub old_secret_until: Option<Timestamp>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Since when they fail.
    pub failing_since: Option<Timestamp>,
    /// Since when nothing is sent there.
    pub disabled_at: Option<Timestamp>,
    /// Why.
    pub disabled_reason: Option<DisabledReason>,
    /// When it was made.
    pub created_at: Timestamp,
}

words! {
    /// Why nothing is sent to a webhook.
    pub DisabledReason {
        /// It answered 410.
        Gone = "gone",
        /// It failed too often for too long.
        Failing = "failing",
        /// Its owner turned it off.
        Owner = "owner",
    }
}

/// Makes a webhook.
pub async fn insert(conn: &mut Conn, webhook: &Webhook) -> Result<()> {
    sqlx::query(
        "INSERT INTO webhooks (id, account_id, url, event_filters, secret, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(webhook.id.to_string())
    .bind(webhook.account_id.to_string())
    .bind(&webhook.url)
    .bind(serde_json::to_string(&webhook.event_filters).unwrap_or_default())
    .bind(&webhook.secret)
    .bind(webhook.created_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes its address, its filters and its secrets.
pub async fn update(conn: &mut Conn, webhook: &Webhook) -> Result<()> {
    sqlx::query(
        "UPDATE webhooks SET url = $2, event_filters = $3, secret = $4, old_secret = $5, old_secret_until = $6
         WHERE id = $1",
    )
    .bind(webhook.id.to_string())
    .bind(&webhook.url)
    .bind(serde_json::to_string(&webhook.event_filters).unwrap_or_default())
    .bind(&webhook.secret)
    .bind(webhook.old_secret.as_deref())
    .bind(webhook.old_secret_until.map(Timestamp::as_millis))
    .execute(conn)
    .await?;
    Ok(())
}

/// One webhook of an account.
pub async fn find(conn: &mut Conn, account: AccountId, id: WebhookId) -> Result<Option<Webhook>> {
    Ok(get(conn, id).await?.filter(|webhook| webhook.account_id == account))
}

/// The same, to be changed: other changes of it wait for this transaction.
pub async fn find_for_update(tx: &mut Tx, account: AccountId, id: WebhookId) -> Result<Option<Webhook>> {
    let sql = format!("SELECT * FROM webhooks WHERE id = $1 AND account_id = $2{}", tx.dialect().for_update());
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(tx.conn())
        .await?;
    row.as_ref().map(webhook_of).transpose()
}

/// How many webhooks an account has.
pub async fn count_of(conn: &mut Conn, account: AccountId) -> Result<u64> {
    let row = sqlx::query("SELECT COUNT(*) AS made FROM webhooks WHERE account_id = $1")
        .bind(account.to_string())
        .fetch_one(conn)
        .await?;
    row.count("made")
}

/// One webhook, for the engine itself.
pub async fn get(conn: &mut Conn, id: WebhookId) -> Result<Option<Webhook>> {
    let row = sqlx::query("SELECT * FROM webhooks WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(webhook_of).transpose()
}

/// An account's webhooks, newest first.
pub async fn list(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<Webhook>> {
    let rows = sqlx::query("SELECT * FROM webhooks WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
        .bind(account.to_string())
        .bind(page.before())
        .bind(page.limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(webhook_of).collect()
}

/// Deletes a webhook, which [`find_for_update`] gave, and its deliveries.
pub async fn delete(conn: &mut Conn, id: WebhookId) -> Result<()> {
    sqlx::query("DELETE FROM webhook_deliveries WHERE webhook_id = $1")
        .bind(id.to_string())
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// The enabled webhooks of some accounts, to fan events out. None is deleted before this transaction ends.
pub async fn enabled(tx: &mut Tx, accounts: BTreeSet<AccountId>) -> Result<Vec<Webhook>> {
    let mut reads = tx.reads();
    let asked = ask_enabled(&mut reads, accounts);
    enabled_of(&tx.ask(reads).await?, asked)
}

/// Asks for them, together with others; [`enabled_of`] reads the answer.
pub fn ask_enabled(reads: &mut Reads, accounts: BTreeSet<AccountId>) -> Nth {
    let sql = format!(
        "SELECT * FROM webhooks WHERE disabled_at IS NULL AND account_id IN (SELECT c0 FROM {} AS given) ORDER BY id{}",
        reads.dialect().json_rows(1),
        reads.dialect().for_update()
    );
    reads.add(sql, [json_of(accounts.iter().map(|account| [account.to_string()])).into()])
}

/// What [`ask_enabled`] asked for.
pub fn enabled_of(answers: &Answers, asked: Nth) -> Result<Vec<Webhook>> {
    answers.rows(asked).iter().map(webhook_of).collect()
}

/// An attempt failed; gives how many have in a row, and since when.
pub async fn failed(conn: &mut Conn, id: WebhookId, now: Timestamp) -> Result<(u32, Option<Timestamp>)> {
    let row = sqlx::query(
        "UPDATE webhooks SET failures = failures + 1, failing_since = COALESCE(failing_since, $2) WHERE id = $1
         RETURNING failures, failing_since",
    )
    .bind(id.to_string())
    .bind(now.as_millis())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok((0, None)) };
    Ok((row.small("failures")?, row.opt_time("failing_since")?))
}

/// Nothing is sent there any more.
pub async fn disable(conn: &mut Conn, id: WebhookId, reason: DisabledReason, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE webhooks SET disabled_at = $2, disabled_reason = $3 WHERE id = $1 AND disabled_at IS NULL")
        .bind(id.to_string())
        .bind(now.as_millis())
        .bind(reason.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Its failures are forgotten: it is well, or another address.
pub async fn forgive(conn: &mut Conn, id: WebhookId) -> Result<()> {
    sqlx::query("UPDATE webhooks SET failures = 0, failing_since = NULL WHERE id = $1 AND failures > 0")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Sends there again: what waited is tried at once, its next attempt where there was one.
pub async fn enable(tx: &mut Tx, id: WebhookId, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE webhooks SET disabled_at = NULL, disabled_reason = NULL, failures = 0, failing_since = NULL WHERE id = $1",
    )
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "UPDATE webhook_deliveries SET next_try_at = $2 WHERE state = 'pending' AND webhook_id = $1 AND next_try_at > $2",
    )
    .bind(id.to_string())
    .bind(now.as_millis())
    .execute(tx.conn())
    .await?;
    tx.wake(Wake::Events);
    Ok(())
}

fn webhook_of(row: &AnyRow) -> Result<Webhook> {
    Ok(Webhook {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        url: row.text("url")?,
        event_filters: row.json("event_filters")?,
        secret: row.text("secret")?,
        old_secret: row.opt_text("old_secret")?,
        old_secret_until: row.opt_time("old_secret_until")?,
        failures: row.small("failures")?,
        failing_since: row.opt_time("failing_since")?,
        disabled_at: row.opt_time("disabled_at")?,
        disabled_reason: row.opt_text("disabled_reason")?.as_deref().and_then(DisabledReason::parse),
        created_at: row.time("created_at")?,
    })
}
