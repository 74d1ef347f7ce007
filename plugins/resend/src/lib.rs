//! Resend's webhooks as events: JSON, one event a request, signed by Standard Webhooks.
//! <https://resend.com/docs/dashboard/webhooks/event-types>

use ampout_plugin::fields::Fields;
use ampout_plugin::signature::need_standard_webhook;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of Resend.
///
/// # Errors
/// `unauthorized` when the signature is not of the endpoint's secret or not of these minutes; `malformed` when the body is
/// not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let id = need_standard_webhook(&request, &settings)?;
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies
        .first()
        .map(|fields| event(fields).with_event_id(Some(id.to_owned())))
        .into_iter()
        .collect::<Vec<_>>()
        .into())
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("type");
    let data = fields.inside(&["data"]);
    let bounce = data.inside(&["bounce"]);
    let words = bounce.list_text("diagnosticCode").or_else(|| bounce.text("message"));
    let words = words.or_else(|| data.inside(&["failed"]).text("reason")).unwrap_or_default();
    let kind = kind_of(&name, &bounce, &words);
    // Of a message to several, Resend does not say whom an event is about.
    let recipients = data.list("to");
    let only = if recipients.len() == 1 { recipients.into_iter().next() } else { None };
    let in_tags = data.inside(&["tags"]).send_id().or_else(|| {
        let is_ours = |tag: &&Fields| matches!(tag.word("name").as_str(), "ampout_send_id" | "send_id");
        data.objects("tags").iter().find(is_ours).and_then(|tag| tag.text("value"))
    });
    Event::new(kind)
        .with_recipient(only)
        .with_send_id(data.send_id_in_headers("headers").or(in_tags))
        .with_message_id(data.text("message_id"))
        .with_provider_message_id(data.text("email_id"))
        .with_time(fields.text("created_at"))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then_some(name))
        .with_extra("class", bounce.text("subType"))
        .with_extra("url", data.inside(&["click"]).text("link"))
}

fn kind_of(name: &str, bounce: &Fields, words: &str) -> EventKind {
    match name {
        "email.sent" => EventKind::Processed,
        "email.delivered" => EventKind::Delivered,
        "email.delivery_delayed" => EventKind::Deferred,
        "email.bounced" => match (bounce.word("type").as_str(), bounce.word("subType").as_str()) {
            (_, "suppressed" | "onaccountsuppressionlist") => EventKind::Reject,
            (_, "mailboxfull") | ("transient" | "temporary" | "undetermined", _) => {
                EventKind::of_bounce(Claim::Soft, words)
            }
            (_, "contentrejected" | "messagetoolarge" | "attachmentrejected") => EventKind::PolicyBounce,
            _ => EventKind::of_bounce(Claim::Hard, words),
        },
        "email.complained" => EventKind::Complaint,
        "email.opened" => EventKind::Open,
        "email.clicked" => EventKind::Click,
        "email.failed" | "email.suppressed" => EventKind::Reject,
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
