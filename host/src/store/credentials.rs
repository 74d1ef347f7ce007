//! SMTP credentials of campaigns.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::counters::CredentialCounters;
use super::dialect::json_of;
use super::row::RowExt;
use super::{Answers, Conn, Dialect, Nth, Page, Reads, Result, Tx, Writes, counters};
use crate::domain::Timestamp;
use crate::domain::credential::{Credential, Disabled, Endpoint};
use crate::domain::ids::{AccountId, CampaignId, CredentialId};
use crate::domain::provider::Provider;
use crate::domain::status::TlsMode;

/// What the SMTP password of a row is sealed for.
pub const SMTP_PASSWORD: &str = "smtp_credentials.smtp_password";
/// What the IMAP password of a row is sealed for.
pub const IMAP_PASSWORD: &str = "smtp_credentials.imap_password";

/// Makes a credential with its counters.
pub async fn insert(conn: &mut Conn, credential: &Credential) -> Result<()> {
    let imap = credential.imap.as_ref();
    sqlx::query(
        "INSERT INTO smtp_credentials (id, account_id, campaign_id, label, smtp_host, smtp_port, smtp_username,
             smtp_password, smtp_tls, from_name, from_email, daily_limit, imap_host, imap_port, imap_username,
             imap_password, imap_tls, enabled_at, created_at, provider)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    )
    .bind(credential.id.to_string())
    .bind(credential.account_id.to_string())
    .bind(credential.campaign_id.to_string())
    .bind(credential.label.as_deref())
    .bind(&credential.smtp.host)
    .bind(i64::from(credential.smtp.port))
    .bind(&credential.smtp.username)
    .bind(&credential.smtp.sealed_password)
    .bind(credential.smtp.tls.as_str())
    .bind(&credential.from_name)
    .bind(&credential.from_email)
    .bind(signed(credential.daily_limit))
    .bind(imap.map(|imap| imap.host.clone()))
    .bind(imap.map(|imap| i64::from(imap.port)))
    .bind(imap.map(|imap| imap.username.clone()))
    .bind(imap.map(|imap| imap.sealed_password.clone()))
    .bind(imap.map(|imap| imap.tls.as_str()))
    .bind(credential.enabled_at.as_millis())
    .bind(credential.created_at.as_millis())
    .bind(credential.provider.map(Provider::as_str))
    .execute(&mut *conn)
    .await?;
    counters::start_credential(conn, credential.id).await
}

/// Writes the fields that PATCH may change.
pub async fn update(conn: &mut Conn, credential: &Credential) -> Result<()> {
    let imap = credential.imap.as_ref();
    sqlx::query(
        "UPDATE smtp_credentials SET label = $2, smtp_host = $3, smtp_port = $4, smtp_username = $5, smtp_password = $6,
                smtp_tls = $7, from_name = $8, from_email = $9, daily_limit = $10, imap_host = $11, imap_port = $12,
                imap_username = $13, imap_password = $14, imap_tls = $15, provider = $16, message_id_domain = $17,
                resting_until = NULL, rests = 0
         WHERE id = $1",
    )
    .bind(credential.id.to_string())
    .bind(credential.label.as_deref())
    .bind(&credential.smtp.host)
    .bind(i64::from(credential.smtp.port))
    .bind(&credential.smtp.username)
    .bind(&credential.smtp.sealed_password)
    .bind(credential.smtp.tls.as_str())
    .bind(&credential.from_name)
    .bind(&credential.from_email)
    .bind(signed(credential.daily_limit))
    .bind(imap.map(|imap| imap.host.clone()))
    .bind(imap.map(|imap| i64::from(imap.port)))
    .bind(imap.map(|imap| imap.username.clone()))
    .bind(imap.map(|imap| imap.sealed_password.clone()))
    .bind(imap.map(|imap| imap.tls.as_str()))
    .bind(credential.provider.map(Provider::as_str))
    .bind(credential.message_id_domain.as_deref())
    .execute(conn)
    .await?;
    Ok(())
}

const OF_CAMPAIGN: &str = "SELECT * FROM smtp_credentials WHERE campaign_id = $1 AND deleted_at IS NULL ORDER BY id";

/// A campaign's credentials in the order of rotation.
pub async fn of_campaign(conn: &mut Conn, campaign: CampaignId) -> Result<Vec<Credential>> {
    let rows = sqlx::query(OF_CAMPAIGN).bind(campaign.to_string()).fetch_all(conn).await?;
    rows.iter().map(credential_of).collect()
}

/// Asks for them together with others; [`of_campaign_of`] reads the answer.
pub fn ask_of_campaign(reads: &mut Reads, campaign: CampaignId) -> Nth {
    reads.add(OF_CAMPAIGN, [campaign.to_string().into()])
}

/// What [`ask_of_campaign`] asked for.
pub fn of_campaign_of(answers: &Answers, asked: Nth) -> Result<Vec<Credential>> {
    answers.rows(asked).iter().map(credential_of).collect()
}

/// A campaign's credentials, newest first.
pub async fn list(conn: &mut Conn, campaign: CampaignId, page: &Page) -> Result<Vec<Credential>> {
    let rows = sqlx::query(
        "SELECT * FROM smtp_credentials WHERE campaign_id = $1 AND deleted_at IS NULL AND id < $2
         ORDER BY id DESC LIMIT $3",
    )
    .bind(campaign.to_string())
    .bind(page.before())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(credential_of).collect()
}

/// A credential with what its campaign's page shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The credential.
    pub credential: Credential,
    /// First-step sends of the day, made and reserved.
    pub sent_today: u64,
    /// Its counters of its whole life.
    pub lifetime: CredentialCounters,
}

/// A campaign's credentials with their figures, in the order of rotation.
pub async fn figures(conn: &mut Conn, campaign: CampaignId, utc_day: i64) -> Result<Vec<Figures>> {
    let rows = sqlx::query(
        "SELECT c.*, COALESCE(d.reserved, 0) AS reserved, k.transactions, k.hard_bounces, k.soft_bounces,
                k.policy_bounces, k.complaints, k.deferrals
         FROM smtp_credentials c
         JOIN credential_counters k ON k.credential_id = c.id AND k.period = 'lifetime'
         LEFT JOIN credential_days d ON d.credential_id = c.id AND d.utc_day = $2
         WHERE c.campaign_id = $1 AND c.deleted_at IS NULL ORDER BY c.id",
    )
    .bind(campaign.to_string())
    .bind(utc_day)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Figures {
                credential: credential_of(row)?,
                sent_today: row.count("reserved")?,
                lifetime: CredentialCounters::of(row)?,
            })
        })
        .collect()
}

/// Makes other changes of a credential wait for this transaction.
pub async fn lock(conn: &mut Conn, id: CredentialId) -> Result<()> {
    sqlx::query("UPDATE smtp_credentials SET label = label WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// One credential of an account's campaign.
pub async fn find(
    conn: &mut Conn,
    account: AccountId,
    campaign: CampaignId,
    id: CredentialId,
) -> Result<Option<Credential>> {
    let row = sqlx::query(
        "SELECT * FROM smtp_credentials WHERE id = $1 AND account_id = $2 AND campaign_id = $3 AND deleted_at IS NULL",
    )
    .bind(id.to_string())
    .bind(account.to_string())
    .bind(campaign.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(credential_of).transpose()
}

/// One credential, for the engine itself; a deleted one, too.
pub async fn get(conn: &mut Conn, id: CredentialId) -> Result<Option<Credential>> {
    let row =
        sqlx::query("SELECT * FROM smtp_credentials WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(credential_of).transpose()
}

/// Marks it deleted; its history stays.
pub async fn delete(conn: &mut Conn, id: CredentialId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE smtp_credentials SET deleted_at = $2, judge_at = NULL WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millis())
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM mailboxes WHERE credential_id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Disables it; false when it already was.
pub async fn disable(conn: &mut Conn, id: CredentialId, reason: &str, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE smtp_credentials SET disabled_at = $2, disabled_reason = $3 WHERE id = $1 AND disabled_at IS NULL",
    )
    .bind(id.to_string())
    .bind(now.as_millis())
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Enables it again: its counts since then begin anew, a throttle and a rest end.
pub async fn reenable(conn: &mut Conn, id: CredentialId, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE smtp_credentials SET disabled_at = NULL, disabled_reason = NULL, enabled_at = $2, throttled_limit = NULL,
                resting_until = NULL, rests = 0, last_error = NULL, judge_at = NULL
         WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(now.as_millis())
    .execute(&mut *conn)
    .await?;
    counters::restart_since_enabled(conn, id).await
}

/// Lowers its daily limit on a policy's word.
pub async fn throttle(conn: &mut Conn, id: CredentialId, daily_limit: u64) -> Result<()> {
    sqlx::query("UPDATE smtp_credentials SET throttled_limit = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(signed(daily_limit))
        .execute(conn)
        .await?;
    Ok(())
}

/// Leaves it alone until `until`, with the server's word for it.
pub async fn rest(conn: &mut Conn, id: CredentialId, until: Timestamp, error: &str, now: Timestamp) -> Result<()> {
    // Many of its sends may fail at once: that is one rest, not many.
    sqlx::query(
        "UPDATE smtp_credentials SET last_error = $3,
                rests = rests + CASE WHEN resting_until IS NULL OR resting_until <= $4 THEN 1 ELSE 0 END,
                resting_until = CASE WHEN resting_until > $2 THEN resting_until ELSE $2 END
         WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(until.as_millis())
    .bind(error)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Their servers took messages: they are well, and the bounce policy is asked about them at `judge_at` or sooner. A rest that
/// is not over goes on, as what an open connection brings says nothing of the next login; but the next rest is a short one.
pub fn took_messages(writes: &mut Writes, ids: &[CredentialId], now: Timestamp, judge_at: Timestamp) {
    // Locked in one order whoever does it: most rows are as they should be already, and are left alone.
    let given = format!("(SELECT c0 FROM {} AS given)", writes.dialect().json_rows(1));
    let sql = format!(
        "UPDATE smtp_credentials SET
                rests = 0,
                last_error = CASE WHEN resting_until > $3 THEN last_error END,
                resting_until = CASE WHEN resting_until > $3 THEN resting_until END,
                judge_at = CASE WHEN judge_at < $2 THEN judge_at ELSE $2 END
         WHERE id IN (SELECT id FROM smtp_credentials
                      WHERE id IN {given}
                        AND (rests > 0 OR resting_until <= $3 OR judge_at IS NULL OR judge_at > $2) ORDER BY id{})",
        writes.dialect().for_update()
    );
    let ids = json_of(ids.iter().map(|id| [id.to_string()]));
    writes.add(sql, [ids.into(), judge_at.as_millis().into(), now.as_millis().into()]);
}

/// Has the bounce policy asked about them at `at` or sooner.
pub fn judge_all_by(writes: &mut Writes, ids: &[CredentialId], at: Timestamp) {
    // Locked in one order whoever does it.
    let sql = format!(
        "UPDATE smtp_credentials SET judge_at = $2
         WHERE id IN (SELECT id FROM smtp_credentials
                      WHERE id IN (SELECT c0 FROM {} AS given) AND (judge_at IS NULL OR judge_at > $2) ORDER BY id{})",
        writes.dialect().json_rows(1),
        writes.dialect().for_update()
    );
    writes.add(sql, [json_of(ids.iter().map(|id| [id.to_string()])).into(), at.as_millis().into()]);
}

/// The same for one.
pub async fn judge_by(conn: &mut Conn, id: CredentialId, at: Timestamp) -> Result<()> {
    sqlx::query("UPDATE smtp_credentials SET judge_at = $2 WHERE id = $1 AND (judge_at IS NULL OR judge_at > $2)")
        .bind(id.to_string())
        .bind(at.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// The addresses that credentials send as.
pub async fn from_emails(
    conn: &mut Conn,
    dialect: Dialect,
    ids: &[CredentialId],
) -> Result<HashMap<CredentialId, String>> {
    let given = dialect.json_rows(1);
    let sql = format!("SELECT id, from_email FROM smtp_credentials WHERE id IN (SELECT c0 FROM {given} AS given)");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(json_of(ids.iter().map(|id| [id.to_string()])));
    let rows = rows.fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.id("id")?, row.text("from_email")?))).collect()
}

/// Takes the credentials whose policy has to be asked by `now`; they are due again at `next`, unless [`judged`] says that
/// they need not be, or a bounce brings them forward. Two nodes never take the same.
pub async fn take_to_judge(tx: &mut Tx, now: Timestamp, next: Timestamp, limit: i64) -> Result<Vec<Credential>> {
    let sql = format!(
        "UPDATE smtp_credentials SET judge_at = $2 WHERE id IN
            (SELECT id FROM smtp_credentials WHERE judge_at <= $1 AND disabled_at IS NULL AND deleted_at IS NULL
             ORDER BY judge_at LIMIT $3{})
         RETURNING *",
        tx.dialect().skip_locked()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(now.as_millis())
        .bind(next.as_millis())
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(credential_of).collect()
}

/// The policy need not be asked at `planned` after all; what has happened since it was taken still counts.
pub async fn judged(conn: &mut Conn, id: CredentialId, planned: Timestamp) -> Result<()> {
    sqlx::query("UPDATE smtp_credentials SET judge_at = NULL WHERE id = $1 AND judge_at = $2")
        .bind(id.to_string())
        .bind(planned.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// When the next credential has to be judged.
pub async fn next_judgement(conn: &mut Conn) -> Result<Option<Timestamp>> {
    let row = sqlx::query(
        "SELECT MIN(judge_at) AS next FROM smtp_credentials
         WHERE judge_at IS NOT NULL AND disabled_at IS NULL AND deleted_at IS NULL",
    )
    .fetch_one(conn)
    .await?;
    row.opt_time("next")
}

fn credential_of(row: &AnyRow) -> Result<Credential> {
    let imap = match row.opt_text("imap_host")? {
        None => None,
        Some(host) => Some(Endpoint {
            host,
            port: row.small("imap_port")?,
            username: row.text("imap_username")?,
            sealed_password: row.text("imap_password")?,
            tls: row.word("imap_tls", TlsMode::parse)?,
        }),
    };
    let disabled = match row.opt_time("disabled_at")? {
        None => None,
        Some(at) => Some(Disabled { at, reason: row.opt_text("disabled_reason")?.unwrap_or_default() }),
    };
    Ok(Credential {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        campaign_id: row.id("campaign_id")?,
        label: row.opt_text("label")?,
        smtp: Endpoint {
            host: row.text("smtp_host")?,
            port: row.small("smtp_port")?,
            username: row.text("smtp_username")?,
            sealed_password: row.text("smtp_password")?,
            tls: row.word("smtp_tls", TlsMode::parse)?,
        },
        provider: row.opt_text("provider")?.as_deref().and_then(Provider::parse),
        imap,
        from_name: row.text("from_name")?,
        from_email: row.text("from_email")?,
        message_id_domain: row.opt_text("message_id_domain")?,
        daily_limit: row.count("daily_limit")?,
        throttled_limit: row.opt_int("throttled_limit")?.map(|limit| u64::try_from(limit).unwrap_or(0)),
        enabled_at: row.time("enabled_at")?,
        disabled,
        resting_until: row.opt_time("resting_until")?,
        rests: row.small("rests")?,
        last_error: row.opt_text("last_error")?,
        created_at: row.time("created_at")?,
    })
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
