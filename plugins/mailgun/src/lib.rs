//! Mailgun's webhooks as events: JSON, one event a request, or the form of old accounts. The signature stands in the body
//! and covers a time and a token alone: <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks>.

use ampout_plugin::fields::Fields;
use ampout_plugin::host::Digest;
use ampout_plugin::signature::{is_hmac_hex, need_fresh};
use ampout_plugin::smtp_reply::joined;
use ampout_plugin::{Claim, Event, EventKind, Outcome, Refusal, Request, Settings};

ampout_plugin::provider_adapter!(ingest);

/// Mailgun tries again for eight hours and may keep the stamp.
const OLDEST_SECONDS: i64 = 12 * 3600;

/// Reads one request of Mailgun.
///
/// # Errors
/// `unauthorized` when time and token are not signed with the webhook signing key, or too old; `malformed` when the body
/// can't be read.
pub fn ingest(request: Request, settings: Settings) -> Result<Outcome, Refusal> {
    request.need_post()?;
    let secret = settings.need_signing_secret()?;
    let bodies = Fields::sniff(&request.body).map_err(Refusal::malformed)?;
    let Some(body) = bodies.first() else { return Err(Refusal::malformed("the body holds no event")) };
    let (signature, data) = match body.has("event-data") {
        true => (body.inside(&["signature"]), body.inside(&["event-data"])),
        false => (body.clone(), body.clone()),
    };
    // In a form, user variables stand among the fields and before the signature's: the last ones are Mailgun's.
    let part = |name: &str| {
        signature.last_text(name).ok_or_else(|| Refusal::unauthorized(format!("the body has no signature.{name}")))
    };
    let (timestamp, token, given) = (part("timestamp")?, part("token")?, part("signature")?);
    if !is_hmac_hex(Digest::Sha256, secret.as_bytes(), &[timestamp.as_bytes(), token.as_bytes()], &given) {
        return Err(Refusal::unauthorized("time and token are not signed with the endpoint's signing_secret"));
    }
    need_fresh(&request, &timestamp, OLDEST_SECONDS)?;
    if data.names().next().is_none() {
        return Err(Refusal::malformed("the event-data is no event"));
    }
    // As key of the event, a token counts once: whoever puts another body beside a captured one achieves nothing.
    Ok(vec![event(&data).with_event_id(Some(token))].into())
}

fn event(data: &Fields) -> Event {
    let name = data.word("event");
    let status = data.inside(&["delivery-status"]);
    let code = status.number("code").or_else(|| data.number("code"));
    let words = status.first_text(&["message", "description"]).or_else(|| data.first_text(&["error", "description"]));
    let words = words.or_else(|| data.inside(&["reject"]).text("reason"));
    let reply = joined(&[code.map(|code| code.to_string()), status.text("enhanced-code"), words.clone()]);
    let headers = data.inside(&["message", "headers"]);
    let kind = kind_of(&name, data, code, &reply);
    Event::new(kind)
        .with_recipient(data.text("recipient").or_else(|| headers.text("to")))
        .with_send_id(data.inside(&["user-variables"]).send_id().or_else(|| data.send_id()))
        .with_message_id(headers.text("message-id").or_else(|| data.text_any_case("Message-Id")))
        .with_time(data.text("timestamp"))
        .with_code(code)
        .with_status(status.text("enhanced-code"))
        .with_reply(&words.unwrap_or_default())
        .with_extra("event", (kind == EventKind::Unknown).then_some(name))
        .with_extra("reason", data.text("reason"))
        .with_extra("url", data.text("url"))
        .with_extra("host", status.text("mx-host"))
}

fn kind_of(name: &str, data: &Fields, code: Option<i64>, reply: &str) -> EventKind {
    match name {
        "accepted" => EventKind::Processed,
        "delivered" => EventKind::Delivered,
        "failed" if data.word("severity") == "temporary" => EventKind::Deferred,
        // `dropped` and `bounced` are the old names.
        "failed" | "dropped" | "bounced" => failure(name, &data.word("reason"), code, reply),
        "opened" if !data.inside(&["client-info"]).word("bot").is_empty() => EventKind::OpenMachine,
        "opened" => EventKind::Open,
        "clicked" => EventKind::Click,
        "unsubscribed" => EventKind::Unsubscribe,
        "complained" => EventKind::Complaint,
        "rejected" => EventKind::Reject,
        _ => EventKind::Unknown,
    }
}

/// Codes over 600 are Mailgun's own: 602 too old, 605 to 607 suppressed because of what was before.
fn failure(name: &str, reason: &str, code: Option<i64>, reply: &str) -> EventKind {
    match (reason, code) {
        (_, Some(605..=607)) => EventKind::Reject,
        (reason, _) if reason.starts_with("suppress-") => EventKind::Reject,
        ("old", _) | (_, Some(602)) => EventKind::SoftBounce,
        ("bounce", _) => EventKind::of_bounce(Claim::Hard, reply),
        _ if name == "bounced" => EventKind::of_bounce(Claim::Hard, reply),
        _ => EventKind::of_bounce(Claim::Untold, reply),
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
