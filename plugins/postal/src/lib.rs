//! The webhooks of Postal, the self-hosted mail server, as events: JSON, one event a request, signed by RSA over the raw
//! body. <https://docs.postalserver.io/developer/webhooks>

use ampout_plugin::fields::Fields;
use ampout_plugin::host::{Digest, verify_rsa_pkcs1};
use ampout_plugin::smtp_reply::joined;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings, base64};

ampout_plugin::provider_adapter!(ingest);

/// Newer versions of Postal sign twice; the newer signature is taken where there is one.
const SIGNATURES: [(&str, Digest); 2] =
    [("X-Postal-Signature-256", Digest::Sha256), ("X-Postal-Signature", Digest::Sha1)];

/// Reads one request of Postal.
///
/// # Errors
/// `unauthorized` when the body is not signed with the key of the endpoint's settings; `malformed` when it is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let key = settings.need_public_key()?;
    let Some((given, digest)) = SIGNATURES.iter().find_map(|(name, digest)| Some((request.header(name)?, *digest)))
    else {
        return Err(Refusal::unauthorized("the header X-Postal-Signature is missing"));
    };
    let given = base64::decode(given).ok_or_else(|| Refusal::unauthorized("the signature is not base64"))?;
    if !verify_rsa_pkcs1(&key, digest, &request.body, &given).map_err(Refusal::unauthorized)? {
        return Err(Refusal::unauthorized("the signature does not match the endpoint's public_key"));
    }
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies.first().map(event).into_iter().collect::<Vec<_>>().into())
}

fn event(fields: &Fields) -> Event {
    let name = fields.text("event").unwrap_or_default();
    let payload = fields.inside(&["payload"]);
    // A returned message and the one that it is about; the latter is ours.
    let message = if payload.has("original_message") {
        payload.inside(&["original_message"])
    } else {
        payload.inside(&["message"])
    };
    let reply = joined(&[payload.text("output"), payload.text("details")]);
    let kind = kind_of(&name, &payload, &reply);
    let event = Event::new(kind)
        .with_recipient(message.text("to"))
        .with_send_id(message.text("tag").and_then(|text| Fields::send_id_in_text(&text)))
        .with_message_id(message.text("message_id"))
        .with_provider_message_id(message.text("token"))
        .with_time(payload.text("timestamp").or_else(|| fields.text("timestamp")))
        .with_reply(&reply)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("class", payload.text("status"))
        .with_extra("url", payload.text("url"));
    match fields.text("uuid") {
        Some(id) => event.with_event_id(Some(id)),
        None => event.with_own_key(&name, &[payload.text("status"), payload.text("url")]),
    }
}

fn kind_of(name: &str, payload: &Fields, reply: &str) -> EventKind {
    match name {
        "MessageSent" => EventKind::Delivered,
        "MessageDelayed" => EventKind::Deferred,
        "MessageDeliveryFailed" => EventKind::of_bounce(Claim::Hard, reply),
        // A message came back after it was taken: what it says is in the message, which the webhook has not.
        "MessageBounced" => match payload.inside(&["bounce"]).word("bounce_type").as_str() {
            "hard" => EventKind::HardBounce,
            _ => EventKind::of_bounce(Claim::Soft, reply),
        },
        // Not tried: the server waits for a person.
        "MessageHeld" => EventKind::Reject,
        "MessageLoaded" => EventKind::Open,
        "MessageLinkClicked" => EventKind::Click,
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
