//! Hook inputs from JSON: the WIT records' fields in snake_case, empty ones left out, unknown ones refused. Only for
//! tests; a component's input crosses the boundary as WIT types.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

/// Bytes are written as text, or as `{"base64": "…"}` where they are not UTF-8.
pub(crate) fn bytes_as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bytes {
        Text(String),
        Encoded { base64: String },
    }
    match Bytes::deserialize(deserializer)? {
        Bytes::Text(text) => Ok(text.into_bytes()),
        Bytes::Encoded { base64 } => {
            crate::base64::decode(&base64).ok_or_else(|| de::Error::custom("the base64 can't be decoded"))
        }
    }
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
