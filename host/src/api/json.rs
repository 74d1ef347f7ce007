//! JSON bodies, read more strictly than serde_json does by itself: a name that an object has twice is a problem, because of
//! two readers each may take another one for true, and so is U+0000, which no text column can hold. [`super::input`] tells
//! of them together with what else is wrong. Depth is bounded by serde_json (128), which also refuses numbers out of range
//! and half surrogate pairs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::{ApiError, Result};

/// More problems than this are not told.
const MOST_PROBLEMS: usize = 100;
pub(super) const TWICE: &str = "is given more than once";
pub(super) const NUL: &str = "must not contain the character U+0000";

/// A body, and what is wrong with it whatever its fields mean, by path.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) problems: BTreeMap<String, Vec<String>>,
}

impl From<Value> for Given {
    fn from(value: Value) -> Self {
        Self { value, problems: BTreeMap::new() }
    }
}

/// Reads a body.
pub(super) fn parse(bytes: &[u8]) -> Result<Given> {
    let text = text(bytes)?;
    let problems = Problems::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let reader = Reader { place: Place::Whole, problems: &problems };
    let read = reader.deserialize(&mut deserializer);
    let value = read.and_then(|value| deserializer.end().map(|()| value));
    let value = value.map_err(|error| not_json(&error))?;
    Ok(Given { value, problems: problems.0.into_inner() })
}

/// A body as text, without the mark of its encoding (RFC 8259 section 8.1).
pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        ApiError::bad_request(format!("The body is not UTF-8; it goes wrong at byte {}.", error.valid_up_to()))
    })
}

/// What a body is answered that breaks the grammar. serde_json says what it met and where, and quotes nothing.
pub(super) fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!("The body is not JSON: {error}."))
}

#[derive(Default)]
struct Problems(RefCell<BTreeMap<String, Vec<String>>>);

/// Where a value stands. The path is written out only for a problem: there are millions of values in a large body.
#[derive(Clone, Copy)]
enum Place<'a> {
    Whole,
    Name(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    place: Place<'a>,
    problems: &'a Problems,
}

impl Problems {
    fn note(&self, place: Place<'_>, problem: &str) {
        let mut problems = self.0.borrow_mut();
        if problems.len() < MOST_PROBLEMS {
            problems.entry(place.to_string()).or_default().push(problem.to_owned());
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (above, own) = match self {
            Self::Whole => return Ok(()),
            Self::Name(above, name) => (above, name.chars().filter(|c| *c != '\0').take(80).collect()),
            Self::Index(above, index) => (above, index.to_string()),
        };
        if !matches!(above, Self::Whole) {
            write!(f, "{above}.")?;
        }
        f.write_str(&own)
    }
}

impl Reader<'_> {
    fn text(self, text: String) -> Value {
        if text.contains('\0') {
            self.problems.note(self.place, NUL);
        }
        Value::String(text)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(self.text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> std::result::Result<Value, E> {
        Ok(self.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place::Index(&self.place, list.len());
            match items.next_element_seed(Reader { place, ..self })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let place = Place::Name(&self.place, &name);
            if name.contains('\0') {
                self.problems.note(place, NUL);
            }
            if map.contains_key(&name) {
                self.problems.note(place, TWICE);
            }
            let value = entries.next_value_seed(Reader { place, ..self })?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::error::Code;
    use super::*;

    #[track_caller]
    fn check_told(body: &[u8], problems: Value) {
        assert_eq!(json!(parse(body).unwrap().problems), problems);
    }

    #[track_caller]
    fn check_refused(body: &[u8], told: &str) {
        let error = parse(body).unwrap_err();
        assert_eq!(error.code, Code::BadRequest);
        assert!(error.message.contains(told), "{told:?} is not in {}", error.message);
    }

    #[test]
    fn a_body_is_read_as_serde_json_reads_it() {
        let body = r#"{"a": [1, -2, 3.5, 18446744073709551615, 1e3, true, null, "ü\n"], "b": {"c": {}}, "d": []}"#;
        let read = parse(body.as_bytes()).unwrap();
        assert_eq!(read.value, serde_json::from_str::<Value>(body).unwrap());
        assert!(read.problems.is_empty());
        assert_eq!(parse(b" 7 ").unwrap().value, json!(7));
    }

    #[test]
    fn what_is_given_twice_is_told_by_its_path() {
        check_told(br#"{"a": 1, "a": 1}"#, json!({"a": [TWICE]}));
        check_told(br#"{"a": [{}, {"b": 1, "c": 2, "b": 3}]}"#, json!({"a.1.b": [TWICE]}));
    }

    #[test]
    fn u_0000_is_told_by_its_path() {
        check_told(br#"{"a": {"b": "x\u0000"}}"#, json!({"a.b": [NUL]}));
        check_told(br#"{"a": {"b\u0000": 1}}"#, json!({"a.b": [NUL]}));
        check_told(br#"["\u0000"]"#, json!({"0": [NUL]}));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        check_refused(b"", "EOF while parsing");
        check_refused(b"{\"a\": }", "line 1 column 7");
        check_refused(b"{} {}", "trailing characters");
        check_refused(b"{\"a\": \"\xff\"}", "not UTF-8; it goes wrong at byte 7");
        check_refused(br#""\ud800""#, "hex escape at line 1 column 8");
        check_refused(br#""\udc00\ud800""#, "surrogate");
        check_refused(br#"{"a": 1e999}"#, "number out of range");
        check_refused("[".repeat(100_000).as_bytes(), "recursion limit");
        let deep = format!("{}{}", r#"{"a":"#.repeat(200), "}".repeat(200));
        check_refused(deep.as_bytes(), "recursion limit");
    }
}
