//! Messages that came into watched mailboxes.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CredentialId, EnrollmentId, InboundMessageId, SendId};

/// A message of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// Its id.
    pub id: InboundMessageId,
    /// Its owner.
    pub account_id: AccountId,
    /// The mailbox's credential.
    pub credential_id: CredentialId,
    /// Which of its credential's mailboxes it came into.
    pub generation: u32,
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

/// What UIDs belong to, as one number: the server's UIDVALIDITY, and above it which mailbox of the credential that is. Two
/// mailboxes may have the same UIDVALIDITY and the same UIDs.
pub(super) fn numbering(generation: u32, uid_validity: u32) -> i64 {
    (i64::from(generation) << 32) | i64::from(uid_validity)
}

fn message_of(row: &AnyRow) -> Result<InboundMessage> {
    let numbering = row.count("uid_validity")?;
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
    Ok(InboundMessage {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        credential_id: row.id("credential_id")?,
        generation: half(numbering >> 32),
        uid_validity: half(numbering),
        uid: row.small("uid")?,
        raw: row.bytes("raw")?,
        size: row.count("size")?,
        truncated: row.flag("truncated")?,
        received_at: row.time("received_at")?,
    })
}
