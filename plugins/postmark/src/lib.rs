//! Postmark's webhooks as events: JSON, one event a request, unsigned.
//! Names are those of <https://postmarkapp.com/developer/webhooks/webhooks-overview>.

use ampout_plugin::fields::Fields;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of Postmark.
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
    let record = fields.word("RecordType");
    let details = fields.text("Details").or_else(|| fields.text("Description")).unwrap_or_default();
    let (kind, name) = match record.as_str() {
        "delivery" => (EventKind::Delivered, String::new()),
        "bounce" => (bounce(&fields.word("Type"), &details), fields.text("Type").unwrap_or_default()),
        "spamcomplaint" => (EventKind::Complaint, String::new()),
        "open" => (EventKind::Open, String::new()),
        "click" => (EventKind::Click, String::new()),
        "subscriptionchange" => subscription(fields),
        // The provider did not take what we submitted; nothing was tried.
        "smtpapierror" => (EventKind::Reject, String::new()),
        _ => (EventKind::Unknown, fields.text("RecordType").unwrap_or_default()),
    };
    let failed = !matches!(kind, EventKind::Open | EventKind::Click);
    Event::new(kind)
        .with_recipient(fields.first_text(&["Email", "Recipient"]))
        .with_send_id(fields.inside(&["Metadata"]).send_id())
        .with_provider_message_id(fields.text("MessageID"))
        .with_time(fields.first_text(&["BouncedAt", "DeliveredAt", "ReceivedAt", "ChangedAt"]))
        .with_reply(if failed { &details } else { "" })
        .with_extra("event", Some(name.clone()))
        .with_extra("final", (fields.word("Type") == "transient").then(|| "false".to_owned()))
        .with_extra("url", fields.text("OriginalLink"))
        .with_extra("stream", fields.text("MessageStream"))
        // A bounce has an id of its own, the others have none.
        .with_own_key(&record, &[Some(name), fields.text("ID"), fields.text("OriginalLink")])
}

/// <https://postmarkapp.com/developer/api/bounce-api#bounce-types>. Not all that Postmark lists as bounces is one.
fn bounce(kind: &str, details: &str) -> EventKind {
    match kind {
        "hardbounce" => EventKind::of_bounce(Claim::Hard, details),
        "softbounce" | "dnserror" => EventKind::of_bounce(Claim::Soft, details),
        "blocked" | "dmarcpolicy" | "spamnotification" | "virusnotification" => EventKind::PolicyBounce,
        // Postmark goes on trying.
        "transient" => EventKind::Deferred,
        "spamcomplaint" => EventKind::Complaint,
        "unsubscribe" => EventKind::Unsubscribe,
        "subscribe" => EventKind::Resubscribe,
        "autoresponder" | "addresschange" | "challengeverification" => EventKind::AutoReply,
        // Refused by Postmark itself because of what it knew before.
        "bademailaddress" | "manuallydeactivated" => EventKind::Reject,
        _ => EventKind::Unknown,
    }
}

/// Postmark tells of its suppressions, also of those that follow a bounce or a complaint, which come as events of their
/// own. Only a manual one is a person's wish.
fn subscription(fields: &Fields) -> (EventKind, String) {
    let reason = fields.text("SuppressionReason").unwrap_or_default();
    match (fields.flag("SuppressSending"), reason.as_str()) {
        (false, _) if fields.has("SuppressSending") => (EventKind::Resubscribe, reason),
        (true, "ManualSuppression") => (EventKind::Unsubscribe, reason),
        _ => (EventKind::Unknown, format!("SubscriptionChange {reason}")),
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
