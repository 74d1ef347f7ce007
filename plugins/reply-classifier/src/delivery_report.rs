//! Machine-readable reports: delivery status (RFC 3464), whatever its container is called, and read receipts (RFC 8098).
//! The Action of each recipient decides.

use ampout_plugin::address::{first_address, same_address};
use ampout_plugin::delivery_status::{Action, DeliveryStatus, RecipientStatus};
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::text::clip;
use ampout_plugin::{BounceClass, BounceWords, BouncedRecipient, Classification};

use crate::headers::{OF_READING, REPORT};
use crate::hearsay::{self, Evidence};
use crate::mail::Mail;
use crate::senders::SenderKind;
use crate::{bounce_text, returned_message, subjects};

/// A diagnostic is kept to this many bytes.
const LONGEST_DIAGNOSTIC: usize = 1024;

/// What a report says, if the message is one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let (mut reports, mut has_receipt) = (Vec::new(), false);
    for part in &mail.message.parts {
        match part.content_type.as_str() {
            "message/delivery-status" | "message/global-delivery-status" => reports.push(part.content.as_str()),
            "message/disposition-notification" => has_receipt = true,
            _ => {}
        }
    }
    has_receipt |= mail.headers.are_of(OF_READING);
    if has_receipt && !mail.headers.was_rejected && reports.is_empty() && !is_shown_by_a_person(mail) {
        return Some(Classification::ignore().because("a read receipt"));
    }
    if reports.is_empty() || is_shown_by_a_person(mail) {
        return None;
    }
    find_in(mail, &reports)
}

/// What the reports in these texts say; nothing where they name no recipient.
pub(crate) fn find_in(mail: &Mail<'_>, reports: &[&str]) -> Option<Classification> {
    let reports: Vec<_> = reports.iter().map(|report| DeliveryStatus::parse(report)).collect();
    let recipients: Vec<_> = reports.iter().flat_map(|report| &report.recipients).collect();
    if recipients.is_empty() {
        return None;
    }
    let alone = recipients.len() == 1;
    let bounces: Vec<_> = recipients.iter().map(|recipient| bounced(mail, recipient, alone)).collect();
    Some(Classification::bounce(bounces).because("a delivery status report"))
}

/// A report that somebody forwards or asks about is attached to a letter of his own: the letter answers, or the report
/// is the content of an attached message.
fn is_shown_by_a_person(mail: &Mail<'_>) -> bool {
    let is_by_a_machine = mail.headers.are_of(REPORT) || mail.has_null_path() || mail.headers.auto_submitted.is_some();
    if is_by_a_machine || mail.sender() != SenderKind::Anybody {
        return false;
    }
    let is_answer = mail.headers.in_reply_to || subjects::has_reply_prefix(&mail.subject);
    is_answer || returned_message::is_report(mail.message)
}

fn bounced(mail: &Mail<'_>, recipient: &RecipientStatus, alone: bool) -> BouncedRecipient {
    let quoted = recipient.diagnostic.as_deref().unwrap_or_default();
    let reply = SmtpReply::find(quoted);
    let mut words = BounceWords::of(quoted);
    let mut transcript = words;
    // A report about one recipient may leave to its text what its fields don't say.
    let text = if alone { mail.system_words().own } else { "" };
    let mut evidence = reply;
    if alone {
        let told = BounceWords::of_folded(&mail.system_words().folded);
        transcript = transcript | told;
        if !words.tell() {
            words = words | told;
            let in_text = SmtpReply::find(text);
            evidence = SmtpReply { code: reply.code.or(in_text.code), status: reply.status.or(in_text.status) };
        }
    }
    let class = BounceClass::of_words(recipient.status, evidence, words, transcript);
    let status = recipient.status.filter(|status| !status.is_bare()).or(reply.status).or(recipient.status);
    let known = status.filter(|status| !status.is_bare()).or(evidence.status);
    let action = match recipient.action_or_implied() {
        Some(Action::Failed) | None if alone && bounce_text::action(mail) == Action::Delayed => Action::Delayed,
        Some(action) => action,
        None => Action::Failed,
    };
    let diagnostic = if quoted.is_empty() { text.trim() } else { quoted };
    let recipient = address(mail, recipient, alone);
    let is_a_reply = hearsay::names_it(quoted, &recipient);
    let evidence = Evidence { status: known, words, transcript, is_a_reply };
    let class = evidence.judged(class);
    BouncedRecipient {
        status: status.map(|status| status.to_string()),
        diagnostic: Some(clip(diagnostic, LONGEST_DIAGNOSTIC).to_owned()).filter(|text| !text.is_empty()),
        ..BouncedRecipient::new(recipient, action, class)
    }
}

/// The report's own word, made an address where it is a bare local name of the reporting server.
fn address(mail: &Mail<'_>, recipient: &RecipientStatus, alone: bool) -> String {
    let stated = recipient.recipient().unwrap_or_default();
    let contact = mail.message.enrollment.as_ref().map(|enrollment| enrollment.contact_email.as_str());
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
    let failed = mail.headers.failed_recipients.iter().find_map(|value| first_address(value));
    failed.or_else(|| returned_message::only_recipient(mail.message)).unwrap_or_else(|| stated.to_owned())
}
