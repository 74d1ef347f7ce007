//! What an adapter answers as JSON, in the contract's words: what a script returns and what a decision record keeps.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::answer::{BadAnswer, Fields};
use super::super::bytes_form;
use super::{Event, Outcome, RawEvent, Refusal, Response, bounded};

const SHAPE: &str = r#"#{ events: [] }, #{ respond: #{ status: 200 } } or #{ error: "unauthorized" }"#;

impl Refusal {
    /// `{"error": "unauthorized", "reason": "…"}`.
    pub fn to_json(&self) -> Value {
        let (error, reason) = match self {
            Self::Unauthorized(reason) => ("unauthorized", reason),
            Self::Malformed(reason) => ("malformed", reason),
            Self::Retry(reason) => ("retry", reason),
        };
        json!({ "error": error, "reason": reason })
    }
}

/// Reads `#{ events: […] }`, `#{ respond: #{ status, headers, body } }` or `#{ error: "…", reason: "…" }`.
pub(in crate::extensions::hooks) fn answer_from_json(value: Value) -> Result<Result<Outcome, Refusal>, BadAnswer> {
    let mut fields = Fields::of(value, "the answer", SHAPE)?;
    if fields.has("error") {
        let (error, reason) = (fields.needed_text("error")?, fields.text("reason")?);
        fields.finish(&["error", "reason"])?;
        return Refusal::checked(&error, reason.unwrap_or_default()).map(Err);
    }
    if let Some(response) = fields.take("respond") {
        fields.finish(&["respond"])?;
        return response_from_json(response).map(|response| Ok(Outcome::Respond(response)));
    }
    let events = fields.list("events")?;
    fields.finish(&["events", "respond", "error", "reason"])?;
    let Some(events) = events else {
        return Err(BadAnswer::new(format!("the answer has none of events, respond and error; expected {SHAPE}")));
    };
    bounded(events.len())?;
    let events: Result<_, _> = events.into_iter().enumerate().map(|(i, event)| event_from_json(event, i)).collect();
    Ok(Ok(Outcome::Events(events?)))
}

fn event_from_json(value: Value, index: usize) -> Result<Event, BadAnswer> {
    let shape = r#"#{ kind: "hard_bounce", recipient: "a@example.org" }"#;
    let mut fields = Fields::of(value, &format!("events[{index}]"), shape)?;
    let raw = RawEvent {
        kind: fields.needed_text("kind")?,
        recipient: fields.text("recipient")?,
        send_id: fields.text("send_id")?,
        message_id: fields.text("message_id")?,
        provider_message_id: fields.text("provider_message_id")?,
        at: fields.text("at")?,
        smtp_code: fields.number("smtp_code")?,
        status: fields.text("status")?,
        reason: fields.text("reason")?,
        dedupe_key: fields.text("dedupe_key")?,
        extra: fields.extra()?,
    };
    let event = fields.inside(Event::checked(raw))?;
    fields.finish(&[
        "kind",
        "recipient",
        "send_id",
        "message_id",
        "provider_message_id",
        "at",
        "smtp_code",
        "status",
        "reason",
        "dedupe_key",
        "extra",
    ])?;
    Ok(event)
}

fn response_from_json(value: Value) -> Result<Response, BadAnswer> {
    let mut fields = Fields::of(value, "respond", r#"#{ status: 200, headers: #{}, body: "" }"#)?;
    let status = fields.needed_number("status")?;
    let headers = match fields.take("headers") {
        None => Vec::new(),
        Some(Value::Object(map)) => serde_json::from_value::<BTreeMap<String, String>>(Value::Object(map))
            .map(|map| map.into_iter().collect())
            .map_err(|_| BadAnswer::new("respond.headers must be a map from text to text"))?,
        Some(list) => serde_json::from_value(list)
            .map_err(|_| BadAnswer::new("respond.headers must be a map from text to text, or a list of pairs"))?,
    };
    let body = match fields.take("body") {
        None => Bytes::new(),
        Some(value) => bytes_form::deserialize(value)
            .map_err(|_| BadAnswer::new("respond.body must be a text, or a map with the key \"base64\""))?,
    };
    fields.finish(&["status", "headers", "body"])?;
    Response::checked(status, headers, body)
}

#[cfg(test)]
mod tests {
    use super::super::EventKind;
    use super::*;

    #[track_caller]
    fn refused(answer: Value, part: &str) {
        let error = answer_from_json(answer).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn events_are_read_and_their_words_checked() {
        let event = json!({ "kind": "hard_bounce", "recipient": "a@example.org", "smtp_code": 550, "status": "5.1.1",
            "at": "2026-11-23T08:00:00Z", "extra": { "country": "NZ" } });
        let Ok(Outcome::Events(events)) = answer_from_json(json!({ "events": [event] })).unwrap() else { panic!() };
        assert_eq!((events[0].kind, events[0].smtp_code), (EventKind::HardBounce, Some(550)));
        refused(
            json!({ "events": [{ "kind": "bounce" }] }),
            "events[0]: \"bounce\" is no kind of event; expected one of delivered",
        );
        refused(json!({ "events": [{ "kind": "open", "email": "x" }] }), "unknown key \"email\"");
        refused(json!({ "events": [{ "kind": "open", "smtp_code": 25 }] }), "200 to 599");
        refused(json!({ "events": [{ "kind": "open", "at": "noon" }] }), "write it as 2026-11-23T08:00:00Z");
        refused(json!({ "event": [] }), "unknown key \"event\"");
    }

    #[test]
    fn a_handshake_and_a_refusal_are_answers() {
        let answer = answer_from_json(
            json!({ "respond": { "status": 200, "headers": { "content-type": "text/plain" }, "body": "42" } }),
        );
        assert!(matches!(answer, Ok(Ok(Outcome::Respond(Response { status: 200, .. })))), "{answer:?}");
        let answer = answer_from_json(json!({ "error": "unauthorized", "reason": "no signature" }));
        assert_eq!(answer, Ok(Err(Refusal::Unauthorized("no signature".to_owned()))));
        refused(json!({ "error": "forbidden" }), "expected one of unauthorized, malformed, retry");
        refused(json!({ "respond": { "status": 99 } }), "200 to 599");
        refused(json!({ "respond": { "status": 200, "headers": { "a": "b\r\nc: d" } } }), "can't carry");
    }
}
