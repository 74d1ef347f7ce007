//! Mandrill's (Mailchimp Transactional's) webhooks as events: a form with a JSON list, signed by HMAC-SHA1 over the address
//! and the parameters. <https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/>

use ampout_plugin::fields::Fields;
use ampout_plugin::host::Digest;
use ampout_plugin::signature::is_hmac_base64;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Response, Settings, form};

ampout_plugin::provider_adapter!(ingest);

const EVENTS: &str = "mandrill_events";

/// Reads one request of Mandrill.
///
/// # Errors
/// `unauthorized` when the signature is not of the webhook's key and address; `malformed` when the list is not JSON.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    // When a webhook is made, Mandrill looks whether the address answers, and its key is not known yet.
    if request.method == "HEAD" {
        return Ok(Response::text(200, "text/plain", ""));
    }
    request.need_post()?;
    let parameters: Vec<(String, String)> = form::pairs(&request.body).take(1000).collect();
    let listed = parameters.iter().find(|(key, _)| key == EVENTS).map_or("", |(_, value)| value.trim());
    if request.body.is_empty() || (parameters.len() == 1 && listed == "[]") {
        return Ok(Vec::new().into());
    }
    let secret = settings.need_signing_secret()?;
    let url = settings.get("webhook_url").unwrap_or(&request.url);
    if !is_signed(secret, url, parameters.clone(), request.need_header("X-Mandrill-Signature")?) {
        return Err(Refusal::unauthorized("the signature is not of the endpoint's signing_secret and this address"));
    }
    let bodies = Fields::from_json(listed.as_bytes()).map_err(Refusal::malformed)?;
    // Changes of Mandrill's own lists have a `type` and no `event`.
    let about_mail = bodies.iter().filter(|fields| fields.has("event") || !fields.has("type"));
    Ok(about_mail.map(event).collect::<Vec<_>>().into())
}

fn is_signed(secret: &str, url: &str, mut parameters: Vec<(String, String)>, given: &str) -> bool {
    parameters.sort_by(|left, right| left.0.cmp(&right.0));
    let signed: String = parameters.into_iter().fold(url.to_owned(), |text, (key, value)| text + &key + &value);
    is_hmac_base64(Digest::Sha1, secret.as_bytes(), &[signed.as_bytes()], given)
}

fn event(fields: &Fields) -> Event {
    let name = fields.word("event");
    let message = fields.inside(&["msg"]);
    let diagnostic = message.text("diag").unwrap_or_default();
    let description = message.text("bounce_description");
    let kind = kind_of(&name, description.as_deref().unwrap_or_default(), &diagnostic);
    let words = if diagnostic.is_empty() { description.clone().unwrap_or_default() } else { diagnostic };
    Event::new(kind)
        .with_recipient(message.text("email"))
        .with_send_id(message.inside(&["metadata"]).send_id())
        .with_provider_message_id(fields.text("_id").or_else(|| message.text("_id")))
        .with_time(fields.text("ts"))
        .with_reply(&words)
        .with_extra("event", (kind == EventKind::Unknown).then(|| name.clone()))
        .with_extra("class", description)
        .with_extra("url", fields.text("url"))
        .with_own_key(&name, &[fields.text("url")])
}

fn kind_of(name: &str, description: &str, diagnostic: &str) -> EventKind {
    match name {
        "send" => EventKind::Processed,
        "delivered" => EventKind::Delivered,
        "deferral" => EventKind::Deferred,
        "hard_bounce" => EventKind::of_bounce(claim_of(description).unwrap_or(Claim::Hard), diagnostic),
        "soft_bounce" => match claim_of(description) {
            Some(Claim::Policy) => EventKind::PolicyBounce,
            _ => EventKind::of_bounce(Claim::Soft, diagnostic),
        },
        "spam" => EventKind::Complaint,
        "unsub" => EventKind::Unsubscribe,
        "reject" => EventKind::Reject,
        "open" => EventKind::Open,
        "click" => EventKind::Click,
        _ => EventKind::Unknown,
    }
}

/// What Mandrill's description says by itself.
fn claim_of(description: &str) -> Option<Claim> {
    match description {
        "bad_mailbox" | "invalid_domain" | "mailbox_inactive" => Some(Claim::Hard),
        "mailbox_full" | "general" => Some(Claim::Soft),
        "spam" | "blocked" | "policy_related" | "message_too_large" => Some(Claim::Policy),
        _ => None,
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
