//! Sends of an account by calendar month (UTC): reserved in the transaction of the claim, given back when no SMTP
//! transaction came of it. A send that is tried again keeps its place.
//!
//! Whoever writes here does so before `credential_days`: two transactions that take them in different order would wait
//! for each other.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Answers, Conn, Nth, Reads, Result, Tx, Writes};
use crate::domain::ids::{AccountId, CampaignId};
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
    plan_of_row(&row)
}

/// Asks the same of a campaign's account; [`plan_of`] reads the answer.
pub fn ask_plan(reads: &mut Reads, campaign: CampaignId, utc_month: i64) -> Nth {
    let sql = "SELECT a.plan_slug, a.monthly_limit, m.reserved FROM campaigns k JOIN accounts a ON a.id = k.account_id
               LEFT JOIN account_months m ON m.account_id = a.id AND m.utc_month = $2 WHERE k.id = $1";
    reads.add(sql, [campaign.to_string().into(), utc_month.into()])
}

/// What [`ask_plan`] asked for.
pub fn plan_of(answers: &Answers, asked: Nth) -> Result<Plan> {
    plan_of_row(answers.rows(asked).first().ok_or(sqlx::Error::RowNotFound)?)
}

fn plan_of_row(row: &AnyRow) -> Result<Plan> {
    Ok(Plan {
        slug: row.text("plan_slug")?,
        monthly_limit: row.opt_int("monthly_limit")?.map(|limit| u64::try_from(limit).unwrap_or(0)),
        current_period_sends: row.opt_int("reserved")?.map_or(0, |sends| u64::try_from(sends).unwrap_or(0)),
    })
}

/// An account's plan, and nobody else takes places of it until the transaction ends.
pub async fn lock_plan(tx: &mut Tx, account: AccountId, utc_month: i64) -> Result<Plan> {
    tx.make(|writes| reserve(writes, account, utc_month, 0)).await?;
    plan(tx.conn(), account, utc_month).await
}

/// Takes `count` places of a month; negative gives them back.
pub fn reserve(writes: &mut Writes, account: AccountId, utc_month: i64, count: i64) {
    let sql = "INSERT INTO account_months (account_id, utc_month, reserved) VALUES ($1, $2, $3)
               ON CONFLICT (account_id, utc_month) DO UPDATE SET reserved = account_months.reserved + excluded.reserved";
    writes.add(sql, [account.to_string().into(), utc_month.into(), count.into()]);
}
