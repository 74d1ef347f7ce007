//! Enrollments that wait for a dispatch.

use sqlx::AssertSqlSafe;

use crate::domain::Timestamp;
use crate::domain::ids::{CampaignId, ContactId, EnrollmentId};
use crate::store::packed::{self, Columns};
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

/// What is read of them.
const UNDISPATCHED: Columns = &[&["id", "contact_id", "batch_number", "priority"]];

/// Enrollments that wait for a dispatch, in the order in which they will be sent; nobody else takes or deletes them until
/// the transaction ends. One that somebody has is passed over.
pub async fn hold_undispatched(
    tx: &mut Tx,
    campaign: CampaignId,
    batch: Option<i64>,
    limit: i64,
) -> Result<Vec<Undispatched>> {
    let query = format!(
        "SELECT id, contact_id, batch_number, priority FROM enrollments
         WHERE campaign_id = $1 AND dispatched_at IS NULL AND stopped_at IS NULL AND ($2 IS NULL OR batch_number = $2)
         ORDER BY batch_number, priority DESC, id LIMIT $3{}",
        tx.dialect().skip_locked()
    );
    let all = sqlx::query(AssertSqlSafe(packed::select(tx.dialect(), UNDISPATCHED, &query)))
        .bind(campaign.to_string())
        .bind(batch)
        .bind(limit)
        .fetch_one(tx.conn())
        .await?;
    packed::rows(&all, UNDISPATCHED)?.iter().map(undispatched_of).collect()
}

/// Whether anybody was ever enrolled into a campaign.
pub async fn has_any(conn: &mut Conn, campaign: CampaignId) -> Result<bool> {
    let sql = "SELECT CASE WHEN EXISTS (SELECT 1 FROM enrollments WHERE campaign_id = $1) THEN 1 ELSE 0 END AS found";
    sqlx::query(sql).bind(campaign.to_string()).fetch_one(conn).await?.flag("found")
}

/// Whether any enrollment of a campaign waits for a dispatch.
pub async fn has_undispatched(conn: &mut Conn, campaign: CampaignId) -> Result<bool> {
    let row = sqlx::query(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM enrollments
                WHERE campaign_id = $1 AND dispatched_at IS NULL AND stopped_at IS NULL) THEN 1 ELSE 0 END AS found",
    )
    .bind(campaign.to_string())
    .fetch_one(conn)
    .await?;
    row.flag("found")
}

fn undispatched_of(row: &impl RowExt) -> Result<Undispatched> {
    Ok(Undispatched {
        id: row.id("id")?,
        contact_id: row.id("contact_id")?,
        batch_number: row.int("batch_number")?,
        priority: row.flag("priority")?,
    })
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
