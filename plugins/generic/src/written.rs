//! The events of a body as they are written, and whether each field is of the type that the README gives it. The SDK's
//! fields make the best of what providers send; whoever speaks the contract's own words is told what is wrong. Values stay
//! where they lie: a plugin has 16 MiB.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// More events in one body are refused: an answer has no more.
const MOST_EVENTS: usize = 4096;
/// What some senders put in front of UTF-8, which says nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const TEXT: &str = "text";
const NUMBER: &str = "a number";
const BOOLEAN: &str = "a boolean";
const LIST: &str = "a list";
const MAP: &str = "a map";

#[derive(Deserialize)]
struct Envelope<'b> {
    #[serde(borrow)]
    events: Option<&'b RawValue>,
}

/// What is null is left out.
#[derive(Deserialize)]
struct Event<'b> {
    #[serde(borrow)]
    kind: Option<&'b RawValue>,
    #[serde(borrow)]
    recipient: Option<&'b RawValue>,
    #[serde(borrow)]
    send_id: Option<&'b RawValue>,
    #[serde(borrow)]
    message_id: Option<&'b RawValue>,
    #[serde(borrow)]
    provider_message_id: Option<&'b RawValue>,
    #[serde(borrow)]
    at: Option<&'b RawValue>,
    #[serde(borrow)]
    smtp_code: Option<&'b RawValue>,
    #[serde(borrow)]
    status: Option<&'b RawValue>,
    #[serde(borrow)]
    reason: Option<&'b RawValue>,
    #[serde(borrow)]
    dedupe_key: Option<&'b RawValue>,
    #[serde(borrow)]
    extra: Option<&'b RawValue>,
}

/// The items of a list, which ends with an error where it is too long.
struct Items<'b>(Vec<&'b RawValue>);

struct ItemsVisitor;

/// The events of a body: itself, those of its list, or those of its envelope.
///
/// # Errors
/// When it is not JSON or holds no events, with the reason.
pub(crate) fn events_of(body: &[u8]) -> Result<Vec<&RawValue>, String> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let body: &RawValue = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    match type_of(body) {
        LIST => parsed::<Items<'_>>(body).map(|items| items.0),
        MAP => match parsed::<Envelope<'_>>(body)?.events {
            Some(events) if type_of(events) == LIST => parsed::<Items<'_>>(events).map(|items| items.0),
            Some(other) => Err(wrong("events", LIST, other)),
            None => Ok(vec![body]),
        },
        other => Err(format!("the body must be a map or a list of maps, not {other}")),
    }
}

/// Refuses an event in which the kind is missing, or a field is of another type than it has to be.
///
/// # Errors
/// Names the field.
pub(crate) fn check(event: &RawValue) -> Result<(), String> {
    if type_of(event) != MAP {
        return Err(format!("must be a map, not {}", type_of(event)));
    }
    let event: Event<'_> = parsed(event)?;
    match event.kind {
        None => return Err("kind is required".to_owned()),
        Some(kind) if type_of(kind) == TEXT && parsed::<String>(kind)?.trim().is_empty() => {
            return Err("kind must not be empty".to_owned());
        }
        Some(_) => {}
    }
    let texts = [
        ("kind", event.kind),
        ("recipient", event.recipient),
        ("send_id", event.send_id),
        ("message_id", event.message_id),
        ("status", event.status),
        ("reason", event.reason),
    ];
    need(&texts, &[TEXT], "text")?;
    let texts_or_numbers = [
        ("provider_message_id", event.provider_message_id),
        ("at", event.at),
        ("smtp_code", event.smtp_code),
        ("dedupe_key", event.dedupe_key),
    ];
    need(&texts_or_numbers, &[TEXT, NUMBER], "text or a number")?;
    need(&[("extra", event.extra)], &[MAP], "a map of texts")
}

fn need(fields: &[(&str, Option<&RawValue>)], types: &[&str], expected: &str) -> Result<(), String> {
    let mut given = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    match given.find(|(_, value)| !types.contains(&type_of(value))) {
        Some((name, value)) => Err(wrong(name, expected, value)),
        None => Ok(()),
    }
}

fn wrong(name: &str, expected: &str, value: &RawValue) -> String {
    format!("{name} must be {expected}, not {}", type_of(value))
}

/// A value of the right type may still be wrong: it may have a field twice, or too many items.
fn parsed<'b, T: Deserialize<'b>>(value: &'b RawValue) -> Result<T, String> {
    serde_json::from_str(value.get()).map_err(|error| error.to_string())
}

/// A value's type, which its first character tells.
fn type_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'"') => TEXT,
        Some(b'-' | b'0'..=b'9') => NUMBER,
        Some(b't' | b'f') => BOOLEAN,
        Some(b'[') => LIST,
        Some(b'{') => MAP,
        _ => "null",
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(LIST)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == MOST_EVENTS {
                return Err(A::Error::custom(format_args!("more than {MOST_EVENTS} events")));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}

#[cfg(test)]
mod tests {
    use super::{check, events_of};

    #[track_caller]
    fn refused(body: &str, expected: &str) {
        let told = events_of(body.as_bytes()).and_then(|events| events.into_iter().try_for_each(check));
        assert_eq!(told, Err(expected.to_owned()), "of {body}");
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        refused(r#"{"kind":5,"recipient":[]}"#, "kind must be text, not a number");
        refused(r#"{"recipient":"x@y.example"}"#, "kind is required");
        refused(r#"{"kind":null}"#, "kind is required");
        refused(r#"{"kind":" "}"#, "kind must not be empty");
        refused(r#"{"kind":"open","recipient":[]}"#, "recipient must be text, not a list");
        refused(r#"{"kind":"open","reason":550}"#, "reason must be text, not a number");
        refused(r#"{"kind":"open","at":true}"#, "at must be text or a number, not a boolean");
        refused(r#"{"kind":"open","dedupe_key":{}}"#, "dedupe_key must be text or a number, not a map");
        refused(r#"{"kind":"open","extra":"host"}"#, "extra must be a map of texts, not text");
        let twice = events_of(br#"{"kind":"open","kind":"click"}"#).unwrap();
        assert!(check(twice[0]).unwrap_err().starts_with("duplicate field `kind`"));
    }

    #[test]
    fn what_holds_no_events_is_told_what_it_should_be() {
        refused("7", "the body must be a map or a list of maps, not a number");
        refused("[7]", "must be a map, not a number");
        refused(r#"{"events":{"kind":"open"}}"#, "events must be a list, not a map");
        let many = format!("[{}{{}}]", "{},".repeat(4096));
        assert!(events_of(many.as_bytes()).unwrap_err().starts_with("more than 4096 events"));
    }

    #[test]
    fn what_is_null_is_left_out_and_ids_may_be_numbers() {
        let event =
            r#"{"kind":"levitated","recipient":null,"extra":{"tries":3,"host":null},"dedupe_key":7,"smtp_code":"550"}"#;
        for body in [event.to_owned(), format!("\u{feff}[{event}, {event}]"), format!(r#"{{"events":[{event}]}}"#)] {
            let events = events_of(body.as_bytes()).unwrap();
            assert!(!events.is_empty());
            assert_eq!(events.into_iter().try_for_each(check), Ok(()), "of {body}");
        }
        assert!(events_of(b"[]").unwrap().is_empty());
    }
}
