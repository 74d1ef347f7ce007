//! What facts about many enrollments change in the ledger, by one statement each.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, Send, send_of};
use crate::domain::ids::{EnrollmentId, SendId};
use crate::store::dialect::json_of;
use crate::store::{Result, Tx, packed};

/// Rows by their ids, and nobody else changes them until the transaction ends.
pub async fn hold_many(tx: &mut Tx, ids: &[SendId]) -> Result<HashMap<SendId, Send>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Locked in one order, whoever does it.
    let query = format!(
        "SELECT * FROM sends WHERE id IN (SELECT c0 FROM {} AS given) ORDER BY id{}",
        tx.dialect().json_rows(1),
        tx.dialect().for_update()
    );
    let given = json_of(ids.iter().map(|id| [id.to_string()]));
    let sql = packed::select(tx.dialect(), &[COLUMNS], &query);
    let all = sqlx::query(AssertSqlSafe(sql)).bind(given).fetch_one(tx.conn()).await?;
    packed::rows(&all, &[COLUMNS])?.iter().map(|row| send_of(row).map(|send| (send.id, send))).collect()
}

/// What enrollments have yet to be sent is not sent any more, each for its reason.
pub async fn cancel_due_many(tx: &mut Tx, stopped: &[(EnrollmentId, &str)]) -> Result<()> {
    if stopped.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE sends SET state = 'skipped', reason = given.c1 FROM {} AS given
         WHERE sends.enrollment_id = given.c0 AND sends.state = 'due'",
        tx.dialect().json_rows(2)
    );
    let given = json_of(stopped.iter().map(|(id, reason)| (id.to_string(), reason)));
    sqlx::query(AssertSqlSafe(sql)).bind(given).execute(tx.conn()).await?;
    Ok(())
}

/// Evidence that they bounced, each for its reason.
pub async fn settle_bounced_many(tx: &mut Tx, bounced: &[(SendId, &str)]) -> Result<()> {
    if bounced.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE sends SET state = 'bounced', reason = given.c1, lease_owner = NULL, lease_until = NULL
         FROM {} AS given
         WHERE sends.id = given.c0 AND sends.state IN ('claimed', 'sending', 'sent', 'in_doubt')",
        tx.dialect().json_rows(2)
    );
    let given = json_of(bounced.iter().map(|(id, reason)| (id.to_string(), reason)));
    sqlx::query(AssertSqlSafe(sql)).bind(given).execute(tx.conn()).await?;
    Ok(())
}

/// Keeps the providers' ids for sends that have none.
pub async fn learn_provider_message_ids(tx: &mut Tx, learnt: &[(SendId, &str)]) -> Result<()> {
    if learnt.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE sends SET provider_message_id = given.c1 FROM {} AS given
         WHERE sends.id = given.c0 AND sends.provider_message_id IS NULL",
        tx.dialect().json_rows(2)
    );
    let given = json_of(learnt.iter().map(|(id, theirs)| (id.to_string(), theirs)));
    sqlx::query(AssertSqlSafe(sql)).bind(given).execute(tx.conn()).await?;
    Ok(())
}
