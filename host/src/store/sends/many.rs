//! What facts about many enrollments change in the ledger, by one statement each.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, Send, send_of};
use crate::domain::ids::{EnrollmentId, SendId};
use crate::store::dialect::json_of;
use crate::store::{Result, Tx, Writes, packed};

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
pub fn cancel_due_many(writes: &mut Writes, stopped: &[(EnrollmentId, &str)]) {
    if stopped.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE sends SET state = 'skipped', reason = given.c1 FROM {} AS given
         WHERE sends.enrollment_id = given.c0 AND sends.state = 'due'",
        writes.dialect().json_rows(2)
    );
    let given = json_of(stopped.iter().map(|(id, reason)| (id.to_string(), reason)));
    writes.add(sql, [given.into()]);
}

/// Evidence that they bounced, each for its reason.
pub fn settle_bounced_many(writes: &mut Writes, bounced: &[(SendId, &str)]) {
    if bounced.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE sends SET state = 'bounced', reason = given.c1, lease_owner = NULL, lease_until = NULL
         FROM {} AS given
         WHERE sends.id = given.c0 AND sends.state IN ('claimed', 'sending', 'sent', 'in_doubt')",
        writes.dialect().json_rows(2)
    );
    let given = json_of(bounced.iter().map(|(id, reason)| (id.to_string(), reason)));
    writes.add(sql, [given.into()]);
}

/// Keeps the providers' ids for sends that have none.
pub fn learn_provider_message_ids(writes: &mut Writes, learnt: &[(SendId, &str)]) {
    if learnt.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE sends SET provider_message_id = given.c1 FROM {} AS given
         WHERE sends.id = given.c0 AND sends.provider_message_id IS NULL",
        writes.dialect().json_rows(2)
    );
    let given = json_of(learnt.iter().map(|(id, theirs)| (id.to_string(), theirs)));
    writes.add(sql, [given.into()]);
}
