//! Leases: held on to while a node works, ended when it dies.

use sqlx::AssertSqlSafe;

use super::{Lease, Send, send_of};
use crate::domain::Timestamp;
use crate::domain::ids::SendId;
use crate::domain::status::SendState;
use crate::store::dialect::json_of;
use crate::store::{Result, Tx};

/// Why a send is in doubt whose node is gone.
pub const NODE_STOPPED: &str = "the node stopped while it was sending";

/// Frees what nodes held whose leases have ended: `claimed` had not left and is due again; `sending` may have left and is
/// in doubt, which whoever was sending it may still settle. Gives the one and the other, as they were held.
pub async fn recover_expired(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<(Vec<Send>, Vec<Send>)> {
    let sql = format!(
        "SELECT * FROM sends WHERE lease_owner IS NOT NULL AND lease_until < $1 AND state IN ('claimed', 'sending')
         ORDER BY lease_until LIMIT $2{}",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(now.as_millis()).bind(limit).fetch_all(tx.conn()).await?;
    let expired = rows.iter().map(send_of).collect::<Result<Vec<_>>>()?;
    if expired.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let given = tx.dialect().json_rows(1);
    let (claimed, sending): (Vec<_>, Vec<_>) = expired.into_iter().partition(|send| send.state == SendState::Claimed);
    let sql = format!(
        "UPDATE sends SET state = 'due', lease_owner = NULL, lease_until = NULL, reserved_day = NULL, reserved_month = NULL,
                smtp_credential_id = CASE WHEN reserved_day IS NULL THEN smtp_credential_id END
         WHERE state = 'claimed' AND id IN (SELECT c0 FROM {given} AS given)"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(ids_of(&claimed)).execute(tx.conn()).await?;
    let sql = format!(
        "UPDATE sends SET state = 'in_doubt', lease_until = NULL, reason = $2
         WHERE state = 'sending' AND id IN (SELECT c0 FROM {given} AS given)"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(ids_of(&sending)).bind(NODE_STOPPED).execute(tx.conn()).await?;
    Ok((claimed, sending))
}

/// Holds on to what a node is still working on. A row that the ledger is writing at this moment is passed over: waiting for
/// several of its rows in another order than it takes them would be a deadlock.
pub async fn extend_leases(tx: &mut Tx, ids: &[SendId], lease: Lease) -> Result<()> {
    let sql = format!(
        "UPDATE sends SET lease_until = $3 WHERE id IN
            (SELECT s.id FROM sends s WHERE s.lease_owner = $2 AND s.state IN ('claimed', 'sending')
               AND s.id IN (SELECT c0 FROM {} AS given){})",
        tx.dialect().json_rows(1),
        tx.dialect().skip_locked()
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(json_of(ids.iter().map(|id| [id.to_string()])))
        .bind(lease.owner.to_string())
        .bind(lease.until.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn ids_of(sends: &[Send]) -> String {
    json_of(sends.iter().map(|send| [send.id.to_string()]))
}
