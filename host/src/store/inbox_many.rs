//! Inbound messages, many by one statement: stored as they come, and noted with what they turned out to be.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::dialect::{BytesOfRows, json_of};
use super::inbox::{InboundMessage, Reading, numbering};
use super::row::RowExt;
use super::{Result, Tx};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, InboundMessageId};

/// What one message turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOne {
    /// Which.
    pub id: InboundMessageId,
    /// Its owner.
    pub account_id: AccountId,
    /// What it is.
    pub reading: Reading,
}

/// Stores messages; those that are there already are passed over.
pub async fn insert(tx: &mut Tx, messages: &[InboundMessage], now: Timestamp) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut bytes = BytesOfRows::default();
    let rows: Vec<_> = messages
        .iter()
        .map(|message| {
            let (from, length) = bytes.add(&message.raw);
            [
                message.id.to_string(),
                message.account_id.to_string(),
                message.credential_id.to_string(),
                numbering(message.generation, message.uid_validity).to_string(),
                message.uid.to_string(),
                from,
                length,
                message.size.to_string(),
                i64::from(message.truncated).to_string(),
                message.received_at.as_millis().to_string(),
            ]
        })
        .collect();
    let sql = format!(
        "INSERT INTO inbound_messages (id, account_id, credential_id, uid_validity, uid, raw, size, truncated, state,
                                       received_at, created_at)
         SELECT c0, c1, c2, CAST(c3 AS BIGINT), CAST(c4 AS BIGINT), substr($2, CAST(c5 AS INTEGER), CAST(c6 AS INTEGER)),
                CAST(c7 AS BIGINT), CAST(c8 AS BIGINT), 'stored', CAST(c9 AS BIGINT), $3
         FROM {} AS given WHERE true ON CONFLICT (credential_id, uid_validity, uid) DO NOTHING",
        tx.dialect().json_rows(10)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(json_of(rows))
        .bind(bytes.parameter())
        .bind(now.as_millis())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Notes what messages turned out to be; gives those of which nobody had noted it before.
pub async fn read(tx: &mut Tx, messages: &[ReadOne]) -> Result<HashSet<InboundMessageId>> {
    let sql = format!(
        "UPDATE inbound_messages SET sender = given.c1, subject = given.c2, state = given.c3, enrollment_id = given.c4,
                send_id = given.c5, matched_by = given.c6, verdict = given.c7, message_id = given.c8
         FROM {} AS given WHERE inbound_messages.id = given.c0 AND inbound_messages.state = 'stored'
         RETURNING inbound_messages.id AS id",
        tx.dialect().json_rows(9)
    );
    let rows = messages.iter().map(|ReadOne { id, reading, .. }| {
        (
            id.to_string(),
            reading.sender.as_deref(),
            reading.subject.as_deref(),
            reading.state,
            reading.enrollment_id.map(|id| id.to_string()),
            reading.send_id.map(|id| id.to_string()),
            reading.matched_by,
            reading.verdict.as_str(),
            reading.message_id.as_deref(),
        )
    });
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(json_of(rows)).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Those of these messages of which another copy was read before and came out the same: a mailbox that two credentials
/// watch, or one whose UIDs were given anew. What differs in anything is no copy. Of two among them the first is none. A copy
/// is of no enrollment: its timeline tells of the message once.
pub async fn set_copies_aside(tx: &mut Tx, messages: &[ReadOne]) -> Result<HashSet<InboundMessageId>> {
    let mut seen = HashSet::new();
    let mut copies = HashSet::new();
    let mut asked = Vec::with_capacity(messages.len());
    for ReadOne { id, account_id, reading } in messages {
        let (Some(message_id), Some(sender)) = (&reading.message_id, &reading.sender) else { continue };
        let enrollment = reading.enrollment_id.map(|id| id.to_string()).unwrap_or_default();
        if !seen.insert((account_id, message_id, sender, &reading.verdict, reading.enrollment_id)) {
            copies.insert(*id);
        }
        asked.push((id.to_string(), account_id.to_string(), message_id, sender, &reading.verdict, enrollment));
    }
    if asked.is_empty() {
        return Ok(copies);
    }
    // All of these have been noted by now, too, and what stands beside one of them in this list was not read before it.
    let given = tx.dialect().json_rows(6);
    let sql = format!(
        "SELECT DISTINCT given.c0 AS id FROM {given} AS given CROSS JOIN inbound_messages m
         WHERE m.account_id = given.c1 AND m.message_id = given.c2 AND m.sender = given.c3 AND m.verdict = given.c4
           AND COALESCE(m.enrollment_id, '') = given.c5
           AND m.id NOT IN (SELECT again.c0 FROM {given} AS again)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(json_of(asked)).fetch_all(tx.conn()).await?;
    for row in &rows {
        copies.insert(row.id("id")?);
    }
    if !copies.is_empty() {
        let sql = format!(
            "UPDATE inbound_messages SET enrollment_id = NULL, send_id = NULL WHERE id IN (SELECT c0 FROM {} AS given)",
            tx.dialect().json_rows(1)
        );
        let ids = json_of(copies.iter().map(|id| [id.to_string()]));
        sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(tx.conn()).await?;
    }
    Ok(copies)
}
