//! Which send is a provider's event about? In this order: our own id, the provider's id, the Message-ID, the address.

use crate::domain::EmailAddress;
use crate::domain::ids::{AccountId, SendId};
use crate::domain::message_id::{send_id_in_token, send_id_of};
use crate::extensions::hooks::ingest::Event;
use crate::store::sends::{self, Send};
use crate::store::{Conn, Result};

/// A send of the endpoint's account, and by what it was found.
pub(super) struct Matched {
    pub(super) send: Send,
    pub(super) by: &'static str,
}

pub(super) async fn find(conn: &mut Conn, account: AccountId, event: &Event) -> Result<Option<Matched>> {
    let named = event.send_id.as_deref().and_then(|text| send_id_in_token(text.trim()));
    if let Some(send) = of_account(conn, account, named).await? {
        return Ok(Some(Matched { send, by: "send_id" }));
    }
    if let Some(id) = event.provider_message_id.as_deref().filter(|id| !id.is_empty())
        && let Some(send) = sends::by_provider_message_id(conn, account, id).await?
    {
        return Ok(Some(Matched { send, by: "provider_message_id" }));
    }
    let named = event.message_id.as_deref().and_then(send_id_of);
    if let Some(send) = of_account(conn, account, named).await? {
        return Ok(Some(Matched { send, by: "message_id" }));
    }
    let Some(address) = recipient_of(event) else { return Ok(None) };
    let newest = sends::newest_to(conn, account, &address.key(), None).await?;
    Ok(newest.map(|send| Matched { send, by: "recipient" }))
}

/// The event's address, where it has one that is an address.
pub(super) fn recipient_of(event: &Event) -> Option<EmailAddress> {
    EmailAddress::parse(event.recipient.as_deref()?).ok()
}

/// An id of another account's send names nothing.
async fn of_account(conn: &mut Conn, account: AccountId, id: Option<SendId>) -> Result<Option<Send>> {
    let Some(id) = id else { return Ok(None) };
    Ok(sends::get(conn, id).await?.filter(|send| send.account_id == account))
}
