//! Outreaches: groups of campaigns.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::counters::StatusTotals;
use super::row::RowExt;
use super::{Conn, Page, Result, Tx};
use crate::domain::campaign::Outreach;
use crate::domain::ids::{AccountId, CampaignId, OutreachId};
use crate::domain::status::CampaignStatus;

/// A campaign in its outreach's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignOfOutreach {
    /// Its id.
    pub id: CampaignId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: CampaignStatus,
}

/// Makes an outreach.
pub async fn insert(conn: &mut Conn, account: AccountId, outreach: &Outreach) -> Result<()> {
    sqlx::query(
        "INSERT INTO outreaches (id, account_id, name, unique_contacts, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(outreach.id.to_string())
    .bind(account.to_string())
    .bind(&outreach.name)
    .bind(i64::from(outreach.unique_contacts))
    .bind(outreach.created_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// One outreach of an account.
pub async fn find(conn: &mut Conn, account: AccountId, id: OutreachId) -> Result<Option<Outreach>> {
    let row = sqlx::query("SELECT * FROM outreaches WHERE id = $1 AND account_id = $2")
        .bind(id.to_string())
        .bind(account.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(outreach_of).transpose()
}

/// The same, to be changed: other changes of it wait for this transaction.
pub async fn find_for_update(tx: &mut Tx, account: AccountId, id: OutreachId) -> Result<Option<Outreach>> {
    let sql = format!("SELECT * FROM outreaches WHERE id = $1 AND account_id = $2{}", tx.dialect().for_update());
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(account.to_string());
    query.fetch_optional(tx.conn()).await?.as_ref().map(outreach_of).transpose()
}

/// An account's outreaches, newest first.
pub async fn list(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<Outreach>> {
    let rows = sqlx::query("SELECT * FROM outreaches WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
        .bind(account.to_string())
        .bind(page.before())
        .bind(page.limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(outreach_of).collect()
}

/// Writes its changeable fields.
pub async fn update(conn: &mut Conn, outreach: &Outreach) -> Result<()> {
    sqlx::query("UPDATE outreaches SET name = $2, unique_contacts = $3 WHERE id = $1")
        .bind(outreach.id.to_string())
        .bind(&outreach.name)
        .bind(i64::from(outreach.unique_contacts))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes other transactions that enroll into this outreach's campaigns wait for this one: what is unique among siblings
/// must not be enrolled by two of them at once.
pub async fn lock(conn: &mut Conn, id: OutreachId) -> Result<()> {
    sqlx::query("UPDATE outreaches SET name = name WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// The campaigns of an outreach, newest first.
pub async fn campaigns(conn: &mut Conn, id: OutreachId) -> Result<Vec<CampaignOfOutreach>> {
    let rows = sqlx::query(
        "SELECT id, name, status FROM campaigns WHERE outreach_id = $1 AND deleted_at IS NULL ORDER BY id DESC",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(CampaignOfOutreach {
                id: row.id("id")?,
                name: row.text("name")?,
                status: row.word("status", CampaignStatus::parse)?,
            })
        })
        .collect()
}

/// The statuses of all enrollments of its campaigns.
pub async fn totals(conn: &mut Conn, id: OutreachId) -> Result<StatusTotals> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(k.pending), 0) AS BIGINT) AS pending, CAST(COALESCE(SUM(k.sent), 0) AS BIGINT) AS sent,
                CAST(COALESCE(SUM(k.opened), 0) AS BIGINT) AS opened, CAST(COALESCE(SUM(k.replied), 0) AS BIGINT) AS replied,
                CAST(COALESCE(SUM(k.bounced), 0) AS BIGINT) AS bounced
         FROM campaigns c JOIN campaign_counters k ON k.campaign_id = c.id
         WHERE c.outreach_id = $1 AND c.deleted_at IS NULL",
    )
    .bind(id.to_string())
    .fetch_one(conn)
    .await?;
    StatusTotals::of(&row)
}

fn outreach_of(row: &AnyRow) -> Result<Outreach> {
    Ok(Outreach {
        id: row.id("id")?,
        name: row.text("name")?,
        unique_contacts: row.flag("unique_contacts")?,
        created_at: row.time("created_at")?,
    })
}
