//! Decisions as JSON, in the words that the contract shares between Rhai, the manifest's examples and the API. Only for
//! tests: a component's decision crosses the boundary as WIT types.

use serde_json::{Map, Value, json};

use crate::{Admission, BouncedRecipient, Classification, Event, Judgement, Outcome, Refusal, Verdict};

/// A decision that has a JSON form. What is empty is left out.
pub trait DecisionJson {
    /// The decision in the contract's words.
    fn to_json(&self) -> Value;
}

impl DecisionJson for Classification {
    fn to_json(&self) -> Value {
        let mut decision = match &self.verdict {
            Verdict::Pass => object(json!({"verdict": "pass"})),
            Verdict::HumanReply => object(json!({"verdict": "human-reply"})),
            Verdict::UnsubscribeRequest => object(json!({"verdict": "unsubscribe-request"})),
            Verdict::Challenge => object(json!({"verdict": "challenge"})),
            Verdict::Ignore => object(json!({"verdict": "ignore"})),
            Verdict::AutoReply(reply) => {
                object(json!({"verdict": "auto-reply", "kind": reply.kind, "return_date": reply.return_date}))
            }
            Verdict::Complaint(complaint) => object(json!({
                "verdict": "complaint", "recipient": complaint.recipient, "feedback_type": complaint.feedback_type,
            })),
            Verdict::Bounce(bounces) => {
                let bounces: Vec<Value> = bounces.iter().map(bounce_json).collect();
                object(json!({"verdict": "bounce", "bounces": bounces}))
            }
        };
        decision.insert("reason".to_owned(), json!(self.reason));
        decision.insert("extra".to_owned(), extra_json(&self.extra));
        without_empty(decision)
    }
}

impl DecisionJson for Result<Outcome, Refusal> {
    fn to_json(&self) -> Value {
        match self {
            Ok(Outcome::Events(events)) => json!({"events": events.iter().map(event_json).collect::<Vec<_>>()}),
            Ok(Outcome::Respond(response)) => json!({"respond": {
                "status": response.status,
                "headers": response.headers,
                "body": String::from_utf8_lossy(&response.body),
            }}),
            Err(Refusal::Unauthorized(reason)) => json!({"error": "unauthorized", "reason": reason}),
            Err(Refusal::Malformed(reason)) => json!({"error": "malformed", "reason": reason}),
            Err(Refusal::Retry(reason)) => json!({"error": "retry", "reason": reason}),
        }
    }
}

impl DecisionJson for Judgement {
    fn to_json(&self) -> Value {
        match self {
            Self::Keep => json!({"decision": "keep"}),
            Self::Disable(reason) => json!({"decision": "disable", "reason": reason}),
            Self::Throttle(throttle) => {
                json!({"decision": "throttle", "daily_limit": throttle.daily_limit, "reason": throttle.reason})
            }
        }
    }
}

impl DecisionJson for Admission {
    fn to_json(&self) -> Value {
        match self {
            Self::Admit => json!({"decision": "admit"}),
            Self::Skip(reason) => json!({"decision": "skip", "reason": reason}),
            Self::Defer(deferral) => json!({"decision": "defer", "until": deferral.until, "reason": deferral.reason}),
        }
    }
}

fn bounce_json(bounced: &BouncedRecipient) -> Value {
    without_empty(object(json!({
        "recipient": bounced.recipient,
        "action": bounced.action,
        "status": bounced.status,
        "diagnostic": bounced.diagnostic,
        "class": bounced.class,
    })))
}

fn event_json(event: &Event) -> Value {
    without_empty(object(json!({
        "kind": event.kind,
        "recipient": event.recipient,
        "send_id": event.send_id,
        "message_id": event.message_id,
        "provider_message_id": event.provider_message_id,
        "at": event.at,
        "smtp_code": event.smtp_code,
        "status": event.status,
        "reason": event.reason,
        "dedupe_key": event.dedupe_key,
        "extra": extra_json(&event.extra),
    })))
}

fn extra_json(extra: &[(String, String)]) -> Value {
    Value::Object(extra.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn without_empty(map: Map<String, Value>) -> Value {
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    Value::Object(map.into_iter().filter(|(_, value)| !is_empty(value)).collect())
}
