//! Bounces and delays without a machine-readable part: qmail, Exim, old Exchange, Yahoo and many more, a quarter of all.
//! Known by who sends them and by what they say; recipients and classes are read from the words.

use ampout_plugin::address::{addresses_in, first_address, same_address};
use ampout_plugin::delivery_status::Action;
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::{BounceClass, BounceWords, BouncedRecipient, Classification};

use crate::auto_reply_words::{AWAY, IN_REPLIES};
use crate::bounce_words::{
    ARRIVED, GAVE_UP, IN_SUBJECTS, IN_TEXTS, OF_A_BOUNCE, OF_A_PERSON, OF_A_SYSTEM, STILL_TRYING,
};
use crate::headers::OF_DELIVERY;
use crate::hearsay::Evidence;
use crate::mail::Mail;
use crate::senders::{SenderKind, is_system_address};
use crate::{delivery_report, hearsay, returned_message, subjects};

/// More recipients than this are not read from one text.
const MOST_RECIPIENTS: usize = 100;

/// A diagnostic is kept to this many bytes.
const LONGEST_DIAGNOSTIC: usize = 1024;

/// What a mail system tells, if the message is from one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let reason = evidence(mail)?;
    // Some write the fields of a report into their text, or lose the boundary before them.
    if mail.message.text.contains("Final-Recipient:")
        && let Some(found) = delivery_report::find_in(mail, &[mail.message.text.as_str()])
    {
        return Some(found);
    }
    let own = mail.system_words().own;
    let whole = BounceWords::of_folded(&mail.system_words().folded);
    let action = action(mail);
    let recipients = recipients(mail);
    let alone = recipients.len() == 1;
    let bounces = recipients.into_iter().map(|recipient| {
        let about = if alone { own } else { words_about(&recipient, own) };
        let words = if about.len() == own.len() { whole } else { BounceWords::of(about) };
        bounced(recipient, action, about, words, whole)
    });
    Some(Classification::bounce(bounces.collect()).because(reason))
}

/// What happened, by the words alone.
pub(crate) fn action(mail: &Mail<'_>) -> Action {
    let words = mail.system_words();
    let marks = IN_SUBJECTS.marks_in(&mail.subject) | words.marks;
    if marks & STILL_TRYING != 0 && !words.have(GAVE_UP) {
        Action::Delayed
    } else if marks & ARRIVED != 0 && !words.have(GAVE_UP) {
        Action::Delivered
    } else {
        Action::Failed
    }
}

/// Why this is a bounce, or nothing. An empty return path proves nothing, and neither does Auto-Submitted.
fn evidence(mail: &Mail<'_>) -> Option<&'static str> {
    if !mail.headers.failed_recipients.is_empty() {
        return Some("X-Failed-Recipients");
    }
    let sender = mail.sender();
    // Who answers a message under its subject is a person, who may have any name and quote a server.
    let is_report = mail.headers.are_of(OF_DELIVERY);
    let is_persons_answer = !is_report && mail.headers.in_reply_to && subjects::is_plain_reply(mail);
    let can_be_answered = || mail.message.return_path.as_deref().is_some_and(|path| !is_system_address(path));
    if sender == SenderKind::Daemon && !(is_persons_answer && can_be_answered()) {
        return (!subjects::tells_of_automatic_reply(&mail.subject)).then_some("sent by a mail system");
    }
    let subject_tells = || IN_SUBJECTS.marks_in(&mail.subject) & (OF_A_BOUNCE | STILL_TRYING) != 0;
    let is_machine = mail.has_null_path() || mail.headers.auto_submitted.is_some();
    let text_tells = || {
        let words = mail.system_words();
        let greets = words.have(OF_A_PERSON) && !is_machine;
        !greets && (words.have(OF_A_SYSTEM) || quotes_a_refusal(words.own))
    };
    if sender == SenderKind::Postmaster && !is_persons_answer && (subject_tells() || text_tells()) {
        return Some("sent by a postmaster, about a delivery");
    }
    if is_report {
        return Some("a report without its machine part");
    }
    if !subject_tells() {
        return None;
    }
    if mail.has_null_path() && !is_responder(mail) {
        return Some("an empty return path and the subject of a bounce");
    }
    if !mail.system_words().have(OF_A_SYSTEM) {
        return None;
    }
    // A person who writes about a bounce answers somebody, forwards it, or greets.
    let is_shown = mail.headers.in_reply_to
        || (subjects::has_reply_prefix(&mail.subject)
            && IN_TEXTS.marks_in(&mail.reply_words().text) & OF_A_SYSTEM == 0);
    let words = mail.system_words();
    let names_somebody = || {
        words.own.contains('@')
            || quotes_a_refusal(words.own)
            || mail.message.parts_of_type("message/rfc822").next().is_some()
    };
    let is_told = is_machine || (!is_shown && !words.have(OF_A_PERSON) && names_somebody());
    is_told.then_some("subject and text of a bounce")
}

/// Whether somebody's machine answered a message that had such a subject itself.
fn is_responder(mail: &Mail<'_>) -> bool {
    subjects::has_reply_prefix(&mail.subject)
        || subjects::automatic_kind(&mail.subject).is_some()
        || IN_REPLIES.marks_in(&mail.reply_words().text) & AWAY != 0
}

fn quotes_a_refusal(own_text: &str) -> bool {
    let reply = SmtpReply::find(own_text);
    reply.status.is_some() || (reply.code.is_some_and(|code| code >= 400) && BounceClass::words_tell(own_text))
}

fn bounced(
    recipient: String,
    action: Action,
    about: &str,
    words: BounceWords,
    transcript: BounceWords,
) -> BouncedRecipient {
    // Sendmail glosses most refusals as `550 5.1.1 … User unknown`; what the server said it gives as the reason.
    let reason = reason(about).map(|reason| (SmtpReply::find(reason), BounceWords::of(reason)));
    let all = words;
    let (reply, words) = reason.filter(|(_, said)| said.tell()).unwrap_or_else(|| (SmtpReply::find(about), words));
    let class = BounceClass::of_words(None, reply, words, all);
    let transcript = all | transcript;
    let is_a_reply = reply.code.is_some_and(|code| code >= 500);
    let evidence = Evidence { status: reply.status, words, transcript, is_a_reply };
    let class = evidence.judged(class);
    let diagnostic = diagnostic(about);
    BouncedRecipient {
        status: reply.status.map(|status| status.to_string()),
        diagnostic: Some(diagnostic).filter(|text| !text.is_empty()),
        ..BouncedRecipient::new(recipient, action, class)
    }
}

/// The server's own words in sendmail's report: `(reason: 550 …)`.
fn reason(about: &str) -> Option<&str> {
    let (_, rest) = about.split_once("(reason: ")?;
    rest.lines().next()
}

/// The words on one line.
pub(crate) fn diagnostic(words: &str) -> String {
    let mut line = String::with_capacity(words.len().min(LONGEST_DIAGNOSTIC));
    for word in words.split_whitespace() {
        if line.len() + word.len() >= LONGEST_DIAGNOSTIC {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Whom it is about: the header that says so, then the enrollment's contact where it is named, then the addresses that
/// begin a line, then any, then the To of the returned message. Never our own address nor a mail system's.
fn recipients(mail: &Mail<'_>) -> Vec<String> {
    let stated: Vec<String> = mail.headers.failed_recipients.iter().flat_map(|value| addresses_in(value)).collect();
    if !stated.is_empty() {
        return bounded(stated);
    }
    let words = mail.system_words();
    let named = addresses_in(words.own);
    if let Some(contact) = mail.message.enrollment.as_ref().map(|enrollment| &enrollment.contact_email)
        && named.iter().any(|address| same_address(address, contact))
    {
        return vec![contact.clone()];
    }
    let is_ours = |address: &String| mail.message.recipients.iter().any(|ours| same_address(ours, address));
    let is_theirs = |address: &String| !is_system_address(address) && !is_ours(address);
    let at_line_start = words.own.lines().filter_map(address_at_start);
    let at_line_start: Vec<String> = dedupe(at_line_start.filter(is_theirs));
    if !at_line_start.is_empty() {
        return bounded(at_line_start);
    }
    if let Some(first) = named.iter().find(|address| is_theirs(address)) {
        return vec![first.clone()];
    }
    let to = returned_message::only_recipient(mail.message)
        .or_else(|| returned_message::header_in(words.returned, "to").as_deref().and_then(first_address));
    // Somebody may have written to a postmaster. A gateway that names no address answers what it was sent.
    let to = to.or_else(|| named.into_iter().next()).filter(|address| !is_ours(address));
    to.or_else(|| mail.message.enrollment.as_ref().map(|it| it.contact_email.clone())).into_iter().collect()
}

/// The address of a line such as `<a@example.com>:`, `  a@example.com` or `RCPT TO:<a@example.com>`.
fn address_at_start(line: &str) -> Option<String> {
    if !line.contains('@') {
        return None;
    }
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
    let Some(start) = hearsay::place_of(text, recipient) else { return text };
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
