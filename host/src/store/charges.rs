//! Bounces and complaints, one of each a send: the row decides whether a fact is new.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::row::RowExt;
use super::{Conn, Result, Tx, Writes};
use crate::domain::Timestamp;
use crate::domain::ids::{CredentialId, EnrollmentId, SendId};
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

/// A charge that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewCharge {
    pub(super) send_id: SendId,
    pub(super) reason: String,
    credential_id: Option<CredentialId>,
    enrollment_id: EnrollmentId,
    class: BounceClass,
    source: &'static str,
    at: Timestamp,
}

impl NewCharge {
    /// A send's bounce.
    pub(super) fn of_bounce(
        send: &Send,
        class: BounceClass,
        source: &'static str,
        reason: &str,
        at: Timestamp,
    ) -> Self {
        let (send_id, credential_id, enrollment_id) = (send.id, send.smtp_credential_id, send.enrollment_id);
        Self { send_id, reason: reason.to_owned(), credential_id, enrollment_id, class, source, at }
    }
}

/// Records bounces of sends that are charged with none yet.
pub(super) fn insert_many(writes: &mut Writes, charges: &[NewCharge]) {
    if charges.is_empty() {
        return;
    }
    let sql = format!(
        "INSERT INTO charges (send_id, kind, credential_id, enrollment_id, class, source, reason, at)
         SELECT c0, 'bounce', c1, c2, c3, c4, c5, CAST(c6 AS BIGINT) FROM {} AS given WHERE true
         ON CONFLICT (send_id, kind) DO NOTHING",
        writes.dialect().json_rows(7)
    );
    let rows = charges.iter().map(|one| {
        let credential = one.credential_id.map(|id| id.to_string()).unwrap_or_default();
        let (send, enrollment, at) =
            (one.send_id.to_string(), one.enrollment_id.to_string(), one.at.as_millis().to_string());
        (send, credential, enrollment, one.class.as_str(), one.source, one.reason.as_str(), at)
    });
    writes.add(sql, [json_of(rows).into()]);
}

/// Those of these sends whose bounce is charged.
pub(super) async fn bounced_among<'a>(
    tx: &mut Tx,
    sends: impl Iterator<Item = &'a SendId>,
) -> Result<BTreeSet<SendId>> {
    let given: Vec<_> = sends.map(|id| [id.to_string()]).collect();
    if given.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = format!(
        "SELECT send_id FROM charges WHERE kind = 'bounce' AND send_id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(json_of(given)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| row.id("send_id")).collect()
}

/// A charge as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// `hard`, `soft` or `policy`; empty for a complaint.
    pub class: String,
    /// Who told of it.
    pub source: String,
    /// For people: the server's words.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// A send's charge of a kind, locked until the transaction ends; nothing when there is none.
pub async fn get_for_update(tx: &mut Tx, send: SendId, kind: &str) -> Result<Option<Charge>> {
    let lock = tx.dialect().for_update();
    let sql = format!("SELECT class, source, reason, at FROM charges WHERE send_id = $1 AND kind = $2{lock}");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(send.to_string()).bind(kind).fetch_optional(tx.conn()).await?;
    row.as_ref().map(charge_of).transpose()
}

/// All bounces of an enrollment.
pub async fn bounces_of(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<Charge>> {
    let rows = sqlx::query(
        "SELECT c.class, c.source, c.reason, c.at FROM sends s JOIN charges c ON c.send_id = s.id AND c.kind = 'bounce'
         WHERE s.enrollment_id = $1",
    )
    .bind(enrollment.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(charge_of).collect()
}

/// Somebody else told of the same, and theirs is what stands.
pub async fn replace(conn: &mut Conn, send: SendId, kind: &str, class: &str, source: &str, reason: &str) -> Result<()> {
    sqlx::query("UPDATE charges SET class = $3, source = $4, reason = $5 WHERE send_id = $1 AND kind = $2")
        .bind(send.to_string())
        .bind(kind)
        .bind(class)
        .bind(source)
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

fn charge_of(row: &AnyRow) -> Result<Charge> {
    Ok(Charge {
        class: row.text("class")?,
        source: row.text("source")?,
        reason: row.text("reason")?,
        at: row.time("at")?,
    })
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
