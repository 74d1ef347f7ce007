//! MailerSend's webhooks as events: JSON, one event a request, signed by HMAC over the raw body.
//! <https://developers.mailersend.com/api/v1/webhooks.html>

use ampout_plugin::fields::Fields;
use ampout_plugin::host::Digest;
use ampout_plugin::signature::is_hmac_hex;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of MailerSend.
///
/// # Errors
/// `unauthorized` when the body is not signed with the endpoint's secret; `malformed` when it is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let secret = settings.need_signing_secret()?;
    if !is_hmac_hex(Digest::Sha256, secret.as_bytes(), &[&request.body], request.need_header("Signature")?) {
        return Err(Refusal::unauthorized("the body is not signed with the endpoint's signing_secret"));
    }
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies.first().map(event).into_iter().collect::<Vec<_>>().into())
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("type");
    let data = fields.inside(&["data"]);
    let (email, morph) = (data.inside(&["email"]), data.inside(&["morph"]));
    let words = morph.first_text(&["reason", "readable_reason"]).unwrap_or_default();
    let kind = kind_of(name.trim_start_matches("activity."), &words);
    let event = Event::new(kind)
        .with_recipient(email.inside(&["recipient"]).text("email"))
        .with_send_id(email.list("tags").into_iter().find(|tag| is_send_id(tag)))
        .with_provider_message_id(email.inside(&["message"]).text("id"))
        .with_time(data.text("created_at").or_else(|| fields.text("created_at")))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("url", morph.text("url"));
    match data.text("id") {
        Some(id) => event.with_event_id(Some(id)),
        None => event.with_own_key(&name, &[]),
    }
}

/// Tags are all that MailerSend echoes, and others may be among them: ours is a UUID, or begins with `snd_`.
fn is_send_id(tag: &str) -> bool {
    let is_uuid = tag.len() == 36 && tag.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid || tag.starts_with("snd_")
}

fn kind_of(name: &str, words: &str) -> EventKind {
    match name {
        "sent" => EventKind::Processed,
        "delivered" => EventKind::Delivered,
        "deferred" => EventKind::Deferred,
        "hard_bounced" => EventKind::of_bounce(Claim::Hard, words),
        "soft_bounced" => EventKind::of_bounce(Claim::Soft, words),
        "spam_complaint" => EventKind::Complaint,
        "unsubscribed" => EventKind::Unsubscribe,
        "opened" | "opened_unique" => EventKind::Open,
        "clicked" | "clicked_unique" => EventKind::Click,
        _ => EventKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::ingest;

    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_provider_adapter(env!("CARGO_MANIFEST_DIR"), ingest);
    }

    #[test]
    fn it_conforms() {
        ampout_plugin::testkit::conformance::check(env!("CARGO_MANIFEST_DIR"), ingest);
    }
}
