//! Conveniences on what a provider adapter is given and what it answers.

use crate::{Event, Outcome, Refusal, Request, base64, host};

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

    /// Whether the Authorization header presents `secret`: as a bearer token, as the password of Basic (RFC 7617), or
    /// as Basic's `user:password` where the secret itself has that form. Compared in constant time.
    #[must_use]
    pub fn presents_secret(&self, secret: &str) -> bool {
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

/// What a provider says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The recipient's server took it.
    Delivered,
    /// The provider took it and is trying.
    Processed,
    /// Put off; the provider tries again.
    Deferred,
    /// The address or its domain is dead.
    HardBounce,
    /// Given up on something that may pass.
    SoftBounce,
    /// Refused for what it is or who sent it; the address lives.
    PolicyBounce,
    /// Called unwanted.
    Complaint,
    /// Asked to be let go.
    Unsubscribe,
    /// Took that back.
    Resubscribe,
    /// Opened by a person, as far as the provider can tell.
    Open,
    /// Opened by a proxy or a scanner.
    OpenMachine,
    /// A link was followed.
    Click,
    /// Not tried, because of what the provider knew before: no new evidence.
    Reject,
    /// A machine answered.
    AutoReply,
    /// Something this adapter doesn't know; kept, never an error.
    Unknown,
}

impl EventKind {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Processed => "processed",
            Self::Deferred => "deferred",
            Self::HardBounce => "hard_bounce",
            Self::SoftBounce => "soft_bounce",
            Self::PolicyBounce => "policy_bounce",
            Self::Complaint => "complaint",
            Self::Unsubscribe => "unsubscribe",
            Self::Resubscribe => "resubscribe",
            Self::Open => "open",
            Self::OpenMachine => "open_machine",
            Self::Click => "click",
            Self::Reject => "reject",
            Self::AutoReply => "auto_reply",
            Self::Unknown => "unknown",
        }
    }
}

impl Event {
    /// An event of a kind, with everything else unknown.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            recipient: None,
            send_id: None,
            message_id: None,
            provider_message_id: None,
            at: None,
            smtp_code: None,
            status: None,
            reason: None,
            dedupe_key: None,
            extra: Vec::new(),
        }
    }
}

impl From<Vec<Event>> for Outcome {
    fn from(events: Vec<Event>) -> Self {
        Self::Events(events)
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
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
