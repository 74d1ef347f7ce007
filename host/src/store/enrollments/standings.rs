//! How enrollments stand, many at once: held while facts about them are played through, and written back.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, Enrollment, enrollment_of};
use crate::domain::Timestamp;
use crate::domain::ids::EnrollmentId;
use crate::store::dialect::json_of;
use crate::store::packed::{self, Columns};
use crate::store::row::RowExt;
use crate::store::{Result, Tx};

/// An enrollment as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The row.
    pub enrollment: Enrollment,
    /// The contact's address; none when the contact is gone.
    pub contact_email: Option<String>,
}

/// What [`hold`] reads.
const HELD: Columns = &[COLUMNS, &["contact_email"]];

/// Enrollments by their ids, and nobody else changes them until the transaction ends.
pub async fn hold(tx: &mut Tx, ids: &[EnrollmentId]) -> Result<HashMap<EnrollmentId, Standing>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Locked in one order, whoever does it.
    let query = format!(
        "SELECT e.*, (SELECT c.email FROM contacts c WHERE c.id = e.contact_id) AS contact_email
         FROM enrollments e WHERE e.id IN (SELECT c0 FROM {} AS given) ORDER BY e.id{}",
        tx.dialect().json_rows(1),
        tx.dialect().for_update()
    );
    let given = json_of(ids.iter().map(|id| [id.to_string()]));
    let sql = packed::select(tx.dialect(), HELD, &query);
    let all = sqlx::query(AssertSqlSafe(sql)).bind(given).fetch_one(tx.conn()).await?;
    let rows = packed::rows(&all, HELD)?;
    let mut held = HashMap::with_capacity(rows.len());
    for row in &rows {
        let enrollment = enrollment_of(row)?;
        held.insert(enrollment.id, Standing { enrollment, contact_email: row.opt_text("contact_email")? });
    }
    Ok(held)
}

/// Writes what answers, looks and bounces change of them.
pub async fn write(tx: &mut Tx, changed: &[&Enrollment]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE enrollments SET status = given.c1, opened_at = CAST(given.c2 AS BIGINT),
                replied_at = CAST(given.c3 AS BIGINT), bounced_at = CAST(given.c4 AS BIGINT), bounce_reason = given.c5,
                stopped_at = CAST(given.c6 AS BIGINT), stop_reason = given.c7
         FROM {} AS given WHERE enrollments.id = given.c0",
        tx.dialect().json_rows(8)
    );
    let time = |at: Option<Timestamp>| at.map(|at| at.as_millis().to_string());
    let rows = changed.iter().map(|one| {
        let (opened, replied, bounced) = (time(one.opened_at), time(one.replied_at), time(one.bounced_at));
        let (reason, stopped) = (one.bounce_reason.as_deref(), time(one.stopped_at));
        let status = one.status.as_str();
        (one.id.to_string(), status, opened, replied, bounced, reason, stopped, one.stop_reason.as_deref())
    });
    sqlx::query(AssertSqlSafe(sql)).bind(json_of(rows)).execute(tx.conn()).await?;
    Ok(())
}
