//! Bounces and complaints, one of each a send: the row decides whether a fact is new.

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{CredentialId, SendId};
use crate::store::sends::Send;

/// Records a charge; false when the send has one of this kind already.
pub async fn insert(
    conn: &mut Conn,
    send: &Send,
    kind: &str,
    class: &str,
    source: &str,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO charges (send_id, kind, credential_id, enrollment_id, class, source, reason, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (send_id, kind) DO NOTHING",
    )
    .bind(send.id.to_string())
    .bind(kind)
    .bind(send.smtp_credential_id.map(|id| id.to_string()).unwrap_or_default())
    .bind(send.enrollment_id.to_string())
    .bind(class)
    .bind(source)
    .bind(reason)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A bounce that is charged already turns out to mean a dead address; false when it was known.
pub async fn harden_bounce(conn: &mut Conn, send: SendId) -> Result<bool> {
    let done =
        sqlx::query("UPDATE charges SET class = 'hard' WHERE send_id = $1 AND kind = 'bounce' AND class <> 'hard'")
            .bind(send.to_string())
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// The latest reasons charged to a credential, newest first.
pub async fn recent_reasons(conn: &mut Conn, credential: CredentialId, limit: i64) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT reason FROM charges WHERE credential_id = $1 ORDER BY at DESC LIMIT $2")
        .bind(credential.to_string())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| row.text("reason")).collect()
}
