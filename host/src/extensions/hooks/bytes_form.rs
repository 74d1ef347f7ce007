//! Bytes in JSON: a text where they are UTF-8, otherwise `{"base64": "…"}`. People write the first, machines keep both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a map with the key \"base64\"")]
enum Form<'a> {
    Text(std::borrow::Cow<'a, str>),
    Base64(Base64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    base64: String,
}

/// Writes the form.
pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Form::Text(text.into()),
        Err(_) => Form::Base64(Base64 { base64: STANDARD.encode(bytes) }),
    }
    .serialize(serializer)
}

/// Reads the form.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    match Form::deserialize(deserializer)? {
        Form::Text(text) => Ok(Bytes::from(text.into_owned())),
        Form::Base64(form) => STANDARD.decode(&form.base64).map(Bytes::from).map_err(D::Error::custom),
    }
}
