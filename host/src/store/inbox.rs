//! Watched mailboxes and the messages that came into them.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CredentialId, EnrollmentId, InboundMessageId, NodeId, SendId};

/// How far a mailbox has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Whose mailbox.
    pub credential_id: CredentialId,
    /// Its owner.
    pub account_id: AccountId,
    /// None until it was first opened.
    pub uid_validity: Option<u32>,
    /// The highest UID that is stored (or was there before we watched).
    pub last_uid: u32,
    /// When it was last looked into.
    pub last_checked_at: Option<Timestamp>,
    /// How often in a row that failed.
    pub failures: u32,
    /// Why it failed.
    pub last_error: Option<String>,
    /// Since when it is watched: what arrived before is not ours.
    pub created_at: Timestamp,
}

/// A message of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// Its id.
    pub id: InboundMessageId,
    /// Its owner.
    pub account_id: AccountId,
    /// The mailbox's credential.
    pub credential_id: CredentialId,
    /// The mailbox's UIDVALIDITY when it was fetched.
    pub uid_validity: u32,
    /// Its UID there.
    pub uid: u32,
    /// As it came.
    pub raw: Vec<u8>,
    /// Its size on the server, in bytes.
    pub size: u64,
    /// Only its head is kept.
    pub truncated: bool,
    /// The server's date of its arrival.
    pub received_at: Timestamp,
}

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The address in From.
    pub sender: Option<String>,
    /// Decoded.
    pub subject: Option<String>,
    /// Its own Message-ID.
    pub message_id: Option<String>,
    /// `applied` or `unclassified`.
    pub state: &'static str,
    /// The enrollment that it answers.
    pub enrollment_id: Option<EnrollmentId>,
    /// The send that it answers.
    pub send_id: Option<SendId>,
    /// How that was found.
    pub matched_by: Option<&'static str>,
    /// The verdict's word.
    pub verdict: String,
}

/// A message in a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMessage {
    /// Its id.
    pub id: InboundMessageId,
    /// The address in From.
    pub sender: Option<String>,
    /// Decoded.
    pub subject: Option<String>,
    /// How it was matched.
    pub matched_by: Option<String>,
    /// The verdict's word.
    pub verdict: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// Begins to watch a credential's mailbox; nothing happens when it is watched.
pub async fn watch(conn: &mut Conn, credential: CredentialId, account: AccountId, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO mailboxes (credential_id, account_id, last_uid, created_at) VALUES ($1, $2, 0, $3)
         ON CONFLICT (credential_id) DO NOTHING",
    )
    .bind(credential.to_string())
    .bind(account.to_string())
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Stops watching it.
pub async fn unwatch(conn: &mut Conn, credential: CredentialId) -> Result<()> {
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

/// Lets go of what `owner` watches, for another node to take at once.
pub async fn release(conn: &mut Conn, owner: NodeId) -> Result<()> {
    sqlx::query("UPDATE mailboxes SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1")
        .bind(owner.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// All watched mailboxes.
pub async fn mailboxes(conn: &mut Conn) -> Result<Vec<Mailbox>> {
    let rows = sqlx::query("SELECT * FROM mailboxes ORDER BY credential_id").fetch_all(conn).await?;
    rows.iter().map(mailbox_of).collect()
}

/// One watched mailbox.
pub async fn mailbox(conn: &mut Conn, credential: CredentialId) -> Result<Option<Mailbox>> {
    let row = sqlx::query("SELECT * FROM mailboxes WHERE credential_id = $1")
        .bind(credential.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(mailbox_of).transpose()
}

/// One watched mailbox, as long as `owner` has the lease of it.
pub async fn mailbox_held_by(conn: &mut Conn, credential: CredentialId, owner: NodeId) -> Result<Option<Mailbox>> {
    let row = sqlx::query("SELECT * FROM mailboxes WHERE credential_id = $1 AND lease_owner = $2")
        .bind(credential.to_string())
        .bind(owner.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(mailbox_of).transpose()
}

/// Moves the checkpoint; a changed UIDVALIDITY sets it anew.
pub async fn checkpoint(conn: &mut Conn, credential: CredentialId, uid_validity: u32, last_uid: u32) -> Result<()> {
    sqlx::query("UPDATE mailboxes SET uid_validity = $2, last_uid = $3 WHERE credential_id = $1")
        .bind(credential.to_string())
        .bind(i64::from(uid_validity))
        .bind(i64::from(last_uid))
        .execute(conn)
        .await?;
    Ok(())
}

/// It was looked into, with success or with an error.
pub async fn checked(conn: &mut Conn, credential: CredentialId, error: Option<&str>, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE mailboxes SET last_checked_at = $2, last_error = $3,
                failures = CASE WHEN $3 IS NULL THEN 0 ELSE failures + 1 END
         WHERE credential_id = $1",
    )
    .bind(credential.to_string())
    .bind(now.as_millis())
    .bind(error)
    .execute(conn)
    .await?;
    Ok(())
}

/// Messages that are stored and not yet read, oldest first: at most `limit`, and only so many that the sizes of all but
/// the last stay below `bytes`.
pub async fn unread(conn: &mut Conn, limit: i64, bytes: i64) -> Result<Vec<InboundMessage>> {
    let rows = sqlx::query(
        "SELECT m.* FROM inbound_messages m JOIN
            (SELECT id, size, CAST(SUM(size) OVER (ORDER BY id) AS BIGINT) AS so_far FROM
                (SELECT id, size FROM inbound_messages WHERE state = 'stored' ORDER BY id LIMIT $1) AS oldest) AS summed
            ON summed.id = m.id
         WHERE summed.so_far - summed.size < $2 ORDER BY m.id",
    )
    .bind(limit)
    .bind(bytes)
    .fetch_all(conn)
    .await?;
    rows.iter().map(message_of).collect()
}

/// One message of an account, for replay and tests.
pub async fn find(conn: &mut Conn, account: AccountId, id: InboundMessageId) -> Result<Option<InboundMessage>> {
    let row = sqlx::query("SELECT * FROM inbound_messages WHERE id = $1 AND account_id = $2")
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(message_of).transpose()
}

/// Messages that were read, the newest first, from `since` on and before `before`; of one account or of all.
pub async fn newest(
    conn: &mut Conn,
    account: Option<AccountId>,
    since: Timestamp,
    before: Option<InboundMessageId>,
    limit: i64,
) -> Result<Vec<InboundMessage>> {
    let rows = sqlx::query(
        "SELECT * FROM inbound_messages
         WHERE id >= $1 AND ($2 = '' OR id < $2) AND ($3 = '' OR account_id = $3) AND state <> 'stored'
         ORDER BY id DESC LIMIT $4",
    )
    .bind(InboundMessageId::first_of(since).to_string())
    .bind(before.map(|id| id.to_string()).unwrap_or_default())
    .bind(account.map(|id| id.to_string()).unwrap_or_default())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(message_of).collect()
}

/// Forgets messages from before `older_than` that belong to no enrollment; gives how many, at most `limit`.
pub async fn sweep_unmatched(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM inbound_messages WHERE id IN
            (SELECT id FROM inbound_messages WHERE id < $1 AND enrollment_id IS NULL AND state <> 'stored'
             ORDER BY id LIMIT $2)",
    )
    .bind(InboundMessageId::first_of(older_than).to_string())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The messages that answered an enrollment, oldest first.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<ReadMessage>> {
    let rows = sqlx::query(
        "SELECT id, sender, subject, matched_by, verdict, received_at FROM inbound_messages WHERE enrollment_id = $1
         ORDER BY id LIMIT 1000",
    )
    .bind(enrollment.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ReadMessage {
                id: row.id("id")?,
                sender: row.opt_text("sender")?,
                subject: row.opt_text("subject")?,
                matched_by: row.opt_text("matched_by")?,
                verdict: row.opt_text("verdict")?,
                received_at: row.time("received_at")?,
            })
        })
        .collect()
}

fn mailbox_of(row: &AnyRow) -> Result<Mailbox> {
    Ok(Mailbox {
        credential_id: row.id("credential_id")?,
        account_id: row.id("account_id")?,
        uid_validity: row.opt_int("uid_validity")?.and_then(|n| u32::try_from(n).ok()),
        last_uid: row.small("last_uid")?,
        last_checked_at: row.opt_time("last_checked_at")?,
        failures: row.small("failures")?,
        last_error: row.opt_text("last_error")?,
        created_at: row.time("created_at")?,
    })
}

fn message_of(row: &AnyRow) -> Result<InboundMessage> {
    Ok(InboundMessage {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        credential_id: row.id("credential_id")?,
        uid_validity: row.small("uid_validity")?,
        uid: row.small("uid")?,
        raw: row.bytes("raw")?,
        size: row.count("size")?,
        truncated: row.flag("truncated")?,
        received_at: row.time("received_at")?,
    })
}
