//! The outbox: events are written in the transaction of the fact that they tell and are read by cursor. Their places in the
//! stream are those of the commits. SQLite has one writer, so they are known when an event is written; of PostgreSQL's
//! transactions nobody knows which commits first, and they are given afterwards.

use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::packed::{self, Columns};
use super::row::RowExt;
use super::webhooks::{self, Webhook};
use super::{Conn, Dialect, Result, Tx, Writes, deliveries, meta};
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
    /// Its place in the stream, once it has one.
    pub position: Option<i64>,
    /// When it happened.
    pub created_at: Timestamp,
}

/// Where an event stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Here.
    At(i64),
    /// Behind all that have a place.
    Coming,
    /// The account has no such event, or no longer.
    Unknown,
}

/// An event that is about to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id: events of one subject are told in the order of theirs.
    pub id: EventId,
    /// Its owner.
    pub account_id: AccountId,
    /// What happened.
    pub event_type: EventType,
    /// What it is about.
    pub subject_id: String,
    /// The envelope's `data`.
    pub data: Value,
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
    let (subject_id, data) = (subject_id.to_owned(), data.clone());
    let mut writes = tx.writes();
    insert_many(tx, &mut writes, &[NewEvent { id, account_id: account, event_type, subject_id, data }], now).await?;
    writes.run(tx).await?;
    Ok(id)
}

/// Writes events in the transaction of their facts.
pub async fn insert_many(tx: &mut Tx, writes: &mut Writes, events: &[NewEvent], now: Timestamp) -> Result<()> {
    let webhooks = match tx.dialect() {
        Dialect::Sqlite if !events.is_empty() => {
            webhooks::enabled(tx, events.iter().map(|event| event.account_id).collect()).await?
        }
        Dialect::Sqlite | Dialect::Postgres => Vec::new(),
    };
    insert_for(tx, writes, events, &webhooks, now);
    Ok(())
}

/// The same where the enabled webhooks of their accounts are known, which only SQLite needs: there each event gets its place
/// and its deliveries as it is written.
pub fn insert_for(tx: &mut Tx, writes: &mut Writes, events: &[NewEvent], webhooks: &[Webhook], now: Timestamp) {
    if events.is_empty() {
        return;
    }
    let places = match tx.dialect() {
        Dialect::Sqlite => After::AllThatHavePlaces.place("c5"),
        Dialect::Postgres => "CAST(NULL AS BIGINT)".to_owned(),
    };
    let rows = events.iter().zip(1..).map(|(event, nth): (_, i64)| {
        let (account, event_type) = (event.account_id.to_string(), event.event_type.as_str());
        (event.id.to_string(), account, event_type, event.subject_id.as_str(), event.data.to_string(), nth.to_string())
    });
    let sql = format!(
        "INSERT INTO events (id, account_id, type, subject_id, data, position, created_at)
         SELECT c0, c1, c2, c3, c4, {places}, $2 FROM {} AS given",
        tx.dialect().json_rows(6)
    );
    writes.add(sql, [json_of(rows).into(), now.as_millis().into()]);
    if tx.dialect() == Dialect::Sqlite {
        let sequenced: Vec<_> = events.iter().zip(1..).map(|(event, nth)| event.sequenced(nth)).collect();
        deliveries::plan(writes, webhooks, &sequenced, After::AllThatHavePlaces, now);
        take_places(writes, events.len());
    }
    tx.wake(Wake::Events);
}

/// Takes so many places behind all that are taken.
fn take_places(writes: &mut Writes, count: usize) {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, CAST($2 AS TEXT))
               ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + $2 AS TEXT)";
    writes.add(sql, [LAST_POSITION.to_owned().into(), i64::try_from(count).unwrap_or(i64::MAX).into()]);
}

/// What the places of new events are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// From the beginning of the stream: they are known.
    Nothing,
    /// From the end of the stream, while these are written.
    AllThatHavePlaces,
}

impl After {
    /// The place of a row, in a statement, of which `column` is the count.
    pub(super) fn place(self, column: &str) -> String {
        match self {
            Self::Nothing => format!("CAST({column} AS BIGINT)"),
            Self::AllThatHavePlaces => format!(
                "CAST({column} AS BIGINT)
                 + COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE name = '{LAST_POSITION}'), 0)"
            ),
        }
    }
}

impl NewEvent {
    fn sequenced(&self, position: i64) -> Sequenced {
        let Self { id, account_id, event_type, ref subject_id, .. } = *self;
        Sequenced { id, account_id, event_type, subject_id: subject_id.clone(), position }
    }
}

/// An event that has just got its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequenced {
    /// Its id.
    pub id: EventId,
    /// Its owner.
    pub account_id: AccountId,
    /// What happened.
    pub event_type: EventType,
    /// What it is about.
    pub subject_id: String,
    /// Its place, counted from where [`After`] says.
    pub position: i64,
}

/// What [`sequence`] reads.
const UNSEQUENCED: Columns = &[&["id", "account_id", "type", "subject_id"]];

/// Whether any committed event waits for its place.
pub async fn any_unsequenced(conn: &mut Conn) -> Result<bool> {
    let row = sqlx::query("SELECT 1 AS one FROM events WHERE position IS NULL LIMIT 1").fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// Gives committed events their places, in the order in which they were written, and gives them back in that order. One sequencer at a time: the row
/// of the last position is its lock, so whoever reads a place has all that stand before it.
pub async fn sequence(tx: &mut Tx, limit: i64) -> Result<Vec<Sequenced>> {
    let mut last: i64 = meta::lock(tx, LAST_POSITION, "0").await?.parse().unwrap_or(0);
    let order = match tx.dialect() {
        Dialect::Postgres => "written",
        Dialect::Sqlite => "id",
    };
    let query =
        format!("SELECT id, account_id, type, subject_id FROM events WHERE position IS NULL ORDER BY {order} LIMIT $1");
    let sql = packed::select(tx.dialect(), UNSEQUENCED, &query);
    let all = sqlx::query(AssertSqlSafe(sql)).bind(limit).fetch_one(tx.conn()).await?;
    let mut events = Vec::new();
    for row in packed::rows(&all, UNSEQUENCED)? {
        last += 1;
        events.push(sequenced_of(&row, last)?);
    }
    if events.is_empty() {
        return Ok(events);
    }
    let sql = format!(
        "UPDATE events SET position = CAST(given.c1 AS BIGINT) FROM {} AS given WHERE events.id = given.c0",
        tx.dialect().json_rows(2)
    );
    let given = json_of(events.iter().map(|event| (event.id.to_string(), event.position.to_string())));
    sqlx::query(AssertSqlSafe(sql)).bind(given).execute(tx.conn()).await?;
    meta::set(tx.conn(), LAST_POSITION, &last.to_string()).await?;
    Ok(events)
}

/// Where an account's event stands in the stream.
pub async fn place_of(conn: &mut Conn, account: AccountId, id: EventId) -> Result<Place> {
    let row = sqlx::query("SELECT position FROM events WHERE id = $1 AND account_id = $2")
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(Place::Unknown) };
    Ok(row.opt_int("position")?.map_or(Place::Coming, Place::At))
}

/// An account's events after a position (0: from the beginning), oldest first.
pub async fn after(
    conn: &mut Conn,
    account: AccountId,
    position: i64,
    event_type: Option<EventType>,
    limit: i64,
) -> Result<Vec<Event>> {
    let rows = sqlx::query(
        "SELECT * FROM events WHERE account_id = $1 AND position > $2 AND ($3 IS NULL OR type = $3)
         ORDER BY position LIMIT $4",
    )
    .bind(account.to_string())
    .bind(position)
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

fn sequenced_of(row: &impl RowExt, position: i64) -> Result<Sequenced> {
    Ok(Sequenced {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        event_type: row.word("type", EventType::parse)?,
        subject_id: row.text("subject_id")?,
        position,
    })
}

fn event_of(row: &AnyRow) -> Result<Event> {
    Ok(Event {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        event_type: row.word("type", EventType::parse)?,
        subject_id: row.text("subject_id")?,
        data: row.json("data")?,
        position: row.opt_int("position")?,
        created_at: row.time("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TestApp;

    async fn happen(tx: &mut Tx, account: AccountId, count: usize, now: Timestamp) -> Vec<EventId> {
        let event = |_| NewEvent {
            id: EventId::new(now),
            account_id: account,
            event_type: EventType::EnrollmentSent,
            subject_id: "somebody".to_owned(),
            data: Value::Null,
        };
        let events: Vec<_> = (0..count).map(event).collect();
        let mut writes = tx.writes();
        insert_many(tx, &mut writes, &events, now).await.unwrap();
        writes.run(tx).await.unwrap();
        events.into_iter().map(|event| event.id).collect()
    }

    async fn places(app: &TestApp, account: AccountId) -> Vec<(EventId, Option<i64>)> {
        let told = after(&mut app.store.read().await.unwrap(), account, 0, None, 100).await.unwrap();
        told.into_iter().map(|event| (event.id, event.position)).collect()
    }

    #[tokio::test]
    async fn on_sqlite_the_stream_follows_the_commits_without_a_gap_and_what_is_undone_takes_no_place() {
        let app = TestApp::start().await;
        let (account, now) = (app.account().await, app.clock.now());
        let mut told = Vec::new();
        for is_committed in [true, false, true] {
            let mut tx = app.store.begin().await.unwrap();
            let ids = happen(&mut tx, account, 2, now).await;
            if is_committed {
                told.extend(ids);
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
        }
        let expected: Vec<_> = told.into_iter().zip((1..).map(Some)).collect();
        assert_eq!(places(&app, account).await, expected);
    }

    #[tokio::test]
    async fn what_has_no_place_yet_gets_one_behind_all_others_and_is_told_to_the_webhooks() {
        let app = TestApp::start().await;
        let (account, now) = (app.account().await, app.clock.now());
        let mut tx = app.store.begin().await.unwrap();
        let coming = happen(&mut tx, account, 1, now).await;
        // As PostgreSQL has them until the sequencer comes, and as an older program left them on SQLite.
        sqlx::query("UPDATE events SET position = NULL").execute(tx.conn()).await.unwrap();
        let told = happen(&mut tx, account, 1, now).await;
        tx.commit().await.unwrap();
        let webhook = app.webhook(account, "http://127.0.0.1:9/").await;
        let place = place_of(&mut app.store.read().await.unwrap(), account, coming[0]).await.unwrap();
        assert_eq!(place, Place::Coming);
        assert_eq!(places(&app, account).await, [(told[0], Some(2))]);

        crate::events::step(&app).await.unwrap();
        assert_eq!(places(&app, account).await, [(told[0], Some(2)), (coming[0], Some(3))]);
        let page = crate::store::Page::first(10);
        let planned = deliveries::list(&mut app.store.read().await.unwrap(), webhook.id, &page).await.unwrap();
        assert_eq!(planned.iter().map(|delivery| delivery.event_id).collect::<Vec<_>>(), coming);
    }
}
