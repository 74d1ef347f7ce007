//! Feedback reports (RFC 5965) and their kin: somebody pressed "this is spam". Also what has their shape and is no
//! blame: `not-spam`, the forensic reports of DMARC, opt-outs.

use ampout_plugin::feedback_report::FeedbackReport;
use ampout_plugin::{Classification, Message};

use crate::returned_message;

/// What a feedback report says, if the message is one.
pub(crate) fn find(message: &Message) -> Option<Classification> {
    if let Some(content) = message.parts_of_type("message/feedback-report").next() {
        return Some(by_report(message, &FeedbackReport::parse(content)));
    }
    if is_microsoft_junk_report(message) {
        let recipient = returned_message::header(message, "x-hmxmroriginalrecipient");
        return Some(complaint(message, recipient, "abuse", "Microsoft's junk mail reporting"));
    }
    message.content_type().contains("report-type=feedback-report").then(|| {
        let report = FeedbackReport::parse(&message.text);
        complaint(
            message,
            report.original_recipients.first().cloned(),
            "abuse",
            "a feedback report without its machine part",
        )
    })
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
    let from_microsoft = message.sender.as_deref().is_some_and(|sender| sender.ends_with("@hotmail.com"));
    from_microsoft && returned_message::header(message, "x-hmxmroriginalrecipient").is_some()
}
