//! Planning and claiming: sends get their times and are taken under a lease.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{COLUMNS, ClaimedSend, DueRange, DueSend, DueSpan, Lease, NewSend, Places, send_of};
use crate::domain::Timestamp;
use crate::domain::contact::Contact;
use crate::domain::ids::{CampaignId, CredentialId, NodeId, SendId};
use crate::store::dialect::json_of;
use crate::store::packed::{self, Columns};
use crate::store::row::RowExt;
use crate::store::{Answers, Conn, Dialect, Nth, Reads, Result, Tx, Writes};

/// Plans many sends by one statement; a step that is planned already is passed over. The caller holds the rows of their enrollments: a deletion that came between would leave sends of nobody.
pub fn plan_many(writes: &mut Writes, sends: &[NewSend], now: Timestamp) {
    let rows = sends.iter().map(|s| {
        (
            s.id.to_string(),
            s.enrollment_id.to_string(),
            s.contact_id.to_string(),
            s.step_position.to_string(),
            s.smtp_credential_id.map(|id| id.to_string()),
            s.due_at.as_millis().to_string(),
            i64::from(s.priority).to_string(),
        )
    });
    let sql = format!(
        "INSERT INTO sends (id, enrollment_id, contact_id, step_position, smtp_credential_id, due_at, priority,
                            batch_number, account_id, campaign_id, state, created_at)
         SELECT c0, c1, c2, CAST(c3 AS BIGINT), c4, CAST(c5 AS BIGINT), CAST(c6 AS BIGINT), e.batch_number,
                e.account_id, e.campaign_id, 'due', $2
         FROM {} AS given JOIN enrollments e ON e.id = given.c1 WHERE true
         ON CONFLICT (enrollment_id, step_position) DO NOTHING",
        writes.dialect().json_rows(7)
    );
    writes.add(sql, [json_of(rows).into(), now.as_millis().into()]);
}

/// When the next of some planned sends may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextDue {
    /// None: there are none.
    pub first: Option<Timestamp>,
    /// Of those that are not due yet.
    pub later: Option<Timestamp>,
}

/// Asks when a campaign's next first steps may leave; [`next_first_step_of`] reads the answer.
pub fn ask_next_first_step(reads: &mut Reads, campaign: CampaignId, now: Timestamp) -> Nth {
    let next = "(SELECT MIN(due_at) FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL";
    let sql = format!("SELECT {next}) AS first, {next} AND due_at > $2) AS later");
    reads.add(sql, [campaign.to_string().into(), now.as_millis().into()])
}

/// What [`ask_next_first_step`] asked for.
pub fn next_first_step_of(answers: &Answers, asked: Nth) -> Result<NextDue> {
    answers.rows(asked).first().map_or(Ok(NextDue { first: None, later: None }), next_due_of)
}

/// Asks the same of what each of a campaign's credentials has planned; [`next_of_credentials_of`] reads the answer.
pub fn ask_next_of_credentials(reads: &mut Reads, campaign: CampaignId, now: Timestamp) -> Nth {
    // One look into the index for each; grouped, all that is planned would be looked at.
    let next = "(SELECT MIN(due_at) FROM sends WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = x.id";
    let sql = format!(
        "SELECT x.id, {next}) AS first, {next} AND due_at > $2) AS later FROM smtp_credentials x
         WHERE x.campaign_id = $1 AND x.deleted_at IS NULL"
    );
    reads.add(sql, [campaign.to_string().into(), now.as_millis().into()])
}

/// What [`ask_next_of_credentials`] asked for, of those that have any.
pub fn next_of_credentials_of(answers: &Answers, asked: Nth) -> Result<HashMap<CredentialId, NextDue>> {
    let mut each = HashMap::new();
    for row in answers.rows(asked) {
        let next = next_due_of(row)?;
        if next.first.is_some() {
            each.insert(row.id("id")?, next);
        }
    }
    Ok(each)
}

fn next_due_of(row: &AnyRow) -> Result<NextDue> {
    Ok(NextDue { first: row.opt_time("first")?, later: row.opt_time("later")? })
}

/// What is read of what is due.
const DUE: Columns = &[&["id", "batch_number", "due_at", "reserved_month"]];

/// The first steps of a campaign that are due, in the order in which they leave.
pub async fn due_first_steps(
    tx: &mut Tx,
    campaign: CampaignId,
    now: Timestamp,
    range: DueRange,
) -> Result<Vec<DueSend>> {
    let query = format!(
        "SELECT id, batch_number, due_at, reserved_month FROM sends
         WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id IS NULL AND due_at <= $2
           AND ($4 = 0 OR reserved_month IS NOT NULL)
         ORDER BY due_at, priority DESC, id LIMIT $3{}",
        tx.dialect().skip_locked()
    );
    let all = sqlx::query(AssertSqlSafe(packed::select(tx.dialect(), DUE, &query)))
        .bind(campaign.to_string())
        .bind(now.as_millis())
        .bind(range.limit)
        .bind(i64::from(range.only_with_place))
        .fetch_one(tx.conn())
        .await?;
    packed::rows(&all, DUE)?.iter().map(due_of).collect()
}

/// Moves what is planned of a batch's first steps by that much, so that the gaps stay.
pub async fn delay_batch(tx: &mut Tx, campaign: CampaignId, batch: i64, by: Duration) -> Result<()> {
    sqlx::query(
        "UPDATE sends SET due_at = due_at + $3
         WHERE state = 'due' AND smtp_credential_id IS NULL AND campaign_id = $1 AND batch_number = $2",
    )
    .bind(campaign.to_string())
    .bind(batch)
    .bind(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When the next planned first step of each of these batches leaves, but for one that leaves now; of those that have any.
pub async fn next_in_batches(tx: &mut Tx, campaign: CampaignId, leaving: &[DueSend]) -> Result<Vec<(i64, Timestamp)>> {
    let sql = format!(
        "SELECT batch_number, next FROM (
            SELECT CAST(given.c0 AS BIGINT) AS batch_number,
                   (SELECT s.due_at FROM sends s
                    WHERE s.state = 'due' AND s.smtp_credential_id IS NULL AND s.campaign_id = $2
                      AND s.batch_number = CAST(given.c0 AS BIGINT) AND s.id <> given.c1
                    ORDER BY s.due_at LIMIT 1) AS next
            FROM {} AS given) AS found
         WHERE next IS NOT NULL",
        tx.dialect().json_rows(2)
    );
    let given = json_of(leaving.iter().map(|step| (step.batch_number.to_string(), step.id.to_string())));
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(given).bind(campaign.to_string()).fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok((row.int("batch_number")?, row.time("next")?))).collect()
}

/// When the first and the last of the planned first steps of each batch leave; of those batches that have any.
pub async fn due_spans(
    conn: &mut Conn,
    campaign: CampaignId,
    batches: RangeInclusive<i64>,
) -> Result<Vec<(i64, DueSpan)>> {
    let rows = sqlx::query(
        // Both ends of each batch by its index: of a batch of a million all between them would be read for each transaction.
        "SELECT batch_number, first, last FROM (
            SELECT b.batch_number,
                   (SELECT s.due_at FROM sends s WHERE s.state = 'due' AND s.smtp_credential_id IS NULL AND s.campaign_id = $1
                      AND s.batch_number = b.batch_number ORDER BY s.due_at LIMIT 1) AS first,
                   (SELECT s.due_at FROM sends s WHERE s.state = 'due' AND s.smtp_credential_id IS NULL AND s.campaign_id = $1
                      AND s.batch_number = b.batch_number ORDER BY s.due_at DESC LIMIT 1) AS last
            FROM batch_counters b WHERE b.campaign_id = $1 AND b.batch_number BETWEEN $2 AND $3) AS found
         WHERE first IS NOT NULL",
    )
    .bind(campaign.to_string())
    .bind(*batches.start())
    .bind(*batches.end())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok((row.int("batch_number")?, DueSpan { first: row.time("first")?, last: row.time("last")? })))
        .collect()
}

/// The follow-ups of a credential that are due.
pub async fn due_follow_ups(
    tx: &mut Tx,
    campaign: CampaignId,
    credential: CredentialId,
    now: Timestamp,
    range: DueRange,
) -> Result<Vec<DueSend>> {
    let query = format!(
        "SELECT id, batch_number, due_at, reserved_month FROM sends
         WHERE state = 'due' AND campaign_id = $1 AND smtp_credential_id = $2 AND due_at <= $3
           AND ($5 = 0 OR reserved_month IS NOT NULL)
         ORDER BY due_at, id LIMIT $4{}",
        tx.dialect().skip_locked()
    );
    let all = sqlx::query(AssertSqlSafe(packed::select(tx.dialect(), DUE, &query)))
        .bind(campaign.to_string())
        .bind(credential.to_string())
        .bind(now.as_millis())
        .bind(range.limit)
        .bind(i64::from(range.only_with_place))
        .fetch_one(tx.conn())
        .await?;
    packed::rows(&all, DUE)?.iter().map(due_of).collect()
}

/// Claims sends, each for its credential, with the places that they take.
pub fn claim(writes: &mut Writes, claims: &[(SendId, CredentialId)], places: Places, lease: Lease) {
    if claims.is_empty() {
        return;
    }
    let rows = claims.iter().map(|(send, credential)| (send.to_string(), credential.to_string()));
    let day = places.day.map_or_else(|| "sends.reserved_day".to_owned(), |day| day.to_string());
    let sql = format!(
        "UPDATE sends SET state = 'claimed', smtp_credential_id = given.c1,
                reserved_day = {day}, reserved_month = COALESCE(sends.reserved_month, $4),
                lease_owner = $2, lease_until = $3
         FROM {} AS given WHERE sends.id = given.c0 AND sends.state = 'due'",
        writes.dialect().json_rows(2)
    );
    let (owner, until) = (lease.owner.to_string(), lease.until.as_millis());
    writes.add(sql, [json_of(rows).into(), owner.into(), until.into(), places.month.into()]);
}

/// What [`claimed`] reads.
const CLAIMED: Columns = &[
    COLUMNS,
    &["batch_number", "first_send_id"],
    &["contact_import_id", "email", "domain", "first_name", "last_name", "company", "unsubscribed_at"],
    &["contact_created_at"],
];

/// What was claimed, with its recipients.
pub async fn claimed(conn: &mut Conn, dialect: Dialect, ids: &[SendId], owner: NodeId) -> Result<Vec<ClaimedSend>> {
    let query = format!(
        "SELECT s.*, e.first_send_id, c.contact_import_id, c.email, c.domain, c.first_name, c.last_name,
                c.company, c.unsubscribed_at, c.created_at AS contact_created_at
         FROM {} AS given JOIN sends s ON s.id = given.c0 JOIN enrollments e ON e.id = s.enrollment_id
              JOIN contacts c ON c.id = s.contact_id
         WHERE s.state = 'claimed' AND s.lease_owner = $2 ORDER BY s.due_at, s.priority DESC, s.id",
        dialect.json_rows(1)
    );
    let sql = packed::select(dialect, CLAIMED, &query);
    let given = json_of(ids.iter().map(|id| [id.to_string()]));
    let all = sqlx::query(AssertSqlSafe(sql)).bind(given).bind(owner.to_string()).fetch_one(conn).await?;
    packed::rows(&all, CLAIMED)?.iter().map(|row| claimed_of(row, owner)).collect()
}

fn due_of(row: &impl RowExt) -> Result<DueSend> {
    Ok(DueSend {
        id: row.id("id")?,
        batch_number: row.int("batch_number")?,
        due_at: row.time("due_at")?,
        has_place: row.opt_int("reserved_month")?.is_some(),
    })
}

fn claimed_of(row: &impl RowExt, owner: NodeId) -> Result<ClaimedSend> {
    let send = send_of(row)?;
    Ok(ClaimedSend {
        credential_id: row.id("smtp_credential_id")?,
        owner,
        contact: Contact {
            id: send.contact_id,
            contact_import_id: row.id("contact_import_id")?,
            email: row.text("email")?,
            domain: row.text("domain")?,
            first_name: row.opt_text("first_name")?,
            last_name: row.opt_text("last_name")?,
            company: row.opt_text("company")?,
            unsubscribed_at: row.opt_time("unsubscribed_at")?,
            created_at: row.time("contact_created_at")?,
        },
        batch_number: row.int("batch_number")?,
        first_send_id: row.opt_id("first_send_id")?,
        send,
    })
}
