//! One SMTP2GO notification as our events. Names are those seen in live captures and in the provider's reference
//! (<https://developers.smtp2go.com/docs/webhooks-overview>), which differ; both are read.

use ampout_plugin::address::first_address;
use ampout_plugin::fields::Fields;
use ampout_plugin::smtp_reply::joined;
use ampout_plugin::{Claim, Event, EventKind};

/// The events of one notification: none for a text message, one for most, one a recipient for `processed`.
pub(crate) fn events_of(fields: &Fields) -> Vec<Event> {
    if is_about_a_text_message(fields) {
        return Vec::new();
    }
    let name = fields.word("event");
    let recipients = recipients(fields);
    let one_for = |recipient| event(fields, &name, recipient);
    if recipients.is_empty() {
        return vec![one_for(None)];
    }
    recipients.into_iter().map(|recipient| one_for(Some(recipient))).collect()
}

/// Notifications about SMS come to the same address when they are switched on. They have nothing that names a mail.
fn is_about_a_text_message(fields: &Fields) -> bool {
    const OF_A_MAIL: [&str; 6] = ["rcpt", "recipients", "email_id", "email", "message-id", "Message-Id"];
    const OF_A_TEXT_MESSAGE: [&str; 2] = ["sending", "submitted"];
    if OF_A_MAIL.iter().any(|name| fields.has(name)) {
        return false;
    }
    let event = fields.word("event");
    let says_so = fields.has("sms_id") || fields.has("message_id") || fields.has("destination") || fields.has("to");
    says_so || OF_A_TEXT_MESSAGE.contains(&event.as_str())
}

/// `rcpt` names one recipient; `recipients` stands on `processed`, in any of the forms that a list takes.
fn recipients(fields: &Fields) -> Vec<String> {
    if let Some(one) = fields.first_text(&["rcpt", "email"]).and_then(|text| first_address(&text)) {
        return vec![one];
    }
    fields.list("recipients").iter().filter_map(|text| first_address(text)).collect()
}

fn event(fields: &Fields, name: &str, recipient: Option<String>) -> Event {
    let reply = fields.text("message").unwrap_or_default();
    let kind = kind_of(name, &fields.word("bounce"), &reply);
    let context = fields.text("context").map(|context| format!("({context})"));
    let url = fields.first_text(&["url", "click_url", "link"]);
    Event::new(kind)
        .with_recipient(recipient)
        .with_send_id(fields.send_id())
        .with_message_id(fields.text_any_case("message-id"))
        .with_provider_message_id(fields.text("email_id"))
        // UTC with or without decimals and offset; one reference names Unix seconds.
        .with_time(fields.first_text(&["time", "timestamp"]))
        .with_reply(&joined(&[Some(reply), context]))
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.to_owned()))
        // A greylisted message is told as a soft bounce and delivered later.
        .with_extra("final", (kind == EventKind::SoftBounce).then(|| "false".to_owned()))
        .with_extra("host", fields.text("host"))
        .with_extra("auth", fields.text("auth"))
        .with_extra("url", url.clone())
        .with_extra("user-agent", fields.text("user-agent"))
        // `id` is documented as unique and was seen not to be: it only adds to what makes the event itself.
        .with_own_key(name, &[fields.text("id"), url])
}

/// Both the documented names and the spellings of the provider's older clients.
fn kind_of(name: &str, bounce: &str, reply: &str) -> EventKind {
    match name {
        "processed" => EventKind::Processed,
        "delivered" | "delivery" => EventKind::Delivered,
        "bounce" | "bounced" if bounce != "hard" => EventKind::of_bounce(Claim::Soft, reply),
        "bounce" | "bounced" | "hard_bounce" => EventKind::of_bounce(Claim::Hard, reply),
        "soft_bounce" => EventKind::of_bounce(Claim::Soft, reply),
        "spam" | "spam_complaint" | "complaint" => EventKind::Complaint,
        "unsubscribe" | "unsubscribed" => EventKind::Unsubscribe,
        "resubscribe" | "resubscribed" => EventKind::Resubscribe,
        "reject" | "rejected" => EventKind::Reject,
        "open" | "opened" => EventKind::Open,
        "click" | "clicked" => EventKind::Click,
        _ => EventKind::Unknown,
    }
}
