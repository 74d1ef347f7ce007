//! The customers' webhooks, and the deliveries of events to them.

use sqlx::any::AnyRow;

use super::events::Event;
use super::row::RowExt;
use super::{Conn, Page, Result};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, DeliveryId, EventId, WebhookId};

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
    /// Nothing is sent there any more.
    pub disabled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One event on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where it goes.
    pub webhook_id: WebhookId,
    /// What it tells.
    pub event_id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// Attempts so far.
    pub attempt: u32,
    /// The last answer's status.
    pub status_code: Option<u16>,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// `pending` (tried again at `next_try_at`), `delivered` or `failed`.
    pub state: &'static str,
    /// The answer's status.
    pub status_code: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// When to try again.
    pub next_try_at: Option<Timestamp>,
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

/// Writes its changeable fields.
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

/// Deletes a webhook and its deliveries.
pub async fn delete(conn: &mut Conn, id: WebhookId) -> Result<()> {
    sqlx::query("DELETE FROM webhook_deliveries WHERE webhook_id = $1")
        .bind(id.to_string())
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// The enabled webhooks of an account, to fan an event out.
pub async fn enabled(conn: &mut Conn, account: AccountId) -> Result<Vec<Webhook>> {
    let rows = sqlx::query("SELECT * FROM webhooks WHERE account_id = $1 AND disabled_at IS NULL ORDER BY id")
        .bind(account.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(webhook_of).collect()
}

/// Plans the delivery of an event.
pub async fn insert_delivery(conn: &mut Conn, webhook: WebhookId, event: &Event, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO webhook_deliveries (id, account_id, webhook_id, event_id, event_type, subject_id, state, next_try_at,
                                         created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7)",
    )
    .bind(DeliveryId::new(now).to_string())
    .bind(event.account_id.to_string())
    .bind(webhook.to_string())
    .bind(event.id.to_string())
    .bind(event.event_type.as_str())
    .bind(&event.subject_id)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Webhooks that have a delivery which [`claim`] would give at `now`.
pub async fn with_pending(conn: &mut Conn, now: Timestamp) -> Result<Vec<WebhookId>> {
    let rows = sqlx::query(
        "SELECT w.id FROM webhooks w WHERE w.disabled_at IS NULL AND EXISTS
            (SELECT 1 FROM webhook_deliveries d WHERE d.state = 'pending' AND d.webhook_id = w.id AND d.next_try_at <= $1
               AND (d.lease_until IS NULL OR d.lease_until < $1)
               AND NOT EXISTS (SELECT 1 FROM webhook_deliveries o WHERE o.state = 'pending' AND o.webhook_id = d.webhook_id
                                 AND o.subject_id = d.subject_id AND o.id < d.id))",
    )
    .bind(now.as_millis())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Claims a webhook's deliveries that may be tried now: of each subject the oldest alone, so that its events arrive in
/// order.
pub async fn claim(
    conn: &mut Conn,
    webhook: WebhookId,
    now: Timestamp,
    lease_until: Timestamp,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let rows = sqlx::query(
        "UPDATE webhook_deliveries SET lease_until = $3 WHERE state = 'pending' AND id IN
            (SELECT d.id FROM webhook_deliveries d
             WHERE d.state = 'pending' AND d.webhook_id = $1 AND d.next_try_at <= $2
               AND (d.lease_until IS NULL OR d.lease_until < $2)
               AND NOT EXISTS (SELECT 1 FROM webhook_deliveries o WHERE o.state = 'pending' AND o.webhook_id = d.webhook_id
                                 AND o.subject_id = d.subject_id AND o.id < d.id)
             ORDER BY d.next_try_at, d.id LIMIT $4)
         RETURNING *",
    )
    .bind(webhook.to_string())
    .bind(now.as_millis())
    .bind(lease_until.as_millis())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(delivery_of).collect()
}

/// When the next delivery of any enabled webhook is to be tried that is not to be tried yet at `now`.
pub async fn next_try_after(conn: &mut Conn, now: Timestamp) -> Result<Option<Timestamp>> {
    let row = sqlx::query(
        "SELECT MIN((SELECT MIN(d.next_try_at) FROM webhook_deliveries d
                     WHERE d.state = 'pending' AND d.webhook_id = w.id AND d.next_try_at > $1)) AS next
         FROM webhooks w WHERE w.disabled_at IS NULL",
    )
    .bind(now.as_millis())
    .fetch_one(conn)
    .await?;
    row.opt_time("next")
}

/// Notes how an attempt ended.
pub async fn attempted(conn: &mut Conn, id: DeliveryId, outcome: &Attempted, now: Timestamp) -> Result<()> {
    let delivered_at = (outcome.state == "delivered").then(|| now.as_millis());
    sqlx::query(
        "UPDATE webhook_deliveries SET state = $2, attempt = attempt + 1, status_code = $3, error = $4, next_try_at = $5,
                delivered_at = $6, lease_until = NULL
         WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(outcome.state)
    .bind(outcome.status_code.map(i64::from))
    .bind(outcome.error.as_deref())
    .bind(outcome.next_try_at.map(Timestamp::as_millis))
    .bind(delivered_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// A delivery was taken: the webhook is well.
pub async fn succeeded(conn: &mut Conn, id: WebhookId) -> Result<()> {
    sqlx::query("UPDATE webhooks SET failures = 0, failing_since = NULL WHERE id = $1 AND failures > 0")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
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
pub async fn disable(conn: &mut Conn, id: WebhookId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE webhooks SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL")
        .bind(id.to_string())
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// A webhook's deliveries, newest first.
pub async fn deliveries(conn: &mut Conn, webhook: WebhookId, page: &Page) -> Result<Vec<Delivery>> {
    let rows =
        sqlx::query("SELECT * FROM webhook_deliveries WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
            .bind(webhook.to_string())
            .bind(page.before())
            .bind(page.limit)
            .fetch_all(conn)
            .await?;
    rows.iter().map(delivery_of).collect()
}

/// The deliveries of the events about a subject, oldest first.
pub async fn deliveries_about(conn: &mut Conn, subject_id: &str) -> Result<Vec<Delivery>> {
    let rows = sqlx::query("SELECT * FROM webhook_deliveries WHERE subject_id = $1 ORDER BY id LIMIT 1000")
        .bind(subject_id)
        .fetch_all(conn)
        .await?;
    rows.iter().map(delivery_of).collect()
}

/// Tries a delivery anew from its first attempt; false when there is none.
pub async fn redeliver(conn: &mut Conn, webhook: WebhookId, id: DeliveryId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE webhook_deliveries SET state = 'pending', attempt = 0, next_try_at = $3, lease_until = NULL
         WHERE id = $1 AND webhook_id = $2",
    )
    .bind(id.to_string())
    .bind(webhook.to_string())
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets deliveries that have ended and were planned before `older_than`; gives how many, at most `limit`.
pub async fn sweep(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM webhook_deliveries WHERE id IN
            (SELECT id FROM webhook_deliveries WHERE state <> 'pending' AND created_at < $1 LIMIT $2)",
    )
    .bind(older_than.as_millis())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
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
        created_at: row.time("created_at")?,
    })
}

fn delivery_of(row: &AnyRow) -> Result<Delivery> {
    Ok(Delivery {
        id: row.id("id")?,
        webhook_id: row.id("webhook_id")?,
        event_id: row.id("event_id")?,
        event_type: row.word("event_type", EventType::parse)?,
        state: row.text("state")?,
        attempt: row.small("attempt")?,
        status_code: row.opt_int("status_code")?.and_then(|code| u16::try_from(code).ok()),
        error: row.opt_text("error")?,
        delivered_at: row.opt_time("delivered_at")?,
        created_at: row.time("created_at")?,
    })
}
