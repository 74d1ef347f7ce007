//! A webhook's body as named fields, whether it came as a form or as JSON. Providers that let the operator choose are
//! read the same way; what a field means is the adapter's business.

use serde_json::{Map, Value};

use crate::form;

/// More events than this in one body, or more fields in one form, are refused.
const MOST_FIELDS: usize = 4096;

/// JSON with more values than this is refused before it is parsed: parsed, each takes many times its bytes, and a plugin has
/// 16 MiB. A batch of a thousand events has a third of them.
const MOST_VALUES: usize = 100_000;

/// The names under which our own id travels: the header's, and the metadata's.
const SEND_ID_NAMES: [&str; 3] = ["X-Ampout-Send-Id", "ampout_send_id", "send_id"];

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnreadableBody {
    /// Not UTF-8, or JSON that does not parse; the text says where.
    Json(String),
    /// Neither an object nor a list of objects.
    NotObjects,
    /// More fields or events than any provider sends.
    TooMany,
}

impl std::fmt::Display for UnreadableBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(reason) => write!(formatter, "the body begins like JSON and isn't: {reason}"),
            Self::NotObjects => formatter.write_str("the JSON is neither an object nor a list of objects"),
            Self::TooMany => write!(formatter, "more than {MOST_FIELDS} fields or events"),
        }
    }
}

impl std::error::Error for UnreadableBody {}

/// One event's fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields {
    values: Map<String, Value>,
}

impl Fields {
    /// Reads a body by its first byte: JSON when it is `{` or `[`, a form otherwise. One entry an event.
    ///
    /// # Errors
    /// When it begins like JSON and can't be read, or holds too much.
    pub fn sniff(body: &[u8]) -> Result<Vec<Self>, UnreadableBody> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => Self::from_json(body),
            _ => Ok(vec![Self::from_form(body)?]),
        }
    }

    /// Reads an object, or a list of them.
    ///
    /// # Errors
    /// When it is not JSON, nests deeper than 128, or is something else than objects.
    pub fn from_json(body: &[u8]) -> Result<Vec<Self>, UnreadableBody> {
        if values_in(body) > MOST_VALUES {
            return Err(UnreadableBody::TooMany);
        }
        // What some senders put in front of UTF-8 says nothing.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let values = match serde_json::from_slice(body).map_err(|error| UnreadableBody::Json(error.to_string()))? {
            Value::Object(values) => return Ok(vec![Self { values }]),
            Value::Array(values) => values,
            _ => return Err(UnreadableBody::NotObjects),
        };
        if values.len() > MOST_FIELDS {
            return Err(UnreadableBody::TooMany);
        }
        let object = |value| match value {
            Value::Object(values) => Ok(Self { values }),
            _ => Err(UnreadableBody::NotObjects),
        };
        values.into_iter().map(object).collect()
    }

    /// Reads `application/x-www-form-urlencoded`. A key that comes again, `key[]` and `key[0]` make a list of `key`.
    ///
    /// # Errors
    /// When there are too many fields.
    pub fn from_form(body: &[u8]) -> Result<Self, UnreadableBody> {
        let mut fields = Self::default();
        for (count, (key, value)) in form::pairs(body).enumerate() {
            if count == MOST_FIELDS {
                return Err(UnreadableBody::TooMany);
            }
            fields.add(&key, Value::String(value));
        }
        Ok(fields)
    }

    /// A field as text: strings trimmed, numbers and booleans as written. Nothing when absent, null, empty or nested.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        scalar(self.values.get(name)?)
    }

    /// A field that is text, to the last blank, as a signature covers it.
    #[must_use]
    pub fn raw_text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    /// The first of several spellings that holds text.
    #[must_use]
    pub fn first_text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// As [`text`](Self::text), for a name in any case and with `_` and `-` alike, as echoed headers come.
    #[must_use]
    pub fn text_any_case(&self, name: &str) -> Option<String> {
        self.text(name)
            .or_else(|| self.values.iter().filter(|(key, _)| same_name(key, name)).find_map(|(_, value)| scalar(value)))
    }

    /// A field as a list: a JSON array, a repeated form key, a list written as JSON text, or text with commas.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.values.get(name) {
            Some(Value::Array(values)) => values.iter().filter_map(scalar).flat_map(|text| items(&text)).collect(),
            Some(value) => scalar(value).map(|text| items(&text)).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// A field that is text or a list of texts, as one text.
    #[must_use]
    pub fn list_text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::Array(values) => {
                let text = values.iter().filter_map(scalar).collect::<Vec<_>>().join("; ");
                (!text.is_empty()).then_some(text)
            }
            value => scalar(value),
        }
    }

    /// A field as a number, given as a number or as text.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A field that is a word of the provider's vocabulary: in lower case, empty when absent.
    #[must_use]
    pub fn word(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether a field is true, given as a boolean, as a number or as text.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.word(name).as_str(), "true" | "1")
    }

    /// The fields of a nested object, also where it is written as JSON text or stands alone in a list.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        objects(self.values.get(name)?).next()
    }

    /// The fields of the object at the end of a path; empty when there is none.
    #[must_use]
    pub fn inside(&self, path: &[&str]) -> Self {
        let mut found = &self.values;
        let Some((last, first)) = path.split_last() else { return self.clone() };
        for name in first {
            match found.get(*name) {
                Some(Value::Object(values)) => found = values,
                _ => return Self::default(),
            }
        }
        found.get(*last).and_then(|value| objects(value).next()).unwrap_or_default()
    }

    /// The objects of a list; one that is not in a list is a list of one.
    #[must_use]
    pub fn objects(&self, name: &str) -> Vec<Self> {
        self.values.get(name).map(|value| objects(value).take(MOST_FIELDS).collect()).unwrap_or_default()
    }

    /// Our own id, where it is among these fields: under the header's name or the metadata's, in any case.
    #[must_use]
    pub fn send_id(&self) -> Option<String> {
        SEND_ID_NAMES.iter().find_map(|name| self.text_any_case(name))
    }

    /// Our own id out of the one text that some providers echo: JSON fields, or the id itself.
    #[must_use]
    pub fn send_id_in_text(text: &str) -> Option<String> {
        let text = text.trim();
        match text.as_bytes().first()? {
            b'{' | b'[' => Self::from_json(text.as_bytes()).ok()?.iter().find_map(Self::send_id),
            _ => Some(text.to_owned()),
        }
    }

    /// Our own id out of a list of headers, `[{"name": …, "value": …}]`, or out of a map of them.
    #[must_use]
    pub fn send_id_in_headers(&self, name: &str) -> Option<String> {
        if let Some(Value::Object(_)) = self.values.get(name) {
            return self.object(name)?.send_id();
        }
        let is_ours = |header: &Self| header.text("name").is_some_and(|key| same_name(&key, SEND_ID_NAMES[0]));
        self.objects(name).iter().find(|header| is_ours(header))?.text("value")
    }

    /// The last value of a form's key that came several times; other values as [`text`](Self::text).
    #[must_use]
    pub fn last_text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::Array(values) => scalar(values.last()?),
            value => scalar(value),
        }
    }

    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether there is such a field at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn add(&mut self, key: &str, value: Value) {
        let (name, is_list) = match key.split_once('[') {
            Some((name, rest)) if rest.ends_with(']') && !name.is_empty() => (name, true),
            _ => (key, false),
        };
        match self.values.get_mut(name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                let value = if is_list { Value::Array(vec![value]) } else { value };
                self.values.insert(name.to_owned(), value);
            }
        }
    }
}

/// The object that a value is, or those in it; JSON in a text is read.
fn objects(value: &Value) -> impl Iterator<Item = Fields> {
    let found = match value {
        Value::Object(values) => vec![Fields { values: values.clone() }],
        Value::Array(list) => list
            .iter()
            .filter_map(|value| match value {
                Value::Object(values) => Some(Fields { values: values.clone() }),
                _ => None,
            })
            .collect(),
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            Fields::from_json(text.as_bytes()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    found.into_iter()
}

/// How many values JSON can hold, by its commas, colons and brackets outside strings.
fn values_in(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b',' | b'[' | b'{') => count += 1,
            _ => {}
        }
    }
    count
}

fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        // A form key that came twice: the first one stands.
        Value::Array(values) => {
            return values.iter().find_map(|value| if value.is_array() { None } else { scalar(value) });
        }
        Value::Null | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn items(text: &str) -> Vec<String> {
    if let (true, Ok(Value::Array(values))) = (text.starts_with('['), serde_json::from_str(text)) {
        return values.iter().filter_map(scalar).collect();
    }
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn same_name(left: &str, right: &str) -> bool {
    let alike = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    left.len() == right.len() && left.bytes().map(alike).eq(right.bytes().map(alike))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_list(body: &str, expected: &[&str]) {
        assert_eq!(Fields::sniff(body.as_bytes()).unwrap()[0].list("recipients"), expected, "of {body:?}");
    }

    #[test]
    fn a_list_is_a_list_however_it_is_spelt() {
        let expected = ["a@example.com", "b@example.com"];
        check_list("recipients=a%40example.com&recipients=b%40example.com", &expected);
        check_list("recipients[]=a@example.com&recipients%5B%5D=b@example.com", &expected);
        check_list("recipients[0]=a@example.com&recipients[1]=b@example.com", &expected);
        check_list("recipients=a@example.com%2C+b@example.com", &expected);
        check_list("recipients=%5B%22a@example.com%22,%22b@example.com%22%5D", &expected);
        check_list(r#" {"recipients":["a@example.com","b@example.com"]}"#, &expected);
        check_list("event=processed", &[]);
    }

    #[test]
    fn a_form_and_its_json_twin_read_alike() {
        let form = &Fields::sniff(b"X-Ampout-Send-Id=snd_1&n=7&message=452+4.2.2%20full&bad=%zz%C3").unwrap()[0];
        let json = &Fields::sniff(br#"{"x-ampout-send-id":"snd_1","n":7,"message":"452 4.2.2 full"}"#).unwrap()[0];
        for fields in [form, json] {
            assert_eq!(fields.text_any_case("X-Ampout-Send-Id").as_deref(), Some("snd_1"));
            assert_eq!(fields.text("message").as_deref(), Some("452 4.2.2 full"));
            assert_eq!((fields.number("n"), fields.text("n").as_deref()), (Some(7), Some("7")));
        }
        assert_eq!(form.text("bad").as_deref(), Some("%zz\u{fffd}"));
    }

    #[test]
    fn our_id_is_found_wherever_a_provider_puts_it() {
        let of = |json: &str| Fields::from_json(json.as_bytes()).unwrap().remove(0);
        assert_eq!(of(r#"{"x_ampout_send_id":"snd_1"}"#).send_id().as_deref(), Some("snd_1"));
        assert_eq!(of(r#"{"send_id":["snd_1"]}"#).send_id().as_deref(), Some("snd_1"));
        assert_eq!(Fields::send_id_in_text(r#"{"send_id":"snd_1"}"#).as_deref(), Some("snd_1"));
        assert_eq!(Fields::send_id_in_text(" snd_1 ").as_deref(), Some("snd_1"));
        assert_eq!(Fields::send_id_in_text(r#"{"other":"snd_1"}"#), None);
        let list = of(r#"{"headers":[{"name":"X","value":"y"},{"name":"X-Ampout-Send-ID","value":"snd_1"}]}"#);
        assert_eq!(list.send_id_in_headers("headers").as_deref(), Some("snd_1"));
        let map = of(r#"{"headers":{"x-ampout-send-id":"snd_1"}}"#);
        assert_eq!(map.send_id_in_headers("headers").as_deref(), Some("snd_1"));
    }

    #[test]
    fn a_path_leads_inside_or_to_nothing() {
        let fields = &Fields::sniff(br#"{"a":{"b":[{"c":1}],"d":"{\"c\":2}"}}"#).unwrap()[0];
        assert_eq!(fields.inside(&["a", "b"]).number("c"), Some(1));
        assert_eq!(fields.inside(&["a", "d"]).number("c"), Some(2));
        assert_eq!(fields.inside(&["a", "x", "y"]), Fields::default());
        assert_eq!(fields.inside(&["a"]).objects("b").len(), 1);
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        assert!(matches!(Fields::sniff(b"{\"a\":"), Err(UnreadableBody::Json(_))));
        assert!(matches!(Fields::sniff(&[b'['; 100_000]), Err(UnreadableBody::Json(_))));
        assert_eq!(Fields::sniff(b"[1]"), Err(UnreadableBody::NotObjects));
        assert_eq!(Fields::sniff("a=&".repeat(5000).as_bytes()), Err(UnreadableBody::TooMany));
        let many = format!("{{\"a\":[{}0]}}", "0,".repeat(MOST_VALUES));
        assert_eq!(Fields::sniff(many.as_bytes()), Err(UnreadableBody::TooMany));
        let text = format!("{{\"a\":\"{}\"}}", "\\\",[{".repeat(MOST_VALUES));
        assert!(Fields::sniff(text.as_bytes()).is_ok());
        assert_eq!(Fields::sniff(b"").unwrap(), [Fields::default()]);
    }
}
