//! Bounces and complaints, one of each a send: the row decides whether a fact is new.

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{CredentialId, SendId};
use crate::domain::status::BounceClass;
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

/// The class under which a send's bounce is charged, and since when; nothing when none is.
pub async fn bounce_of(conn: &mut Conn, send: SendId) -> Result<Option<(BounceClass, Timestamp)>> {
    let row = sqlx::query("SELECT class, at FROM charges WHERE send_id = $1 AND kind = 'bounce'")
        .bind(send.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok((row.word("class", BounceClass::parse)?, row.time("at")?))).transpose()
}

/// A send's bounce is of another class than was told first; false when somebody else has just changed it.
pub async fn reclass_bounce(
    conn: &mut Conn,
    send: SendId,
    from: BounceClass,
    to: BounceClass,
    source: &str,
    reason: &str,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE charges SET class = $3, source = $4, reason = $5
         WHERE send_id = $1 AND kind = 'bounce' AND class = $2",
    )
    .bind(send.to_string())
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(source)
    .bind(reason)
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
