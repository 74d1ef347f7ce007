//! Elastic Email's notifications as events: a GET whose query holds one event, or the same fields as a form or JSON;
//! unsigned. <https://help.elasticemail.com/en/articles/2376855-how-to-manage-http-web-notifications-webhooks>

use ampout_plugin::fields::Fields;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Response, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one notification of Elastic Email.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the fields can't be read.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    let bodies = match request.method.as_str() {
        "GET" => Fields::from_form(request.query.as_bytes()).map(|fields| vec![fields]),
        "POST" => Fields::sniff(&request.body),
        // Elastic Email looks whether the address answers.
        "HEAD" => return Ok(Response::text(200, "text/plain", "")),
        _ => return Err(Refusal::malformed("notifications come by GET or POST")),
    };
    request.need_shared_secret(&settings)?;
    let bodies = bodies.map_err(Refusal::malformed)?;
    let events: Vec<Event> = bodies.iter().filter(|fields| fields.has("status")).map(event).collect();
    // The same when the address is entered: a GET without an event.
    if events.is_empty() { Ok(Response::text(200, "text/plain", "ok")) } else { Ok(events.into()) }
}

fn event(fields: &Fields) -> Event {
    let (status, category) = (fields.word("status"), fields.word("category"));
    let kind = match status.as_str() {
        "sent" => EventKind::Delivered,
        "error" | "bounced" => failure(&category),
        "opened" => EventKind::Open,
        "clicked" => EventKind::Click,
        "abusereport" | "complaint" => EventKind::Complaint,
        "unsubscribed" => EventKind::Unsubscribe,
        _ => EventKind::Unknown,
    };
    Event::new(kind)
        .with_recipient(fields.text("to"))
        .with_send_id(fields.text("postback").and_then(|text| Fields::send_id_in_text(&text)))
        .with_provider_message_id(fields.first_text(&["messageid", "transaction"]))
        .with_time(fields.text("date"))
        .with_extra("event", (kind == EventKind::Unknown).then(|| status.clone()))
        .with_extra("class", fields.text("category"))
        .with_extra("transaction", fields.text("transaction"))
        .with_extra("url", fields.text("target"))
        .with_own_key(&status, &[fields.text("category"), fields.text("target")])
}

/// There are no words of the server, only these categories.
fn failure(category: &str) -> EventKind {
    match category {
        "nomailbox" => EventKind::of_bounce(Claim::Hard, ""),
        "spam" | "blacklisted" | "contentfilter" | "spfproblem" | "whitelistingproblem" => EventKind::PolicyBounce,
        // Given up by a person, by Elastic Email, or by its own lists.
        "manualcancel" | "codeerror" | "ignore" => EventKind::Reject,
        _ => EventKind::SoftBounce,
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
