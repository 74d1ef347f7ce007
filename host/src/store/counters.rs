//! Counters, kept by deltas in the transaction of the fact: nothing that a page shows is counted when it is asked for.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{CampaignId, CredentialId};
use crate::domain::status::{BounceClass, EnrollmentStatus};

const SLOT: Duration = Duration::from_secs(600);

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

/// What happened to a credential in some span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CredentialCounters {
    /// SMTP transactions of every step.
    pub transactions: u64,
    /// The address or domain is dead.
    pub hard_bounces: u64,
    /// Given up on a temporary fault.
    pub soft_bounces: u64,
    /// Reputation, content, size.
    pub policy_bounces: u64,
    /// Reported as spam.
    pub complaints: u64,
    /// Put off with a 4xx.
    pub deferrals: u64,
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

/// Which of a credential's counters goes up by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialCounter {
    /// An SMTP transaction.
    Transaction,
    /// A transaction that was put off. Counted beside the transaction.
    Deferral,
    /// A bounce.
    Bounce(BounceClass),
    /// A complaint.
    Complaint,
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

    pub(super) fn of(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            pending: row.count("pending")?,
            sent: row.count("sent")?,
            opened: row.count("opened")?,
            replied: row.count("replied")?,
            bounced: row.count("bounced")?,
        })
    }
}

impl CredentialCounters {
    /// Bounces of every class.
    pub fn bounces(&self) -> u64 {
        self.hard_bounces + self.soft_bounces + self.policy_bounces
    }

    pub(super) fn of(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            transactions: row.count("transactions")?,
            hard_bounces: row.count("hard_bounces")?,
            soft_bounces: row.count("soft_bounces")?,
            policy_bounces: row.count("policy_bounces")?,
            complaints: row.count("complaints")?,
            deferrals: row.count("deferrals")?,
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

impl CredentialCounter {
    const fn column(self) -> &'static str {
        match self {
            Self::Transaction => "transactions",
            Self::Deferral => "deferrals",
            Self::Bounce(BounceClass::Hard) => "hard_bounces",
            Self::Bounce(BounceClass::Soft) => "soft_bounces",
            Self::Bounce(BounceClass::Policy) => "policy_bounces",
            Self::Complaint => "complaints",
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

/// The rows of a new credential.
pub async fn start_credential(conn: &mut Conn, credential: CredentialId) -> Result<()> {
    sqlx::query(
        "INSERT INTO credential_counters (credential_id, period) VALUES ($1, 'lifetime'), ($1, 'since_enabled')",
    )
    .bind(credential.to_string())
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

/// One enrollment went from one status to another; `first_time` when it had never been there. That it was sent to is not
/// counted by its status, which an answer may be ahead of (see [`sent_first`]).
pub async fn moved(
    conn: &mut Conn,
    campaign: CampaignId,
    batch: i64,
    from: EnrollmentStatus,
    to: EnrollmentStatus,
    first_time: bool,
) -> Result<()> {
    let ever = match to {
        EnrollmentStatus::Opened | EnrollmentStatus::Replied if first_time => {
            format!(", {to}_ever = {to}_ever + 1")
        }
        _ => String::new(),
    };
    let campaign_sql =
        format!("UPDATE campaign_counters SET {from} = {from} - 1, {to} = {to} + 1{ever} WHERE campaign_id = $1");
    sqlx::query(AssertSqlSafe(campaign_sql)).bind(campaign.to_string()).execute(&mut *conn).await?;
    let batch_sql = format!(
        "UPDATE batch_counters SET {from} = {from} - 1, {to} = {to} + 1 WHERE campaign_id = $1 AND batch_number = $2"
    );
    sqlx::query(AssertSqlSafe(batch_sql)).bind(campaign.to_string()).bind(batch).execute(conn).await?;
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

/// An enrollment was sent to for the first time.
pub async fn sent_first(conn: &mut Conn, campaign: CampaignId) -> Result<()> {
    sqlx::query("UPDATE campaign_counters SET sent_ever = sent_ever + 1 WHERE campaign_id = $1")
        .bind(campaign.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Enrollments were passed over.
pub async fn skipped(conn: &mut Conn, campaign: CampaignId, why: SkipCounter, count: i64) -> Result<()> {
    let column = why.column();
    let sql = format!("UPDATE campaign_counters SET {column} = {column} + $2 WHERE campaign_id = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(campaign.to_string()).bind(count).execute(conn).await?;
    Ok(())
}

/// Something happened to a credential at `at`: its lifetime, its time since it was enabled, and its slot of time.
pub async fn credential(
    conn: &mut Conn,
    credential: CredentialId,
    what: CredentialCounter,
    at: Timestamp,
) -> Result<()> {
    let column = what.column();
    let sql = format!("UPDATE credential_counters SET {column} = {column} + 1 WHERE credential_id = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(credential.to_string()).execute(&mut *conn).await?;
    let sql = format!(
        "INSERT INTO credential_slots (credential_id, slot, {column}) VALUES ($1, $2, 1)
         ON CONFLICT (credential_id, slot) DO UPDATE SET {column} = credential_slots.{column} + 1"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(credential.to_string()).bind(slot_of(at)).execute(conn).await?;
    Ok(())
}

/// A bounce that was counted at `at` turns out to be of another class. Counts that began anew since then have no place to
/// take it from.
pub async fn reclassed(
    conn: &mut Conn,
    credential: CredentialId,
    from: BounceClass,
    to: BounceClass,
    at: Timestamp,
) -> Result<()> {
    let (from, to) = (CredentialCounter::Bounce(from).column(), CredentialCounter::Bounce(to).column());
    let moved = format!("SET {from} = {from} - 1, {to} = {to} + 1");
    let sql = format!("UPDATE credential_counters {moved} WHERE credential_id = $1 AND {from} > 0");
    sqlx::query(AssertSqlSafe(sql)).bind(credential.to_string()).execute(&mut *conn).await?;
    let sql = format!("UPDATE credential_slots {moved} WHERE credential_id = $1 AND slot = $2 AND {from} > 0");
    sqlx::query(AssertSqlSafe(sql)).bind(credential.to_string()).bind(slot_of(at)).execute(conn).await?;
    Ok(())
}

/// An enrollment was looked at that had gone on from there: it is in no other status for that.
pub async fn opened_late(conn: &mut Conn, campaign: CampaignId) -> Result<()> {
    sqlx::query("UPDATE campaign_counters SET opened_ever = opened_ever + 1 WHERE campaign_id = $1")
        .bind(campaign.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The counts since it was enabled begin anew.
pub async fn restart_since_enabled(conn: &mut Conn, credential: CredentialId) -> Result<()> {
    sqlx::query(
        "UPDATE credential_counters SET transactions = 0, hard_bounces = 0, soft_bounces = 0, policy_bounces = 0,
                complaints = 0, deferrals = 0
         WHERE credential_id = $1 AND period = 'since_enabled'",
    )
    .bind(credential.to_string())
    .execute(conn)
    .await?;
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

/// A credential's counters of its whole life.
pub async fn lifetime(conn: &mut Conn, credential: CredentialId) -> Result<CredentialCounters> {
    of_period(conn, credential, "lifetime").await
}

/// A credential's counters since it was last enabled.
pub async fn since_enabled(conn: &mut Conn, credential: CredentialId) -> Result<CredentialCounters> {
    of_period(conn, credential, "since_enabled").await
}

/// A credential's counters of the time after `since`, to the slot of ten minutes.
pub async fn since(conn: &mut Conn, credential: CredentialId, since: Timestamp) -> Result<CredentialCounters> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(transactions), 0) AS BIGINT) AS transactions,
                CAST(COALESCE(SUM(hard_bounces), 0) AS BIGINT) AS hard_bounces,
                CAST(COALESCE(SUM(soft_bounces), 0) AS BIGINT) AS soft_bounces,
                CAST(COALESCE(SUM(policy_bounces), 0) AS BIGINT) AS policy_bounces,
                CAST(COALESCE(SUM(complaints), 0) AS BIGINT) AS complaints,
                CAST(COALESCE(SUM(deferrals), 0) AS BIGINT) AS deferrals
         FROM credential_slots WHERE credential_id = $1 AND slot > $2",
    )
    .bind(credential.to_string())
    .bind(slot_of(since))
    .fetch_one(conn)
    .await?;
    CredentialCounters::of(&row)
}

/// The lifetime counters of all credentials of a campaign together, the deleted ones among them.
pub async fn of_campaigns_credentials(conn: &mut Conn, campaign: CampaignId) -> Result<CredentialCounters> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(k.transactions), 0) AS BIGINT) AS transactions,
                CAST(COALESCE(SUM(k.hard_bounces), 0) AS BIGINT) AS hard_bounces,
                CAST(COALESCE(SUM(k.soft_bounces), 0) AS BIGINT) AS soft_bounces,
                CAST(COALESCE(SUM(k.policy_bounces), 0) AS BIGINT) AS policy_bounces,
                CAST(COALESCE(SUM(k.complaints), 0) AS BIGINT) AS complaints,
                CAST(COALESCE(SUM(k.deferrals), 0) AS BIGINT) AS deferrals
         FROM smtp_credentials c JOIN credential_counters k ON k.credential_id = c.id AND k.period = 'lifetime'
         WHERE c.campaign_id = $1",
    )
    .bind(campaign.to_string())
    .fetch_one(conn)
    .await?;
    CredentialCounters::of(&row)
}

/// Forgets slots that no window reaches any more.
pub async fn sweep_slots(conn: &mut Conn, older_than: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM credential_slots WHERE slot < $1").bind(slot_of(older_than)).execute(conn).await?;
    Ok(())
}

async fn of_period(conn: &mut Conn, credential: CredentialId, period: &str) -> Result<CredentialCounters> {
    let row = sqlx::query("SELECT * FROM credential_counters WHERE credential_id = $1 AND period = $2")
        .bind(credential.to_string())
        .bind(period)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map_or(Ok(CredentialCounters::default()), CredentialCounters::of)
}

fn slot_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(i64::try_from(SLOT.as_millis()).unwrap_or(i64::MAX))
}
