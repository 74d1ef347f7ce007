//! Addresses and domains that an account never mails.

use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::row::RowExt;
use super::{Conn, Page, Result, Writes};
use crate::domain::ids::{AccountId, ContactId, SuppressionId};
use crate::domain::{EmailAddress, Timestamp};

/// An address or a domain that is never mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Its id.
    pub id: SuppressionId,
    /// `address` or `domain`.
    pub kind: String,
    /// In lower case, the domain in ASCII.
    pub value: String,
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// Why an address is never mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It or its domain is suppressed.
    Suppressed,
    /// The contact who has it unsubscribed.
    Unsubscribed,
}

/// A contact whom mail went to at a time, with the address that it has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenTo {
    pub(super) account: AccountId,
    pub(super) contact: ContactId,
    pub(super) at: Timestamp,
    pub(super) email_key: String,
}

/// Suppresses an address (given as its key, in lower case). One that is suppressed keeps its row; of what the engine itself
/// learns, a complaint is the strongest reason and a dead address the weakest, whichever was told first.
pub async fn add_address(
    conn: &mut Conn,
    account: AccountId,
    email_key: &str,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO suppressions (id, account_id, kind, value, reason, created_at) VALUES ($1, $2, 'address', $3, $4, $5)
         ON CONFLICT (account_id, kind, value) DO UPDATE SET reason = excluded.reason
         WHERE (suppressions.reason = 'hard bounce' AND excluded.reason IN ('unsubscribed', 'complaint'))
            OR (suppressions.reason = 'unsubscribed' AND excluded.reason = 'complaint')",
    )
    .bind(SuppressionId::new(now).to_string())
    .bind(account.to_string())
    .bind(email_key)
    .bind(reason)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Suppresses the addresses that mail went to, those that are not suppressed.
pub(super) fn add_written_to(writes: &mut Writes, contacts: &[WrittenTo], reason: &str, now: Timestamp) {
    if contacts.is_empty() {
        return;
    }
    let sql = format!(
        "INSERT INTO suppressions (id, account_id, kind, value, reason, created_at)
         SELECT c0, c1, 'address',
                COALESCE((SELECT f.email_key FROM former_addresses f
                          WHERE f.contact_id = given.c2 AND f.given_up_at >= CAST(given.c3 AS BIGINT)
                          ORDER BY f.given_up_at LIMIT 1), c4), $2, $3
         FROM {} AS given WHERE true
         ON CONFLICT (account_id, kind, value) DO NOTHING",
        writes.dialect().json_rows(5)
    );
    let rows = contacts.iter().map(|WrittenTo { account, contact, at, email_key }| {
        let id = SuppressionId::new(now).to_string();
        (id, account.to_string(), contact.to_string(), at.as_millis().to_string(), email_key)
    });
    writes.add(sql, [json_of(rows).into(), reason.to_owned().into(), now.as_millis().into()]);
}

/// Suppresses an address or a domain; one that is suppressed already keeps its row. Gives the row that stands.
pub async fn add(conn: &mut Conn, account: AccountId, suppression: &Suppression) -> Result<Suppression> {
    sqlx::query(
        "INSERT INTO suppressions (id, account_id, kind, value, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account_id, kind, value) DO NOTHING",
    )
    .bind(suppression.id.to_string())
    .bind(account.to_string())
    .bind(&suppression.kind)
    .bind(&suppression.value)
    .bind(&suppression.reason)
    .bind(suppression.created_at.as_millis())
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query("SELECT * FROM suppressions WHERE account_id = $1 AND kind = $2 AND value = $3")
        .bind(account.to_string())
        .bind(&suppression.kind)
        .bind(&suppression.value)
        .fetch_one(conn)
        .await?;
    suppression_of(&row)
}

/// Why an account never mails an address, if that is so.
pub async fn refusal(conn: &mut Conn, account: AccountId, email: &EmailAddress) -> Result<Option<Refusal>> {
    let row = sqlx::query(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM suppressions WHERE account_id = $1 AND kind = 'address' AND value = $2)
                       OR EXISTS (SELECT 1 FROM suppressions WHERE account_id = $1 AND kind = 'domain' AND value = $3)
                     THEN 1 ELSE 0 END AS suppressed,
                CASE WHEN EXISTS (SELECT 1 FROM contacts WHERE account_id = $1 AND domain = $3 AND email_key = $2
                         AND unsubscribed_at IS NOT NULL)
                     THEN 1 ELSE 0 END AS unsubscribed",
    )
    .bind(account.to_string())
    .bind(email.key())
    .bind(email.domain())
    .fetch_one(conn)
    .await?;
    if row.flag("suppressed")? {
        return Ok(Some(Refusal::Suppressed));
    }
    Ok(row.flag("unsubscribed")?.then_some(Refusal::Unsubscribed))
}

/// An account's suppressions, newest first.
pub async fn list(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<Suppression>> {
    let rows = sqlx::query("SELECT * FROM suppressions WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
        .bind(account.to_string())
        .bind(page.before())
        .bind(page.limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(suppression_of).collect()
}

/// Lifts a suppression; false when the account has no such one.
pub async fn delete(conn: &mut Conn, account: AccountId, id: SuppressionId) -> Result<bool> {
    let done = sqlx::query("DELETE FROM suppressions WHERE id = $1 AND account_id = $2")
        .bind(id.to_string())
        .bind(account.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

fn suppression_of(row: &AnyRow) -> Result<Suppression> {
    Ok(Suppression {
        id: row.id("id")?,
        kind: row.text("kind")?,
        value: row.text("value")?,
        reason: row.text("reason")?,
        created_at: row.time("created_at")?,
    })
}
