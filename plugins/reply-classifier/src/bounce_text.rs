//! Bounces and delays without a machine-readable part: qmail, Exim, old Exchange, Yahoo and many more, a quarter of all.
//! Known by who sends them and by what they say; recipients and classes are read from the words.

use ampout_plugin::address::{addresses_in, first_address, same_address};
use ampout_plugin::delivery_status::Action;
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::text::fold;
use ampout_plugin::{BounceClass, BouncedRecipient, Classification, Message};

use crate::bounce_words::{DELAY, GIVEN_UP, SUBJECTS, TEXTS};
use crate::senders::{SenderKind, is_system_address, sender_kind};
use crate::{own_words, returned_message, subjects};

/// More recipients than this are not read from one text.
const MOST_RECIPIENTS: usize = 100;

/// A diagnostic is kept to this many characters.
const LONGEST_DIAGNOSTIC: usize = 1024;

/// What a mail system tells, if the message is from one.
pub(crate) fn find(message: &Message) -> Option<Classification> {
    let (own_text, returned) = own_words::of_mail_system(&message.text);
    let reason = evidence(message, own_text)?;
    let action = if tells_of_delay(message, own_text) { Action::Delayed } else { Action::Failed };
    let recipients = recipients(message, own_text, returned);
    let alone = recipients.len() == 1;
    let bounces = recipients
        .into_iter()
        .map(|recipient| {
            let words = if alone { own_text } else { words_about(&recipient, own_text) };
            bounced(recipient, action, words)
        })
        .collect();
    Some(Classification::bounce(bounces).because(reason))
}

/// Whether a mail system says that it goes on trying.
pub(crate) fn tells_of_delay(message: &Message, own_text: &str) -> bool {
    let says = |words: &[&str], text: &str| words.iter().any(|word| text.contains(word));
    let (subject, text) = (fold(&message.subject), fold(own_text));
    (says(DELAY, &subject) || says(DELAY, &text)) && !says(GIVEN_UP, &text)
}

/// Why this is a bounce, or nothing. An empty return path proves nothing, and neither does Auto-Submitted.
fn evidence(message: &Message, own_text: &str) -> Option<&'static str> {
    if message.has_header("x-failed-recipients") {
        return Some("X-Failed-Recipients");
    }
    let subject = fold(&message.subject);
    let is_reply = subjects::has_reply_prefix(&subject) && message.has_header("in-reply-to");
    let subject_tells = SUBJECTS.iter().any(|phrase| subject.contains(phrase));
    let text = fold(own_text);
    let text_tells = TEXTS.iter().any(|phrase| text.contains(phrase));
    let is_vacation = subjects::tells_of_automatic_reply(&subject);
    match sender_kind(message) {
        SenderKind::Daemon if !is_vacation => Some("sent by a mail system"),
        SenderKind::Postmaster if subject_tells || text_tells || quotes_a_refusal(own_text) => {
            Some("sent by a postmaster, about a delivery")
        }
        _ if message.content_type().contains("report-type=delivery-status") => {
            Some("a report without its machine part")
        }
        // A person who writes about a bounce answers somebody, or forwards it.
        SenderKind::Anybody if subject_tells && text_tells && !is_reply => Some("subject and text of a bounce"),
        _ => None,
    }
}

fn quotes_a_refusal(own_text: &str) -> bool {
    let reply = SmtpReply::find(own_text);
    reply.status.is_some() || (reply.code.is_some_and(|code| code >= 400) && BounceClass::words_tell(own_text))
}

fn bounced(recipient: String, action: Action, words: &str) -> BouncedRecipient {
    let status = SmtpReply::find(words).status;
    let diagnostic: String =
        words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_DIAGNOSTIC).collect();
    BouncedRecipient {
        status: status.map(|status| status.to_string()),
        diagnostic: Some(diagnostic).filter(|text| !text.is_empty()),
        ..BouncedRecipient::new(recipient, action, BounceClass::of_text(words))
    }
}

/// Whom it is about: the header that says so, then the enrollment's contact where it is named, then the addresses that
/// begin a line, then any, then the To of the returned message. Never our own address nor a mail system's.
fn recipients(message: &Message, own_text: &str, returned: &str) -> Vec<String> {
    let stated: Vec<String> = message.headers_named("x-failed-recipients").flat_map(addresses_in).collect();
    if !stated.is_empty() {
        return bounded(stated);
    }
    let named = addresses_in(own_text);
    if let Some(contact) = message.enrollment.as_ref().map(|enrollment| &enrollment.contact_email)
        && named.iter().any(|address| same_address(address, contact))
    {
        return vec![contact.clone()];
    }
    let is_ours = |address: &String| message.recipients.iter().any(|ours| same_address(ours, address));
    let is_theirs = |address: &String| !is_system_address(address) && !is_ours(address);
    let at_line_start = own_text.lines().filter_map(address_at_start);
    let at_line_start: Vec<String> = dedupe(at_line_start.filter(is_theirs));
    if !at_line_start.is_empty() {
        return bounded(at_line_start);
    }
    if let Some(first) = named.iter().find(|address| is_theirs(address)) {
        return vec![first.clone()];
    }
    let to = returned_message::only_recipient(message)
        .or_else(|| returned_message::header_in(returned, "to").as_deref().and_then(first_address));
    // Somebody may have written to a postmaster.
    to.or_else(|| named.into_iter().next()).into_iter().filter(|address| !is_ours(address)).collect()
}

/// The address of a line such as `<a@example.com>:`, `  a@example.com` or `RCPT TO:<a@example.com>`.
fn address_at_start(line: &str) -> Option<String> {
    let line = line.trim_start_matches([' ', '\t', '<', '*', '-', '"', '\'']);
    let line = ["RCPT To:<", "RCPT TO:<", "mailto:", "To: <"]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .unwrap_or(line);
    let address = first_address(line)?;
    // The domain may have been written in capitals.
    line.get(..address.len()).filter(|start| start.eq_ignore_ascii_case(&address)).map(|_| address)
}

/// The part of the text from where a recipient is named to where the next address begins a line.
fn words_about<'a>(recipient: &str, text: &'a str) -> &'a str {
    let lower = text.to_ascii_lowercase();
    let Some(start) = lower.find(&recipient.to_ascii_lowercase()) else { return text };
    let rest = &text[start..];
    let mut end = 0;
    for (number, line) in rest.split_inclusive('\n').enumerate() {
        if number > 0 && address_at_start(line).is_some_and(|other| !same_address(&other, recipient)) {
            return &rest[..end];
        }
        end += line.len();
    }
    rest
}

fn dedupe(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for address in addresses.take(MOST_RECIPIENTS * 4) {
        if !unique.iter().any(|known| same_address(known, &address)) {
            unique.push(address);
        }
    }
    unique
}

fn bounded(mut addresses: Vec<String>) -> Vec<String> {
    addresses.truncate(MOST_RECIPIENTS);
    addresses
}
