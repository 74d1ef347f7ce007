//! The record of what extensions decided, written in the transaction that acted on it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::json_of;
use super::row::RowExt;
use super::{Conn, Page, Result, Writes};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, DecisionId, EnrollmentId};
use crate::domain::status::Hook;
use crate::extensions::DecisionRecord;

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// Whose matter it was.
    pub account_id: AccountId,
    /// What was asked.
    pub hook: Hook,
    /// The inbound message, provider request, credential or send that was judged.
    pub subject_id: String,
    /// The enrollment that it was about.
    pub enrollment_id: Option<EnrollmentId>,
    /// Who decided; none for the host's own rule.
    pub by: Option<DecidedBy>,
    /// `active` or `shadow`.
    pub mode: String,
    /// What was decided; none when the call failed.
    pub decision: Option<serde_json::Value>,
    /// Why the call failed.
    pub error: Option<String>,
    /// What the extension logged.
    pub logs: Vec<String>,
    /// How long it took.
    pub micros: u64,
    /// When.
    pub at: Timestamp,
}

/// The version that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedBy {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its content.
    pub sha256: String,
}

impl Decision {
    /// The rows of what everybody said who was asked about one subject.
    pub fn of_records(
        records: &[DecisionRecord],
        account_id: AccountId,
        subject_id: &str,
        enrollment_id: Option<EnrollmentId>,
        at: Timestamp,
    ) -> Vec<Self> {
        let row = |record: &DecisionRecord| Self {
            id: DecisionId::new(at),
            account_id,
            hook: record.hook,
            subject_id: subject_id.to_owned(),
            enrollment_id,
            by: Some(DecidedBy {
                name: record.author.extension.clone(),
                version: record.author.version.clone(),
                sha256: record.author.sha256.clone(),
            }),
            mode: record.mode.as_str().to_owned(),
            decision: record.decision.clone(),
            error: record.error.clone(),
            logs: record.logs.iter().map(|line| format!("{}: {}", line.level, line.message)).collect(),
            micros: record.micros,
            at,
        };
        records.iter().map(row).collect()
    }
}

impl Decision {
    /// The row of what the host decided by its own rule, where nobody else could.
    pub fn of_host(
        hook: Hook,
        account_id: AccountId,
        subject_id: &str,
        enrollment_id: Option<EnrollmentId>,
        decision: serde_json::Value,
        at: Timestamp,
    ) -> Self {
        Self {
            id: DecisionId::new(at),
            account_id,
            hook,
            subject_id: subject_id.to_owned(),
            enrollment_id,
            by: None,
            mode: "active".to_owned(),
            decision: Some(decision),
            error: None,
            logs: Vec::new(),
            micros: 0,
            at,
        }
    }
}

/// Records decisions. What is recorded again, because the answer to its commit was lost, changes nothing.
pub fn insert_many(writes: &mut Writes, decisions: &[Decision]) {
    if decisions.is_empty() {
        return;
    }
    let sql = format!(
        "INSERT INTO decisions (id, account_id, hook, subject_id, enrollment_id, extension_name, extension_version,
                                extension_sha256, mode, decision, error, logs, micros, at)
         SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, CAST(c12 AS BIGINT), CAST(c13 AS BIGINT)
         FROM {} AS given WHERE true ON CONFLICT (id) DO NOTHING",
        writes.dialect().json_rows(14)
    );
    let rows = decisions.iter().map(|one| {
        let by = one.by.as_ref();
        let logs = (!one.logs.is_empty()).then(|| serde_json::to_string(&one.logs).unwrap_or_default());
        [
            Some(one.id.to_string()),
            Some(one.account_id.to_string()),
            Some(one.hook.as_str().to_owned()),
            Some(one.subject_id.clone()),
            one.enrollment_id.map(|id| id.to_string()),
            by.map(|by| by.name.clone()),
            by.map(|by| by.version.clone()),
            by.map(|by| by.sha256.clone()),
            Some(one.mode.clone()),
            one.decision.as_ref().map(ToString::to_string),
            // A script's error may quote what it was given, and PostgreSQL takes no text with a NUL.
            one.error.as_ref().map(|error| error.replace('\0', "")),
            logs,
            Some(one.micros.to_string()),
            Some(one.at.as_millis().to_string()),
        ]
    });
    writes.add(sql, [json_of(rows).into()]);
}

/// An account's decisions, newest first; only those at a hook where one is given.
pub async fn list(conn: &mut Conn, account: AccountId, hook: Option<Hook>, page: &Page) -> Result<Vec<Decision>> {
    list_of(conn, account, hook, None, page).await
}

/// The same of one version alone, known by its content.
pub async fn list_of(
    conn: &mut Conn,
    account: AccountId,
    hook: Option<Hook>,
    sha256: Option<&str>,
    page: &Page,
) -> Result<Vec<Decision>> {
    // Written out, because SQLite takes no index for «$3 IS NULL OR hook = $3».
    let of_hook = if hook.is_some() { "hook = $3" } else { "CAST($3 AS TEXT) IS NULL" };
    let sql = format!(
        "SELECT * FROM decisions WHERE account_id = $1 AND id < $2 AND {of_hook}
           AND ($4 IS NULL OR extension_sha256 = $4)
         ORDER BY id DESC LIMIT $5"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(account.to_string())
        .bind(page.before())
        .bind(hook.map(Hook::as_str))
        .bind(sha256)
        .bind(page.limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(decision_of).collect()
}

/// What was decided about a subject, by whoever decided: the latest decision that was obeyed. A classifier that passed has
/// decided nothing.
pub async fn in_force(conn: &mut Conn, hook: Hook, subject_id: &str) -> Result<Option<serde_json::Value>> {
    let rows = sqlx::query(
        "SELECT decision FROM decisions WHERE subject_id = $1 AND hook = $2 AND mode = 'active' AND decision IS NOT NULL
         ORDER BY at DESC, id DESC LIMIT 100",
    )
    .bind(subject_id)
    .bind(hook.as_str())
    .fetch_all(conn)
    .await?;
    for row in &rows {
        let decision: serde_json::Value = row.json("decision")?;
        if decision["verdict"] != "pass" {
            return Ok(Some(decision));
        }
    }
    Ok(None)
}

/// The decisions about a subject, oldest first.
pub async fn of_subject(conn: &mut Conn, subject_id: &str) -> Result<Vec<Decision>> {
    let rows = sqlx::query("SELECT * FROM decisions WHERE subject_id = $1 ORDER BY id LIMIT 100")
        .bind(subject_id)
        .fetch_all(conn)
        .await?;
    rows.iter().map(decision_of).collect()
}

/// Forgets what every hook but the reply classifier was asked before `older_than`; gives how many, at most `limit`.
pub async fn sweep(conn: &mut Conn, older_than: Timestamp, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM decisions WHERE id IN
            (SELECT id FROM decisions WHERE id < $1 AND hook <> 'reply-classifier' ORDER BY id LIMIT $2)",
    )
    .bind(DecisionId::first_of(older_than).to_string())
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

fn decision_of(row: &AnyRow) -> Result<Decision> {
    let by = match row.opt_text("extension_name")? {
        None => None,
        Some(name) => Some(DecidedBy {
            name,
            version: row.opt_text("extension_version")?.unwrap_or_default(),
            sha256: row.opt_text("extension_sha256")?.unwrap_or_default(),
        }),
    };
    Ok(Decision {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        hook: row.word("hook", Hook::parse)?,
        subject_id: row.text("subject_id")?,
        enrollment_id: row.opt_id("enrollment_id")?,
        by,
        mode: row.text("mode")?,
        decision: row.opt_text("decision")?.and_then(|text| serde_json::from_str(&text).ok()),
        error: row.opt_text("error")?,
        logs: row.opt_text("logs")?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        micros: row.count("micros")?,
        at: row.time("at")?,
    })
}
