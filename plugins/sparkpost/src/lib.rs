//! SparkPost's webhooks (and those of Bird's e-mail API, which kept the shape) as events: JSON lists, unsigned.
//! <https://developers.sparkpost.com/api/webhooks/>

use ampout_plugin::fields::Fields;
use ampout_plugin::smtp_reply::joined;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

const CLASSES: [&str; 6] =
    ["message_event", "track_event", "gen_event", "unsubscribe_event", "ingest_event", "ab_test_event"];

/// Reads one batch of SparkPost.
///
/// # Errors
/// `unauthorized` when a signing secret is set and not presented; `malformed` when the body is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    request.need_shared_secret(&settings)?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies.iter().filter_map(event).collect::<Vec<_>>().into())
}

/// Nothing for the empty `msys` of a test, and for received mail.
fn event(body: &Fields) -> Option<Event> {
    let msys = body.inside(&["msys"]);
    let class = CLASSES.iter().copied().find(|class| msys.has(class));
    let other = || msys.names().find(|name| !name.starts_with("relay_")).map(str::to_owned);
    let fields = msys.inside(&[&class.map(str::to_owned).or_else(other)?]);
    let name = fields.word("type");
    let words = fields.first_text(&["raw_reason", "reason"]).unwrap_or_default();
    let reply = joined(&[fields.text("error_code"), Some(words.clone())]);
    let kind = kind_of(&name, &fields.word("bounce_class"), &reply);
    let event = Event::new(kind)
        .with_recipient(fields.first_text(&["raw_rcpt_to", "rcpt_to"]))
        .with_send_id(fields.inside(&["rcpt_meta"]).send_id())
        .with_provider_message_id(fields.text("transmission_id"))
        .with_time(fields.text("timestamp"))
        .with_code(fields.number("error_code"))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("class", fields.text("bounce_class"))
        .with_extra("url", fields.text("target_link_url"));
    Some(match fields.text("event_id") {
        Some(id) => event.with_event_id(Some(id)),
        None => event.with_own_key(&name, &[fields.text("target_link_url")]),
    })
}

fn kind_of(name: &str, class: &str, reply: &str) -> EventKind {
    match name {
        "injection" | "sms_status" => EventKind::Processed,
        "delivery" => EventKind::Delivered,
        "delay" => EventKind::Deferred,
        "bounce" | "out_of_band" => bounce(class, reply),
        "policy_rejection" | "generation_failure" | "generation_rejection" => EventKind::Reject,
        "spam_complaint" => EventKind::Complaint,
        "open" | "initial_open" | "amp_open" | "amp_initial_open" => EventKind::Open,
        "click" | "initial_click" | "amp_click" => EventKind::Click,
        "list_unsubscribe" | "link_unsubscribe" => EventKind::Unsubscribe,
        _ => EventKind::Unknown,
    }
}

/// <https://support.sparkpost.com/docs/deliverability/bounce-classification-codes>. The class is worth more than the name:
/// not all that comes as a bounce is one.
fn bounce(class: &str, reply: &str) -> EventKind {
    match class {
        "10" | "30" => EventKind::of_bounce(Claim::Hard, reply),
        "25" | "50" | "51" | "52" | "53" | "54" => EventKind::PolicyBounce,
        // Automatic answers, and challenges to prove that we are human.
        "60" | "100" => EventKind::AutoReply,
        "80" => EventKind::Resubscribe,
        "90" => EventKind::Unsubscribe,
        "" => EventKind::of_bounce(Claim::Untold, reply),
        _ => EventKind::of_bounce(Claim::Soft, reply),
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
