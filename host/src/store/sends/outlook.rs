//! What lies ahead of a campaign, for those who ask why and when: the next send of each kind, and all of them in groups.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::domain::Timestamp;
use crate::domain::explain::Planned;
use crate::domain::ids::{CampaignId, CredentialId};
use crate::store::row::RowExt;
use crate::store::{Conn, Result};

/// Sends that nodes hold at this moment, of one step through one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSends {
    /// Through which.
    pub credential_id: Option<CredentialId>,
    /// Which step.
    pub step_position: u32,
    /// How many.
    pub count: u64,
}

/// Batches that stand alike: as many first steps to go, the next at about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchesAlike {
    /// How many batches.
    pub batches: u64,
    /// First steps of each.
    pub each: u64,
    /// When the next of each leaves.
    pub next_at: Timestamp,
    /// Milliseconds from the first of a batch to its last.
    pub span_millis: u64,
}

/// Sends of one step that a credential is to make in about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendsAlike {
    /// Through which.
    pub credential_id: CredentialId,
    /// Which step.
    pub step_position: u32,
    /// When.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
}

/// For the `WHERE` of a statement whose `$1` is a campaign: something of it is planned, first steps or what one credential
/// may make. Two looks, as each has its index.
pub(in crate::store) const ANY_PLANNED: &str = "(
    EXISTS (SELECT 1 FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL)
    OR EXISTS (SELECT 1 FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NOT NULL))";

/// The same for what nodes hold of it. The lease names the index, which only the held ones are in.
pub(in crate::store) const ANY_HELD: &str = "EXISTS (
    SELECT 1 FROM sends WHERE lease_owner IS NOT NULL AND state IN ('claimed', 'sending') AND campaign_id = $1)";

/// Whether anything of a campaign is planned.
pub async fn is_any_planned(conn: &mut Conn, campaign: CampaignId) -> Result<bool> {
    let sql = format!("SELECT CASE WHEN {ANY_PLANNED} THEN 1 ELSE 0 END AS found");
    sqlx::query(AssertSqlSafe(sql)).bind(campaign.to_string()).fetch_one(conn).await?.flag("found")
}

/// Times that are nearer to each other than this count as the same.
const ABOUT_MILLIS: i64 = 60_000;
const ABOUT_MILLIS_OF_FOLLOW_UPS: i64 = 3_600_000;

/// The next send of a campaign: of its first steps, or of those that only one credential may make.
pub async fn next(conn: &mut Conn, campaign: CampaignId, credential: Option<CredentialId>) -> Result<Option<Planned>> {
    // Two statements, as only an equation (or IS NULL) finds its place in the index.
    let query = match credential {
        None => sqlx::query(
            "SELECT due_at, reason FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL
             ORDER BY due_at LIMIT 1",
        )
        .bind(campaign.to_string()),
        Some(credential) => sqlx::query(
            "SELECT due_at, reason FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = $2
             ORDER BY due_at LIMIT 1",
        )
        .bind(campaign.to_string())
        .bind(credential.to_string()),
    };
    let row = query.fetch_optional(conn).await?;
    row.map(|row| Ok(Planned { at: row.time("due_at")?, put_off: row.opt_text("reason")? })).transpose()
}

/// What nodes hold of a campaign.
pub async fn held(conn: &mut Conn, campaign: CampaignId) -> Result<Vec<HeldSends>> {
    let rows = sqlx::query(
        "SELECT smtp_credential_id, step_position, COUNT(*) AS held FROM sends
         WHERE lease_owner IS NOT NULL AND state IN ('claimed', 'sending') AND campaign_id = $1
         GROUP BY smtp_credential_id, step_position",
    )
    .bind(campaign.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(HeldSends {
                credential_id: row.opt_id("smtp_credential_id")?,
                step_position: row.small("step_position")?,
                count: row.count("held")?,
            })
        })
        .collect()
}

/// How many sends of a campaign are in doubt.
pub async fn in_doubt_of(conn: &mut Conn, campaign: CampaignId) -> Result<u64> {
    let row = sqlx::query("SELECT COUNT(*) AS in_doubt FROM sends WHERE state = 'in_doubt' AND campaign_id = $1")
        .bind(campaign.to_string())
        .fetch_one(conn)
        .await?;
    row.count("in_doubt")
}

/// The planned first steps of a campaign by batches that stand alike. What is overdue leaves at `now`, and the rest of its
/// batch keeps its gaps.
pub async fn first_steps_ahead(conn: &mut Conn, campaign: CampaignId, now: Timestamp) -> Result<Vec<BatchesAlike>> {
    let rows = sqlx::query(
        "SELECT COUNT(*) AS batches, each_has, CAST(AVG(opens) AS BIGINT) AS next_at, CAST(AVG(width) AS BIGINT) AS span
         FROM (SELECT CASE WHEN MIN(due_at) < $2 THEN $2 ELSE MIN(due_at) END AS opens, COUNT(*) AS each_has,
                      MAX(due_at) - MIN(due_at) AS width
               FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL
               GROUP BY batch_number) AS b
         GROUP BY opens / $3, each_has ORDER BY 3, 2",
    )
    .bind(campaign.to_string())
    .bind(now.as_millis())
    .bind(ABOUT_MILLIS)
    .fetch_all(conn)
    .await?;
    rows.iter().map(batches_of).collect()
}

/// The same where batches keep no gaps: every first step is a batch of its own.
pub async fn first_steps_ahead_without_gaps(
    conn: &mut Conn,
    campaign: CampaignId,
    now: Timestamp,
) -> Result<Vec<BatchesAlike>> {
    let rows = sqlx::query(
        "SELECT COUNT(*) AS batches, CAST(1 AS BIGINT) AS each_has, CAST(AVG(opens) AS BIGINT) AS next_at,
                CAST(0 AS BIGINT) AS span
         FROM (SELECT CASE WHEN due_at < $2 THEN $2 ELSE due_at END AS opens
               FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL) AS b
         GROUP BY opens / $3 ORDER BY 3",
    )
    .bind(campaign.to_string())
    .bind(now.as_millis())
    .bind(ABOUT_MILLIS)
    .fetch_all(conn)
    .await?;
    rows.iter().map(batches_of).collect()
}

/// What each credential is to send: follow-ups, and first steps that are tried again.
pub async fn of_credentials_ahead(conn: &mut Conn, campaign: CampaignId, now: Timestamp) -> Result<Vec<SendsAlike>> {
    let rows = sqlx::query(
        "SELECT smtp_credential_id, step_position, CAST(AVG(opens) AS BIGINT) AS mean_at, COUNT(*) AS alike
         FROM (SELECT smtp_credential_id, step_position, CASE WHEN due_at < $2 THEN $2 ELSE due_at END AS opens
               FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NOT NULL) AS s
         GROUP BY smtp_credential_id, step_position, opens / $3 ORDER BY 3, 1, 2",
    )
    .bind(campaign.to_string())
    .bind(now.as_millis())
    .bind(ABOUT_MILLIS_OF_FOLLOW_UPS)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SendsAlike {
                credential_id: row.id("smtp_credential_id")?,
                step_position: row.small("step_position")?,
                at: row.time("mean_at")?,
                count: row.count("alike")?,
            })
        })
        .collect()
}

fn batches_of(row: &AnyRow) -> Result<BatchesAlike> {
    Ok(BatchesAlike {
        batches: row.count("batches")?,
        each: row.count("each_has")?,
        next_at: row.time("next_at")?,
        span_millis: row.count("span")?,
    })
}
