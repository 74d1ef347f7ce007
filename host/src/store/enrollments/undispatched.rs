//! Enrollments that wait for a dispatch.

use sqlx::AssertSqlSafe;

use crate::domain::Timestamp;
use crate::domain::ids::{CampaignId, ContactId, EnrollmentId};
use crate::store::row::RowExt;
use crate::store::{Conn, Result, Tx};

/// An enrollment that has not been dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undispatched {
    /// Its id.
    pub id: EnrollmentId,
    /// Who.
    pub contact_id: ContactId,
    /// In which batch.
    pub batch_number: i64,
    /// Goes first in its batch.
    pub priority: bool,
}

/// Batches with as many enrollments that have not been dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndispatchedAlike {
    /// How many batches.
    pub batches: u64,
    /// Enrollments of each.
    pub each: u64,
}

/// Enrollments that wait for a dispatch, in the order in which they will be sent.
pub async fn undispatched(
    conn: &mut Conn,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
) -> Result<Vec<Undispatched>> {
    undispatched_and(conn, campaign, batch, limit, "").await
}

/// The same, and nobody else takes or deletes them until the transaction ends. One that somebody has is passed over.
pub async fn hold_undispatched(
    tx: &mut Tx,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
) -> Result<Vec<Undispatched>> {
    let lock = tx.dialect().skip_locked();
    undispatched_and(tx.conn(), campaign, batch, limit, lock).await
}

async fn undispatched_and(
    conn: &mut Conn,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
    lock: &str,
) -> Result<Vec<Undispatched>> {
    let sql = format!(
        "SELECT id, contact_id, batch_number, priority FROM enrollments
         WHERE campaign_id = $1 AND dispatched_at IS NULL AND stopped_at IS NULL AND ($2 IS NULL OR batch_number = $2)
         ORDER BY batch_number, priority DESC, id LIMIT $3{lock}"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(campaign.to_string()).bind(batch).bind(limit).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(Undispatched {
                id: row.id("id")?,
                contact_id: row.id("contact_id")?,
                batch_number: row.int("batch_number")?,
                priority: row.flag("priority")?,
            })
        })
        .collect()
}

/// How many batches have how many enrollments that wait for a dispatch.
pub async fn undispatched_alike(conn: &mut Conn, campaign: CampaignId) -> Result<Vec<UndispatchedAlike>> {
    let rows = sqlx::query(
        "SELECT COUNT(*) AS batches, waiting FROM
            (SELECT COUNT(*) AS waiting FROM enrollments
             WHERE campaign_id = $1 AND dispatched_at IS NULL AND stopped_at IS NULL GROUP BY batch_number) AS b
         GROUP BY waiting",
    )
    .bind(campaign.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok(UndispatchedAlike { batches: row.count("batches")?, each: row.count("waiting")? }))
        .collect()
}

/// Marks them dispatched.
pub async fn mark_dispatched(tx: &mut Tx, ids: &[EnrollmentId], now: Timestamp) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE enrollments SET dispatched_at = $2 WHERE id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(now.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}
