//! Feedback reports (RFC 5965) and their kin: somebody pressed "this is spam". Also what has their shape and is no
//! blame: `not-spam`, the forensic reports of DMARC, opt-outs.

use ampout_plugin::address::first_address;
use ampout_plugin::feedback_report::FeedbackReport;
use ampout_plugin::{Classification, Message};

use crate::headers::OF_FEEDBACK;
use crate::mail::Mail;
use crate::returned_message;

/// Openers of subjects by which providers and abuse desks tell of a complaint without a report's parts, folded.
const SUBJECTS: &[&str] = &[
    "complaint about message from ",
    "[spamcop (",
    "email feedback report for ip",
    "feedback loop report",
    "client tosnotification",
    "spam complaint from ",
];

/// What a feedback report says, if the message is one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let message = mail.message;
    if let Some(content) = message.parts_of_type("message/feedback-report").next() {
        return Some(by_report(message, &FeedbackReport::parse(content)));
    }
    // The program's older reports are the message itself, sent on with a header more.
    if let Some(reporter) = mail.headers.junk_reporter {
        return Some(complaint(message, first_address(reporter), "abuse", "Microsoft's junk mail reporting"));
    }
    if is_microsoft_junk_report(message) {
        let recipient = returned_message::header(message, "x-hmxmroriginalrecipient");
        return Some(complaint(message, recipient, "abuse", "Microsoft's junk mail reporting"));
    }
    if mail.headers.are_of(OF_FEEDBACK) {
        let report = FeedbackReport::parse(&message.text);
        return Some(by_report(message, &report));
    }
    let mark = mail.headers.complaint.or_else(|| SUBJECTS.iter().find(|it| mail.subject.starts_with(**it)).copied())?;
    Some(complaint(message, None, "abuse", mark))
}

fn by_report(message: &Message, report: &FeedbackReport) -> Classification {
    let kind = report.feedback_type.as_deref().unwrap_or("abuse");
    let reason = format!("feedback report: {kind}");
    if report.is_opt_out() {
        return Classification::unsubscribe_request().because(reason);
    }
    if !report.is_complaint() {
        return Classification::ignore().because(reason);
    }
    complaint(message, report.original_recipients.first().cloned(), kind, &reason)
}

fn complaint(message: &Message, recipient: Option<String>, kind: &str, reason: &str) -> Classification {
    let recipient = recipient.or_else(|| returned_message::only_recipient(message));
    Classification::complaint(recipient, Some(kind.to_owned())).because(reason)
}

/// The Junk Mail Reporting Program forwards the message as an attachment, with a header that names the recipient.
fn is_microsoft_junk_report(message: &Message) -> bool {
    let is_theirs =
        |sender: &str| ["@hotmail.com", "@outlook.com", "microsoft.com"].iter().any(|it| sender.ends_with(it));
    let from_microsoft = message.sender.as_deref().is_some_and(is_theirs);
    from_microsoft && returned_message::header(message, "x-hmxmroriginalrecipient").is_some()
}
