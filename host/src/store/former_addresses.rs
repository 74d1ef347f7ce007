//! Addresses that contacts had when mail went to them, and have no more. What comes of that mail, a bounce or an opt-out, is
//! about them, and not about the address that stands in their place.

use sqlx::AssertSqlSafe;

use super::contacts::id_rows;
use super::row::RowExt;
use super::{Conn, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::ContactId;

/// A contact gives up an address; nothing is kept of one that no mail can have gone to.
pub async fn give_up(conn: &mut Conn, contact: ContactId, email_key: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO former_addresses (contact_id, email_key, given_up_at)
         SELECT $1, $2, $3 WHERE EXISTS (
             SELECT 1 FROM enrollments e JOIN sends s ON s.enrollment_id = e.id
             WHERE e.contact_id = $1 AND s.state NOT IN ('due', 'skipped'))
         ON CONFLICT (contact_id, email_key) DO UPDATE SET given_up_at = excluded.given_up_at",
    )
    .bind(contact.to_string())
    .bind(email_key)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// All that a contact gave up.
pub async fn of_contact(conn: &mut Conn, contact: ContactId) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT email_key FROM former_addresses WHERE contact_id = $1 ORDER BY email_key")
        .bind(contact.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| row.text("email_key")).collect()
}

/// All that these contacts gave up.
pub(super) async fn of_contacts(tx: &mut Tx, contacts: &[ContactId]) -> Result<Vec<(ContactId, String)>> {
    let sql = format!(
        "SELECT contact_id, email_key FROM former_addresses WHERE contact_id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(contacts)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((row.id("contact_id")?, row.text("email_key")?))).collect()
}

/// Forgets those of contacts that go.
pub(super) async fn forget(tx: &mut Tx, contacts: &[ContactId]) -> Result<()> {
    let sql = format!(
        "DELETE FROM former_addresses WHERE contact_id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql)).bind(id_rows(contacts)).execute(tx.conn()).await?;
    Ok(())
}
