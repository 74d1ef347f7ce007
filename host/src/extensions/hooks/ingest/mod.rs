//! Provider ingestion: what does this provider's webhook say? The contract's `provider-adapter`. The JSON form of an answer
//! is in `json.rs`.

mod json;

use std::collections::BTreeMap;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub(super) use self::json::answer_from_json;
use super::answer::{BadAnswer, EnhancedStatus, clip, instant, known};
use super::{Extra, bytes_form};
use crate::domain::Timestamp;
use crate::domain::status::words;

const MOST_EVENTS: usize = 4096;

/// A request to `/inbound/{provider}/{token}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// The path.
    pub path: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    /// The address that the provider called, as the operator published it.
    pub url: String,
    /// Names in lower case, in the order of the request. In JSON a list of pairs, or a map where no name repeats.
    #[serde(deserialize_with = "pairs")]
    pub headers: Vec<(String, String)>,
    /// The raw bytes, at most 1 MiB: verify them before parsing. In JSON a text, or `{"base64": "…"}`.
    #[serde(with = "bytes_form")]
    pub body: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Unforeseen facts.
    pub extra: Extra,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "POST".to_owned(),
            path: String::new(),
            query: String::new(),
            url: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            received_at: Timestamp::from_millis(0),
            extra: Extra::default(),
        }
    }
}

fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of pairs of texts, or a map of texts")]
    enum Pairs {
        List(Vec<(String, String)>),
        Map(BTreeMap<String, String>),
    }
    Ok(match Pairs::deserialize(deserializer)? {
        Pairs::List(pairs) => pairs,
        Pairs::Map(map) => map.into_iter().collect(),
    })
}

/// The endpoint's settings, its signing secret among them: they print as nothing.
#[derive(Debug, Clone, Default)]
pub struct Settings(Vec<(String, SecretString)>);

impl Settings {
    /// Settings in order.
    pub fn new(pairs: impl IntoIterator<Item = (String, SecretString)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The names that are set.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The pairs as an extension is given them.
    pub(in crate::extensions) fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whoever stores or answers this must not see the values.
        serializer.collect_map(self.keys().map(|key| (key, "[hidden]")))
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self(pairs.into_iter().map(|(key, value)| (key, value.into())).collect()))
    }
}

words! {
    /// What a provider tells.
    pub EventKind {
        /// The recipient's server took it.
        Delivered = "delivered",
        /// The provider took it.
        Processed = "processed",
        /// Put off by the recipient's server.
        Deferred = "deferred",
        /// The address or domain is dead.
        HardBounce = "hard_bounce",
        /// Full, greylisted or given up on a temporary fault.
        SoftBounce = "soft_bounce",
        /// Refused for reputation, authentication, content or size.
        PolicyBounce = "policy_bounce",
        /// Marked as spam.
        Complaint = "complaint",
        /// Wants no more mail.
        Unsubscribe = "unsubscribe",
        /// Wants mail again.
        Resubscribe = "resubscribe",
        /// Loaded the pixel.
        Open = "open",
        /// A machine loaded the pixel.
        OpenMachine = "open_machine",
        /// Followed a link.
        Click = "click",
        /// Refused by the provider before sending.
        Reject = "reject",
        /// A machine answered.
        AutoReply = "auto_reply",
        /// Something else.
        Unknown = "unknown",
    }
}

/// One event of a provider's request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To whom.
    pub recipient: Option<String>,
    /// Our `X-Ampout-Send-Id`, where the provider echoes it.
    pub send_id: Option<String>,
    /// RFC 5322 Message-ID without `<>`.
    pub message_id: Option<String>,
    /// The provider's own id of the message.
    pub provider_message_id: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// The SMTP reply code, 200 to 599.
    pub smtp_code: Option<u16>,
    /// The enhanced status.
    pub status: Option<EnhancedStatus>,
    /// The server's or provider's words.
    pub reason: Option<String>,
    /// Events with the same key are one.
    pub dedupe_key: Option<String>,
    /// Unforeseen facts.
    pub extra: Extra,
}

/// An event before its words are checked.
#[derive(Debug, Default)]
pub(in crate::extensions) struct RawEvent {
    pub(in crate::extensions) kind: String,
    pub(in crate::extensions) recipient: Option<String>,
    pub(in crate::extensions) send_id: Option<String>,
    pub(in crate::extensions) message_id: Option<String>,
    pub(in crate::extensions) provider_message_id: Option<String>,
    pub(in crate::extensions) at: Option<String>,
    pub(in crate::extensions) smtp_code: Option<u64>,
    pub(in crate::extensions) status: Option<String>,
    pub(in crate::extensions) reason: Option<String>,
    pub(in crate::extensions) dedupe_key: Option<String>,
    pub(in crate::extensions) extra: Extra,
}

/// An HTTP answer of an adapter's own choosing, for handshakes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(with = "bytes_form")]
    pub body: Bytes,
}

/// What an adapter made of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The events in it, perhaps none.
    Events(Vec<Event>),
    /// Answer the provider so; there are no events.
    Respond(Response),
}

/// Why an adapter did not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The signature or the secret is wrong: 401.
    Unauthorized(String),
    /// The request can't be read: 422, kept for replay.
    Malformed(String),
    /// Not now: kept and asked again.
    Retry(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Unauthorized(reason) | Self::Malformed(reason) | Self::Retry(reason)) = self;
        f.write_str(reason)
    }
}

impl Event {
    /// Checks the words of an event; the error names the field and what was expected.
    pub(in crate::extensions) fn checked(raw: RawEvent) -> Result<Self, BadAnswer> {
        let smtp_code = raw.smtp_code.map(|code| match u16::try_from(code) {
            Ok(code @ 200..=599) => Ok(code),
            _ => Err(BadAnswer::new(format!("{code} is no SMTP reply code; they go from 200 to 599"))),
        });
        Ok(Self {
            kind: known(&raw.kind, "kind of event", EventKind::parse, EventKind::ALL)?,
            recipient: raw.recipient.map(clip),
            send_id: raw.send_id.map(clip),
            message_id: raw.message_id.map(clip),
            provider_message_id: raw.provider_message_id.map(clip),
            at: raw.at.as_deref().map(instant).transpose()?,
            smtp_code: smtp_code.transpose()?,
            status: raw.status.as_deref().map(EnhancedStatus::parse).transpose()?,
            reason: raw.reason.map(clip),
            dedupe_key: raw.dedupe_key.map(key_of),
            extra: raw.extra.clipped(),
        })
    }
}

/// A key as a row can hold it. One that is too long is told from others by all of it.
fn key_of(key: String) -> String {
    let clipped = clip(key.clone());
    if clipped == key { key } else { format!("sha256:{}", hex::encode(Sha256::digest(key))) }
}

impl Response {
    /// Checks that HTTP can carry it.
    pub(in crate::extensions) fn checked(
        status: u64,
        headers: Vec<(String, String)>,
        body: Bytes,
    ) -> Result<Self, BadAnswer> {
        let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status)).ok_or_else(|| {
            BadAnswer::new(format!("respond: {status} is no status for an answer; they go from 200 to 599"))
        })?;
        let token = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let fits = |(name, value): &&(String, String)| !token(name) || value.bytes().any(|b| b < b' ' && b != b'\t');
        match headers.iter().find(fits) {
            None => Ok(Self { status, headers, body }),
            Some((name, _)) => {
                Err(BadAnswer::new(format!("respond: HTTP can't carry the header {:?}", clip(name.clone()))))
            }
        }
    }
}

impl Refusal {
    /// Checks the word and cuts the reason to a length that a row can hold.
    pub(in crate::extensions) fn checked(error: &str, reason: String) -> Result<Self, BadAnswer> {
        let reason = clip(reason);
        match error {
            "unauthorized" => Ok(Self::Unauthorized(reason)),
            "malformed" => Ok(Self::Malformed(reason)),
            "retry" => Ok(Self::Retry(reason)),
            other => Err(super::answer::unknown_word(other, "error of an adapter", "unauthorized, malformed, retry")),
        }
    }
}

/// A list of events that is not longer than the host takes from one request.
pub(in crate::extensions) fn bounded(count: usize) -> Result<(), BadAnswer> {
    if count > MOST_EVENTS {
        return Err(BadAnswer::new(format!("{count} events in one answer; at most {MOST_EVENTS} are taken")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signing_secret_is_in_no_print() {
        let settings: Settings = serde_json::from_value(json!({ "signing_secret": "hunter2" })).unwrap();
        let printed = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(printed.contains("signing_secret") && !printed.contains("hunter2"), "{printed}");
    }
}
