//! Which sends are providers' events about? For each in this order: our own id, the provider's id, the Message-ID, the
//! address. Many events are looked up by one statement for each way of naming.

use std::collections::{HashMap, HashSet};

use crate::domain::EmailAddress;
use crate::domain::ids::{AccountId, SendId};
use crate::domain::message_id::{send_id_in_token, send_id_of};
use crate::extensions::hooks::ingest::Event;
use crate::store::sends::{self, Addressed, Found, Send};
use crate::store::{Result, Tx};

/// How a send was found by its address alone.
pub(super) const BY_RECIPIENT: &str = "recipient";

/// A send of the endpoint's account, and by what it was found.
pub(super) struct Matched {
    pub(super) send: Send,
    pub(super) by: &'static str,
    contact_email: String,
}

impl Matched {
    /// An address may have been written to many times: that it is the newest send is a guess, and no fact to learn from.
    pub(super) fn is_proven(&self) -> bool {
        self.by != BY_RECIPIENT
    }

    fn of(found: &Found, by: &'static str) -> Self {
        Self { send: found.send.clone(), by, contact_email: found.contact_email.clone() }
    }
}

/// Which sends events of accounts are about, in their order. An id of a provider that one of them teaches is known to
/// those that follow it.
pub(super) async fn find(tx: &mut Tx, asked: &[(AccountId, &Event)]) -> Result<Vec<Option<Matched>>> {
    let dialect = tx.dialect();
    let ids: Vec<_> = asked.iter().flat_map(|(_, event)| [own_id(event), named_id(event)]).flatten().collect();
    let theirs: Vec<_> = asked.iter().filter_map(|(account, event)| Some((*account, providers_id(event)?))).collect();
    let by_id = sends::by_ids(tx.conn(), dialect, &ids).await?;
    let by_providers_id = sends::by_provider_message_ids(tx.conn(), dialect, &theirs).await?;

    let (mut taught, mut teachers) = (HashMap::new(), HashSet::new());
    let mut matched = Vec::with_capacity(asked.len());
    for (account, event) in asked {
        let of_account = |id: Option<SendId>| by_id.get(&id?).filter(|found| found.send.account_id == *account);
        let by_theirs = || {
            let id = providers_id(event)?;
            let learnt = of_account(taught.get(&(*account, id)).copied());
            // The newest, as the store would say.
            learnt.into_iter().chain(by_providers_id.get(&(*account, id.to_owned()))).max_by_key(|found| found.send.id)
        };
        let found = of_account(own_id(event)).map(|found| Matched::of(found, "send_id"));
        let found = found.or_else(|| by_theirs().map(|found| Matched::of(found, "provider_message_id")));
        let found = found.or_else(|| of_account(named_id(event)).map(|found| Matched::of(found, "message_id")));
        if let Some((send, id)) = found.as_ref().and_then(|found| learnt_from(event, found))
            && teachers.insert(send)
        {
            taught.insert((*account, id), send);
        }
        matched.push(found);
    }

    let to: Vec<_> = asked
        .iter()
        .zip(&matched)
        .map(|((account, event), found)| {
            let address = recipient_of(event).filter(|_| found.is_none())?;
            Some(Addressed { account: *account, email_key: address.key(), credential: None })
        })
        .collect();
    let wanted: Vec<_> = to.iter().flatten().cloned().collect();
    let newest = sends::newest_to_each(tx.conn(), dialect, &wanted).await?;
    for (found, to) in matched.iter_mut().zip(to) {
        if let Some(to) = to {
            *found = newest.get(&to).map(|newest| Matched::of(newest, BY_RECIPIENT));
        }
    }
    Ok(matched)
}

/// The provider's id for a send that has none, where an event proves it.
pub(super) fn learnt_from<'a>(event: &'a Event, matched: &Matched) -> Option<(SendId, &'a str)> {
    let is_new = matched.is_proven() && matched.send.provider_message_id.is_none();
    providers_id(event).filter(|_| is_new).map(|id| (matched.send.id, id))
}

/// Everybody whom an event may be about.
pub(super) fn addresses_of(event: &Event, matched: Option<&Matched>) -> Vec<String> {
    let contact = matched.and_then(|matched| EmailAddress::parse(&matched.contact_email).ok());
    recipient_of(event).into_iter().chain(contact).map(|address| address.key()).collect()
}

/// The event's address, where it has one that is an address.
pub(super) fn recipient_of(event: &Event) -> Option<EmailAddress> {
    EmailAddress::parse(event.recipient.as_deref()?).ok()
}

fn own_id(event: &Event) -> Option<SendId> {
    event.send_id.as_deref().and_then(|text| send_id_in_token(text.trim()))
}

fn named_id(event: &Event) -> Option<SendId> {
    event.message_id.as_deref().and_then(send_id_of)
}

fn providers_id(event: &Event) -> Option<&str> {
    event.provider_message_id.as_deref().filter(|id| !id.is_empty())
}
