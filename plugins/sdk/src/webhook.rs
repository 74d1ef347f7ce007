//! Conveniences on what a provider adapter is given and what it answers.

use crate::{Event, Outcome, Refusal, Request, Response, base64, form, hex, host};

/// More query parameters are not looked at.
const MOST_PARAMETERS: usize = 256;

/// The settings of one webhook endpoint, as the operator gave them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(pub Vec<(String, String)>);

impl Settings {
    /// A setting; nothing when absent or empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The endpoint's `signing_secret`.
    #[must_use]
    pub fn signing_secret(&self) -> Option<&str> {
        self.get("signing_secret")
    }
}

impl Request {
    /// The value of the first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A request as a test makes it: a POST of `body`, received at the time at which tests stand still.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn post(body: &[u8]) -> Self {
        Self {
            method: "POST".to_owned(),
            body: body.to_vec(),
            received_at: crate::testkit::NOW.to_owned(),
            ..Self::default()
        }
    }

    /// Refuses everything but POST: whoever opens the address in a browser tells of no event.
    ///
    /// # Errors
    /// `malformed`.
    pub fn need_post(&self) -> Result<(), Refusal> {
        if self.method == "POST" {
            return Ok(());
        }
        Err(Refusal::malformed("events come by POST"))
    }

    /// The value of a query parameter, decoded; nothing when absent or empty.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<String> {
        let found = form::pairs(self.query.as_bytes()).take(MOST_PARAMETERS).find(|(key, _)| key == name);
        found.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Whether the request presents `secret`: in the Authorization header as a bearer token, as the password of Basic
    /// (RFC 7617) or as Basic's `user:password` where the secret itself has that form; or as the header
    /// `X-Webhook-Secret`; or as the query parameter `secret`. Compared in constant time.
    #[must_use]
    pub fn presents_secret(&self, secret: &str) -> bool {
        let is_it = |given: &str| host::constant_time_equal(given.as_bytes(), secret.as_bytes());
        self.authorizes(secret)
            || self.header("x-webhook-secret").is_some_and(|given| is_it(given.trim()))
            || self.query_value("secret").is_some_and(|given| is_it(&given))
    }

    fn authorizes(&self, secret: &str) -> bool {
        let Some((scheme, credentials)) = self.header("authorization").and_then(|value| value.trim().split_once(' '))
        else {
            return false;
        };
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return host::constant_time_equal(credentials.as_bytes(), secret.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Some(pair) = base64::decode(credentials) else { return false };
        let password = pair.iter().position(|byte| *byte == b':').map_or(&[][..], |colon| &pair[colon + 1..]);
        let is_password = host::constant_time_equal(password, secret.as_bytes());
        let is_pair = host::constant_time_equal(&pair, secret.as_bytes());
        is_password || is_pair
    }
}

impl From<Vec<Event>> for Outcome {
    fn from(events: Vec<Event>) -> Self {
        Self::Events(events)
    }
}

impl Response {
    /// An answer for a handshake.
    #[must_use]
    pub fn text(status: u16, content_type: &str, body: &str) -> Outcome {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Outcome::Respond(Self { status, headers, body: body.as_bytes().to_vec() })
    }
}

impl Refusal {
    /// The signature or the secret is wrong. The reason is told to the operator and must not quote the secret.
    #[must_use]
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::Unauthorized(reason.into())
    }

    /// The request can't be read; it is kept for replay.
    #[must_use]
    pub fn malformed(reason: impl ToString) -> Self {
        Self::Malformed(reason.to_string())
    }

    /// Not now, such as when a certificate can't be fetched: the request is kept, and the provider tries again, too.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }
}

/// A key that is the same for the same event and for no other, where the provider gives none: the SHA-256 of the parts,
/// each preceded by its length so that no two lists of parts run together alike.
#[must_use]
pub fn dedupe_key(parts: &[&str]) -> String {
    let mut data = Vec::new();
    for part in parts {
        data.extend_from_slice(part.len().to_string().as_bytes());
        data.push(b':');
        data.extend_from_slice(part.as_bytes());
    }
    let digest = host::hash(host::Digest::Sha256, &data);
    hex::encode(&digest[..digest.len().min(16)])
}
