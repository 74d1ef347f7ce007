//! What becomes of an enrollment, column by column; the counters are the caller's (see `facts`).

use sqlx::AssertSqlSafe;

use crate::domain::Timestamp;
use crate::domain::ids::{CredentialId, EnrollmentId, SendId};
use crate::domain::status::EnrollmentStatus;
use crate::store::dialect::json_of;
use crate::store::{Conn, Result, Tx, Writes};

/// Nothing more is sent to it; false when that was already so.
pub async fn stop(conn: &mut Conn, id: EnrollmentId, reason: &str, now: Timestamp) -> Result<bool> {
    let done =
        sqlx::query("UPDATE enrollments SET stopped_at = $2, stop_reason = $3 WHERE id = $1 AND stopped_at IS NULL")
            .bind(id.to_string())
            .bind(now.as_millis())
            .bind(reason)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Nothing more is sent to any of them.
pub async fn stop_many(tx: &mut Tx, ids: &[EnrollmentId], reason: &str, now: Timestamp) -> Result<()> {
    let rows: Vec<_> = ids.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE enrollments SET stopped_at = $2, stop_reason = $3
         WHERE stopped_at IS NULL AND id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::to_string(&rows).unwrap_or_default())
        .bind(now.as_millis())
        .bind(reason)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A stopped one has another reason, which takes the place of some that are weaker.
pub async fn replace_stop_reason(conn: &mut Conn, id: EnrollmentId, reason: &str, weaker: &[&str]) -> Result<()> {
    for weak in weaker {
        sqlx::query("UPDATE enrollments SET stop_reason = $3 WHERE id = $1 AND stop_reason = $2")
            .bind(id.to_string())
            .bind(*weak)
            .bind(reason)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// An enrollment whose first message left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct OpenedThread {
    /// Which.
    pub(in crate::store) id: EnrollmentId,
    /// The message's send.
    pub(in crate::store) send: SendId,
    /// The credential that it went out through.
    pub(in crate::store) credential: CredentialId,
    /// Where it stands now.
    pub(in crate::store) status: EnrollmentStatus,
}

/// Their first messages were accepted.
pub(in crate::store) fn opened_threads(writes: &mut Writes, opened: &[OpenedThread], now: Timestamp) {
    let sql = format!(
        "UPDATE enrollments SET sent_at = $2, first_send_id = given.c1, smtp_credential_id = given.c2, status = given.c3
         FROM {} AS given WHERE enrollments.id = given.c0 AND enrollments.first_send_id IS NULL",
        writes.dialect().json_rows(4)
    );
    let rows = opened
        .iter()
        .map(|one| (one.id.to_string(), one.send.to_string(), one.credential.to_string(), one.status.as_str()));
    writes.add(sql, [json_of(rows).into(), now.as_millis().into()]);
}

/// One that bounced is told of in other words.
pub(in crate::store) async fn reword_bounce(conn: &mut Conn, id: EnrollmentId, reason: &str) -> Result<()> {
    sqlx::query("UPDATE enrollments SET bounce_reason = $2 WHERE id = $1 AND bounced_at IS NOT NULL")
        .bind(id.to_string())
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}
