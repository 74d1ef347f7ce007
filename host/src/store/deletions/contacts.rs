//! Contacts and imports on their way out. Whoever opted out stays opted out: the address is suppressed before its contact
//! goes.

use sqlx::AssertSqlSafe;

use super::Marked;
use crate::domain::Timestamp;
use crate::domain::address::key_of;
use crate::domain::ids::{AccountId, ContactId, ContactImportId};
use crate::store::contacts::{self, id_rows};
use crate::store::facts::stop;
use crate::store::row::RowExt;
use crate::store::{Conn, Result, Tx, former_addresses, suppressions};

/// What an opted-out contact leaves behind.
const OPTED_OUT: &str = "unsubscribed";
/// Why sequences of a contact end that is deleted.
pub const DELETED: &str = "deleted";

/// Marks an import.
pub async fn mark_import(conn: &mut Conn, account: AccountId, id: ContactImportId, now: Timestamp) -> Result<Marked> {
    let done = sqlx::query(
        "UPDATE contact_imports SET deleted_at = $3 WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL",
    )
    .bind(id.to_string())
    .bind(account.to_string())
    .bind(now.as_millis())
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(Marked::Now);
    }
    let row = sqlx::query("SELECT 1 AS one FROM contact_imports WHERE id = $1 AND account_id = $2")
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(if row.is_some() { Marked::Before } else { Marked::NotThere })
}

/// Marks a contact: its address is free, its sequences end.
pub async fn mark_contact(tx: &mut Tx, account: AccountId, id: ContactId, now: Timestamp) -> Result<Marked> {
    let row = sqlx::query(
        "SELECT c.contact_import_id, c.deleted_at FROM contacts c WHERE c.id = $1 AND c.account_id = $2
           AND NOT EXISTS (SELECT 1 FROM contact_imports i WHERE i.id = c.contact_import_id AND i.deleted_at IS NOT NULL)",
    )
    .bind(id.to_string())
    .bind(account.to_string())
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(Marked::NotThere) };
    if row.opt_time("deleted_at")?.is_some() {
        return Ok(Marked::Before);
    }
    // First the import, then its contact, as an import that is running does.
    sqlx::query("UPDATE contact_imports SET contact_count = contact_count - 1 WHERE id = $1")
        .bind(row.text("contact_import_id")?)
        .execute(tx.conn())
        .await?;
    if give_up_addresses(tx, &[id], now).await? == 0 {
        // Another call was faster; its transaction counted the contact.
        sqlx::query("UPDATE contact_imports SET contact_count = contact_count + 1 WHERE id = $1")
            .bind(row.text("contact_import_id")?)
            .execute(tx.conn())
            .await?;
        return Ok(Marked::Before);
    }
    for enrollment in contacts::enrollments(tx.conn(), id).await? {
        stop(tx, enrollment.id, DELETED, now).await?;
    }
    Ok(Marked::Now)
}

/// The contacts of an import after `after`, in their order.
pub async fn contacts_of_import(
    conn: &mut Conn,
    import: ContactImportId,
    after: Option<ContactId>,
    limit: i64,
) -> Result<Vec<ContactId>> {
    let rows = sqlx::query("SELECT id FROM contacts WHERE contact_import_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(import.to_string())
        .bind(after.map(|id| id.to_string()).unwrap_or_default())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Takes away those contacts that are enrolled nowhere any more; the others are marked and wait. Whether all are gone.
pub async fn take_contacts(tx: &mut Tx, ids: &[ContactId], now: Timestamp) -> Result<bool> {
    // Held before it is asked where they are enrolled: who is just enrolling one has it.
    let given = tx.dialect().json_rows(1);
    let lock = tx.dialect().for_update();
    let sql = format!("SELECT id FROM contacts WHERE id IN (SELECT c0 FROM {given} AS given) ORDER BY id{lock}");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(ids)).fetch_all(tx.conn()).await?;
    let there = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<ContactId>>>()?;
    let sql =
        format!("SELECT DISTINCT contact_id FROM enrollments WHERE contact_id IN (SELECT c0 FROM {given} AS given)");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(&there)).fetch_all(tx.conn()).await?;
    let enrolled = rows.iter().map(|row| row.id("contact_id")).collect::<Result<Vec<ContactId>>>()?;
    give_up_addresses(tx, &enrolled, now).await?;
    let free: Vec<_> = there.into_iter().filter(|id| !enrolled.contains(id)).collect();
    keep_opt_outs(tx, &free, now).await?;
    former_addresses::forget(tx, &free).await?;
    let sql = format!("DELETE FROM contacts WHERE id IN (SELECT c0 FROM {given} AS given)");
    sqlx::query(AssertSqlSafe(sql)).bind(id_rows(&free)).execute(tx.conn()).await?;
    Ok(enrolled.is_empty())
}

/// Takes away an import that has no contacts any more.
pub async fn take_import(conn: &mut Conn, id: ContactImportId) -> Result<()> {
    sqlx::query(
        "DELETE FROM contact_imports WHERE id = $1 AND deleted_at IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM contacts WHERE contact_import_id = $1)",
    )
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks contacts, whose addresses may then be imported anew; gives how many were not marked before.
async fn give_up_addresses(tx: &mut Tx, ids: &[ContactId], now: Timestamp) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    keep_opt_outs(tx, ids, now).await?;
    let sql = format!(
        "UPDATE contacts SET deleted_at = $2, email_key = id
         WHERE id IN (SELECT c0 FROM {} AS given) AND deleted_at IS NULL",
        tx.dialect().json_rows(1)
    );
    let done = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(ids)).bind(now.as_millis()).execute(tx.conn()).await?;
    Ok(done.rows_affected())
}

async fn keep_opt_outs(tx: &mut Tx, ids: &[ContactId], now: Timestamp) -> Result<()> {
    let sql = format!(
        "SELECT account_id, email FROM contacts
         WHERE id IN (SELECT c0 FROM {} AS given) AND unsubscribed_at IS NOT NULL ORDER BY email_key",
        tx.dialect().json_rows(1)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id_rows(ids)).fetch_all(tx.conn()).await?;
    for row in rows {
        let (account, email) = (row.id("account_id")?, row.text("email")?);
        suppressions::add_address(tx.conn(), account, &key_of(&email), OPTED_OUT, now).await?;
    }
    Ok(())
}
