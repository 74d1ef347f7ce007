//! SMTP transactions: each attempt to hand a send to a server, with what the server said.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CredentialId, EnrollmentId, SendId, TransactionId};

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// The owner of the send.
    pub account_id: AccountId,
    /// Whose sequence.
    pub enrollment_id: EnrollmentId,
    /// Which send.
    pub send_id: SendId,
    /// Through which credential.
    pub credential_id: CredentialId,
    /// `accepted`, `deferred`, `bounced`, `failed`, `credential_fault`, `lost` or `in_doubt`.
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

/// Records an attempt.
pub async fn insert(conn: &mut Conn, transaction: &Transaction) -> Result<()> {
    sqlx::query(
        "INSERT INTO transactions (id, account_id, enrollment_id, send_id, credential_id, outcome, smtp_code, smtp_status,
                                   reply, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(transaction.id.to_string())
    .bind(transaction.account_id.to_string())
    .bind(transaction.enrollment_id.to_string())
    .bind(transaction.send_id.to_string())
    .bind(transaction.credential_id.to_string())
    .bind(&transaction.outcome)
    .bind(transaction.smtp_code.map(i64::from))
    .bind(transaction.smtp_status.as_deref())
    .bind(&transaction.reply)
    .bind(transaction.at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// An enrollment's attempts, oldest first.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<Transaction>> {
    let rows = sqlx::query("SELECT * FROM transactions WHERE enrollment_id = $1 ORDER BY id LIMIT 1000")
        .bind(enrollment.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(transaction_of).collect()
}

fn transaction_of(row: &AnyRow) -> Result<Transaction> {
    Ok(Transaction {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        enrollment_id: row.id("enrollment_id")?,
        send_id: row.id("send_id")?,
        credential_id: row.id("credential_id")?,
        outcome: row.text("outcome")?,
        smtp_code: row.opt_int("smtp_code")?.and_then(|code| u16::try_from(code).ok()),
        smtp_status: row.opt_text("smtp_status")?,
        reply: row.text("reply")?,
        at: row.time("at")?,
    })
}
