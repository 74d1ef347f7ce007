//! Mailjet's event API as events: JSON, one event a request or, with grouped events, a list; unsigned.
//! <https://dev.mailjet.com/email/guides/webhooks/>

use ampout_plugin::fields::Fields;
use ampout_plugin::smtp_reply::joined;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of Mailjet.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the body is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    request.need_shared_secret(&settings)?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies.iter().map(event).collect::<Vec<_>>().into())
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("event");
    let words = match fields.text("smtp_reply") {
        Some(reply) => reply,
        None => joined(&[fields.text("comment"), fields.text("error")]),
    };
    let kind = kind_of(&name, fields, &words);
    let echoed = ["CustomID", "Payload"].into_iter().filter_map(|key| fields.text(key));
    Event::new(kind)
        .with_recipient(fields.text("email"))
        .with_send_id(echoed.filter_map(|text| Fields::send_id_in_text(&text)).next())
        .with_provider_message_id(fields.text("MessageID"))
        .with_time(fields.text("time"))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("class", Some(joined(&[fields.text("error_related_to"), fields.text("error")])))
        .with_extra("url", fields.text("url"))
        .with_own_key(&name, &[fields.text("url"), fields.text("Message_GUID")])
}

fn kind_of(name: &str, fields: &Fields, words: &str) -> EventKind {
    match name {
        "sent" => EventKind::Delivered,
        "bounce" | "blocked" => failure(name, fields, words),
        "spam" => EventKind::Complaint,
        "unsub" => EventKind::Unsubscribe,
        "open" => EventKind::Open,
        "click" => EventKind::Click,
        _ => EventKind::Unknown,
    }
}

/// Mailjet's own words for a cause come before its `hard_bounce`, which is also true of what is about us.
fn failure(name: &str, fields: &Fields, words: &str) -> EventKind {
    let claim = match fields.word("error").as_str() {
        "greylisted" => return EventKind::Deferred,
        "preblocked" | "duplicate in campaign" | "typofix" => return EventKind::Reject,
        _ if name == "blocked" => return EventKind::Reject,
        "user unknown" | "mailbox inactive" | "invalid domain" | "no mail host" => Claim::Hard,
        "quota exceeded" | "connection issue" | "system issue" | "protocol issue" => Claim::Soft,
        "relay/access denied"
        | "sender blocked"
        | "content blocked"
        | "policy issue"
        | "blacklisted"
        | "spam reporter" => Claim::Policy,
        _ if fields.flag("hard_bounce") => Claim::Hard,
        _ => Claim::Soft,
    };
    EventKind::of_bounce(claim, words)
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
