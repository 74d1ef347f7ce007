//! How enrollments stand, many at once: held while facts about them are played through, and written back.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, Enrollment, enrollment_of};
use crate::domain::Timestamp;
use crate::domain::ids::{EnrollmentId, NodeId, SendId};
use crate::store::dialect::json_of;
use crate::store::packed::{self, Columns, PackedRow};
use crate::store::row::RowExt;
use crate::store::sends::HELD;
use crate::store::{Answers, Nth, Reads, Result, Tx, Writes};

/// An enrollment as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The row.
    pub enrollment: Enrollment,
    /// The contact's address; none when the contact is gone.
    pub contact_email: Option<String>,
}

/// What [`hold`] reads.
const ENROLLED: Columns = &[COLUMNS, &["contact_email"]];

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
    let sql = packed::select(tx.dialect(), ENROLLED, &query);
    let all = sqlx::query(AssertSqlSafe(sql)).bind(given).fetch_one(tx.conn()).await?;
    let standings = packed::rows(&all, ENROLLED)?;
    standings.iter().map(standing_of).map(|one| one.map(|one| (one.enrollment.id, one))).collect()
}

/// What [`ask_of_held_sends`] asks for.
const HELD_SENDS: Columns = &[&["send_id"], COLUMNS, &["contact_email"]];

/// Asks for the enrollments of those sends that `owner` holds still; [`of_held_sends`] reads the answer. Nothing is locked:
/// where one transaction writes at a time, nobody changes them.
pub fn ask_of_held_sends(reads: &mut Reads, ids: &[SendId], owner: NodeId) -> Nth {
    let query = format!(
        "SELECT s.id AS send_id, e.*, (SELECT c.email FROM contacts c WHERE c.id = e.contact_id) AS contact_email
         FROM {} AS given CROSS JOIN sends s ON s.id = given.c0 CROSS JOIN enrollments e ON e.id = s.enrollment_id
         WHERE s.state IN ({HELD}) AND s.lease_owner = $2",
        reads.dialect().json_rows(1)
    );
    let given = json_of(ids.iter().map(|id| [id.to_string()]));
    reads.add(packed::select(reads.dialect(), HELD_SENDS, &query), [given.into(), owner.to_string().into()])
}

/// What [`ask_of_held_sends`] asked for.
pub fn of_held_sends(answers: &Answers, asked: Nth) -> Result<HashMap<SendId, Standing>> {
    let Some(all) = answers.rows(asked).first() else { return Ok(HashMap::new()) };
    let standing = |row: &PackedRow| Ok((row.id("send_id")?, standing_of(row)?));
    packed::rows(all, HELD_SENDS)?.iter().map(standing).collect()
}

fn standing_of(row: &PackedRow) -> Result<Standing> {
    Ok(Standing { enrollment: enrollment_of(row)?, contact_email: row.opt_text("contact_email")? })
}

/// Writes what answers, looks and bounces change of them.
pub fn write(writes: &mut Writes, changed: &[&Enrollment]) {
    if changed.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE enrollments SET status = given.c1, opened_at = CAST(given.c2 AS BIGINT),
                replied_at = CAST(given.c3 AS BIGINT), bounced_at = CAST(given.c4 AS BIGINT), bounce_reason = given.c5,
                stopped_at = CAST(given.c6 AS BIGINT), stop_reason = given.c7
         FROM {} AS given WHERE enrollments.id = given.c0",
        writes.dialect().json_rows(8)
    );
    let time = |at: Option<Timestamp>| at.map(|at| at.as_millis().to_string());
    let rows = changed.iter().map(|one| {
        let (opened, replied, bounced) = (time(one.opened_at), time(one.replied_at), time(one.bounced_at));
        let (reason, stopped) = (one.bounce_reason.as_deref(), time(one.stopped_at));
        let status = one.status.as_str();
        (one.id.to_string(), status, opened, replied, bounced, reason, stopped, one.stop_reason.as_deref())
    });
    writes.add(sql, [json_of(rows).into()]);
}
