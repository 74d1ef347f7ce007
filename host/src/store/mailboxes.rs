//! Watched mailboxes: how far each was read, and which node reads it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::credential::{Credential, Endpoint};
use crate::domain::ids::{AccountId, CredentialId, NodeId};

/// How far a mailbox has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Whose mailbox.
    pub credential_id: CredentialId,
    /// Its owner.
    pub account_id: AccountId,
    /// Which of its credential's mailboxes: another server or user name is another mailbox.
    pub generation: u32,
    /// None until it was first opened.
    pub uid_validity: Option<u32>,
    /// The highest UID that is stored (or was there before we watched).
    pub last_uid: u32,
    /// When it was last looked into, with success or with an error.
    pub last_checked_at: Option<Timestamp>,
    /// When it was last read to its end.
    pub last_read_at: Option<Timestamp>,
    /// How often in a row that failed.
    pub failures: u32,
    /// Why it failed.
    pub last_error: Option<String>,
    /// Since when it is watched: what arrived before is not ours.
    pub created_at: Timestamp,
}

/// A watcher's right to write of a mailbox. It is void once another node watches it, or it is another mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Whose mailbox.
    pub credential_id: CredentialId,
    /// Which of the credential's.
    pub generation: u32,
    /// The node that watches it.
    pub owner: NodeId,
}

/// Begins to watch a credential's mailbox; nothing happens when it is watched.
pub async fn watch(conn: &mut Conn, credential: CredentialId, account: AccountId, now: Timestamp) -> Result<()> {
    if mailbox(conn, credential).await?.is_some() {
        return Ok(());
    }
    let generation = next_generation(conn, credential).await?;
    sqlx::query(
        "INSERT INTO mailboxes (credential_id, account_id, generation, last_uid, created_at) VALUES ($1, $2, $3, 0, $4)
         ON CONFLICT (credential_id) DO NOTHING",
    )
    .bind(credential.to_string())
    .bind(account.to_string())
    .bind(generation)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Watches what a credential names now, which named `before` until now: the same mailbox goes on, another begins anew, and
/// where none is named none is watched.
pub async fn follow(conn: &mut Conn, credential: &Credential, before: Option<&Endpoint>, now: Timestamp) -> Result<()> {
    match (before, &credential.imap) {
        (_, None) => unwatch(conn, credential.id).await,
        (Some(before), Some(after)) if !after.is_same_account_as(before) => replace(conn, credential.id).await,
        (_, Some(_)) => watch(conn, credential.id, credential.account_id, now).await,
    }
}

/// Stops watching it.
async fn unwatch(conn: &mut Conn, credential: CredentialId) -> Result<()> {
    sqlx::query("DELETE FROM mailboxes WHERE credential_id = $1").bind(credential.to_string()).execute(conn).await?;
    Ok(())
}

/// Takes mailboxes that nobody watches while `owner` has less than `limit`, holds on to those that it watches, and gives
/// all that it has now: one node at a time watches a mailbox.
pub async fn lease(tx: &mut Tx, owner: NodeId, now: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Mailbox>> {
    let sql = format!(
        "UPDATE mailboxes SET lease_owner = $1, lease_until = $3 WHERE credential_id IN
            (SELECT credential_id FROM mailboxes
             WHERE lease_owner IS NULL OR lease_owner = $1 OR lease_until IS NULL OR lease_until < $2
             ORDER BY CASE WHEN lease_owner = $1 THEN 0 ELSE 1 END, credential_id LIMIT $4{})",
        tx.dialect().skip_locked()
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(owner.to_string())
        .bind(now.as_millis())
        .bind(until.as_millis())
        .bind(limit)
        .execute(tx.conn())
        .await?;
    // A mailbox whose watcher is just writing was passed over above, and is ours nevertheless.
    let rows = sqlx::query("SELECT * FROM mailboxes WHERE lease_owner = $1 AND lease_until >= $2")
        .bind(owner.to_string())
        .bind(now.as_millis())
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(mailbox_of).collect()
}

/// Tells those that have been without a watcher since `since` why they are; gives how many were not told before.
pub async fn note_unwatched(conn: &mut Conn, since: Timestamp, why: &str) -> Result<u64> {
    let noted = sqlx::query(
        "UPDATE mailboxes SET last_error = $2
         WHERE created_at < $1 AND (lease_owner IS NULL OR lease_until IS NULL OR lease_until < $1)
           AND (last_error IS NULL OR last_error <> $2)",
    )
    .bind(since.as_millis())
    .bind(why)
    .execute(conn)
    .await?;
    Ok(noted.rows_affected())
}

/// Lets go of what `owner` watches, for another node to take at once.
pub async fn release(conn: &mut Conn, owner: NodeId) -> Result<()> {
    sqlx::query("UPDATE mailboxes SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1")
        .bind(owner.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// One watched mailbox.
pub async fn mailbox(conn: &mut Conn, credential: CredentialId) -> Result<Option<Mailbox>> {
    let row = sqlx::query("SELECT * FROM mailboxes WHERE credential_id = $1")
        .bind(credential.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(mailbox_of).transpose()
}

/// One watched mailbox, as long as the hold on it is good.
pub async fn held(conn: &mut Conn, hold: Hold) -> Result<Option<Mailbox>> {
    let row = sqlx::query("SELECT * FROM mailboxes WHERE credential_id = $1 AND generation = $2 AND lease_owner = $3")
        .bind(hold.credential_id.to_string())
        .bind(i64::from(hold.generation))
        .bind(hold.owner.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(mailbox_of).transpose()
}

/// Moves the checkpoint; a changed UIDVALIDITY sets it anew. False, and nothing happens, when the hold is void: what was
/// read belongs to another mailbox, or another node has read further.
pub async fn checkpoint(conn: &mut Conn, hold: Hold, uid_validity: u32, last_uid: u32) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE mailboxes SET uid_validity = $4, last_uid = $5
         WHERE credential_id = $1 AND generation = $2 AND lease_owner = $3",
    )
    .bind(hold.credential_id.to_string())
    .bind(i64::from(hold.generation))
    .bind(hold.owner.to_string())
    .bind(i64::from(uid_validity))
    .bind(i64::from(last_uid))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// It was read to its end, or could not be read for `error`. Nothing happens when the hold is void.
pub async fn checked(conn: &mut Conn, hold: Hold, error: Option<&str>, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE mailboxes SET last_checked_at = $4, last_error = $5,
                last_read_at = CASE WHEN $5 IS NULL THEN $4 ELSE last_read_at END,
                failures = CASE WHEN $5 IS NULL THEN 0 ELSE failures + 1 END
         WHERE credential_id = $1 AND generation = $2 AND lease_owner = $3",
    )
    .bind(hold.credential_id.to_string())
    .bind(i64::from(hold.generation))
    .bind(hold.owner.to_string())
    .bind(now.as_millis())
    .bind(error)
    .execute(conn)
    .await?;
    Ok(())
}

/// Another mailbox takes the place of the one that is watched, as one that was never read. What arrived there since the
/// other was last read is ours: a server that moved to another name must lose nothing of what came meanwhile.
async fn replace(conn: &mut Conn, credential: CredentialId) -> Result<()> {
    let generation = next_generation(conn, credential).await?;
    sqlx::query(
        "UPDATE mailboxes SET generation = $2, uid_validity = NULL, last_uid = 0, last_checked_at = NULL, failures = 0,
                last_error = NULL, created_at = COALESCE(last_read_at, created_at), last_read_at = NULL
         WHERE credential_id = $1",
    )
    .bind(credential.to_string())
    .bind(generation)
    .execute(conn)
    .await?;
    Ok(())
}

/// A number that none of the credential's mailboxes has had.
async fn next_generation(conn: &mut Conn, credential: CredentialId) -> Result<i64> {
    let row = sqlx::query(
        "UPDATE smtp_credentials SET last_mailbox_generation = last_mailbox_generation + 1 WHERE id = $1
         RETURNING last_mailbox_generation",
    )
    .bind(credential.to_string())
    .fetch_one(conn)
    .await?;
    row.int("last_mailbox_generation")
}

fn mailbox_of(row: &AnyRow) -> Result<Mailbox> {
    Ok(Mailbox {
        credential_id: row.id("credential_id")?,
        account_id: row.id("account_id")?,
        generation: row.small("generation")?,
        uid_validity: row.opt_int("uid_validity")?.and_then(|n| u32::try_from(n).ok()),
        last_uid: row.small("last_uid")?,
        last_checked_at: row.opt_time("last_checked_at")?,
        last_read_at: row.opt_time("last_read_at")?,
        failures: row.small("failures")?,
        last_error: row.opt_text("last_error")?,
        created_at: row.time("created_at")?,
    })
}
