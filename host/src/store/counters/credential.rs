//! What is counted of credentials: in their lifetime, since they were enabled, and in slots of ten minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::domain::Timestamp;
use crate::domain::ids::{CampaignId, CredentialId};
use crate::domain::status::BounceClass;
use crate::store::dialect::json_of;
use crate::store::row::RowExt;
use crate::store::{Conn, Result, Tx, Writes};

const SLOT: Duration = Duration::from_secs(600);

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

/// Which of a credential's counters goes up by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl CredentialCounters {
    /// Bounces of every class.
    pub fn bounces(&self) -> u64 {
        self.hard_bounces + self.soft_bounces + self.policy_bounces
    }

    pub(in crate::store) fn of(row: &AnyRow) -> Result<Self> {
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

/// Something happened to a credential at `at`: its lifetime, its time since it was enabled, and its slot of time.
pub async fn credential(tx: &mut Tx, credential: CredentialId, what: CredentialCounter, at: Timestamp) -> Result<()> {
    tx.make(|writes| credentials(writes, what, &BTreeMap::from([(credential, 1)]), at)).await
}

/// Keeps the counts of credentials until the transaction ends, locked in one order, whoever does it.
pub async fn lock_credentials(tx: &mut Tx, ids: &[CredentialId]) -> Result<()> {
    let sql = format!(
        "SELECT credential_id FROM credential_counters WHERE credential_id IN (SELECT c0 FROM {} AS given)
         ORDER BY credential_id, period{}",
        tx.dialect().json_rows(1),
        tx.dialect().for_update()
    );
    let given = json_of(ids.iter().map(|id| [id.to_string()]));
    sqlx::query(AssertSqlSafe(sql)).bind(given).fetch_all(tx.conn()).await?;
    Ok(())
}

/// The same happened to credentials at `at`, so many times to each.
pub fn credentials(writes: &mut Writes, what: CredentialCounter, times: &BTreeMap<CredentialId, i64>, at: Timestamp) {
    let rows = || json_of(times.iter().map(|(credential, count)| (credential.to_string(), count.to_string())));
    let (given, column) = (writes.dialect().json_rows(2), what.column());
    let sql = format!(
        "UPDATE credential_counters SET {column} = {column} + CAST(given.c1 AS BIGINT)
         FROM {given} AS given WHERE credential_counters.credential_id = given.c0"
    );
    writes.add(sql, [rows().into()]);
    let sql = format!(
        "INSERT INTO credential_slots (credential_id, slot, {column})
         SELECT c0, $2, CAST(c1 AS BIGINT) FROM {given} AS given WHERE true
         ON CONFLICT (credential_id, slot) DO UPDATE SET {column} = credential_slots.{column} + excluded.{column}"
    );
    writes.add(sql, [rows().into(), slot_of(at).into()]);
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
