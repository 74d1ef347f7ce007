//! Hook inputs from JSON: the WIT records' fields in snake_case, empty ones left out, unknown ones refused. Only for
//! tests; a component's input crosses the boundary as WIT types.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

/// Bytes are written as text.
pub(crate) fn bytes_as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(String::into_bytes)
}

/// Pairs are written as an object, or as a list of two-element lists where a key repeats.
pub(crate) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Pairs {
        Object(Map<String, Value>),
        List(Vec<(String, String)>),
    }
    match Pairs::deserialize(deserializer)? {
        Pairs::List(pairs) => Ok(pairs),
        Pairs::Object(map) => map
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(value) => Ok((key, value)),
                other => Err(de::Error::custom(format!("`{key}` has to be text, not {other}"))),
            })
            .collect(),
    }
}

/// What a provider adapter is asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IngestInput {
    pub(crate) request: crate::Request,
    #[serde(default, deserialize_with = "pairs")]
    pub(crate) settings: Vec<(String, String)>,
}
