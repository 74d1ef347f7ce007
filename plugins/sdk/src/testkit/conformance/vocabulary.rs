//! Whether an answer is in the contract's words at all. The engine checks the same and calls anything else a bad answer,
//! which counts as a failure of the plugin.

use serde_json::Value;

use crate::EventKind;
use crate::smtp_reply::EnhancedStatus;
use crate::time::normalize_rfc3339;

const MOST_EVENTS: usize = 4096;
const LONGEST_TEXT: usize = 1024;

pub(super) fn check(answer: &Value) -> Result<(), String> {
    if answer.get("error").is_some() {
        return Ok(());
    }
    if let Some(response) = answer.get("respond") {
        return in_range(response, "status", 200..=599);
    }
    let events = answer.get("events").and_then(Value::as_array).ok_or("there is no answer")?;
    if events.len() > MOST_EVENTS {
        return Err(format!("{} events in one answer", events.len()));
    }
    events.iter().try_for_each(event)
}

fn event(event: &Value) -> Result<(), String> {
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    if text("kind").and_then(EventKind::parse).is_none() {
        return Err(format!("{:?} is no kind of event", event.get("kind")));
    }
    in_range(event, "smtp_code", 200..=599)?;
    if let Some(status) = text("status")
        && EnhancedStatus::find(status).map(|found| found.to_string()).as_deref() != Some(status)
    {
        return Err(format!("{status:?} is no enhanced status"));
    }
    if let Some(at) = text("at")
        && normalize_rfc3339(at).as_deref() != Some(at)
    {
        return Err(format!("{at:?} is no timestamp of the contract's form"));
    }
    if text("recipient").is_some_and(|recipient| !recipient.contains('@')) {
        return Err("the recipient is no address".to_owned());
    }
    if text("dedupe_key").is_none_or(str::is_empty) {
        return Err("the event has no dedupe_key: told twice, it would count twice".to_owned());
    }
    match ["recipient", "send_id", "message_id", "provider_message_id", "reason", "dedupe_key"]
        .into_iter()
        .find(|key| text(key).is_some_and(|text| text.chars().count() > LONGEST_TEXT))
    {
        Some(key) => Err(format!("{key} is longer than a row holds")),
        None => Ok(()),
    }
}

fn in_range(of: &Value, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<(), String> {
    match of.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_u64().is_some_and(|number| range.contains(&number)) => Ok(()),
        Some(value) => Err(format!("{key} is {value}; it goes from {} to {}", range.start(), range.end())),
    }
}
