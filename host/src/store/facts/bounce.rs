//! Bounces and complaints: charged once to the credential and step that sent, whatever the number of sources.

use super::sheet::Sheet;
use crate::domain::Timestamp;
use crate::domain::address::key_of;
use crate::domain::ids::EnrollmentId;
use crate::domain::status::BounceClass;
use crate::store::charges::Charge;
use crate::store::counters::CredentialCounter;
use crate::store::sends::Send;
use crate::store::suppressions::WrittenTo;
use crate::store::{Result, Tx, charges, contacts, counters, credentials, enrollments, sends, suppressions};
use crate::wake::Wake;

const BOUNCE: &str = "bounce";
const COMPLAINT: &str = "complaint";

const GRAVEST_FIRST: [&str; 3] = [BounceClass::Hard.as_str(), BounceClass::Policy.as_str(), BounceClass::Soft.as_str()];
const NEAREST_FIRST: [&str; 4] =
    [Source::Smtp.as_str(), Source::Dsn.as_str(), Source::Provider.as_str(), Source::FeedbackReport.as_str()];

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

/// A bounce that is charged already is told once more. A hard one after a soft one still says that the address is dead; of
/// equal ones the words are kept that would have been kept if they had been told the other way round.
pub(super) async fn told_again(tx: &mut Tx, send: &Send, bounce: &Bounce, now: Timestamp) -> Result<()> {
    let Some(charged) = charges::get_for_update(tx, send.id, BOUNCE).await? else { return Ok(()) };
    let (class, source) = (bounce.class, bounce.source.as_str());
    if rank(class.as_str(), source, &bounce.reason) >= rank_of(&charged) {
        return Ok(());
    }
    charges::replace(tx.conn(), send.id, BOUNCE, class.as_str(), source, &bounce.reason).await?;
    sends::reword_bounced(tx.conn(), send.id, &bounce.reason).await?;
    reword_enrollment(tx, send.enrollment_id).await?;
    let Some(was) = BounceClass::parse(&charged.class).filter(|was| *was != class) else { return Ok(()) };
    if let Some(credential) = send.smtp_credential_id {
        counters::reclassed(tx.conn(), credential, was, class, charged.at).await?;
        credentials::judge_by(tx.conn(), credential, now).await?;
        tx.wake(Wake::Health);
    }
    if class == BounceClass::Hard
        && let Some(contact) = contacts::get(tx.conn(), send.contact_id).await?
    {
        let at = send.sent_at.unwrap_or(charged.at);
        let email_key = key_of(&contact.email);
        let written_to = WrittenTo { account: send.account_id, contact: contact.id, at, email_key };
        let mut writes = tx.writes();
        suppressions::add_written_to(&mut writes, &[written_to], "hard bounce", now);
        writes.run(tx).await?;
    }
    Ok(())
}

/// What stands of several that told of the same is the least: the gravest class, then the source that stood nearest to the
/// refusal, then the text that sorts first. It depends on what was told, and not on the order.
fn rank<'a>(class: &str, source: &str, reason: &'a str) -> (usize, usize, &'a str) {
    let place = |words: &[&str], word: &str| words.iter().position(|known| *known == word).unwrap_or(words.len());
    (place(&GRAVEST_FIRST, class), place(&NEAREST_FIRST, source), reason)
}

fn rank_of(charge: &Charge) -> (usize, usize, &str) {
    rank(&charge.class, &charge.source, &charge.reason)
}

/// An enrollment's bounce is told in the words of the gravest of its messages.
pub(super) async fn reword_enrollment(tx: &mut Tx, id: EnrollmentId) -> Result<()> {
    let charged = charges::bounces_of(tx.conn(), id).await?;
    let Some((_, _, reason)) = charged.iter().map(rank_of).min() else { return Ok(()) };
    enrollments::reword_bounce(tx.conn(), id, reason).await
}

/// A recipient reported it as spam: never mailed again; false when that was known. Who is known to speak of this very
/// message has it (see `delivery::settled`).
pub async fn complained(tx: &mut Tx, send: &Send, source: Source, reason: &str, now: Timestamp) -> Result<bool> {
    if !charges::insert(tx.conn(), send, COMPLAINT, "", source.as_str(), reason, now).await? {
        let charged = charges::get_for_update(tx, send.id, COMPLAINT).await?;
        if charged.is_some_and(|charged| rank("", source.as_str(), reason) < rank_of(&charged)) {
            charges::replace(tx.conn(), send.id, COMPLAINT, "", source.as_str(), reason).await?;
        }
        return Ok(false);
    }
    if let Some(credential) = send.smtp_credential_id {
        counters::credential(tx, credential, CredentialCounter::Complaint, now).await?;
        credentials::judge_by(tx.conn(), credential, now).await?;
        tx.wake(Wake::Health);
    }
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
