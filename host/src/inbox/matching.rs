//! Which send does a message answer? In this order: what its reply headers name, what it returns, our token in the
//! address, and at last the sender's address among those that this mailbox's credential wrote to.

use crate::domain::EmailAddress;
use crate::domain::ids::{AccountId, CredentialId, SendId};
use crate::domain::message_id::{send_id_in_token, send_id_of};
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::reply::{MatchedBy, MatchedEnrollment};
use crate::inbox::parse::Parsed;
use crate::store::sends::{self, Send};
use crate::store::{Conn, Result, contacts};

/// Ids of one message that are looked up; a message names few, and whoever names thousands waits for nobody.
const MOST_IDS: usize = 32;
/// Ids of other forms that may be a provider's, which puts its own in the place of ours.
const MOST_FOREIGN_IDS: usize = 8;

/// A send of the mailbox's account.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    pub(super) send: Send,
    pub(super) by: MatchedBy,
    /// Whom we wrote to.
    pub(super) contact_email: String,
}

impl Matched {
    /// As a classifier is told of it.
    pub(super) fn as_fact(&self) -> MatchedEnrollment {
        MatchedEnrollment {
            enrollment_id: self.send.enrollment_id.to_string(),
            campaign_id: self.send.campaign_id.to_string(),
            contact_email: self.contact_email.clone(),
            step: self.send.step_position,
            matched_by: self.by,
            sent_at: self.send.sent_at,
            extra: Extra::default(),
        }
    }
}

pub(super) async fn find(
    conn: &mut Conn,
    account: AccountId,
    credential: CredentialId,
    parsed: &Parsed,
) -> Result<Option<Matched>> {
    let references = &parsed.references;
    let by_header = references.in_reply_to_and_references.iter().filter_map(|id| send_id_of(id));
    if let Some(send) = latest_of(conn, account, by_header).await? {
        return with_contact(conn, send, MatchedBy::ReplyHeader).await.map(Some);
    }
    if let Some(send) = by_providers_id(conn, account, &references.in_reply_to_and_references).await? {
        return with_contact(conn, send, MatchedBy::ReplyHeader).await.map(Some);
    }
    let returned_ids = references.returned_message_ids.iter().chain(&parsed.message.our_message_ids);
    let returned = references.returned_send_ids.iter().filter_map(|id| send_id_in_token(id));
    if let Some(send) = latest_of(conn, account, returned.chain(returned_ids.filter_map(|id| send_id_of(id)))).await? {
        return with_contact(conn, send, MatchedBy::ReturnedPart).await.map(Some);
    }
    if let Some(send) = by_providers_id(conn, account, &references.returned_message_ids).await? {
        return with_contact(conn, send, MatchedBy::ReturnedPart).await.map(Some);
    }
    let tokens = references.plus_tokens.iter().filter_map(|token| send_id_in_token(token));
    if let Some(send) = latest_of(conn, account, tokens).await? {
        return with_contact(conn, send, MatchedBy::PlusToken).await.map(Some);
    }
    let sender = parsed.message.sender.as_deref().and_then(|sender| EmailAddress::parse(sender).ok());
    let Some(sender) = sender else { return Ok(None) };
    match sends::newest_to(conn, account, &sender.key(), Some(credential)).await? {
        Some(send) => with_contact(conn, send, MatchedBy::SenderAddress).await.map(Some),
        None => Ok(None),
    }
}

/// The send that a message of ours was, when the message itself has a Message-ID of ours: a copy that we sent to
/// ourselves.
pub(super) async fn own_copy(conn: &mut Conn, account: AccountId, parsed: &Parsed) -> Result<Option<Send>> {
    match parsed.message_id.as_deref().and_then(send_id_of) {
        Some(id) => of_account(conn, account, id).await,
        None => Ok(None),
    }
}

/// The newest send of this mailbox's credential to an address that a report names.
pub(super) async fn newest_to(
    conn: &mut Conn,
    account: AccountId,
    credential: CredentialId,
    address: &str,
) -> Result<Option<Send>> {
    let Ok(address) = EmailAddress::parse(address) else { return Ok(None) };
    sends::newest_to(conn, account, &address.key(), Some(credential)).await
}

/// Of several steps of one thread the last one is what was answered; the first id says which thread.
async fn latest_of(conn: &mut Conn, account: AccountId, ids: impl Iterator<Item = SendId>) -> Result<Option<Send>> {
    let mut ids: Vec<SendId> = ids.take(MOST_IDS).collect();
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(*id));
    let mut latest: Option<Send> = None;
    for id in ids {
        let Some(send) = of_account(conn, account, id).await? else { continue };
        let replaces = latest
            .as_ref()
            .is_none_or(|known| known.enrollment_id == send.enrollment_id && send.step_position > known.step_position);
        if replaces {
            latest = Some(send);
        }
    }
    Ok(latest)
}

async fn by_providers_id(conn: &mut Conn, account: AccountId, ids: &[String]) -> Result<Option<Send>> {
    let foreign = ids.iter().filter(|id| send_id_of(id).is_none()).take(MOST_FOREIGN_IDS);
    for id in foreign {
        // A provider that gives a message a Message-ID of its own uses the id that its SMTP reply told.
        let local = id.split_once('@').map_or(id.as_str(), |(local, _)| local);
        if let Some(send) = sends::by_provider_message_id(conn, account, local).await? {
            return Ok(Some(send));
        }
    }
    Ok(None)
}

/// An id of another account's send names nothing.
async fn of_account(conn: &mut Conn, account: AccountId, id: SendId) -> Result<Option<Send>> {
    Ok(sends::get(conn, id).await?.filter(|send| send.account_id == account))
}

async fn with_contact(conn: &mut Conn, send: Send, by: MatchedBy) -> Result<Matched> {
    let contact = contacts::get(conn, send.contact_id).await?;
    Ok(Matched { contact_email: contact.map(|contact| contact.email).unwrap_or_default(), send, by })
}
