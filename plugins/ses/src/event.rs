//! What SES says in an SNS message: `eventType` in configuration sets' events, `notificationType` in identities'
//! notifications. Where both are on, each event comes twice and has the same key.

use ampout_plugin::fields::Fields;
use ampout_plugin::{Claim, Event, EventKind, dedupe_key};

/// The events of one message; none of a text, such as the one that greets a new subscription.
pub(crate) fn events_of(message: &str) -> Vec<Event> {
    let bodies = Fields::from_json(message.as_bytes()).unwrap_or_default();
    bodies.iter().flat_map(of_body).collect()
}

fn of_body(body: &Fields) -> Vec<Event> {
    let name = body.first_text(&["eventType", "notificationType"]).unwrap_or_default();
    let mail = body.inside(&["mail"]);
    // Of a message to several, nobody knows who opened or asked: a bounce names its recipients itself.
    let destination = mail.list("destination");
    let only = || if destination.len() == 1 { vec![Fields::default()] } else { Vec::new() };
    let (detail, told) = match name.as_str() {
        "Bounce" => listed(body, "bounce", "bouncedRecipients"),
        "Complaint" => listed(body, "complaint", "complainedRecipients"),
        "DeliveryDelay" => listed(body, "deliveryDelay", "delayedRecipients"),
        "Delivery" => {
            let detail = body.inside(&["delivery"]);
            return detail
                .list("recipients")
                .into_iter()
                .map(|to| event(&name, &mail, &detail, &Fields::default(), Some(to)))
                .collect();
        }
        "Click" | "Open" | "Reject" | "Subscription" => (body.inside(&[&name.to_ascii_lowercase()]), only()),
        "Rendering Failure" => (body.inside(&["failure"]), only()),
        _ => (Fields::default(), only()),
    };
    if told.is_empty() {
        return vec![event(&name, &mail, &detail, &Fields::default(), None)];
    }
    let address = |one: &Fields| {
        one.text("emailAddress")
            .or_else(|| destination.first().filter(|_| destination.len() == 1 && !names_recipients(&name)).cloned())
    };
    told.iter().map(|one| event(&name, &mail, &detail, one, address(one))).collect()
}

fn names_recipients(name: &str) -> bool {
    matches!(name, "Bounce" | "Complaint" | "DeliveryDelay")
}

fn listed(body: &Fields, detail: &str, recipients: &str) -> (Fields, Vec<Fields>) {
    let detail = body.inside(&[detail]);
    let told = detail.objects(recipients);
    (detail, told)
}

fn event(name: &str, mail: &Fields, detail: &Fields, one: &Fields, recipient: Option<String>) -> Event {
    let words = one.text("diagnosticCode").or_else(|| detail.first_text(&["smtpResponse", "reason", "errorMessage"]));
    let words = words.unwrap_or_default();
    let kind = kind_of(name, detail, &words);
    let subtype = [
        detail.first_text(&["bounceType", "complaintFeedbackType"]),
        detail.first_text(&["bounceSubType", "complaintSubType", "delayType"]),
    ];
    let mut event = Event::new(kind)
        .with_recipient(recipient)
        .with_send_id(mail.inside(&["tags"]).send_id().or_else(|| mail.send_id_in_headers("headers")))
        .with_message_id(mail.inside(&["commonHeaders"]).text("messageId"))
        .with_provider_message_id(mail.text("messageId"))
        .with_time(detail.text("timestamp").or_else(|| mail.text("timestamp")))
        .with_status(one.text("status"))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.to_owned()))
        .with_extra("class", Some(subtype.into_iter().flatten().collect::<Vec<_>>().join("/")))
        .with_extra("url", detail.text("link"));
    // Only what both dialects tell: tags, for one, are in events alone.
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let which = detail.first_text(&["feedbackId", "timestamp"]);
    event.dedupe_key = Some(dedupe_key(&[
        name,
        &text(&event.provider_message_id),
        &text(&event.recipient),
        &text(&which),
        &text(&detail.text("link")),
    ]));
    event
}

fn kind_of(name: &str, detail: &Fields, words: &str) -> EventKind {
    match name {
        "Send" => EventKind::Processed,
        "Delivery" => EventKind::Delivered,
        "DeliveryDelay" => EventKind::Deferred,
        "Bounce" => bounce(&detail.word("bounceType"), &detail.word("bounceSubType"), words),
        "Complaint" if detail.word("complaintSubType") == "onaccountsuppressionlist" => EventKind::Reject,
        // A report on the DNS (RFC 6591) is nobody's complaint.
        "Complaint" if matches!(detail.word("complaintFeedbackType").as_str(), "not-spam" | "auth-failure") => {
            EventKind::Unknown
        }
        "Complaint" => EventKind::Complaint,
        "Reject" | "Rendering Failure" => EventKind::Reject,
        "Open" => EventKind::Open,
        "Click" => EventKind::Click,
        "Subscription" => subscription(&detail.inside(&["newTopicPreferences"])),
        _ => EventKind::Unknown,
    }
}

/// <https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types>
fn bounce(kind: &str, subtype: &str, words: &str) -> EventKind {
    match (kind, subtype) {
        // SES did not try: it, or the account, knew the address from before.
        (_, "suppressed" | "onaccountsuppressionlist" | "unsubscribedrecipient") => EventKind::Reject,
        ("permanent", _) => EventKind::of_bounce(Claim::Hard, words),
        (_, "messagetoolarge" | "contentrejected" | "attachmentrejected") => EventKind::PolicyBounce,
        // Undetermined, too; and some answers of machines come as transient and general.
        _ => EventKind::of_bounce(Claim::Soft, words),
    }
}

fn subscription(preferences: &Fields) -> EventKind {
    let topics = preferences.objects("topicSubscriptionStatus");
    let is_out = |topic: &Fields| topic.word("subscriptionStatus") == "optout";
    if preferences.flag("unsubscribeAll") || (!topics.is_empty() && topics.iter().all(is_out)) {
        EventKind::Unsubscribe
    } else {
        EventKind::Resubscribe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#complaint-object>
    #[test]
    fn only_a_person_complains() {
        for (told, kind) in [
            ("abuse", EventKind::Complaint),
            ("", EventKind::Complaint),
            ("not-spam", EventKind::Unknown),
            ("auth-failure", EventKind::Unknown),
        ] {
            let detail = format!(r#"{{"complaintFeedbackType": "{told}"}}"#);
            let detail = Fields::from_json(detail.as_bytes()).unwrap().remove(0);
            assert_eq!(kind_of("Complaint", &detail, ""), kind, "{told}");
        }
    }
}
