//! Enrollments on their way out, with all that is theirs alone: their sends and SMTP transactions.
//!
//! What others have a claim on stays: charges and the counters of credentials (a bounce rate must not fall because contacts
//! were deleted), the rates of campaigns, events that were told or are to be told, and decisions. Messages and providers'
//! events stay without a name of whom they were about, so that neither is applied a second time.

use std::collections::{BTreeMap, HashSet};

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::domain::Timestamp;
use crate::domain::address::key_of;
use crate::domain::ids::{AccountId, CampaignId, ContactId, EnrollmentId, SendId};
use crate::domain::status::{EnrollmentStatus, SendState};
use crate::store::contacts::id_rows;
use crate::store::counters::StatusTotals;
use crate::store::row::RowExt;
use crate::store::{Conn, Result, Tx, counters, former_addresses};
use crate::wake::Wake;

/// An enrollment that may go: nothing of it is on its way.
struct Free {
    id: EnrollmentId,
    account: AccountId,
    contact: ContactId,
    batch: i64,
    status: EnrollmentStatus,
}

/// A campaign's enrollments after `after`, in their order.
pub async fn enrollments_of_campaign(
    conn: &mut Conn,
    campaign: CampaignId,
    after: Option<EnrollmentId>,
    limit: i64,
) -> Result<Vec<EnrollmentId>> {
    let rows = sqlx::query("SELECT id FROM enrollments WHERE campaign_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(campaign.to_string())
        .bind(after.map(|id| id.to_string()).unwrap_or_default())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Takes away enrollments of one campaign; those of which something is on its way, or which somebody is writing, are left
/// for another time. Gives how many went.
pub async fn take_enrollments(
    tx: &mut Tx,
    campaign: CampaignId,
    ids: &[EnrollmentId],
    now: Timestamp,
) -> Result<usize> {
    counters::lock_campaign(tx.conn(), campaign).await?;
    let free = free_of(tx, campaign, ids).await?;
    if free.is_empty() {
        return Ok(0);
    }
    let going: Vec<EnrollmentId> = free.iter().map(|enrollment| enrollment.id).collect();
    remember_written_to(tx, &free, now).await?;
    let mut batches: BTreeMap<i64, StatusTotals> = BTreeMap::new();
    for enrollment in &free {
        *batches.entry(enrollment.batch).or_default().of_status(enrollment.status) += 1;
    }
    for (batch, totals) in batches {
        counters::gone(tx.conn(), campaign, batch, totals).await?;
    }
    let rows = id_rows(&going);
    let given = format!("(SELECT c0 FROM {} AS given)", tx.dialect().json_rows(1));
    let statements = [
        format!("UPDATE inbound_messages SET enrollment_id = NULL, send_id = NULL WHERE enrollment_id IN {given}"),
        format!(
            "UPDATE provider_events SET enrollment_id = NULL, send_id = NULL, recipient = NULL
             WHERE enrollment_id IN {given}"
        ),
        format!("DELETE FROM transactions WHERE enrollment_id IN {given}"),
        format!("DELETE FROM resolutions WHERE enrollment_id IN {given}"),
        format!("DELETE FROM sends WHERE enrollment_id IN {given}"),
        format!("DELETE FROM enrollments WHERE id IN {given}"),
    ];
    for sql in statements {
        sqlx::query(AssertSqlSafe(sql)).bind(&rows).execute(tx.conn()).await?;
    }
    // Nothing may be left to send in its campaign.
    tx.wake(Wake::Dispatch);
    Ok(going.len())
}

/// Whose link it is that was in the mail to an enrollment which is gone: each of the addresses that mail may have gone to.
pub async fn departed(conn: &mut Conn, id: EnrollmentId) -> Result<Vec<(AccountId, String)>> {
    let rows = sqlx::query(
        "SELECT account_id, email_key FROM departed_enrollments WHERE enrollment_id = $1 ORDER BY email_key",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.id("account_id")?, row.text("email_key")?))).collect()
}

/// Forgets addresses of enrollments that went before `older_than`; gives how many, at most `limit`.
pub async fn sweep_departed(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM departed_enrollments WHERE enrollment_id IN
            (SELECT enrollment_id FROM departed_enrollments WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2)",
    )
    .bind(older_than.as_millis())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Those that nobody else is writing and of which nothing is on its way; they are held.
async fn free_of(tx: &mut Tx, campaign: CampaignId, ids: &[EnrollmentId]) -> Result<Vec<Free>> {
    let given = format!("(SELECT c0 FROM {} AS given)", tx.dialect().json_rows(1));
    let lock = tx.dialect().skip_locked();
    let sql = format!(
        "SELECT id, account_id, contact_id, batch_number, status FROM enrollments
         WHERE id IN {given} AND campaign_id = $2 ORDER BY id{lock}"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(id_rows(ids)).bind(campaign.to_string()).fetch_all(tx.conn()).await?;
    let mut free = rows.iter().map(free_of_row).collect::<Result<Vec<_>>>()?;
    let ours: Vec<EnrollmentId> = free.iter().map(|enrollment| enrollment.id).collect();
    let rows = id_rows(&ours);
    let sql = format!("SELECT id, enrollment_id, state FROM sends WHERE enrollment_id IN {given}{lock}");
    let held = sqlx::query(AssertSqlSafe(sql)).bind(&rows).fetch_all(tx.conn()).await?;
    let mut at_rest: HashSet<SendId> = HashSet::new();
    for row in held {
        let state = row.word("state", SendState::parse)?;
        if !matches!(state, SendState::Claimed | SendState::Sending) {
            at_rest.insert(row.id("id")?);
        }
    }
    let sql = format!("SELECT id, enrollment_id FROM sends WHERE enrollment_id IN {given}");
    let all = sqlx::query(AssertSqlSafe(sql)).bind(&rows).fetch_all(tx.conn()).await?;
    let mut busy: HashSet<EnrollmentId> = HashSet::new();
    for row in all {
        if !at_rest.contains(&row.id("id")?) {
            busy.insert(row.id("enrollment_id")?);
        }
    }
    free.retain(|enrollment| !busy.contains(&enrollment.id));
    Ok(free)
}

/// Who was written to has a link in his mail by which he may still opt out.
async fn remember_written_to(tx: &mut Tx, free: &[Free], now: Timestamp) -> Result<()> {
    let given = tx.dialect().json_rows(1);
    let going: Vec<EnrollmentId> = free.iter().map(|enrollment| enrollment.id).collect();
    let sql = format!(
        "SELECT DISTINCT enrollment_id FROM sends WHERE enrollment_id IN (SELECT c0 FROM {given} AS given)
           AND state IN ('sent', 'bounced', 'in_doubt')"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(&going)).fetch_all(tx.conn()).await?;
    let written_to: HashSet<EnrollmentId> = rows.iter().map(|row| row.id("enrollment_id")).collect::<Result<_>>()?;
    let contacts: Vec<ContactId> = free.iter().map(|enrollment| enrollment.contact).collect();
    let sql = format!("SELECT id, email FROM contacts WHERE id IN (SELECT c0 FROM {given} AS given)");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(&contacts)).fetch_all(tx.conn()).await?;
    let mut keys = former_addresses::of_contacts(tx, &contacts).await?;
    for row in &rows {
        keys.push((row.id("id")?, key_of(&row.text("email")?)));
    }
    let mut departed = Vec::new();
    for enrollment in free.iter().filter(|enrollment| written_to.contains(&enrollment.id)) {
        for (_, key) in keys.iter().filter(|(contact, _)| *contact == enrollment.contact) {
            departed.push((enrollment.id.to_string(), enrollment.account.to_string(), key));
        }
    }
    let sql = format!(
        "INSERT INTO departed_enrollments (enrollment_id, account_id, email_key, deleted_at)
         SELECT c0, c1, c2, $2 FROM {} AS given WHERE true ON CONFLICT (enrollment_id, email_key) DO NOTHING",
        tx.dialect().json_rows(3)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&departed).unwrap_or_default())
        .bind(now.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn free_of_row(row: &AnyRow) -> Result<Free> {
    Ok(Free {
        id: row.id("id")?,
        account: row.id("account_id")?,
        contact: row.id("contact_id")?,
        batch: row.int("batch_number")?,
        status: row.word("status", EnrollmentStatus::parse)?,
    })
}
