//! From a step, a contact and a credential to an envelope and the bytes that leave. A test message and a real one are made
//! here alike.

use super::render::CompiledStep;
use crate::domain::contact::Contact;
use crate::domain::credential::Credential;
use crate::domain::ids::SendId;
use crate::domain::{EmailAddress, Timestamp, message_id};
use crate::smtp::Envelope;
use crate::smtp::message::OutgoingMessage;

/// What a message is made of.
pub(super) struct Parts<'a> {
    /// From whom.
    pub(super) credential: &'a Credential,
    /// What.
    pub(super) step: &'a CompiledStep,
    /// To whom.
    pub(super) contact: &'a Contact,
    /// Its id.
    pub(super) send_id: SendId,
    /// The send that opened the thread; none for a first step.
    pub(super) opener: Option<SendId>,
    /// The address of the open pixel, where there is to be one.
    pub(super) pixel: Option<String>,
    /// Where its recipient unsubscribes.
    pub(super) unsubscribe: String,
    /// When it leaves.
    pub(super) date: Timestamp,
}

/// Makes a message; the error is for people.
pub(super) fn compose(parts: Parts<'_>) -> Result<(Envelope, Vec<u8>), String> {
    let Parts { credential, step, contact, send_id, opener, pixel, unsubscribe, date } = parts;
    let address = |text: &str| EmailAddress::parse(text).map_err(|error| format!("{text}: {error}"));
    let from = address(&credential.from_email)?;
    let to = address(&contact.email)?;
    let rendered = step.render(contact, pixel.as_deref());
    let domain = credential.message_id_domain();
    let opener = opener.map(|first| message_id::message_id_of(first, domain));
    let message = OutgoingMessage {
        from_name: credential.from_name.clone(),
        from_email: from.clone(),
        to_name: display_name(contact),
        to_email: to.clone(),
        subject: rendered.subject,
        body_html: rendered.html,
        body_text: rendered.text,
        message_id: message_id::message_id_of(send_id, domain),
        references: opener.iter().cloned().collect(),
        in_reply_to: opener,
        date,
        list_unsubscribe_url: Some(unsubscribe),
        send_id,
        extra_headers: provider_headers(credential, send_id),
    };
    let bytes = message.build().map_err(|error| error.to_string())?;
    Ok((Envelope { from, to }, bytes))
}

/// What the credential's provider needs, to tell us later which send it speaks of.
fn provider_headers(credential: &Credential, send: SendId) -> Vec<(String, String)> {
    let header = credential.provider().and_then(|provider| provider.header(send));
    header.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn display_name(contact: &Contact) -> Option<String> {
    let names = [contact.first_name.as_deref(), contact.last_name.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!name.trim().is_empty()).then_some(name)
}
