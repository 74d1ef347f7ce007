//! Looking for the sends that many messages or events are about, by one statement a way of naming them.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use super::{COLUMNS, Send, of_the_mailbox_of, send_of};
use crate::domain::address::domain_of_key;
use crate::domain::ids::{AccountId, CredentialId, SendId};
use crate::store::dialect::json_of;
use crate::store::packed::{self, Columns, PackedRow};
use crate::store::row::RowExt;
use crate::store::{Conn, Dialect, Result};

/// A send, and whom it was written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The send.
    pub send: Send,
    /// The contact's address; empty when the contact is gone.
    pub contact_email: String,
}

/// Whose newest send is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Addressed {
    /// Of which account.
    pub account: AccountId,
    /// To which address, as its key.
    pub email_key: String,
    /// Through this credential alone, where one is given.
    pub credential: Option<CredentialId>,
}

/// What [`found_of`] reads, and the place of what was asked.
const FOUND: Columns = &[COLUMNS, &["contact_email"]];
const FOUND_FOR: Columns = &[COLUMNS, &["contact_email", "asked"]];

const WITH_ADDRESS: &str = "(SELECT c.email FROM contacts c WHERE c.id = s.contact_id) AS contact_email";

/// Rows by their ids; those that do not exist are left out.
pub async fn by_ids(conn: &mut Conn, dialect: Dialect, ids: &[SendId]) -> Result<HashMap<SendId, Found>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let given = dialect.json_rows(1);
    let query = format!("SELECT s.*, {WITH_ADDRESS} FROM sends s WHERE s.id IN (SELECT c0 FROM {given} AS given)");
    let sql = packed::select(dialect, FOUND, &query);
    let given = json_of(ids.iter().map(|id| [id.to_string()]));
    let all = sqlx::query(AssertSqlSafe(sql)).bind(given).fetch_one(conn).await?;
    packed::rows(&all, FOUND)?.iter().map(|row| found_of(row).map(|found| (found.send.id, found))).collect()
}

/// Accounts' newest sends by providers' ids for them.
pub async fn by_provider_message_ids(
    conn: &mut Conn,
    dialect: Dialect,
    ids: &[(AccountId, &str)],
) -> Result<HashMap<(AccountId, String), Found>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // A cross join is made in the order in which it is written: from what is given, through the index.
    let query = format!(
        "SELECT * FROM
            (SELECT s.*, {WITH_ADDRESS},
                    ROW_NUMBER() OVER (PARTITION BY s.account_id, s.provider_message_id ORDER BY s.id DESC) AS place
             FROM {} AS given CROSS JOIN sends s
             WHERE s.provider_message_id = given.c1 AND s.account_id = given.c0) AS ranked
         WHERE place = 1",
        dialect.json_rows(2)
    );
    let sql = packed::select(dialect, FOUND, &query);
    let given = json_of(ids.iter().map(|(account, id)| (account.to_string(), id)));
    let all = sqlx::query(AssertSqlSafe(sql)).bind(given).fetch_one(conn).await?;
    let with_key = |row: &PackedRow| -> Result<_> {
        let found = found_of(row)?;
        let id = found.send.provider_message_id.clone().unwrap_or_default();
        Ok(((found.send.account_id, id), found))
    };
    packed::rows(&all, FOUND)?.iter().map(with_key).collect()
}

/// Accounts' newest sends to addresses.
pub async fn newest_to_each(
    conn: &mut Conn,
    dialect: Dialect,
    wanted: &[Addressed],
) -> Result<HashMap<Addressed, Found>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let query = format!(
        "SELECT * FROM
            (SELECT s.*, c.email AS contact_email, given.c0 AS asked,
                    ROW_NUMBER() OVER (PARTITION BY given.c0 ORDER BY COALESCE(s.sent_at, s.due_at) DESC, s.id DESC) AS place
             FROM {} AS given CROSS JOIN contacts c CROSS JOIN enrollments e CROSS JOIN sends s
             WHERE c.account_id = given.c1 AND c.domain = given.c2 AND c.email_key = given.c3 AND e.contact_id = c.id
               AND s.enrollment_id = e.id AND s.state IN ('sent', 'bounced', 'in_doubt', 'sending')
               AND (given.c4 IS NULL OR {})) AS ranked
         WHERE place = 1",
        dialect.json_rows(5),
        of_the_mailbox_of("given.c4")
    );
    let given = wanted.iter().enumerate().map(|(at, one)| {
        let (key, credential) = (one.email_key.as_str(), one.credential.map(|id| id.to_string()));
        (at.to_string(), one.account.to_string(), domain_of_key(key), key, credential)
    });
    let sql = packed::select(dialect, FOUND_FOR, &query);
    let all = sqlx::query(AssertSqlSafe(sql)).bind(json_of(given)).fetch_one(conn).await?;
    let rows = packed::rows(&all, FOUND_FOR)?;
    let mut newest = HashMap::with_capacity(rows.len());
    for row in &rows {
        let asked = row.text("asked")?.parse().ok().and_then(|at: usize| wanted.get(at));
        if let Some(asked) = asked {
            newest.insert(asked.clone(), found_of(row)?);
        }
    }
    Ok(newest)
}

fn found_of(row: &impl RowExt) -> Result<Found> {
    Ok(Found { send: send_of(row)?, contact_email: row.opt_text("contact_email")?.unwrap_or_default() })
}
