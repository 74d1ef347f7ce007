//! How often an account's keys called which route, by UTC day.

use sqlx::AssertSqlSafe;

use super::row::RowExt;
use super::{Conn, Result, Tx};
use crate::domain::api_key::ClientKind;
use crate::domain::ids::AccountId;

/// What calls are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// Who called.
    pub account_id: AccountId,
    /// The UTC day, counted from 1970-01-01.
    pub day: i64,
    /// Through what.
    pub client_kind: ClientKind,
    /// Such as `GET`.
    pub method: String,
    /// Such as `/campaigns/:id`.
    pub route: String,
}

/// Calls of one kind on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindOfDay {
    /// The UTC day.
    pub day: i64,
    /// Through what.
    pub client_kind: ClientKind,
    /// How many.
    pub calls: u64,
}

/// Calls of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallsOfRoute {
    /// Through what.
    pub client_kind: ClientKind,
    /// Such as `GET`.
    pub method: String,
    /// Such as `/campaigns/:id`.
    pub route: String,
    /// How many.
    pub calls: u64,
}

/// Adds to the counts. `counted` has each call once; all nodes give theirs in the same order, so that two that add to the
/// same rows wait for each other at the first and not crosswise.
pub async fn add(tx: &mut Tx, counted: &[(Call, u64)]) -> Result<()> {
    let rows: Vec<_> = counted
        .iter()
        .map(|(call, calls)| {
            let (account, day) = (call.account_id.to_string(), call.day.to_string());
            (account, day, call.client_kind.as_str(), &call.method, &call.route, calls.to_string())
        })
        .collect();
    // «WHERE true» keeps SQLite from reading ON as part of a join.
    let sql = format!(
        "INSERT INTO api_usage (account_id, day, client_kind, method, route, calls)
         SELECT c0, CAST(c1 AS BIGINT), c2, c3, c4, CAST(c5 AS BIGINT) FROM {} AS given WHERE true
         ON CONFLICT (account_id, day, client_kind, method, route)
            DO UPDATE SET calls = api_usage.calls + excluded.calls",
        tx.dialect().json_rows(6)
    );
    sqlx::query(AssertSqlSafe(sql)).bind(serde_json::to_string(&rows).unwrap_or_default()).execute(tx.conn()).await?;
    Ok(())
}

/// An account's calls from the day `since` on, by day and kind, oldest day first.
pub async fn by_kind_and_day(conn: &mut Conn, account: AccountId, since: i64) -> Result<Vec<KindOfDay>> {
    let rows = sqlx::query(
        "SELECT day, client_kind, CAST(SUM(calls) AS BIGINT) AS calls FROM api_usage
         WHERE account_id = $1 AND day >= $2 GROUP BY day, client_kind ORDER BY day, client_kind",
    )
    .bind(account.to_string())
    .bind(since)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let client_kind = row.word("client_kind", ClientKind::parse)?;
            Ok(KindOfDay { day: row.int("day")?, client_kind, calls: row.count("calls")? })
        })
        .collect()
}

/// The routes that an account called most from the day `since` on.
pub async fn most_called(conn: &mut Conn, account: AccountId, since: i64, limit: i64) -> Result<Vec<CallsOfRoute>> {
    let rows = sqlx::query(
        "SELECT client_kind, method, route, CAST(SUM(calls) AS BIGINT) AS calls FROM api_usage
         WHERE account_id = $1 AND day >= $2 GROUP BY client_kind, method, route
         ORDER BY calls DESC, route, method, client_kind LIMIT $3",
    )
    .bind(account.to_string())
    .bind(since)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(CallsOfRoute {
                client_kind: row.word("client_kind", ClientKind::parse)?,
                method: row.text("method")?,
                route: row.text("route")?,
                calls: row.count("calls")?,
            })
        })
        .collect()
}

/// Forgets the days before `day` of at most `limit` accounts; whether there may be more.
pub async fn sweep(conn: &mut Conn, day: i64, limit: i64) -> Result<bool> {
    let done = sqlx::query(
        "DELETE FROM api_usage WHERE day < $1
           AND account_id IN (SELECT account_id FROM api_usage WHERE day < $1 ORDER BY day LIMIT $2)",
    )
    .bind(day)
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}
