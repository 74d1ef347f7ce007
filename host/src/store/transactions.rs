//! SMTP transactions: each attempt to hand a send to a server, with what the server said. An acceptance stands in the send
//! itself, which keeps the reply and the time for good.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::row::RowExt;
use super::sends::ClaimedSend;
use super::{Conn, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CredentialId, EnrollmentId, SendId, TransactionId};

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The owner of the send.
    pub account_id: AccountId,
    /// Whose sequence.
    pub enrollment_id: EnrollmentId,
    /// Which send.
    pub send_id: SendId,
    /// Through which credential.
    pub credential_id: CredentialId,
    /// `deferred`, `bounced`, `failed`, `credential_fault`, `lost` or `in_doubt`.
    pub outcome: String,
    /// The reply's code, if there was a reply.
    pub smtp_code: Option<u16>,
    /// The reply's enhanced code (RFC 3463).
    pub smtp_status: Option<String>,
    /// The reply's text, or what went wrong.
    pub reply: String,
    /// When.
    pub at: Timestamp,
}

/// How often the server has put a send off.
pub async fn deferrals(conn: &mut Conn, held: &ClaimedSend) -> Result<u32> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS count FROM transactions WHERE enrollment_id = $1 AND send_id = $2 AND outcome = 'deferred'",
    )
    .bind(held.send.enrollment_id.to_string())
    .bind(held.send.id.to_string())
    .fetch_one(conn)
    .await?;
    row.small("count")
}

/// Records attempts that were not accepted.
pub async fn insert_many(tx: &mut Tx, transactions: &[Transaction]) -> Result<()> {
    if transactions.is_empty() {
        return Ok(());
    }
    let rows = transactions.iter().map(|t| {
        let ids = [
            TransactionId::new(t.at).to_string(),
            t.account_id.to_string(),
            t.enrollment_id.to_string(),
            t.send_id.to_string(),
            t.credential_id.to_string(),
        ];
        let [id, account, enrollment, send, credential] = ids;
        let (code, at) = (t.smtp_code.map(|code| code.to_string()), t.at.as_millis().to_string());
        let said = (t.outcome.as_str(), code, t.smtp_status.as_deref(), t.reply.as_str());
        (id, account, enrollment, send, credential, said.0, said.1, said.2, said.3, at)
    });
    let sql = format!(
        "INSERT INTO transactions (id, account_id, enrollment_id, send_id, credential_id, outcome, smtp_code, smtp_status,
                                   reply, at)
         SELECT c0, c1, c2, c3, c4, c5, CAST(c6 AS BIGINT), c7, c8, CAST(c9 AS BIGINT) FROM {} AS given",
        tx.dialect().json_rows(10)
    );
    sqlx::query(AssertSqlSafe(sql)).bind(json_of(rows)).execute(tx.conn()).await?;
    Ok(())
}

/// An enrollment's attempts, oldest first.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<Transaction>> {
    let rows = sqlx::query(
        "SELECT id, account_id, enrollment_id, send_id, credential_id, outcome, smtp_code, smtp_status, reply, at
         FROM transactions WHERE enrollment_id = $1
         UNION ALL
         SELECT id, account_id, enrollment_id, id, smtp_credential_id, 'accepted', smtp_code, smtp_status, smtp_reply, sent_at
         FROM sends WHERE enrollment_id = $1 AND sent_at IS NOT NULL AND smtp_code BETWEEN 200 AND 299
         ORDER BY at, id LIMIT 1000",
    )
    .bind(enrollment.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(transaction_of).collect()
}

fn transaction_of(row: &AnyRow) -> Result<Transaction> {
    Ok(Transaction {
        account_id: row.id("account_id")?,
        enrollment_id: row.id("enrollment_id")?,
        send_id: row.id("send_id")?,
        credential_id: row.id("credential_id")?,
        outcome: row.text("outcome")?,
        smtp_code: row.opt_int("smtp_code")?.and_then(|code| u16::try_from(code).ok()),
        smtp_status: row.opt_text("smtp_status")?,
        reply: row.opt_text("reply")?.unwrap_or_default(),
        at: row.time("at")?,
    })
}
