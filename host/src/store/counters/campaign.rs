//! What is counted of campaigns and their batches: how many enrollments are in each status, and have ever been.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::domain::ids::CampaignId;
use crate::domain::status::EnrollmentStatus;
use crate::store::row::RowExt;
use crate::store::{Conn, Result};

/// How many enrollments are in each status now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct StatusTotals {
    /// Nothing sent yet.
    pub pending: u64,
    /// At least one step sent.
    pub sent: u64,
    /// The pixel was loaded.
    pub opened: u64,
    /// A person answered.
    pub replied: u64,
    /// The address does not take mail.
    pub bounced: u64,
}

/// Everything that is kept for a campaign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CampaignCounters {
    /// The statuses now.
    pub totals: StatusTotals,
    /// Enrollments that were ever sent to.
    pub sent_ever: u64,
    /// Enrollments that were ever opened.
    pub opened_ever: u64,
    /// Enrollments that ever replied.
    pub replied_ever: u64,
    /// Not mailed: the domain takes no mail.
    pub mx_invalid: u64,
    /// Not enrolled or not mailed: a sibling campaign has the address.
    pub cross_campaign_duplicate: u64,
    /// Not enrolled or not mailed: unsubscribed.
    pub unsubscribed: u64,
    /// Not enrolled or not mailed: suppressed.
    pub suppressed: u64,
}

/// Why an enrollment was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipCounter {
    /// The domain takes no mail.
    MxInvalid,
    /// A sibling campaign has the address.
    CrossCampaignDuplicate,
    /// The contact unsubscribed.
    Unsubscribed,
    /// The address or domain is suppressed.
    Suppressed,
}

impl StatusTotals {
    /// The count of one status.
    pub fn of_status(&mut self, status: EnrollmentStatus) -> &mut u64 {
        match status {
            EnrollmentStatus::Pending => &mut self.pending,
            EnrollmentStatus::Sent => &mut self.sent,
            EnrollmentStatus::Opened => &mut self.opened,
            EnrollmentStatus::Replied => &mut self.replied,
            EnrollmentStatus::Bounced => &mut self.bounced,
        }
    }

    pub(in crate::store) fn of(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            pending: row.count("pending")?,
            sent: row.count("sent")?,
            opened: row.count("opened")?,
            replied: row.count("replied")?,
            bounced: row.count("bounced")?,
        })
    }
}

impl SkipCounter {
    const fn column(self) -> &'static str {
        match self {
            Self::MxInvalid => "mx_invalid",
            Self::CrossCampaignDuplicate => "cross_campaign_duplicate",
            Self::Unsubscribed => "unsubscribed",
            Self::Suppressed => "suppressed",
        }
    }
}

/// The row of a new campaign.
pub async fn start_campaign(conn: &mut Conn, campaign: CampaignId) -> Result<()> {
    sqlx::query("INSERT INTO campaign_counters (campaign_id) VALUES ($1)")
        .bind(campaign.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes other transactions that enroll into this campaign wait for this one.
pub async fn lock_campaign(conn: &mut Conn, campaign: CampaignId) -> Result<()> {
    sqlx::query("UPDATE campaign_counters SET pending = pending WHERE campaign_id = $1")
        .bind(campaign.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// `count` enrollments came into being in a batch.
pub async fn enrolled(conn: &mut Conn, campaign: CampaignId, batch: i64, count: i64) -> Result<()> {
    sqlx::query("UPDATE campaign_counters SET pending = pending + $2 WHERE campaign_id = $1")
        .bind(campaign.to_string())
        .bind(count)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "INSERT INTO batch_counters (campaign_id, batch_number, pending) VALUES ($1, $2, $3)
         ON CONFLICT (campaign_id, batch_number) DO UPDATE SET pending = batch_counters.pending + excluded.pending",
    )
    .bind(campaign.to_string())
    .bind(batch)
    .bind(count)
    .execute(conn)
    .await?;
    Ok(())
}

/// Enrollments of a batch are gone. What they did stays in the rates.
pub async fn gone(conn: &mut Conn, campaign: CampaignId, batch: i64, totals: StatusTotals) -> Result<()> {
    let less = "pending = pending - $2, sent = sent - $3, opened = opened - $4, replied = replied - $5, \
                bounced = bounced - $6";
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    for (table, batch) in [("campaign_counters", None), ("batch_counters", Some(batch))] {
        let of_batch = if batch.is_some() { " AND batch_number = $7" } else { "" };
        let sql = format!("UPDATE {table} SET {less} WHERE campaign_id = $1{of_batch}");
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign.to_string())
            .bind(signed(totals.pending))
            .bind(signed(totals.sent))
            .bind(signed(totals.opened))
            .bind(signed(totals.replied))
            .bind(signed(totals.bounced));
        match batch {
            Some(batch) => query.bind(batch).execute(&mut *conn).await?,
            None => query.execute(&mut *conn).await?,
        };
    }
    Ok(())
}

/// Enrollments were passed over.
pub async fn skipped(conn: &mut Conn, campaign: CampaignId, why: SkipCounter, count: i64) -> Result<()> {
    let column = why.column();
    let sql = format!("UPDATE campaign_counters SET {column} = {column} + $2 WHERE campaign_id = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(campaign.to_string()).bind(count).execute(conn).await?;
    Ok(())
}

/// What is kept for a campaign.
pub async fn of_campaign(conn: &mut Conn, campaign: CampaignId) -> Result<CampaignCounters> {
    let row = sqlx::query("SELECT * FROM campaign_counters WHERE campaign_id = $1")
        .bind(campaign.to_string())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(CampaignCounters::default()) };
    Ok(CampaignCounters {
        totals: StatusTotals::of(&row)?,
        sent_ever: row.count("sent_ever")?,
        opened_ever: row.count("opened_ever")?,
        replied_ever: row.count("replied_ever")?,
        mx_invalid: row.count("mx_invalid")?,
        cross_campaign_duplicate: row.count("cross_campaign_duplicate")?,
        unsubscribed: row.count("unsubscribed")?,
        suppressed: row.count("suppressed")?,
    })
}

/// The statuses of a campaign's batches after number `after`, in order of their numbers, at most `limit`.
pub async fn per_batch(
    conn: &mut Conn,
    campaign: CampaignId,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<(i64, StatusTotals)>> {
    let sql =
        "SELECT * FROM batch_counters WHERE campaign_id = $1 AND batch_number > $2 ORDER BY batch_number LIMIT $3";
    let rows =
        sqlx::query(sql).bind(campaign.to_string()).bind(after.unwrap_or(-1)).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.int("batch_number")?, StatusTotals::of(row)?))).collect()
}
