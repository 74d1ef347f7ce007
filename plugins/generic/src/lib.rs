//! Events of anybody who can post JSON and compute an HMAC: a provider without an adapter, a mail server's log reader, a
//! script. The fields are those of the contract; the README shows them all.

mod written;

use ampout_plugin::fields::Fields;
use ampout_plugin::host::Digest;
use ampout_plugin::signature::{is_hmac_hex, need_standard_webhook};
use ampout_plugin::{Event, EventKind, Outcome, Refusal, Request, Settings};
use serde_json::value::RawValue;

ampout_plugin::provider_adapter!(ingest);

/// Reads one request.
///
/// # Errors
/// `unauthorized` when the body is not signed with the endpoint's secret; `malformed` when it is not JSON, or an event has no
/// kind or a field of the wrong type.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    if request.header("webhook-signature").is_some() {
        need_standard_webhook(&request, &settings)?;
    } else {
        let secret = settings.need_signing_secret()?;
        let given = request.need_header("X-Webhook-Signature")?;
        if !is_hmac_hex(Digest::Sha256, secret.as_bytes(), &[&request.body], given) {
            return Err(Refusal::unauthorized("the body is not signed with the endpoint's signing_secret"));
        }
    }
    let written = written::events_of(&request.body).map_err(Refusal::malformed)?;
    let named = |(index, event): (usize, &RawValue)| {
        read(event).map_err(|problem| Refusal::malformed(format!("event {}: {problem}", index + 1)))
    };
    let events = written.into_iter().enumerate().map(named).collect::<Result<Vec<_>, _>>()?;
    Ok(events.into())
}

fn read(written: &RawValue) -> Result<Event, String> {
    written::check(written)?;
    let fields = Fields::from_json(written.get().as_bytes()).map_err(|error| error.to_string())?;
    // A map is one event.
    fields.first().map(event).ok_or_else(|| "is empty".to_owned())
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("kind");
    let kind = EventKind::parse(&name).unwrap_or(EventKind::Unknown);
    let mut event = Event::new(kind)
        .with_recipient(fields.text("recipient"))
        .with_send_id(fields.send_id())
        .with_message_id(fields.text("message_id"))
        .with_provider_message_id(fields.text("provider_message_id"))
        .with_time(fields.text("at"))
        .with_code(fields.number("smtp_code"))
        .with_status(fields.text("status"))
        .with_reply(&fields.text("reason").unwrap_or_default())
        .with_extra("event", (kind == EventKind::Unknown && name != "unknown").then(|| name.clone()));
    let extra = fields.inside(&["extra"]);
    for key in extra.names().take(32) {
        event = event.with_extra(key, extra.text(key));
    }
    match fields.text("dedupe_key") {
        Some(key) => event.with_event_id(Some(key)),
        None => event.with_own_key(&name, &[fields.text("reason")]),
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
