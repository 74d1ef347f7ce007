//! ZeptoMail's webhooks as events: JSON, or a form with JSON in it, signed by HMAC. Lists may come as single objects, and
//! names in several spellings. <https://www.zoho.com/zeptomail/help/webhooks.html>

use ampout_plugin::fields::Fields;
use ampout_plugin::host::Digest;
use ampout_plugin::signature::is_hmac_base64;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Response, Settings, form};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of ZeptoMail.
///
/// # Errors
/// `unauthorized` when the payload is not signed with the endpoint's secret and does not present it either; `malformed`
/// when it is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let payload = payload(&request.body);
    // ZeptoMail tries an address without proof before it takes it.
    let proof = request.header("producer-signature").map(str::trim);
    if proof.is_none() && !holds_event(&payload) {
        return Ok(Response::text(200, "text/plain", "ok"));
    }
    let secret = settings.need_signing_secret()?;
    let is_genuine = match proof {
        Some(header) => is_signed(header, secret, &payload),
        None => request.presents_secret(secret),
    };
    if !is_genuine {
        return Err(Refusal::unauthorized("the payload is not signed with the endpoint's signing_secret"));
    }
    let bodies = Fields::from_json(&payload).map_err(Refusal::malformed)?;
    Ok(bodies.iter().flat_map(events_of).collect::<Vec<_>>().into())
}

/// The JSON, raw or as the first value of a form.
fn payload(body: &[u8]) -> Vec<u8> {
    if body.trim_ascii_start().starts_with(b"{") {
        return body.to_vec();
    }
    let value = body.iter().position(|byte| *byte == b'=').map_or(body, |at| &body[at + 1..]);
    form::decoded(value).into_bytes()
}

fn holds_event(payload: &[u8]) -> bool {
    payload.windows(b"event_message".len()).any(|window| window == b"event_message")
}

/// `ts=<ms>;s=<base64, percent-encoded>;s-algorithm=HmacSHA256`. What is signed is the payload, or, as some have it, the
/// time and the payload; in the first case the time proves nothing, so nobody looks at it.
fn is_signed(header: &str, secret: &str, payload: &[u8]) -> bool {
    let part = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name));
    let (Some(given), time) = (part("s="), part("ts=").unwrap_or_default()) else { return false };
    if !part("s-algorithm=").is_none_or(|name| name.eq_ignore_ascii_case("HmacSHA256")) {
        return false;
    }
    // Not a form: a plus is a plus.
    let given = form::decoded(given.replace('+', "%2B").as_bytes());
    let matches = |parts: &[&[u8]]| is_hmac_base64(Digest::Sha256, secret.as_bytes(), parts, &given);
    matches(&[payload]) || (!time.is_empty() && matches(&[time.as_bytes(), payload]))
}

fn events_of(body: &Fields) -> Vec<Event> {
    let request_id = body.text("webhook_request_id");
    let mut events = Vec::new();
    for message in body.objects("event_message") {
        for data in message.objects("event_data") {
            let name = data.text("object").or_else(|| body.list("event_name").into_iter().next()).unwrap_or_default();
            let details = data.objects("details");
            // Some events have no details; they are events all the same.
            let details = if details.is_empty() { vec![Fields::default()] } else { details };
            events.extend(details.iter().map(|details| event(&name, &message, details, request_id.clone())));
        }
    }
    events
}

fn event(name: &str, message: &Fields, details: &Fields, request_id: Option<String>) -> Event {
    let info = message.inside(&["email_info"]);
    let words = details.first_text(&["diagnostic_message", "reason"]).unwrap_or_default();
    let kind = kind_of(name, &words);
    let recipients = info.objects("to");
    let only = || match recipients.as_slice() {
        [one] => one.inside(&["email_address"]).text("address").or_else(|| one.text("address")),
        _ => None,
    };
    Event::new(kind)
        .with_recipient(details.text("bounced_recipient").or_else(only))
        .with_send_id(info.text("client_reference").and_then(|text| Fields::send_id_in_text(&text)))
        .with_provider_message_id(message.text("request_id"))
        .with_time(details.first_text(&["time", "modified_time"]).or_else(|| info.text("processed_time")))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.to_owned()))
        .with_extra("class", details.text("reason"))
        .with_extra("url", details.text("clicked_link"))
        .with_own_key(name, &[request_id, details.text("clicked_link")])
}

fn kind_of(name: &str, words: &str) -> EventKind {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    match letters.to_ascii_lowercase().as_str() {
        "hardbounce" => EventKind::of_bounce(Claim::Hard, words),
        "softbounce" => EventKind::of_bounce(Claim::Soft, words),
        "emailopen" => EventKind::Open,
        "emaillinkclick" => EventKind::Click,
        "feedbackloop" | "fblcomplaint" => EventKind::Complaint,
        "delivered" | "delivery" | "emaildelivered" => EventKind::Delivered,
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
