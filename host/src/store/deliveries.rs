//! Events on their way to webhooks: what is planned, what is due, how each attempt went.

use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::events::{After, Sequenced};
use super::row::RowExt;
use super::webhooks::Webhook;
use super::{Conn, Page, Result, Tx, Writes};
use crate::domain::Timestamp;
use crate::domain::event::{EventType, filter_matches};
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::wake::Wake;

/// Deliveries of one statement.
const MOST_TOGETHER: usize = 2_000;

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
    /// What the event is about.
    pub subject_id: String,
    /// The event's place in the stream.
    pub position: i64,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// Attempts so far.
    pub attempt: u32,
    /// The last answer's status.
    pub status_code: Option<u16>,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it is tried (again).
    pub next_try_at: Option<Timestamp>,
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

/// Plans a delivery of each event, which has its place, to each of the enabled `webhooks` of its account whose filters let it
/// through.
pub fn plan(writes: &mut Writes, webhooks: &[Webhook], sequenced: &[Sequenced], after: After, now: Timestamp) {
    let asks = |hook: &&Webhook, event: &Sequenced| {
        hook.account_id == event.account_id
            && hook.event_filters.iter().any(|filter| filter_matches(filter, event.event_type))
    };
    let asked_by = |event| webhooks.iter().filter(move |hook| asks(hook, event)).map(move |hook| (hook.id, event));
    let planned: Vec<_> = sequenced.iter().flat_map(asked_by).collect();
    for some in planned.chunks(MOST_TOGETHER) {
        insert_many(writes, some, after, now);
    }
}

/// By one statement.
fn insert_many(writes: &mut Writes, planned: &[(WebhookId, &Sequenced)], after: After, now: Timestamp) {
    let rows = planned.iter().map(|(webhook, event)| {
        let ids = [DeliveryId::new(now).to_string(), webhook.to_string(), event.id.to_string()];
        let [id, webhook, event_id] = ids;
        let position = event.position.to_string();
        let (account, event_type) = (event.account_id.to_string(), event.event_type.as_str());
        (id, webhook, event_id, account, event_type, event.subject_id.as_str(), position)
    });
    let sql = format!(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, account_id, event_type, subject_id, position, state,
                                         next_try_at, created_at)
         SELECT c0, c1, c2, c3, c4, c5, {}, 'pending', $2, $2 FROM {} AS given",
        after.place("c6"),
        writes.dialect().json_rows(7)
    );
    writes.add(sql, [json_of(rows).into(), now.as_millis().into()]);
}

/// Webhooks that have a delivery which [`claim`] would give at `now`.
pub async fn with_pending(conn: &mut Conn, now: Timestamp) -> Result<Vec<WebhookId>> {
    let rows = sqlx::query(
        "SELECT w.id FROM webhooks w WHERE w.disabled_at IS NULL AND EXISTS
            (SELECT 1 FROM webhook_deliveries d WHERE d.state = 'pending' AND d.webhook_id = w.id AND d.next_try_at <= $1
               AND (d.lease_until IS NULL OR d.lease_until < $1)
               AND NOT EXISTS (SELECT 1 FROM webhook_deliveries o WHERE o.state = 'pending' AND o.webhook_id = d.webhook_id
                                 AND o.subject_id = d.subject_id AND o.position < d.position))",
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
        // The lease is asked about outside, too: PostgreSQL looks at a row again there when it has waited for another node's
        // claim of it, and inside it does not.
        "UPDATE webhook_deliveries SET lease_until = $3
         WHERE state = 'pending' AND (lease_until IS NULL OR lease_until < $2) AND id IN
            (SELECT d.id FROM webhook_deliveries d
             WHERE d.state = 'pending' AND d.webhook_id = $1 AND d.next_try_at <= $2
               AND (d.lease_until IS NULL OR d.lease_until < $2)
               AND NOT EXISTS (SELECT 1 FROM webhook_deliveries o WHERE o.state = 'pending' AND o.webhook_id = d.webhook_id
                                 AND o.subject_id = d.subject_id AND o.position < d.position)
             ORDER BY d.next_try_at, d.position LIMIT $4)
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
pub async fn attempted(conn: &mut Conn, delivery: &Delivery, outcome: &Attempted, now: Timestamp) -> Result<()> {
    let delivered_at = (outcome.state == "delivered").then(|| now.as_millis());
    let done = sqlx::query(
        "UPDATE webhook_deliveries SET state = $2, attempt = attempt + 1, status_code = $3, error = $4, next_try_at = $5,
                delivered_at = COALESCE($6, delivered_at), lease_until = NULL
         WHERE id = $1 AND (attempt = $7 OR $2 = 'delivered')",
    )
    .bind(delivery.id.to_string())
    .bind(outcome.state)
    .bind(outcome.status_code.map(i64::from))
    .bind(outcome.error.as_deref())
    .bind(outcome.next_try_at.map(Timestamp::as_millis))
    .bind(delivered_at)
    .bind(i64::from(delivery.attempt))
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        // Meanwhile somebody asked for it to be tried anew.
        let sql = "UPDATE webhook_deliveries SET lease_until = NULL WHERE id = $1";
        sqlx::query(sql).bind(delivery.id.to_string()).execute(conn).await?;
        return Ok(());
    }
    let Some(next) = outcome.next_try_at else { return Ok(()) };
    // What waits for it is not due before it is, so that nobody looks through it in vain meanwhile. Some of it, for the
    // transaction's sake: the rest is only looked at.
    sqlx::query(
        "UPDATE webhook_deliveries SET next_try_at = $4 WHERE id IN
            (SELECT id FROM webhook_deliveries WHERE state = 'pending' AND webhook_id = $1 AND subject_id = $2
               AND position > $3 AND next_try_at < $4 ORDER BY position LIMIT 1000)",
    )
    .bind(delivery.webhook_id.to_string())
    .bind(&delivery.subject_id)
    .bind(delivery.position)
    .bind(next.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// A webhook's deliveries, newest first.
pub async fn list(conn: &mut Conn, webhook: WebhookId, page: &Page) -> Result<Vec<Delivery>> {
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
pub async fn about(conn: &mut Conn, subject_id: &str) -> Result<Vec<Delivery>> {
    let rows = sqlx::query("SELECT * FROM webhook_deliveries WHERE subject_id = $1 ORDER BY id LIMIT 1000")
        .bind(subject_id)
        .fetch_all(conn)
        .await?;
    rows.iter().map(delivery_of).collect()
}

/// Tries a delivery anew from its first attempt, and keeps when it had arrived before; false when there is none.
pub async fn redeliver(tx: &mut Tx, webhook: WebhookId, id: DeliveryId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        // An attempt that is under way ends first.
        "UPDATE webhook_deliveries SET state = 'pending', attempt = 0, next_try_at = $3
         WHERE id = $1 AND webhook_id = $2",
    )
    .bind(id.to_string())
    .bind(webhook.to_string())
    .bind(now.as_millis())
    .execute(tx.conn())
    .await?;
    tx.wake(Wake::Events);
    Ok(done.rows_affected() > 0)
}

/// Forgets deliveries that were planned before `older_than`, ended or not: their events are gone. Gives how many, at most
/// `limit`.
pub async fn sweep(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    // Ids begin with their time, so the primary key finds the oldest.
    let done = sqlx::query(
        "DELETE FROM webhook_deliveries WHERE id IN
            (SELECT id FROM webhook_deliveries WHERE id < $1 ORDER BY id LIMIT $2)",
    )
    .bind(DeliveryId::first_of(older_than).to_string())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

fn delivery_of(row: &AnyRow) -> Result<Delivery> {
    Ok(Delivery {
        id: row.id("id")?,
        webhook_id: row.id("webhook_id")?,
        event_id: row.id("event_id")?,
        event_type: row.word("event_type", EventType::parse)?,
        subject_id: row.text("subject_id")?,
        position: row.int("position")?,
        state: row.text("state")?,
        attempt: row.small("attempt")?,
        status_code: row.opt_int("status_code")?.and_then(|code| u16::try_from(code).ok()),
        error: row.opt_text("error")?,
        next_try_at: row.opt_time("next_try_at")?,
        delivered_at: row.opt_time("delivered_at")?,
        created_at: row.time("created_at")?,
    })
}
