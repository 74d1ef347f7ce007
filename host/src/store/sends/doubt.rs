//! Sends in doubt, for the people who settle them.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Send, send_of};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, CampaignId, NodeId, SendId};
use crate::store::row::RowExt;
use crate::store::{Conn, Dialect, Page, Result, Tx};

/// A send in doubt, with what a person looks for it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The row.
    pub send: Send,
    /// The recipient's address.
    pub contact_email: String,
    /// The sender's address.
    pub from_email: String,
    /// The domain of its Message-ID, where it is another than that.
    pub message_id_domain: Option<String>,
    /// Since when it is in doubt; none where it was before that was kept.
    pub since: Option<Timestamp>,
}

/// An account's sends in doubt, newest first; only those of `campaign` where one is given.
pub async fn in_doubt(
    conn: &mut Conn,
    account: AccountId,
    campaign: Option<CampaignId>,
    page: &Page,
) -> Result<Vec<Doubt>> {
    let rows = sqlx::query(
        "SELECT s.*, c.email, x.from_email, x.message_id_domain,
                (SELECT MAX(t.at) FROM transactions t
                 WHERE t.enrollment_id = s.enrollment_id AND t.send_id = s.id AND t.outcome = 'in_doubt') AS since
         FROM sends s JOIN contacts c ON c.id = s.contact_id JOIN smtp_credentials x ON x.id = s.smtp_credential_id
              JOIN campaigns k ON k.id = s.campaign_id AND k.deleted_at IS NULL
         WHERE s.state = 'in_doubt' AND s.account_id = $1 AND s.id < $2 AND ($3 = '' OR s.campaign_id = $3)
         ORDER BY s.id DESC LIMIT $4",
    )
    .bind(account.to_string())
    .bind(page.before())
    .bind(campaign.map(|id| id.to_string()).unwrap_or_default())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(doubt_of).collect()
}

/// Whether another node is settling a doubt of this campaign at this moment. Those that are left stay as they are until the
/// transaction ends.
pub async fn is_any_doubt_being_settled(tx: &mut Tx, campaign: CampaignId) -> Result<bool> {
    if tx.dialect() == Dialect::Sqlite {
        // It has one writer at a time.
        return Ok(false);
    }
    let sql =
        format!("SELECT id FROM sends WHERE state = 'in_doubt' AND campaign_id = $1{}", tx.dialect().skip_locked());
    let free = sqlx::query(AssertSqlSafe(sql)).bind(campaign.to_string()).fetch_all(tx.conn()).await?.len();
    let sql = "SELECT COUNT(*) AS count FROM sends WHERE state = 'in_doubt' AND campaign_id = $1";
    let all = sqlx::query(sql).bind(campaign.to_string()).fetch_one(tx.conn()).await?.count("count")?;
    Ok(u64::try_from(free).unwrap_or(u64::MAX) < all)
}

/// Sends that came into doubt since then, of credentials whose mailboxes `owner` watches: at most `limit`, others each time,
/// and in another order: neither one account's many
/// nor the same few stand first for ever.
pub async fn in_doubt_of_watched(conn: &mut Conn, owner: NodeId, since: Timestamp, limit: i64) -> Result<Vec<Send>> {
    let rows = sqlx::query(
        "SELECT s.* FROM sends s JOIN mailboxes m ON m.credential_id = s.smtp_credential_id
         WHERE s.state = 'in_doubt' AND m.lease_owner = $1
           AND EXISTS (SELECT 1 FROM transactions t WHERE t.enrollment_id = s.enrollment_id AND t.send_id = s.id
                         AND t.outcome = 'in_doubt' AND t.at >= $2)
         ORDER BY RANDOM() LIMIT $3",
    )
    .bind(owner.to_string())
    .bind(since.as_millis())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(send_of).collect()
}

/// A send of an account, whatever its state; those of a deleted campaign are shown to nobody.
pub async fn find(conn: &mut Conn, account: AccountId, id: SendId) -> Result<Option<Send>> {
    let row = sqlx::query(
        "SELECT s.* FROM sends s JOIN campaigns k ON k.id = s.campaign_id AND k.deleted_at IS NULL
         WHERE s.id = $1 AND s.account_id = $2",
    )
    .bind(id.to_string())
    .bind(account.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(send_of).transpose()
}

/// From doubt back to due, bound to its credential as a follow-up is: with another its Message-ID would be another. False
/// when it is not in doubt. The place that it takes of a daily limit is its caller's, and is not given back.
pub(in crate::store) async fn retry(
    conn: &mut Conn,
    id: SendId,
    due_at: Timestamp,
    reason: Option<&str>,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE sends SET state = 'due', due_at = $2, reason = $3, reserved_day = NULL, lease_owner = NULL
         WHERE id = $1 AND state = 'in_doubt'",
    )
    .bind(id.to_string())
    .bind(due_at.as_millis())
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

fn doubt_of(row: &AnyRow) -> Result<Doubt> {
    Ok(Doubt {
        send: send_of(row)?,
        contact_email: row.text("email")?,
        from_email: row.text("from_email")?,
        message_id_domain: row.opt_text("message_id_domain")?,
        since: row.opt_time("since")?,
    })
}
