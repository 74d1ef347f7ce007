//! Machine-readable reports: delivery status (RFC 3464), whatever its container is called, and read receipts (RFC 8098).
//! The Action of each recipient decides.

use ampout_plugin::address::{first_address, same_address};
use ampout_plugin::delivery_status::{Action, DeliveryStatus, RecipientStatus};
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::{BounceClass, BouncedRecipient, Classification, Message};

use crate::{bounce_text, own_words, returned_message};

const REPORT_PARTS: [&str; 2] = ["message/delivery-status", "message/global-delivery-status"];

/// A diagnostic is kept to this many characters.
const LONGEST_DIAGNOSTIC: usize = 1024;

/// What a report says, if the message is one.
pub(crate) fn find(message: &Message) -> Option<Classification> {
    let was_rejected = message.header("auto-submitted").is_some_and(|value| value.contains("rejected"));
    if message.content_type().contains("report-type=disposition-notification") && !was_rejected {
        return Some(Classification::ignore().because("a read receipt"));
    }
    let reports: Vec<_> =
        REPORT_PARTS.iter().flat_map(|kind| message.parts_of_type(kind)).map(DeliveryStatus::parse).collect();
    let recipients: Vec<_> = reports.iter().flat_map(|report| &report.recipients).collect();
    if recipients.is_empty() {
        return None;
    }
    let alone = recipients.len() == 1;
    let bounces: Vec<_> = recipients.iter().map(|recipient| bounced(message, recipient, alone)).collect();
    Some(Classification::bounce(bounces).because("a delivery status report"))
}

fn bounced(message: &Message, recipient: &RecipientStatus, alone: bool) -> BouncedRecipient {
    let (own_text, _) = own_words::of_mail_system(&message.text);
    // A report about one recipient may leave to its text what its fields don't say.
    let text = if alone { own_text } else { "" };
    let quoted = recipient.diagnostic.clone().unwrap_or_default();
    let tells = BounceClass::words_tell(&quoted);
    let evidence = if tells { quoted.clone() } else { format!("{quoted}\n{text}") };
    let class = BounceClass::of_transcript(recipient.status, &evidence, &format!("{quoted}\n{text}"));
    let status =
        recipient.status.filter(|status| !status.is_bare()).or(SmtpReply::find(&quoted).status).or(recipient.status);
    let action = match recipient.action_or_implied() {
        Some(Action::Failed) | None if bounce_text::tells_of_delay(message, text) => Action::Delayed,
        Some(action) => action,
        None => Action::Failed,
    };
    BouncedRecipient {
        status: status.map(|status| status.to_string()),
        diagnostic: Some(diagnostic(&quoted, text)).filter(|text| !text.is_empty()),
        ..BouncedRecipient::new(address(message, recipient, alone), action, class)
    }
}

/// The report's own word, made an address where it is a bare local name of the reporting server.
fn address(message: &Message, recipient: &RecipientStatus, alone: bool) -> String {
    let stated = recipient.recipient().unwrap_or_default();
    let contact = message.enrollment.as_ref().map(|enrollment| enrollment.contact_email.as_str());
    if let Some(known) = [&recipient.original_recipient, &recipient.final_recipient]
        .into_iter()
        .flatten()
        .find(|address| contact.is_some_and(|contact| same_address(contact, address)))
    {
        return known.clone();
    }
    if first_address(stated).is_some() || !alone {
        return stated.to_owned();
    }
    message
        .header("x-failed-recipients")
        .and_then(first_address)
        .or_else(|| returned_message::only_recipient(message))
        .unwrap_or_else(|| stated.to_owned())
}

fn diagnostic(quoted: &str, text: &str) -> String {
    let source = if quoted.is_empty() { text.trim() } else { quoted };
    source.chars().take(LONGEST_DIAGNOSTIC).collect()
}
