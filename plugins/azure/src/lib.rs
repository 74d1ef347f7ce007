//! Azure Communication Services' e-mail events through Event Grid, in its own schema or as CloudEvents, with the handshake
//! of both; unsigned.
//! <https://learn.microsoft.com/azure/event-grid/communication-services-email-events>

use ampout_plugin::fields::Fields;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Response, Settings};

ampout_plugin::provider_adapter!(ingest);

const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// Reads one request of Event Grid.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the body is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    if request.method == "OPTIONS" {
        request.need_shared_secret(&settings)?;
        return allow(&request);
    }
    request.need_post()?;
    request.need_shared_secret(&settings)?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    if let Some(asked) = bodies.iter().find(|fields| name_of(fields) == VALIDATION) {
        return validate(&asked.inside(&["data"]));
    }
    Ok(bodies.iter().map(event).collect::<Vec<_>>().into())
}

/// CloudEvents 1.0, Web Hooks, section 4: the sender asks whether it may.
fn allow(request: &Request) -> Result<Outcome, Refusal> {
    let Some(origin) = request.header("WebHook-Request-Origin") else {
        return Err(Refusal::malformed("the header WebHook-Request-Origin is missing"));
    };
    let headers = vec![("webhook-allowed-origin".to_owned(), origin.to_owned())];
    Ok(Outcome::Respond(Response { status: 200, headers, body: Vec::new() }))
}

/// Event Grid's own schema: a code comes back.
fn validate(data: &Fields) -> Result<Outcome, Refusal> {
    let code = data.text("validationCode").ok_or_else(|| Refusal::malformed("there is no validationCode"))?;
    let is_plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_plain || code.len() > 256 {
        return Err(Refusal::malformed("the validationCode is none"));
    }
    Ok(Response::text(200, "application/json", &format!("{{\"validationResponse\":\"{code}\"}}")))
}

fn name_of(fields: &Fields) -> String {
    fields.first_text(&["eventType", "type"]).unwrap_or_default()
}

fn event(fields: &Fields) -> Event {
    let (name, data) = (name_of(fields), fields.inside(&["data"]));
    let details = data.inside(&["deliveryStatusDetails"]);
    // Old samples have the details as a text, and other capitals.
    let words =
        details.text("statusMessage").or_else(|| data.text_any_case("deliveryStatusDetails")).unwrap_or_default();
    let kind = kind_of(&name, &data, &words);
    let times = ["deliveryAttemptTimestamp", "deliveryAttemptTimeStamp", "userActionTimestamp", "userActionTimeStamp"];
    let time = data.first_text(&times).or_else(|| data.text_any_case("receivedTimestamp"));
    let event = Event::new(kind)
        .with_recipient(data.text("recipient"))
        .with_message_id(data.text("internetMessageId"))
        .with_provider_message_id(data.text("messageId"))
        .with_time(time.or_else(|| fields.first_text(&["eventTime", "time"])))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("class", data.text("status"))
        .with_extra("url", data.text("engagementContext"));
    match fields.text("id") {
        Some(id) => event.with_event_id(Some(id)),
        None => event.with_own_key(&name, &[data.text("status")]),
    }
}

fn kind_of(name: &str, data: &Fields, words: &str) -> EventKind {
    match name {
        "Microsoft.Communication.EmailDeliveryReportReceived" => match data.word("status").as_str() {
            "delivered" => EventKind::Delivered,
            "bounced" => EventKind::of_bounce(Claim::Hard, words),
            "failed" => EventKind::of_bounce(Claim::Untold, words),
            "suppressed" => EventKind::Reject,
            "filteredspam" | "quarantined" => EventKind::PolicyBounce,
            // The address is a list, and the list took it.
            "expanded" => EventKind::Processed,
            _ => EventKind::Unknown,
        },
        "Microsoft.Communication.EmailEngagementTrackingReportReceived" => {
            match data.first_text(&["engagementType", "engagement"]).unwrap_or_default().to_ascii_lowercase().as_str() {
                "view" => EventKind::Open,
                "click" => EventKind::Click,
                _ => EventKind::Unknown,
            }
        }
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
