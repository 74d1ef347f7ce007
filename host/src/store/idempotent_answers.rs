//! Answers to calls with an `Idempotency-Key`, each written in the transaction of what the call did. Bodies are sealed by
//! the caller.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;

/// The key of one account.
#[derive(Debug, Clone, Copy)]
pub struct KeyOf<'a> {
    /// Whose.
    pub account: AccountId,
    /// As the client gave it.
    pub key: &'a str,
}

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The call is answered.
    Answered {
        /// Of method, path and body.
        fingerprint: String,
        /// What it was answered.
        answer: SealedAnswer,
    },
    /// A call of several transactions began, and has not ended or was cut off.
    Begun {
        /// Of method and path; the caller may add more.
        fingerprint: String,
        /// What it makes.
        resource_id: String,
        /// Until when it counts as running.
        lease_until: Timestamp,
    },
}

/// An answer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header `ETag`, where there was one.
    pub etag: Option<String>,
    /// The sealed body.
    pub body: String,
}

/// What is stored under a key since `since`.
pub async fn find(conn: &mut Conn, of: KeyOf<'_>, since: Timestamp) -> Result<Option<Stored>> {
    let row = sqlx::query(
        "SELECT fingerprint, status, resource_id, lease_until, etag, body FROM idempotent_answers
         WHERE account_id = $1 AND key = $2 AND created_at >= $3",
    )
    .bind(of.account.to_string())
    .bind(of.key)
    .bind(since.as_millis())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(stored).transpose()
}

/// Keeps the answer of a call; `false` when the key has another answer of `since` or later, which stands. On PostgreSQL
/// this waits for a transaction that is about to write the same key.
pub async fn keep(
    conn: &mut Conn,
    of: KeyOf<'_>,
    fingerprint: &str,
    answer: &SealedAnswer,
    now: Timestamp,
    since: Timestamp,
) -> Result<bool> {
    let written = sqlx::query(
        "INSERT INTO idempotent_answers (account_id, key, fingerprint, status, etag, body, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
             etag = excluded.etag, body = excluded.body, created_at = excluded.created_at, resource_id = NULL,
             lease_until = NULL
         WHERE idempotent_answers.status IS NULL OR idempotent_answers.created_at < $8",
    )
    .bind(of.account.to_string())
    .bind(of.key)
    .bind(fingerprint)
    .bind(i64::from(answer.status))
    .bind(answer.etag.as_deref())
    .bind(&answer.body)
    .bind(now.as_millis())
    .bind(since.as_millis())
    .execute(conn)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Notes that a call of several transactions is under way; called in each of them, it goes on with the lease. `false`
/// when the key is answered, or belongs to a call that makes something else.
pub async fn begin(
    conn: &mut Conn,
    of: KeyOf<'_>,
    fingerprint: &str,
    resource_id: &str,
    now: Timestamp,
    lease_until: Timestamp,
    since: Timestamp,
) -> Result<bool> {
    let written = sqlx::query(
        "INSERT INTO idempotent_answers (account_id, key, fingerprint, resource_id, lease_until, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint,
             resource_id = excluded.resource_id, lease_until = excluded.lease_until, created_at = excluded.created_at,
             status = NULL, etag = NULL, body = NULL
         WHERE idempotent_answers.created_at < $7
             OR (idempotent_answers.status IS NULL AND idempotent_answers.resource_id = excluded.resource_id)",
    )
    .bind(of.account.to_string())
    .bind(of.key)
    .bind(fingerprint)
    .bind(resource_id)
    .bind(lease_until.as_millis())
    .bind(now.as_millis())
    .bind(since.as_millis())
    .execute(conn)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Deletes at most `limit` answers that are older than `before`; how many there were.
pub async fn sweep(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<u64> {
    let swept = sqlx::query(
        "DELETE FROM idempotent_answers WHERE (account_id, key) IN
             (SELECT account_id, key FROM idempotent_answers WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
    )
    .bind(before.as_millis())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(swept.rows_affected())
}

fn stored(row: &AnyRow) -> Result<Stored> {
    let fingerprint = row.text("fingerprint")?;
    match row.opt_int("status")? {
        None => Ok(Stored::Begun {
            fingerprint,
            resource_id: row.text("resource_id")?,
            lease_until: row.time("lease_until")?,
        }),
        Some(_) => {
            let answer =
                SealedAnswer { status: row.small("status")?, etag: row.opt_text("etag")?, body: row.text("body")? };
            Ok(Stored::Answered { fingerprint, answer })
        }
    }
}
