//! Brevo's webhooks as events: JSON, one event a request or a list, unsigned.
//! <https://developers.brevo.com/docs/transactional-webhooks>

use ampout_plugin::fields::Fields;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of Brevo.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the body is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    request.need_shared_secret(&settings)?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    if bodies.iter().any(|fields| fields.has("items")) {
        return Err(Refusal::malformed("these are received mails (inbound parsing), not events"));
    }
    let about_mail = bodies.iter().filter(|fields| fields.word("event") != "list_addition");
    Ok(about_mail.map(event).collect::<Vec<_>>().into())
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("event");
    let reason = fields.text("reason").unwrap_or_default();
    let kind = kind_of(&name, &reason);
    let echoed = fields.text_any_case("X-Mailin-custom").and_then(|text| Fields::send_id_in_text(&text));
    // `ts` and `date` are in the account's own zone; this one is not.
    let time = fields.first_text(&["ts_epoch", "ts_event", "ts"]);
    Event::new(kind)
        .with_recipient(fields.text("email"))
        .with_send_id(echoed.or_else(|| fields.send_id()))
        .with_message_id(fields.text("message-id"))
        .with_provider_message_id(fields.text("message-id").map(|id| id.trim_matches(['<', '>']).to_owned()))
        .with_time(time)
        .with_reply(&reason)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("url", fields.text("link"))
        // `id` is the webhook's.
        .with_own_key(&name, &[fields.text("link")])
}

fn kind_of(name: &str, reason: &str) -> EventKind {
    match name {
        "request" | "sent" => EventKind::Processed,
        "delivered" => EventKind::Delivered,
        "deferred" => EventKind::Deferred,
        "hard_bounce" | "hardbounce" | "invalid_email" | "invalid" => EventKind::of_bounce(Claim::Hard, reason),
        "soft_bounce" | "softbounce" => EventKind::of_bounce(Claim::Soft, reason),
        "blocked" | "error" => EventKind::Reject,
        "spam" | "complaint" => EventKind::Complaint,
        "unsubscribe" | "unsubscribed" => EventKind::Unsubscribe,
        "opened" | "unique_opened" | "open" => EventKind::Open,
        "proxy_open" | "unique_proxy_open" | "unique_proxy_opened" => EventKind::OpenMachine,
        "click" | "clicked" => EventKind::Click,
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
