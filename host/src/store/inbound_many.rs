//! Providers' requests and their events, many by one statement.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::dialect::{BytesOfRows, json_of};
use super::inbound::{InboundRequest, ProviderEvent, RequestState};
use super::row::RowExt;
use super::{Result, Tx, Writes};
use crate::domain::Timestamp;
use crate::domain::ids::{InboundRequestId, ProviderEventId};

/// Until a request is read: if the node dies before, another reads it after so many milliseconds.
const READ_WITHIN_MILLIS: i64 = 20_000;
/// Bodies of one statement, in bytes; one body may have more.
const MOST_BYTES: usize = 8 << 20;
/// Events of one statement.
const MOST_EVENTS: usize = 1_000;

/// How reading a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub id: InboundRequestId,
    /// What became of it.
    pub state: RequestState,
    /// What the adapter said, or what went wrong.
    pub error: Option<String>,
    /// When it is read again.
    pub next_try_at: Option<Timestamp>,
    /// Whether an adapter failed at it or put it off.
    pub has_failed: bool,
}

/// Stores requests before anything reads them.
pub async fn insert_requests(tx: &mut Tx, requests: &[&InboundRequest]) -> Result<()> {
    let mut rest = requests;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |request: &&&InboundRequest| {
            bytes += request.body.len();
            bytes <= MOST_BYTES
        };
        let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        insert_together(tx, now).await?;
        rest = later;
    }
    Ok(())
}

async fn insert_together(tx: &mut Tx, requests: &[&InboundRequest]) -> Result<()> {
    let mut bytes = BytesOfRows::default();
    let rows: Vec<_> = requests
        .iter()
        .map(|request| {
            let (from, length) = bytes.add(&request.body);
            [
                request.id.to_string(),
                request.account_id.to_string(),
                request.endpoint_id.to_string(),
                request.method.clone(),
                request.path.clone(),
                request.query.clone(),
                serde_json::to_string(&request.headers).unwrap_or_default(),
                from,
                length,
                request.received_at.as_millis().to_string(),
            ]
        })
        .collect();
    let sql = format!(
        "INSERT INTO inbound_requests (id, account_id, endpoint_id, method, path, query, headers, body, state, attempts,
                                       next_try_at, received_at)
         SELECT c0, c1, c2, c3, c4, c5, c6, substr($2, CAST(c7 AS INTEGER), CAST(c8 AS INTEGER)), 'stored', 0,
                CAST(c9 AS BIGINT) + $3, CAST(c9 AS BIGINT)
         FROM {} AS given",
        tx.dialect().json_rows(10)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(json_of(rows))
        .bind(bytes.parameter())
        .bind(READ_WITHIN_MILLIS)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes how reading requests went.
pub fn finish_requests(writes: &mut Writes, finished: &[Finished]) {
    let sql = format!(
        "UPDATE inbound_requests SET state = given.c1, error = given.c2, next_try_at = CAST(given.c3 AS BIGINT),
                attempts = attempts + 1, failures = failures + CAST(given.c4 AS BIGINT)
         FROM {} AS given WHERE inbound_requests.id = given.c0",
        writes.dialect().json_rows(5)
    );
    let rows = finished.iter().map(|one| {
        // An adapter's error may quote the request, and PostgreSQL takes no text with a NUL.
        let error = one.error.as_ref().map(|error| error.replace('\0', ""));
        let next = one.next_try_at.map(|at| at.as_millis().to_string());
        let failed = i64::from(one.has_failed).to_string();
        (one.id.to_string(), one.state.as_str(), error, next, failed)
    });
    writes.add(sql, [json_of(rows).into()]);
}

/// Records events; gives those that were not there already. Of two with one key the first is.
pub async fn insert_events(tx: &mut Tx, events: &[ProviderEvent]) -> Result<HashSet<ProviderEventId>> {
    let mut new = HashSet::with_capacity(events.len());
    for events in events.chunks(MOST_EVENTS) {
        let sql = format!(
            "INSERT INTO provider_events (id, account_id, request_id, provider, dedupe_key, kind, recipient, send_id,
                 enrollment_id, matched_by, provider_message_id, smtp_code, smtp_status, reason, occurred_at, at)
             SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, CAST(c11 AS BIGINT), c12, c13, CAST(c14 AS BIGINT),
                    CAST(c15 AS BIGINT)
             FROM {} AS given WHERE true ON CONFLICT (account_id, provider, dedupe_key) DO NOTHING",
            tx.dialect().json_rows(16)
        );
        let rows = events.iter().map(|event| {
            [
                Some(event.id.to_string()),
                Some(event.account_id.to_string()),
                Some(event.request_id.to_string()),
                Some(event.provider.clone()),
                Some(event.dedupe_key.clone()),
                Some(event.kind.clone()),
                event.recipient.clone(),
                event.send_id.map(|id| id.to_string()),
                event.enrollment_id.map(|id| id.to_string()),
                event.matched_by.clone(),
                event.provider_message_id.clone(),
                event.smtp_code.map(|code| code.to_string()),
                event.smtp_status.clone(),
                event.reason.clone(),
                event.occurred_at.map(|at| at.as_millis().to_string()),
                Some(event.at.as_millis().to_string()),
            ]
        });
        let done = sqlx::query(AssertSqlSafe(sql)).bind(json_of(rows)).execute(tx.conn()).await?;
        let ids = events.iter().map(|event| event.id);
        if usize::try_from(done.rows_affected()) == Ok(events.len()) {
            new.extend(ids);
        } else {
            new.extend(events_among(tx, ids).await?);
        }
    }
    Ok(new)
}

async fn events_among(tx: &mut Tx, ids: impl Iterator<Item = ProviderEventId>) -> Result<Vec<ProviderEventId>> {
    let given = tx.dialect().json_rows(1);
    let sql = format!("SELECT id FROM provider_events WHERE id IN (SELECT c0 FROM {given} AS given)");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(json_of(ids.map(|id| [id.to_string()])));
    query.fetch_all(tx.conn()).await?.iter().map(|row| row.id("id")).collect()
}
