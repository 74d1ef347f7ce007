//! One SMTP2GO notification as our events. Names are those seen in live captures and in the provider's reference
//! (<https://developers.smtp2go.com/docs/webhooks-overview>), which differ; both are read.

use ampout_plugin::address::{bare_message_id, first_address};
use ampout_plugin::fields::Fields;
use ampout_plugin::smtp_reply::SmtpReply;
use ampout_plugin::time::{normalize_rfc3339, rfc3339_from_unix};
use ampout_plugin::{BounceClass, Event, EventKind, dedupe_key};

/// The header that carries our id out; SMTP2GO echoes it when the webhook's `headers` names it.
const SEND_ID_HEADER: &str = "X-Ampout-Send-Id";

/// A reason longer than this is cut.
const LONGEST_REASON: usize = 1024;

/// The events of one notification: none for a text message, one for most, one a recipient for `processed`.
pub(crate) fn event_of(fields: &Fields) -> Vec<Event> {
    if is_about_a_text_message(fields) {
        return Vec::new();
    }
    let name = fields.text("event").unwrap_or_default().to_ascii_lowercase();
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
    let event = fields.text("event").unwrap_or_default().to_ascii_lowercase();
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
    let reply_text = fields.text("message").unwrap_or_default();
    let reply = SmtpReply::find(&reply_text);
    let kind = kind_of(name, fields.text("bounce").as_deref(), &reply_text);
    let email_id = fields.text("email_id");
    let time = fields.first_text(&["time", "timestamp"]);
    Event {
        send_id: fields.text_any_case(SEND_ID_HEADER),
        message_id: fields.text_any_case("message-id").and_then(|id| bare_message_id(&id)),
        at: time.as_deref().and_then(instant),
        smtp_code: reply.code,
        status: reply.status.map(|status| status.to_string()),
        reason: reason(fields, &reply_text),
        // `id` is documented as unique and was seen not to be: it only adds to what makes the event itself.
        dedupe_key: Some(dedupe_key(&[
            &email_id.clone().unwrap_or_default(),
            name,
            recipient.as_deref().unwrap_or_default(),
            &time.unwrap_or_default(),
            &fields.text("id").unwrap_or_default(),
            &fields.first_text(&["url", "click_url", "link"]).unwrap_or_default(),
        ])),
        provider_message_id: email_id,
        extra: extra(fields, name, kind),
        recipient,
        ..Event::new(kind)
    }
}

/// Both the documented names and the spellings of the provider's older clients.
fn kind_of(name: &str, bounce: Option<&str>, reply: &str) -> EventKind {
    match name {
        "processed" => EventKind::Processed,
        "delivered" | "delivery" => EventKind::Delivered,
        "bounce" | "bounced" | "hard_bounce" | "soft_bounce" => bounce_kind(name, bounce, reply),
        "spam" | "spam_complaint" | "complaint" => EventKind::Complaint,
        "unsubscribe" | "unsubscribed" => EventKind::Unsubscribe,
        "resubscribe" | "resubscribed" => EventKind::Resubscribe,
        "reject" | "rejected" => EventKind::Reject,
        "open" | "opened" => EventKind::Open,
        "click" | "clicked" => EventKind::Click,
        _ => EventKind::Unknown,
    }
}

/// SMTP2GO calls a policy refusal hard as well, and calls soft whatever it can't tell. Its `hard` stands unless the reply
/// says that the address lives; its `soft` is never made worse than policy, because a delivery may still follow.
fn bounce_kind(name: &str, bounce: Option<&str>, reply: &str) -> EventKind {
    let is_hard = name == "hard_bounce" || bounce.is_some_and(|word| word.eq_ignore_ascii_case("hard"));
    match (is_hard, BounceClass::of_text(reply)) {
        (_, BounceClass::Policy) => EventKind::PolicyBounce,
        (true, BounceClass::Hard) => EventKind::HardBounce,
        (true, BounceClass::Soft) if says_nothing(reply) => EventKind::HardBounce,
        _ => EventKind::SoftBounce,
    }
}

/// Whether a reply gives no ground to doubt the provider's own word: no text at all, or a bare permanent code.
fn says_nothing(reply: &str) -> bool {
    let numbers = SmtpReply::find(reply);
    let is_temporary =
        numbers.code.is_some_and(|code| code < 500) || numbers.status.is_some_and(|status| status.class == 4);
    let names_a_status = numbers.status.is_some_and(|status| !status.is_bare());
    !is_temporary && !names_a_status && !BounceClass::words_tell(reply)
}

fn reason(fields: &Fields, reply: &str) -> Option<String> {
    let context = fields.text("context");
    let text = match (reply.is_empty(), context) {
        (false, Some(context)) => format!("{reply} ({context})"),
        (false, None) => reply.to_owned(),
        (true, context) => context?,
    };
    Some(text.chars().take(LONGEST_REASON).collect())
}

/// UTC with or without decimals and offset; one reference names Unix seconds.
fn instant(text: &str) -> Option<String> {
    normalize_rfc3339(text).or_else(|| rfc3339_from_unix(text.parse().ok()?))
}

fn extra(fields: &Fields, name: &str, kind: EventKind) -> Vec<(String, String)> {
    const KEPT: [&str; 4] = ["host", "auth", "url", "user-agent"];
    let mut extra: Vec<(String, String)> =
        KEPT.iter().filter_map(|key| Some(((*key).to_owned(), fields.text(key)?))).collect();
    if kind == EventKind::Unknown {
        extra.push(("event".to_owned(), name.to_owned()));
    }
    if kind == EventKind::SoftBounce {
        // A greylisted message is told as a soft bounce and delivered later.
        extra.push(("final".to_owned(), "false".to_owned()));
    }
    extra
}
