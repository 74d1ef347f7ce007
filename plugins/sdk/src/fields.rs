//! A webhook's body as named fields, whether it came as a form or as JSON. Providers that let the operator choose are
//! read the same way; what a field means is the adapter's business.

use serde_json::{Map, Value};

/// More events than this in one body, or more fields in one form, are refused.
const MOST_FIELDS: usize = 4096;

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
        for (count, pair) in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
            if count == MOST_FIELDS {
                return Err(UnreadableBody::TooMany);
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let key = form_decoded(halves.next().unwrap_or_default());
            let value = form_decoded(halves.next().unwrap_or_default());
            fields.add(&key, Value::String(value));
        }
        Ok(fields)
    }

    /// A field as text: strings trimmed, numbers and booleans as written. Nothing when absent, null, empty or nested.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        scalar(self.values.get(name)?)
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

    /// A field as a number, given as a number or as text.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The fields of a nested object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        match self.values.get(name)? {
            Value::Object(values) => Some(Self { values: values.clone() }),
            _ => None,
        }
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

/// Undoes `+` and `%XX`; a percent sign without two digits stays, bytes that are not UTF-8 become U+FFFD.
fn form_decoded(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex_value(*high) << 4 | hex_value(*low));
                rest = after;
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (other, _) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.saturating_sub(b'A') + 10,
    }
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
    fn what_is_no_event_is_refused_with_the_reason() {
        assert!(matches!(Fields::sniff(b"{\"a\":"), Err(UnreadableBody::Json(_))));
        assert!(matches!(Fields::sniff(&[b'['; 100_000]), Err(UnreadableBody::Json(_))));
        assert_eq!(Fields::sniff(b"[1]"), Err(UnreadableBody::NotObjects));
        assert_eq!(Fields::sniff("a=&".repeat(5000).as_bytes()), Err(UnreadableBody::TooMany));
        assert_eq!(Fields::sniff(b"").unwrap(), [Fields::default()]);
    }
}
