//! Sends of an account by calendar month (UTC): reserved in the transaction of the claim, given back when no SMTP
//! transaction came of it. A send that is tried again keeps its place.
//!
//! Whoever writes here does so before `credential_days`: two transactions that take them in different order would wait
//! for each other.

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::ids::AccountId;
use crate::domain::plan::Plan;

/// An account's plan with what it has sent in a month.
pub async fn plan(conn: &mut Conn, account: AccountId, utc_month: i64) -> Result<Plan> {
    let row = sqlx::query(
        "SELECT a.plan_slug, a.monthly_limit, m.reserved FROM accounts a
         LEFT JOIN account_months m ON m.account_id = a.id AND m.utc_month = $2 WHERE a.id = $1",
    )
    .bind(account.to_string())
    .bind(utc_month)
    .fetch_one(conn)
    .await?;
    Ok(Plan {
        slug: row.text("plan_slug")?,
        monthly_limit: row.opt_int("monthly_limit")?.map(|limit| u64::try_from(limit).unwrap_or(0)),
        current_period_sends: row.opt_int("reserved")?.map_or(0, |sends| u64::try_from(sends).unwrap_or(0)),
    })
}

/// The same for a claim: where there is a limit, nobody else takes places of it until the transaction ends.
pub async fn plan_for_claim(conn: &mut Conn, account: AccountId, utc_month: i64) -> Result<Plan> {
    let plan = plan(conn, account, utc_month).await?;
    if plan.monthly_limit.is_none() {
        return Ok(plan);
    }
    reserve(conn, account, utc_month, 0).await?;
    self::plan(conn, account, utc_month).await
}

/// Takes `count` places of a month; negative gives them back.
pub async fn reserve(conn: &mut Conn, account: AccountId, utc_month: i64, count: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO account_months (account_id, utc_month, reserved) VALUES ($1, $2, $3)
         ON CONFLICT (account_id, utc_month) DO UPDATE SET reserved = account_months.reserved + excluded.reserved",
    )
    .bind(account.to_string())
    .bind(utc_month)
    .bind(count)
    .execute(conn)
    .await?;
    Ok(())
}
