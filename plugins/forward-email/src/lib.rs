//! Forward Email's bounce webhook as events: JSON, one bounce a request, signed by HMAC over the raw body.
//! <https://forwardemail.net/en/faq#do-you-support-bounce-webhooks>

use ampout_plugin::fields::Fields;
use ampout_plugin::host::Digest;
use ampout_plugin::signature::is_hmac_hex;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Reads one request of Forward Email.
///
/// # Errors
/// `unauthorized` when the body is not signed with the endpoint's secret; `malformed` when it is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let secret = settings.need_signing_secret()?;
    let given = request.need_header("X-Webhook-Signature")?;
    if !is_hmac_hex(Digest::Sha256, secret.as_bytes(), &[&request.body], given) {
        return Err(Refusal::unauthorized("the body is not signed with the endpoint's signing_secret"));
    }
    let bodies = Fields::from_json(&request.body).map_err(Refusal::malformed)?;
    Ok(bodies.first().map(event).into_iter().collect::<Vec<_>>().into())
}

fn event(fields: &Fields) -> Event {
    let bounce = fields.inside(&["bounce"]);
    let words = fields.first_text(&["response", "message"]).or_else(|| bounce.text("message")).unwrap_or_default();
    let (action, category) = (bounce.word("action"), bounce.word("category"));
    let kind = kind_of(&action, &category, &words);
    let headers = fields.inside(&["headers"]);
    Event::new(kind)
        .with_recipient(fields.text("recipient"))
        .with_send_id(headers.send_id())
        .with_message_id(headers.text_any_case("Message-ID"))
        .with_provider_message_id(fields.text("email_id"))
        .with_time(fields.text("bounced_at"))
        .with_code(fields.number("response_code").or_else(|| bounce.number("code")))
        .with_status(bounce.text("status"))
        .with_reply(&words)
        .with_extra("class", bounce.text("category"))
        .with_extra("host", fields.text("truth_source"))
        .with_own_key(&action, &[bounce.text("category")])
}

/// The categories `block`, `spam` and `virus` are about the sender: the address lives.
fn kind_of(action: &str, category: &str, words: &str) -> EventKind {
    if action == "defer" {
        return EventKind::Deferred;
    }
    match category {
        "recipient" => EventKind::of_bounce(Claim::Hard, words),
        "block" | "blocklist" | "spam" | "virus" | "policy" | "dmarc" | "spf" | "dkim" | "authentication"
        | "content" => EventKind::PolicyBounce,
        _ if action.is_empty() && category.is_empty() => EventKind::Unknown,
        _ => EventKind::of_bounce(Claim::Soft, words),
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
