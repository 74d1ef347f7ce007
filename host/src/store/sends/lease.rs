//! Leases: held on to while a node works, ended when it dies.

use sqlx::AssertSqlSafe;

use super::{Lease, Send, send_of};
use crate::domain::Timestamp;
use crate::domain::ids::SendId;
use crate::domain::status::SendState;
use crate::store::{Result, Tx};

/// Frees what nodes held whose leases have ended: `claimed` had not left and is due again; `sending` may have left and is
/// in doubt. Gives the freed (with their reservations) and how many came into doubt.
pub async fn recover_expired(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<(Vec<Send>, Vec<Send>)> {
    let sql = format!(
        "SELECT * FROM sends WHERE state IN ('claimed', 'sending') AND lease_until < $1 ORDER BY lease_until LIMIT $2{}",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(now.as_millis()).bind(limit).fetch_all(tx.conn()).await?;
    let expired = rows.iter().map(send_of).collect::<Result<Vec<_>>>()?;
    let (claimed, sending): (Vec<_>, Vec<_>) = expired.into_iter().partition(|send| send.state == SendState::Claimed);
    for send in &claimed {
        sqlx::query(
            "UPDATE sends SET state = 'due', lease_owner = NULL, lease_until = NULL, reserved_day = NULL,
                    reserved_month = NULL,
                    smtp_credential_id = CASE WHEN $2 = 1 THEN NULL ELSE smtp_credential_id END
             WHERE id = $1 AND state = 'claimed'",
        )
        .bind(send.id.to_string())
        .bind(i64::from(send.reserved_day.is_some()))
        .execute(tx.conn())
        .await?;
    }
    for send in &sending {
        sqlx::query(
            "UPDATE sends SET state = 'in_doubt', lease_owner = NULL, lease_until = NULL,
                    reason = 'the node stopped while it was sending' WHERE id = $1 AND state = 'sending'",
        )
        .bind(send.id.to_string())
        .execute(tx.conn())
        .await?;
    }
    Ok((claimed, sending))
}

/// Holds on to what a node is still working on. A row that the ledger is writing at this moment is passed over: waiting for
/// several of its rows in another order than it takes them would be a deadlock.
pub async fn extend_leases(tx: &mut Tx, ids: &[SendId], lease: Lease) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE sends SET lease_until = $3 WHERE id IN
            (SELECT s.id FROM sends s WHERE s.lease_owner = $2 AND s.state IN ('claimed', 'sending')
               AND s.id IN (SELECT c0 FROM {} AS given){})",
        tx.dialect().json_rows(1),
        tx.dialect().skip_locked()
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(lease.owner.to_string())
        .bind(lease.until.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}
