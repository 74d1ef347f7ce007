//! What became of providers' requests, for whoever wonders: which were believed, which could be read, which wait.

use sqlx::any::AnyRow;

use super::inbound::RequestState;
use super::row::RowExt;
use super::{Conn, Page, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{InboundEndpointId, InboundRequestId};
use crate::wake::Wake;

/// Refused requests that are kept of an endpoint: enough to find a wrong secret.
const MOST_UNAUTHORIZED: i64 = 100;

/// What became of a request, without what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Its id.
    pub id: InboundRequestId,
    /// How far it is.
    pub state: RequestState,
    /// How often it was read.
    pub attempts: u32,
    /// When it is read (again).
    pub next_try_at: Option<Timestamp>,
    /// What the adapter said, or what went wrong.
    pub error: Option<String>,
    /// How long its body is, in bytes.
    pub size: u64,
    /// When it came.
    pub received_at: Timestamp,
}

/// What became of an endpoint's requests, newest first.
pub async fn list(
    conn: &mut Conn,
    endpoint: InboundEndpointId,
    state: Option<RequestState>,
    page: &Page,
) -> Result<Vec<Fate>> {
    let rows = sqlx::query(
        "SELECT id, state, attempts, next_try_at, error, CAST(LENGTH(body) AS BIGINT) AS size, received_at
         FROM inbound_requests WHERE endpoint_id = $1 AND id < $2 AND ($3 IS NULL OR state = $3)
         ORDER BY id DESC LIMIT $4",
    )
    .bind(endpoint.to_string())
    .bind(page.before())
    .bind(state.map(RequestState::as_str))
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(fate_of).collect()
}

/// Reads a request of an endpoint again, from its first attempt; false when there is none.
pub async fn retry(tx: &mut Tx, endpoint: InboundEndpointId, id: InboundRequestId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE inbound_requests SET state = 'stored', attempts = 0, failures = 0, error = NULL, next_try_at = $3
         WHERE id = $1 AND endpoint_id = $2",
    )
    .bind(id.to_string())
    .bind(endpoint.to_string())
    .bind(now.as_millis())
    .execute(tx.conn())
    .await?;
    tx.wake(Wake::Inbound);
    Ok(done.rows_affected() > 0)
}

/// Forgets what an adapter refused of an endpoint, but for the newest.
pub async fn drop_unauthorized(conn: &mut Conn, endpoint: InboundEndpointId) -> Result<()> {
    sqlx::query(
        "DELETE FROM inbound_requests WHERE id IN
            (SELECT id FROM inbound_requests WHERE endpoint_id = $1 AND state = 'unauthorized'
             ORDER BY id DESC LIMIT 1000 OFFSET $2)",
    )
    .bind(endpoint.to_string())
    .bind(MOST_UNAUTHORIZED)
    .execute(conn)
    .await?;
    Ok(())
}

fn fate_of(row: &AnyRow) -> Result<Fate> {
    Ok(Fate {
        id: row.id("id")?,
        state: row.word("state", RequestState::parse)?,
        attempts: row.small("attempts")?,
        next_try_at: row.opt_time("next_try_at")?,
        error: row.opt_text("error")?,
        size: row.count("size")?,
        received_at: row.time("received_at")?,
    })
}
