//! The ledger: one row a step and enrollment, written before anything is sent.
//!
//! `due → claimed → sending → sent | bounced | failed | in_doubt | skipped`. Every function that moves a row names the
//! state that it moves it from, so that a node that lost its lease can't undo what another has done since.

mod begin;
mod claim;
mod doubt;
mod find;
mod lease;
mod many;
mod outlook;
mod settle;

use sqlx::AssertSqlSafe;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::address::domain_of_key;
use crate::domain::contact::Contact;
use crate::domain::ids::{AccountId, CampaignId, ContactId, CredentialId, EnrollmentId, NodeId, SendId};
use crate::domain::status::SendState;

pub use begin::*;
pub use claim::*;
pub use doubt::*;
pub use find::*;
pub use lease::*;
pub use many::*;
pub use outlook::*;
pub use settle::*;

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Its id; the Message-ID is made from it.
    pub id: SendId,
    /// Its owner.
    pub account_id: AccountId,
    /// Of which campaign.
    pub campaign_id: CampaignId,
    /// To which enrollment.
    pub enrollment_id: EnrollmentId,
    /// To whom.
    pub contact_id: ContactId,
    /// Which step, from 1.
    pub step_position: u32,
    /// Through which credential; none until a first step is claimed.
    pub smtp_credential_id: Option<CredentialId>,
    /// Where it stands.
    pub state: SendState,
    /// When it may leave.
    pub due_at: Timestamp,
    /// SMTP transactions tried.
    pub attempts: u32,
    /// MX look-ups without an answer.
    pub mx_attempts: u32,
    /// The UTC day whose limit it has a place of.
    pub reserved_day: Option<i64>,
    /// The UTC month in which it has a place of its account's plan.
    pub reserved_month: Option<i64>,
    /// The provider's id for it.
    pub provider_message_id: Option<String>,
    /// The last reply's code.
    pub smtp_code: Option<u16>,
    /// The last reply's enhanced code.
    pub smtp_status: Option<String>,
    /// The last reply's text.
    pub smtp_reply: Option<String>,
    /// Why it was skipped, failed, put off or is in doubt.
    pub reason: Option<String>,
    /// When it was accepted.
    pub sent_at: Option<Timestamp>,
    /// When it was planned.
    pub created_at: Timestamp,
}

/// A send that a node holds, with what is needed to make its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSend {
    /// The row, with its credential.
    pub send: Send,
    /// The credential that it goes out through.
    pub credential_id: CredentialId,
    /// The node that holds it. What another has come to hold it does not touch.
    pub owner: NodeId,
    /// The recipient.
    pub contact: Contact,
    /// The batch of its enrollment.
    pub batch_number: i64,
    /// The send that opened the thread; none for a first step.
    pub first_send_id: Option<SendId>,
}

/// A send that is about to be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSend {
    /// Its id.
    pub id: SendId,
    /// To which enrollment.
    pub enrollment_id: EnrollmentId,
    /// To whom.
    pub contact_id: ContactId,
    /// Which step.
    pub step_position: u32,
    /// A follow-up's credential.
    pub smtp_credential_id: Option<CredentialId>,
    /// When it may leave.
    pub due_at: Timestamp,
    /// Goes first among those that are due.
    pub priority: bool,
}

/// A send that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueSend {
    /// The send.
    pub id: SendId,
    /// The batch of its enrollment.
    pub batch_number: i64,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// Whether it has its place of a month already.
    pub has_place: bool,
}

/// From the first to the last of what is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueSpan {
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
}

/// Which of the due sends are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRange {
    /// At most so many.
    pub limit: i64,
    /// Only those that have their place of a month: the plan is used up.
    pub only_with_place: bool,
}

/// The places that a claim takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Of a UTC day's limit, for first steps; one that was put off keeps its own.
    pub day: Option<i64>,
    /// Of a UTC month's plan, for those that have none yet.
    pub month: i64,
}

/// A lease: who holds a row, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub owner: NodeId,
    /// Until then.
    pub until: Timestamp,
}

/// Why a claimed send must not leave after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The enrollment was stopped: replied, bounced, unsubscribed, ….
    Stopped(String),
    /// The contact unsubscribed.
    Unsubscribed,
    /// The address or its domain is suppressed.
    Suppressed,
    /// The campaign is not active.
    CampaignNotActive,
    /// The credential was disabled or deleted.
    CredentialOff,
    /// Its contact has another address than the one that it was claimed for.
    OtherAddress,
    /// What stood in its way a moment ago is gone again.
    Gone,
    /// Another node has taken it over, or it was moved otherwise.
    Lost,
}

/// One row.
pub async fn get(conn: &mut Conn, id: SendId) -> Result<Option<Send>> {
    let row = sqlx::query("SELECT * FROM sends WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(send_of).transpose()
}

/// An enrollment's rows in the order of the steps.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<Send>> {
    let rows = sqlx::query("SELECT * FROM sends WHERE enrollment_id = $1 ORDER BY step_position")
        .bind(enrollment.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(send_of).collect()
}

/// Whether the send `s` went out through a credential whose mailbox is that of the credential `given`. A mailbox may be that of
/// many: each campaign has credentials of its own, and answers and reports come to the one address that all of them write from.
fn of_the_mailbox_of(given: &str) -> String {
    format!(
        "(s.smtp_credential_id = {given} OR EXISTS (
            SELECT 1 FROM smtp_credentials asked JOIN smtp_credentials other ON other.id = s.smtp_credential_id
            WHERE asked.id = {given} AND other.account_id = asked.account_id AND other.imap_username = asked.imap_username
              AND LOWER(other.imap_host) = LOWER(asked.imap_host)))"
    )
}

/// An account's newest send to an address; only those of `credential`'s mailbox where one is given.
pub async fn newest_to(
    conn: &mut Conn,
    account: AccountId,
    email_key: &str,
    credential: Option<CredentialId>,
) -> Result<Option<Send>> {
    let sql = format!(
        "SELECT s.* FROM contacts c JOIN enrollments e ON e.contact_id = c.id JOIN sends s ON s.enrollment_id = e.id
         WHERE c.account_id = $1 AND c.domain = $2 AND c.email_key = $3
           AND s.state IN ('sent', 'bounced', 'in_doubt', 'sending') AND ($4 IS NULL OR {})
         ORDER BY COALESCE(s.sent_at, s.due_at) DESC, s.id DESC LIMIT 1",
        of_the_mailbox_of("$4")
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(account.to_string())
        .bind(domain_of_key(email_key))
        .bind(email_key)
        .bind(credential.map(|id| id.to_string()));
    let row = query.fetch_optional(conn).await?;
    row.as_ref().map(send_of).transpose()
}

/// How many are due now (counted up to 100 000) and how many are in doubt.
pub async fn queue_sizes(conn: &mut Conn) -> Result<(u64, u64)> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM (
                   SELECT 1 AS one FROM sends WHERE state = 'due' AND smtp_credential_id IS NULL
                   UNION ALL SELECT 1 FROM sends WHERE state = 'due' AND smtp_credential_id IS NOT NULL
                   LIMIT 100000) AS d) AS due,
                (SELECT COUNT(*) FROM sends WHERE state = 'in_doubt') AS in_doubt",
    )
    .fetch_one(conn)
    .await?;
    Ok((row.count("due")?, row.count("in_doubt")?))
}

/// What [`send_of`] reads.
const COLUMNS: &[&str] = &[
    "id",
    "account_id",
    "campaign_id",
    "enrollment_id",
    "contact_id",
    "step_position",
    "smtp_credential_id",
    "state",
    "due_at",
    "attempts",
    "mx_attempts",
    "reserved_day",
    "reserved_month",
    "provider_message_id",
    "smtp_code",
    "smtp_status",
    "smtp_reply",
    "reason",
    "sent_at",
    "created_at",
];

fn send_of(row: &impl RowExt) -> Result<Send> {
    Ok(Send {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        campaign_id: row.id("campaign_id")?,
        enrollment_id: row.id("enrollment_id")?,
        contact_id: row.id("contact_id")?,
        step_position: row.small("step_position")?,
        smtp_credential_id: row.opt_id("smtp_credential_id")?,
        state: row.word("state", SendState::parse)?,
        due_at: row.time("due_at")?,
        attempts: row.small("attempts")?,
        mx_attempts: row.small("mx_attempts")?,
        reserved_day: row.opt_int("reserved_day")?,
        reserved_month: row.opt_int("reserved_month")?,
        provider_message_id: row.opt_text("provider_message_id")?,
        smtp_code: row.opt_int("smtp_code")?.and_then(|code| u16::try_from(code).ok()),
        smtp_status: row.opt_text("smtp_status")?,
        smtp_reply: row.opt_text("smtp_reply")?,
        reason: row.opt_text("reason")?,
        sent_at: row.opt_time("sent_at")?,
        created_at: row.time("created_at")?,
    })
}
