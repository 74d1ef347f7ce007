//! Suppressions that somebody makes: the address or the domain is never mailed again, and what was planned for it is
//! stopped. The sequences stay stopped if the suppression is lifted later.

use sqlx::AssertSqlSafe;

use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CampaignId, ContactId, EnrollmentId};
use crate::store::counters::SkipCounter;
use crate::store::row::RowExt;
use crate::store::suppressions::Suppression;
use crate::store::{Result, Store, Tx, contacts, counters};
use crate::wake::Wake;

/// Contacts that are looked at together.
const CHUNK: i64 = 500;
const SUPPRESSED: &str = "suppressed";

/// Stops what is planned for a suppressed address or domain, a part of it a transaction. Doing it again changes nothing but
/// what was left.
pub async fn stop_planned(store: &Store, account: AccountId, standing: &Suppression, now: Timestamp) -> Result<()> {
    if standing.kind == "domain" {
        let mut after = String::new();
        loop {
            let mut conn = store.read().await?;
            let chunk = contacts::of_domain(&mut conn, account, &standing.value, &after, CHUNK).await?;
            drop(conn);
            let (ids, mut keys): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
            let Some(last) = keys.pop() else { break };
            after = last;
            stop_contacts(store, &ids, now).await?;
        }
    } else {
        let contact = contacts::by_email(&mut *store.read().await?, account, &standing.value).await?;
        if let Some(contact) = contact {
            stop_contacts(store, &[contact.id], now).await?;
        }
    }
    Ok(())
}

async fn stop_contacts(store: &Store, ids: &[ContactId], now: Timestamp) -> Result<()> {
    let enrolled = contacts::enrollments_of(&mut *store.read().await?, store.dialect(), ids).await?;
    for of_campaign in enrolled.chunk_by(|(one, _), (other, _)| one == other) {
        let enrollments: Vec<_> = of_campaign.iter().map(|(_, enrollment)| *enrollment).collect();
        let mut tx = store.begin().await?;
        stop_enrollments(&mut tx, of_campaign[0].0, &enrollments, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Stops those enrollments of a campaign that have something to come. One that somebody is writing is passed over: it is
/// looked at once more before anything leaves.
async fn stop_enrollments(tx: &mut Tx, campaign: CampaignId, ids: &[EnrollmentId], now: Timestamp) -> Result<()> {
    // First the counters and then rows that nobody has: this waits for nobody who may wait for it.
    counters::lock_campaign(tx.conn(), campaign).await?;
    let given = format!("(SELECT c0 FROM {} AS given)", tx.dialect().json_rows(1));
    let sql = format!(
        "SELECT e.id, CASE WHEN EXISTS (SELECT 1 FROM sends s WHERE s.enrollment_id = e.id AND s.state = 'sending')
                           THEN 1 ELSE 0 END AS is_leaving
         FROM enrollments e WHERE e.id IN {given} AND e.stopped_at IS NULL
           AND (e.dispatched_at IS NULL OR EXISTS (SELECT 1 FROM sends s WHERE s.enrollment_id = e.id
                                                     AND s.state IN ('due', 'claimed', 'sending'))){}",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(contacts::id_rows(ids)).fetch_all(tx.conn()).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let stopped = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<EnrollmentId>>>()?;
    let sql = format!("UPDATE enrollments SET stopped_at = $2, stop_reason = $3 WHERE id IN {given}");
    sqlx::query(AssertSqlSafe(sql))
        .bind(contacts::id_rows(&stopped))
        .bind(now.as_millis())
        .bind(SUPPRESSED)
        .execute(tx.conn())
        .await?;
    let sql =
        format!("UPDATE sends SET state = 'skipped', reason = $2 WHERE enrollment_id IN {given} AND state = 'due'");
    sqlx::query(AssertSqlSafe(sql)).bind(contacts::id_rows(&stopped)).bind(SUPPRESSED).execute(tx.conn()).await?;
    // What is leaving at this moment is mailed; only nothing follows it.
    let mut count = 0;
    for row in &rows {
        count += i64::from(!row.flag("is_leaving")?);
    }
    counters::skipped(tx.conn(), campaign, SkipCounter::Suppressed, count).await?;
    // Nothing may be left to send in its campaign.
    tx.wake(Wake::Dispatch);
    Ok(())
}
