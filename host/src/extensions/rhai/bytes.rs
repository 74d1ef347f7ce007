//! Bytes and parsed JSON as scripts see them. Both are opaque and shared: a request of 1 MiB is neither copied nor
//! counted against the limits of the script's own values; what is taken out of them is.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString};
use serde_json::Value;

use super::call;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// A value with what the allocator and its container add.
const BYTES_OF_A_VALUE: usize = 64;

/// Bytes, such as a request's body or a signature.
#[derive(Debug, Clone)]
pub(super) struct ByteView(pub(super) Bytes);

/// A map or a list of JSON. What is inside is read by key or index; what isn't there reads as `()`.
#[derive(Debug, Clone)]
pub(super) enum Json {
    Map(Arc<BTreeMap<ImmutableString, Dynamic>>),
    List(Arc<Vec<Dynamic>>),
}

pub(super) fn register(engine: &mut Engine, string_bytes: usize) {
    engine
        .register_type_with_name::<ByteView>("Bytes")
        .register_get("len", |bytes: &mut ByteView| length(bytes.0.len()))
        .register_fn("len", |bytes: &mut ByteView| length(bytes.0.len()))
        .register_fn("text", move |bytes: &mut ByteView| bytes.text(string_bytes))
        .register_fn("json", |bytes: &mut ByteView| parse_json(&bytes.0))
        .register_fn("form", |bytes: &mut ByteView| form(&bytes.0))
        .register_fn("to_hex", |bytes: &mut ByteView| hex::encode(&bytes.0))
        .register_fn("to_base64", |bytes: &mut ByteView| STANDARD.encode(&bytes.0))
        .register_fn("parse_json", |text: &str| parse_json(text.as_bytes()))
        .register_fn("parse_form", |text: &str| form(text.as_bytes()))
        .register_fn("base64_encode", |data: Dynamic| Ok::<_, Box<EvalAltResult>>(STANDARD.encode(bytes_of(&data)?)))
        .register_fn("base64_decode", |text: &str| match STANDARD.decode(text.trim()) {
            Ok(bytes) => Ok(ByteView(bytes.into())),
            Err(_) => Err(Box::<EvalAltResult>::from("the text is not base64")),
        })
        .register_fn("hex_encode", |data: Dynamic| Ok::<_, Box<EvalAltResult>>(hex::encode(bytes_of(&data)?)))
        .register_fn("hex_decode", |text: &str| match hex::decode(text.trim()) {
            Ok(bytes) => Ok(ByteView(bytes.into())),
            Err(_) => Err(Box::<EvalAltResult>::from("the text is not hexadecimal")),
        });
    engine
        .register_type_with_name::<Json>("Json")
        .register_indexer_get(|json: &mut Json, key: ImmutableString| json.at_key(&key))
        .register_indexer_get(|json: &mut Json, index: i64| json.at_index(index))
        .register_get("len", |json: &mut Json| length(json.len()))
        .register_fn("len", |json: &mut Json| length(json.len()))
        .register_fn("contains", |json: &mut Json, key: &str| json.has(key))
        .register_fn("keys", |json: &mut Json| json.keys())
        // What a stranger posts may be anything, so anything can be asked.
        .register_fn("is_map", |value: Dynamic| {
            value.is_map() || value.read_lock::<Json>().is_some_and(|json| matches!(*json, Json::Map(_)))
        })
        .register_fn("is_list", |value: Dynamic| {
            value.is_array() || value.read_lock::<Json>().is_some_and(|json| matches!(*json, Json::List(_)))
        })
        .register_iterator::<Json>();
}

/// The bytes of a text or of [`ByteView`].
pub(super) fn bytes_of(data: &Dynamic) -> Fallible<Bytes> {
    call::after_some_work();
    if let Some(bytes) = data.read_lock::<ByteView>() {
        return Ok(bytes.0.clone());
    }
    match data.read_lock::<ImmutableString>() {
        Some(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        None => Err(format!("expected a text or bytes, found {}", named(data)).into()),
    }
}

/// A value's kind in the words of the scripts' reference, for messages.
pub(super) fn named(value: &Dynamic) -> String {
    let name = value.type_name();
    let last = name.rsplit("::").next().unwrap_or(name);
    match (last, last.strip_suffix("View")) {
        ("ByteView", _) => "bytes".to_owned(),
        ("Json", _) => "a map or list of parsed JSON".to_owned(),
        ("Counters", _) => "a window of stats".to_owned(),
        ("EventList", _) => "events()".to_owned(),
        (_, Some(fact)) => format!("`{}` itself", fact.to_lowercase()),
        (other, None) => format!("a value of type {other}"),
    }
}

/// Numbers of the host as the script's, whose integers have a sign.
pub(super) fn length(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl ByteView {
    fn text(&self, limit: usize) -> Fallible<ImmutableString> {
        call::after_some_work();
        if self.0.len() > limit {
            return Err(format!("{} bytes are over the {limit} of a text; use json() or form()", self.0.len()).into());
        }
        Ok(String::from_utf8_lossy(&self.0).as_ref().into())
    }
}

impl Json {
    fn at_key(&self, key: &ImmutableString) -> Dynamic {
        match self {
            Self::Map(map) => map.get(key).cloned().unwrap_or(Dynamic::UNIT),
            Self::List(_) => Dynamic::UNIT,
        }
    }

    fn at_index(&self, index: i64) -> Dynamic {
        match self {
            Self::Map(_) => Dynamic::UNIT,
            Self::List(list) => {
                let index = usize::try_from(index).ok();
                index.and_then(|index| list.get(index)).cloned().unwrap_or(Dynamic::UNIT)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Map(map) => map.len(),
            Self::List(list) => list.len(),
        }
    }

    fn has(&self, key: &str) -> bool {
        matches!(self, Self::Map(map) if map.contains_key(key))
    }

    fn keys(&self) -> Array {
        match self {
            Self::Map(map) => map.keys().cloned().map(Dynamic::from).collect(),
            Self::List(_) => Array::new(),
        }
    }
}

/// A list gives its elements, a map its values.
impl IntoIterator for Json {
    type Item = Dynamic;
    type IntoIter = std::vec::IntoIter<Dynamic>;

    fn into_iter(self) -> Self::IntoIter {
        let values: Vec<Dynamic> = match self {
            Self::Map(map) => map.values().cloned().collect(),
            Self::List(list) => list.as_ref().clone(),
        };
        values.into_iter()
    }
}

fn parse_json(bytes: &[u8]) -> Fallible<Dynamic> {
    // What is parsed may have many times the size of its text: `[[],[],…]`.
    call::take_opaque_bytes(bytes.len())?;
    // serde_json stops at 128 levels, which bounds the recursion below.
    match serde_json::from_slice(bytes) {
        Ok(value) => {
            let json = dynamic_of(value);
            call::take_opaque_bytes(memory_of(&json))?;
            Ok(json)
        }
        Err(error) => Err(format!("bad JSON: {error}").into()),
    }
}

/// A field of a form that is there twice counts with its last value.
fn form(bytes: &[u8]) -> Fallible<Json> {
    let fields = form_urlencoded::parse(bytes).map(|(key, value)| (key.as_ref().into(), value.into_owned().into()));
    let form = Json::Map(Arc::new(fields.collect()));
    call::take_opaque_bytes(memory_of_json(&form))?;
    Ok(form)
}

/// About how much memory a value holds.
fn memory_of(value: &Dynamic) -> usize {
    if let Some(json) = value.read_lock::<Json>() {
        return memory_of_json(&json);
    }
    let text = value.read_lock::<ImmutableString>().map_or(0, |text| text.len());
    text.saturating_add(BYTES_OF_A_VALUE)
}

fn memory_of_json(json: &Json) -> usize {
    match json {
        Json::Map(map) => map.iter().map(|(key, value)| key.len() + BYTES_OF_A_VALUE + memory_of(value)).sum::<usize>(),
        Json::List(list) => list.iter().map(memory_of).sum::<usize>(),
    }
    .saturating_add(BYTES_OF_A_VALUE)
}

fn dynamic_of(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => truth.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) => float.into(),
            (None, None) => Dynamic::UNIT,
        },
        Value::String(text) => text.into(),
        Value::Array(list) => Dynamic::from(Json::List(Arc::new(list.into_iter().map(dynamic_of).collect()))),
        Value::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| (key.into(), dynamic_of(value)));
            Dynamic::from(Json::Map(Arc::new(entries.collect())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::build;
    use crate::extensions::limits::ScriptLimits;

    #[test]
    fn whatever_was_parsed_can_be_asked_what_it_is() {
        let engine = build(&ScriptLimits::default());
        let check = |value: &str, is_map: bool, is_list: bool| {
            let ask = |what: &str| engine.eval_expression::<bool>(&format!("({value}).{what}()")).unwrap();
            assert_eq!((ask("is_map"), ask("is_list")), (is_map, is_list), "{value}");
        };
        check(r#"parse_json("{}")"#, true, false);
        check(r#"parse_json("[]")"#, false, true);
        check(r#"parse_form("a=1")"#, true, false);
        check(r#"parse_json("[null]")[0]"#, false, false);
        for other in ["5", "1.5", "true", "null", "\\\"x\\\""] {
            check(&format!("parse_json(\"{other}\")"), false, false);
        }
        check("#{}", true, false);
        check("[1]", false, true);
        check("\"{}\"", false, false);
        check("base64_decode(\"aGk=\")", false, false);
    }
}
