//! The outbox: events are written in the transaction of the fact that they tell, get their place in the stream after its
//! commit, and are read by cursor.

use serde_json::Value;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result, Tx, meta};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, EventId};
use crate::wake::Wake;

const LAST_POSITION: &str = "events.last_position";

/// An event of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its owner.
    pub account_id: AccountId,
    /// What happened.
    pub event_type: EventType,
    /// What it is about: its events are delivered in order.
    pub subject_id: String,
    /// The envelope's `data`.
    pub data: Value,
    /// When it happened.
    pub created_at: Timestamp,
}

/// Writes an event in the transaction of its fact.
pub async fn insert(
    tx: &mut Tx,
    account: AccountId,
    event_type: EventType,
    subject_id: &str,
    data: &Value,
    now: Timestamp,
) -> Result<EventId> {
    let id = EventId::new(now);
    sqlx::query(
        "INSERT INTO events (id, account_id, type, subject_id, data, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(account.to_string())
    .bind(event_type.as_str())
    .bind(subject_id)
    .bind(data.to_string())
    .bind(now.as_millis())
    .execute(tx.conn())
    .await?;
    tx.wake(Wake::Events);
    Ok(id)
}

/// Gives committed events their places, oldest first, and gives them back. One sequencer at a time: the row of the last
/// position is its lock.
pub async fn sequence(tx: &mut Tx, limit: i64) -> Result<Vec<Event>> {
    meta::get_or_set(tx.conn(), LAST_POSITION, "0").await?;
    sqlx::query("UPDATE meta SET value = value WHERE name = $1").bind(LAST_POSITION).execute(tx.conn()).await?;
    let last: i64 = meta::get(tx.conn(), LAST_POSITION).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let rows = sqlx::query("SELECT * FROM events WHERE position IS NULL ORDER BY id LIMIT $1")
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    let events = rows.iter().map(event_of).collect::<Result<Vec<_>>>()?;
    let mut position = last;
    for event in &events {
        position += 1;
        sqlx::query("UPDATE events SET position = $2 WHERE id = $1")
            .bind(event.id.to_string())
            .bind(position)
            .execute(tx.conn())
            .await?;
    }
    if position > last {
        meta::set(tx.conn(), LAST_POSITION, &position.to_string()).await?;
    }
    Ok(events)
}

/// An account's events after one of them (from the beginning when there is none), oldest first.
pub async fn after(
    conn: &mut Conn,
    account: AccountId,
    after: Option<EventId>,
    event_type: Option<EventType>,
    limit: i64,
) -> Result<Vec<Event>> {
    let rows = sqlx::query(
        "SELECT * FROM events WHERE account_id = $1 AND ($3 IS NULL OR type = $3)
           AND position > COALESCE((SELECT position FROM events WHERE id = $2 AND account_id = $1), 0)
         ORDER BY position LIMIT $4",
    )
    .bind(account.to_string())
    .bind(after.map(|id| id.to_string()))
    .bind(event_type.map(EventType::as_str))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(event_of).collect()
}

/// One event, for its delivery.
pub async fn get(conn: &mut Conn, id: EventId) -> Result<Option<Event>> {
    let row = sqlx::query("SELECT * FROM events WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(event_of).transpose()
}

/// Forgets events from before `older_than`; gives how many, at most `limit`.
pub async fn sweep(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    // Ids begin with their time, so the primary key finds the oldest without an index of its own.
    let done = sqlx::query(
        "DELETE FROM events WHERE id IN
            (SELECT id FROM events WHERE id < $1 AND position IS NOT NULL ORDER BY id LIMIT $2)",
    )
    .bind(EventId::first_of(older_than).to_string())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The events about a subject, oldest first.
pub async fn of_subject(conn: &mut Conn, subject_id: &str) -> Result<Vec<Event>> {
    let rows = sqlx::query("SELECT * FROM events WHERE subject_id = $1 ORDER BY id LIMIT 1000")
        .bind(subject_id)
        .fetch_all(conn)
        .await?;
    rows.iter().map(event_of).collect()
}

fn event_of(row: &AnyRow) -> Result<Event> {
    Ok(Event {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        event_type: row.word("type", EventType::parse)?,
        subject_id: row.text("subject_id")?,
        data: row.json("data")?,
        created_at: row.time("created_at")?,
    })
}
