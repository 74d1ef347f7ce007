//! Which sends do messages answer? For each in this order: what its reply headers name, what it returns, our token in the
//! address, and at last the sender's address among those that were written to from this mailbox. Many messages are
//! looked up by one statement for each way of naming.

use std::collections::HashMap;

use crate::domain::EmailAddress;
use crate::domain::ids::{AccountId, CredentialId, SendId};
use crate::domain::message_id::{send_id_in_token, send_id_of};
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::reply::{MatchedBy, MatchedEnrollment};
use crate::inbox::parse::Parsed;
use crate::store::sends::{self, Addressed, Found, Send};
use crate::store::{Conn, Dialect, Result};

/// Ids of one message that are looked up; a message names few, and whoever names thousands waits for nobody.
const MOST_IDS: usize = 32;
/// Ids of other forms that may be a provider's, which puts its own in the place of ours.
const MOST_FOREIGN_IDS: usize = 8;

/// A message that is looked up, and in whose mailbox it lies.
pub(super) struct Asked<'a> {
    pub(super) account: AccountId,
    pub(super) credential: CredentialId,
    pub(super) parsed: &'a Parsed,
}

/// What was found of one message.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) matched: Option<Matched>,
    /// The send that the message itself is, by its own Message-ID: a copy that we sent to ourselves.
    pub(super) own_copy: Option<Send>,
}

/// A send of the mailbox's account.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    pub(super) send: Send,
    pub(super) by: MatchedBy,
    /// Whom we wrote to.
    pub(super) contact_email: String,
}

/// What a message names, the strongest first.
struct Named {
    own: Option<SendId>,
    in_headers: Vec<SendId>,
    in_returned: Vec<SendId>,
    in_tokens: Vec<SendId>,
    foreign_in_headers: Vec<String>,
    foreign_in_returned: Vec<String>,
}

/// What was found of all messages.
struct Known {
    by_id: HashMap<SendId, Found>,
    by_providers_id: HashMap<(AccountId, String), Found>,
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

    fn of(found: &Found, by: MatchedBy) -> Self {
        Self { send: found.send.clone(), by, contact_email: found.contact_email.clone() }
    }
}

/// Where messages come from, in their order.
pub(super) async fn find(conn: &mut Conn, dialect: Dialect, asked: &[Asked<'_>]) -> Result<Vec<Origin>> {
    let named: Vec<Named> = asked.iter().map(|one| Named::of(one.parsed)).collect();
    let ids: Vec<SendId> = named.iter().flat_map(Named::ids).collect();
    let foreign = asked.iter().zip(&named).flat_map(|(one, named)| {
        let ids = named.foreign_in_headers.iter().chain(&named.foreign_in_returned);
        ids.map(|id| (one.account, id.as_str()))
    });
    let foreign: Vec<_> = foreign.collect();
    let known = Known {
        by_id: sends::by_ids(conn, dialect, &ids).await?,
        by_providers_id: sends::by_provider_message_ids(conn, dialect, &foreign).await?,
    };
    let mut origins: Vec<Origin> =
        asked.iter().zip(&named).map(|(one, named)| known.origin_of(one.account, named)).collect();

    let by_sender: Vec<_> = asked.iter().map(sender_of).collect();
    let is_open = |(_, origin): &(&Option<Addressed>, &Origin)| origin.matched.is_none();
    let wanted: Vec<_> =
        by_sender.iter().zip(&origins).filter(is_open).filter_map(|(sender, _)| sender.clone()).collect();
    let newest = sends::newest_to_each(conn, dialect, &wanted).await?;
    for (origin, sender) in origins.iter_mut().zip(by_sender) {
        if origin.matched.is_none() {
            let found = sender.and_then(|sender| newest.get(&sender));
            origin.matched = found.map(|found| Matched::of(found, MatchedBy::SenderAddress));
        }
    }
    Ok(origins)
}

/// The newest send to an address that a report names, of all that went out by the credentials of this mailbox.
pub(super) async fn newest_to(
    conn: &mut Conn,
    account: AccountId,
    credential: CredentialId,
    address: &str,
) -> Result<Option<Send>> {
    let Ok(address) = EmailAddress::parse(address) else { return Ok(None) };
    sends::newest_to(conn, account, &address.key(), Some(credential)).await
}

fn sender_of(asked: &Asked<'_>) -> Option<Addressed> {
    let address = EmailAddress::parse(asked.parsed.message.sender.as_deref()?).ok()?;
    Some(Addressed { account: asked.account, email_key: address.key(), credential: Some(asked.credential) })
}

impl Named {
    fn of(parsed: &Parsed) -> Self {
        let references = &parsed.references;
        let returned_ids = references.returned_message_ids.iter().chain(&parsed.message.our_message_ids);
        let returned = references.returned_send_ids.iter().filter_map(|id| send_id_in_token(id));
        Self {
            own: parsed.message_id.as_deref().and_then(send_id_of),
            in_headers: few(references.in_reply_to_and_references.iter().filter_map(|id| send_id_of(id))),
            in_returned: few(returned.chain(returned_ids.filter_map(|id| send_id_of(id)))),
            in_tokens: few(references.plus_tokens.iter().filter_map(|token| send_id_in_token(token))),
            foreign_in_headers: foreign(&references.in_reply_to_and_references),
            foreign_in_returned: foreign(&references.returned_message_ids),
        }
    }

    fn ids(&self) -> impl Iterator<Item = SendId> {
        self.own.iter().chain(&self.in_headers).chain(&self.in_returned).chain(&self.in_tokens).copied()
    }
}

impl Known {
    fn origin_of(&self, account: AccountId, named: &Named) -> Origin {
        let by = |ours: &[SendId], foreign: &[String], by: MatchedBy| {
            let found = self.latest_of(account, ours).or_else(|| self.by_providers(account, foreign));
            found.map(|found| Matched::of(found, by))
        };
        let matched = by(&named.in_headers, &named.foreign_in_headers, MatchedBy::ReplyHeader)
            .or_else(|| by(&named.in_returned, &named.foreign_in_returned, MatchedBy::ReturnedPart))
            .or_else(|| by(&named.in_tokens, &[], MatchedBy::PlusToken));
        let own_copy = named.own.and_then(|id| self.of_account(account, id)).map(|found| found.send.clone());
        Origin { matched, own_copy }
    }

    /// Of several steps of one thread the last one is what was answered; the first id says which thread.
    fn latest_of(&self, account: AccountId, ids: &[SendId]) -> Option<&Found> {
        let mut latest: Option<&Found> = None;
        for found in ids.iter().filter_map(|id| self.of_account(account, *id)) {
            let is_later = |known: &Found| {
                known.send.enrollment_id == found.send.enrollment_id
                    && found.send.step_position > known.send.step_position
            };
            if latest.is_none_or(is_later) {
                latest = Some(found);
            }
        }
        latest
    }

    fn by_providers(&self, account: AccountId, ids: &[String]) -> Option<&Found> {
        ids.iter().find_map(|id| self.by_providers_id.get(&(account, id.clone())))
    }

    /// An id of another account's send names nothing.
    fn of_account(&self, account: AccountId, id: SendId) -> Option<&Found> {
        self.by_id.get(&id).filter(|found| found.send.account_id == account)
    }
}

fn few(ids: impl Iterator<Item = SendId>) -> Vec<SendId> {
    let mut seen = std::collections::HashSet::new();
    ids.take(MOST_IDS).filter(|id| seen.insert(*id)).collect()
}

/// A provider that gives a message a Message-ID of its own uses the id that its SMTP reply told.
fn foreign(ids: &[String]) -> Vec<String> {
    let foreign = ids.iter().filter(|id| send_id_of(id).is_none()).take(MOST_FOREIGN_IDS);
    foreign.map(|id| id.split_once('@').map_or(id.as_str(), |(local, _)| local).to_owned()).collect()
}
