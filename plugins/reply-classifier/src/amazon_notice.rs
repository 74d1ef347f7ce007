//! What Amazon's mail service tells by its notification service (SNS) when that is subscribed with a mail address: the
//! text is the event's JSON and nothing else.

use ampout_plugin::delivery_status::Action;
use ampout_plugin::feedback_report::FeedbackReport;
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::{BounceClass, BouncedRecipient, Classification};
use serde_json::{Deserializer, Value};

use crate::mail::Mail;

/// More recipients than this are not read from one event.
const MOST_RECIPIENTS: usize = 100;

/// An event, if the message is one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let text = mail.message.text.trim_start();
    let is_from_amazon = || mail.message.sender.as_deref().is_some_and(|sender| sender.ends_with("@sns.amazonaws.com"));
    if !text.starts_with('{')
        || !(mail.headers.is_amazon_notice || is_from_amazon() || text.contains("notificationType"))
    {
        return None;
    }
    let event = first_value(text)?;
    // Raw delivery may be off: then the event is a text in the envelope.
    match event.get("Message").and_then(Value::as_str) {
        Some(inner) => of_event(&first_value(inner)?),
        None => of_event(&event),
    }
}

/// What follows the JSON, a line about unsubscribing mostly, is left. Some mailers break the line where it gets long.
fn first_value(text: &str) -> Option<Value> {
    let read = |text: &str| Deserializer::from_str(text).into_iter().next().and_then(Result::ok);
    read(text).or_else(|| read(&text.replace(['\r', '\n'], "")))
}

fn of_event(event: &Value) -> Option<Classification> {
    let kind = event.get("notificationType").or_else(|| event.get("eventType"))?.as_str()?;
    match kind {
        "Bounce" => Some(bounce(event.get("bounce")?)),
        "Complaint" => Some(complaint(event.get("complaint")?)),
        "Delivery" => Some(told(event.get("delivery")?.get("recipients"), Action::Delivered)),
        "DeliveryDelay" => Some(told(event.get("deliveryDelay")?.get("delayedRecipients"), Action::Delayed)),
        _ => Some(Classification::ignore().because("an event of Amazon SES that says nothing of a delivery")),
    }
}

fn bounce(bounce: &Value) -> Classification {
    let word = |name: &str| bounce.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, detail) = (word("bounceType"), word("bounceSubType"));
    let recipients = bounce.get("bouncedRecipients").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let bounced = recipients.iter().take(MOST_RECIPIENTS).map(|recipient| {
        let field = |name: &str| recipient.get(name).and_then(Value::as_str);
        let diagnostic = field("diagnosticCode");
        let stated = field("status").and_then(ampout_plugin::smtp_reply::EnhancedStatus::find);
        let words = diagnostic.unwrap_or_default();
        BouncedRecipient {
            status: stated.or(SmtpReply::find(words).status).map(|status| status.to_string()),
            diagnostic: diagnostic.map(str::to_owned),
            ..BouncedRecipient::new(
                field("emailAddress").unwrap_or_default(),
                Action::Failed,
                class(kind, detail, || {
                    let evidence = ampout_plugin::BounceWords::of(words);
                    BounceClass::of_words(stated, SmtpReply::find(words), evidence, evidence)
                }),
            )
        }
    });
    Classification::bounce(bounced.collect()).because(format!("Amazon SES: {kind} {detail}"))
}

/// Amazon's own judgement, which has seen more than one reply; where it has none, the reply's.
fn class(kind: &str, detail: &str, of_reply: impl FnOnce() -> BounceClass) -> BounceClass {
    match (kind, detail) {
        ("Permanent", "NoEmail") => BounceClass::Hard,
        // Both lists hold addresses that bounced before, for Amazon's customers or for this one.
        ("Permanent", "Suppressed" | "OnAccountSuppressionList") => BounceClass::Policy,
        ("Transient", "MessageTooLarge" | "ContentRejected" | "AttachmentRejected" | "CustomTimeoutExceeded") => {
            BounceClass::Policy
        }
        ("Transient", _) => BounceClass::Soft,
        _ => of_reply(),
    }
}

fn complaint(complaint: &Value) -> Classification {
    let recipient = complaint.get("complainedRecipients").and_then(|all| all.get(0)?.get("emailAddress")?.as_str());
    let kind = complaint.get("complaintFeedbackType").and_then(Value::as_str).unwrap_or("abuse");
    // The words are those of a feedback report (RFC 5965), which Amazon was sent by the mailbox's provider.
    let report = FeedbackReport { feedback_type: Some(kind.to_ascii_lowercase()), ..FeedbackReport::default() };
    if report.is_opt_out() {
        return Classification::unsubscribe_request().because(format!("Amazon SES: {kind}"));
    }
    if !report.is_complaint() {
        return Classification::ignore().because(format!("Amazon SES: {kind}"));
    }
    Classification::complaint(recipient.map(str::to_owned), Some(kind.to_owned())).because("Amazon SES: a complaint")
}

/// Recipients that are a list of addresses, or of records with one.
fn told(recipients: Option<&Value>, action: Action) -> Classification {
    let list = recipients.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let address = |one: &Value| one.as_str().or_else(|| one.get("emailAddress")?.as_str()).map(str::to_owned);
    let told = list.iter().filter_map(address).take(MOST_RECIPIENTS);
    let told = told.map(|recipient| BouncedRecipient::new(recipient, action, BounceClass::Soft));
    Classification::bounce(told.collect()).because(format!("Amazon SES: {}", action.as_str()))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Message, Verdict};

    use super::*;

    #[track_caller]
    fn verdict_of(feedback_type: &str) -> Verdict {
        let text = format!(
            r#"{{"notificationType":"Complaint","complaint":{{"complaintFeedbackType":"{feedback_type}",
                "complainedRecipients":[{{"emailAddress":"kim@example.net"}}]}}}}"#
        );
        let message = Message { text, ..Message::default() };
        find(&Mail::new(&message)).map(|found| found.verdict).expect("an event")
    }

    #[test]
    fn only_blame_is_a_complaint() {
        assert!(matches!(verdict_of("abuse"), Verdict::Complaint(_)));
        assert!(matches!(verdict_of("fraud"), Verdict::Complaint(_)));
        assert!(matches!(verdict_of("not-spam"), Verdict::Ignore));
        assert!(matches!(verdict_of("auth-failure"), Verdict::Ignore));
        assert!(matches!(verdict_of("opt-out"), Verdict::UnsubscribeRequest));
    }
}
