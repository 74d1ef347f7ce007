//! SendGrid's event webhook as events: a JSON list, signed by ECDSA over the time and the raw body.
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>

use ampout_plugin::fields::Fields;
use ampout_plugin::signature::need_fresh;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings, base64, host};

ampout_plugin::provider_adapter!(ingest);

const SIGNATURE: &str = "X-Twilio-Email-Event-Webhook-Signature";
const TIMESTAMP: &str = "X-Twilio-Email-Event-Webhook-Timestamp";
/// SendGrid tries again for 24 hours, and does not say whether it signs anew.
const OLDEST_SECONDS: i64 = 25 * 3600;

/// Reads one request of SendGrid.
///
/// # Errors
/// `unauthorized` when the signature is not SendGrid's or too old; `malformed` when the body is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let key = settings.need_public_key()?;
    let (given, stamp) = (request.need_header(SIGNATURE)?, request.need_header(TIMESTAMP)?);
    let given = base64::decode(given).ok_or_else(|| Refusal::unauthorized("the signature is not base64"))?;
    // The body to its last byte: it ends in CRLF, and a trimmed one has another signature.
    let signed = [stamp.as_bytes(), &request.body].concat();
    if !host::verify_ecdsa_p256(&key, &signed, &given).map_err(Refusal::unauthorized)? {
        return Err(Refusal::unauthorized("the signature does not match the endpoint's public_key"));
    }
    need_fresh(&request, stamp, OLDEST_SECONDS)?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    let about_mail = bodies.iter().filter(|fields| fields.word("event") != "account_status_change");
    Ok(about_mail.map(event).collect::<Vec<_>>().into())
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("event");
    let words = fields.first_text(&["reason", "response"]).unwrap_or_default();
    let kind = kind_of(&name, fields, &words);
    Event::new(kind)
        .with_recipient(fields.text("email"))
        .with_send_id(fields.send_id())
        .with_message_id(fields.text("smtp-id"))
        .with_provider_message_id(fields.text("sg_message_id").map(message_id))
        .with_time(fields.text("timestamp"))
        .with_status(fields.text("status"))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("classification", fields.text("bounce_classification"))
        .with_extra("url", fields.text("url"))
        // `sg_event_id` differs between two tellings of one event, so it is no part of the key.
        .with_own_key(&name, &[fields.text("url"), fields.text("attempt"), fields.text("type")])
}

fn kind_of(name: &str, fields: &Fields, words: &str) -> EventKind {
    match name {
        "processed" => EventKind::Processed,
        "delivered" => EventKind::Delivered,
        "deferred" => EventKind::Deferred,
        "bounce" | "blocked" => bounce(name, fields, words),
        "dropped" => EventKind::Reject,
        "spamreport" => EventKind::Complaint,
        "unsubscribe" | "group_unsubscribe" => EventKind::Unsubscribe,
        "group_resubscribe" => EventKind::Resubscribe,
        "open" if fields.flag("sg_machine_open") => EventKind::OpenMachine,
        "open" => EventKind::Open,
        "click" => EventKind::Click,
        _ => EventKind::Unknown,
    }
}

/// `blocked` says that the address lives, whatever the class.
fn bounce(name: &str, fields: &Fields, words: &str) -> EventKind {
    let is_blocked = name == "blocked" || fields.word("type") == "blocked";
    let claim = match fields.word("bounce_classification").as_str() {
        "content" | "reputation" | "frequency/volume" | "frequency or volume too high" => Claim::Policy,
        _ if is_blocked => Claim::Soft,
        "technical" => Claim::Soft,
        "mailbox unavailable" | "unclassified" => Claim::Untold,
        _ => Claim::Hard,
    };
    let reply = format!("{} {words}", fields.text("status").unwrap_or_default());
    EventKind::of_bounce(claim, &reply)
}

/// What the answer to the submission named: `14c5d75ce93.dfd.64b469` of `14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0`.
fn message_id(id: String) -> String {
    let end = [".filter", ".recvd"].iter().find_map(|suffix| id.find(suffix)).or_else(|| id.find('.'));
    end.map_or(id.clone(), |end| id[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use ampout_plugin::EventKind;
    use ampout_plugin::fields::Fields;

    use super::{bounce, ingest};

    #[test]
    fn a_bounce_that_sendgrid_could_not_place_kills_no_address() {
        let fields = br#"{"type": "bounce", "bounce_classification": "Unclassified", "status": "5.0.0"}"#;
        let fields = Fields::from_json(fields).unwrap().remove(0);
        assert_eq!(bounce("bounce", &fields, "500 unknown error"), EventKind::SoftBounce);
        assert_eq!(bounce("bounce", &fields, "550 5.1.1 user unknown"), EventKind::HardBounce);
    }

    #[test]
    fn every_example_is_decided_as_expected() {
        ampout_plugin::testkit::check_provider_adapter(env!("CARGO_MANIFEST_DIR"), ingest);
    }

    #[test]
    fn it_conforms() {
        ampout_plugin::testkit::conformance::check(env!("CARGO_MANIFEST_DIR"), ingest);
    }
}
