//! Asked of every request to `/inbound/@NAME@/<token>`: what a provider posts becomes events.

use ampout_plugin::fields::Fields;
use ampout_plugin::{Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads `{"id": …, "type": "bounced", "to": …}`, or a list of those.
///
/// # Errors
/// `unauthorized` without the endpoint's signing secret, `malformed` when the body can't be read.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    if let Some(secret) = settings.signing_secret()
        && !request.presents_secret(secret)
    {
        return Err(Refusal::unauthorized("the Authorization header does not present the signing_secret"));
    }
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies.iter().map(event_of).collect::<Vec<_>>().into())
}

fn event_of(fields: &Fields) -> Event {
    let kind = match fields.text("type").as_deref() {
        Some("delivered") => EventKind::Delivered,
        Some("bounced") => EventKind::HardBounce,
        Some("complained") => EventKind::Complaint,
        _ => EventKind::Unknown,
    };
    // Events with the same key are one, however often the provider sends them.
    Event { recipient: fields.text("to"), dedupe_key: fields.text("id"), ..Event::new(kind) }
}
@TEST@
