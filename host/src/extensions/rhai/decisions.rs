//! A script's answer as JSON, from where it is checked like any other. The depth is bounded here: a script can nest a
//! value as deep as its list may be long.

use rhai::{Array, Dynamic, ImmutableString, Map};
use serde_json::Value;

use super::bytes::{ByteView, named};
use super::helpers::EventList;
use crate::extensions::hooks::BadAnswer;

/// `#{ events: [ #{ extra: #{ … } } ] }` is four deep.
const DEEPEST: usize = 8;

/// The JSON form of what a function returned.
pub(super) fn to_json(answer: &Dynamic) -> Result<Value, BadAnswer> {
    value_of(answer, DEEPEST)
}

fn value_of(value: &Dynamic, depth: usize) -> Result<Value, BadAnswer> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(BadAnswer::new(format!("the answer is nested over {DEEPEST} deep")));
    };
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(truth) = value.as_bool() {
        return Ok(truth.into());
    }
    if let Ok(number) = value.as_int() {
        return Ok(number.into());
    }
    if let Ok(number) = value.as_float() {
        return Ok(number.into());
    }
    if let Ok(letter) = value.as_char() {
        return Ok(letter.to_string().into());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.as_str().into());
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map_of(&map, depth);
    }
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().map(|item| value_of(item, depth)).collect::<Result<_, _>>().map(Value::Array);
    }
    if let Some(events) = value.read_lock::<EventList>() {
        return events.0.iter().map(|event| map_of(event, depth)).collect::<Result<_, _>>().map(Value::Array);
    }
    if let Some(bytes) = value.read_lock::<ByteView>() {
        use base64::Engine as _;
        return Ok(serde_json::json!({ "base64": base64::engine::general_purpose::STANDARD.encode(&bytes.0) }));
    }
    Err(BadAnswer::new(format!(
        "the answer has {}, which no answer has; use texts, numbers, lists and maps",
        named(value)
    )))
}

fn map_of(map: &Map, depth: usize) -> Result<Value, BadAnswer> {
    let entries = map.iter().map(|(key, value)| Ok((key.to_string(), value_of(value, depth)?)));
    entries.collect::<Result<_, _>>().map(Value::Object)
}
