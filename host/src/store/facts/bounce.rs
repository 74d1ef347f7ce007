//! Bounces and complaints: charged once to the credential and step that sent, whatever the number of sources.

use super::sheet::Sheet;
use crate::domain::Timestamp;
use crate::domain::ids::EnrollmentId;
use crate::domain::status::BounceClass;
use crate::store::counters::CredentialCounter;
use crate::store::sends::Send;
use crate::store::{Result, Tx, charges, contacts, counters, credentials, suppressions};
use crate::wake::Wake;

/// Who told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The server's reply in the transaction.
    Smtp,
    /// A delivery status notification in the mailbox.
    Dsn,
    /// A provider's webhook.
    Provider,
    /// A feedback report (RFC 5965).
    FeedbackReport,
}

/// A bounce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// What it says of the address.
    pub class: BounceClass,
    /// Who told of it.
    pub source: Source,
    /// For people: the server's words.
    pub reason: String,
}

impl Source {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Dsn => "dsn",
            Self::Provider => "provider",
            Self::FeedbackReport => "arf",
        }
    }
}

/// A send bounced; false when that was known. Told several times in several classes it is one bounce of the gravest,
/// whichever came first.
pub async fn bounced(tx: &mut Tx, send: &Send, bounce: &Bounce, now: Timestamp) -> Result<bool> {
    let mut sheet = Sheet::open(tx, &[send.id], [], now).await?;
    let is_news = sheet.bounced(send.id, bounce);
    sheet.write(tx).await.map(|()| is_news)
}

/// A bounce that is charged already turns out to be worse: a hard one after a soft one still says that the address is dead.
pub(super) async fn graver(tx: &mut Tx, send: &Send, bounce: &Bounce, now: Timestamp) -> Result<()> {
    let Some((charged, at)) = charges::bounce_of(tx.conn(), send.id).await? else { return Ok(()) };
    let (to, source) = (bounce.class, bounce.source.as_str());
    if gravity(to) <= gravity(charged)
        || !charges::reclass_bounce(tx.conn(), send.id, charged, to, source, &bounce.reason).await?
    {
        return Ok(());
    }
    if let Some(credential) = send.smtp_credential_id {
        counters::reclassed(tx.conn(), credential, charged, to, at).await?;
        credentials::judge_by(tx.conn(), credential, now).await?;
        tx.wake(Wake::Health);
    }
    if to == BounceClass::Hard {
        suppress_contact(tx, send, "hard bounce", now).await?;
    }
    Ok(())
}

fn gravity(class: BounceClass) -> u8 {
    match class {
        BounceClass::Soft => 0,
        BounceClass::Policy => 1,
        BounceClass::Hard => 2,
    }
}

/// A recipient reported it as spam: never mailed again; false when that was known. Who is known to speak of this very
/// message has it (see `delivery::settled`).
pub async fn complained(tx: &mut Tx, send: &Send, source: Source, reason: &str, now: Timestamp) -> Result<bool> {
    if !charges::insert(tx.conn(), send, "complaint", "", source.as_str(), reason, now).await? {
        return Ok(false);
    }
    if let Some(credential) = send.smtp_credential_id {
        counters::credential(tx.conn(), credential, CredentialCounter::Complaint, now).await?;
        credentials::judge_by(tx.conn(), credential, now).await?;
        tx.wake(Wake::Health);
    }
    suppress_contact(tx, send, "complaint", now).await?;
    let about = Some(send.enrollment_id);
    super::unsubscribe::unsubscribed(tx, send.account_id, send.contact_id, about, "complaint", now).await?;
    Ok(true)
}

/// Moves an enrollment to `bounced` where the contract allows it, and ends its sequence.
pub(super) async fn mark_enrollment(tx: &mut Tx, id: EnrollmentId, reason: &str, now: Timestamp) -> Result<()> {
    let mut sheet = Sheet::open(tx, &[], [id], now).await?;
    sheet.enrollment_bounced(id, reason);
    sheet.write(tx).await
}

async fn suppress_contact(tx: &mut Tx, send: &Send, reason: &str, now: Timestamp) -> Result<()> {
    if let Some(contact) = contacts::get(tx.conn(), send.contact_id).await? {
        suppressions::add_address(tx.conn(), send.account_id, &contact.email.to_lowercase(), reason, now).await?;
    }
    Ok(())
}
