//! Send gate: may this message leave now? The contract's `send-gate`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;
use super::answer::{BadAnswer, Fields, clip, instant, unknown_word};
use crate::domain::Timestamp;

const SHAPE: &str = r#"#{ decision: "admit" }"#;

/// Whom the message is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    /// Its id.
    pub id: String,
    /// Its address.
    pub email: String,
    /// The address's domain.
    pub domain: String,
    /// As imported.
    pub first_name: Option<String>,
    /// As imported.
    pub last_name: Option<String>,
    /// As imported.
    pub company: Option<String>,
}

/// Who sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// Its From address.
    pub from_email: String,
    /// Its server.
    pub smtp_host: String,
    /// First-step sends of this UTC day.
    pub sent_today: u64,
    /// First-step sends a day.
    pub daily_limit: u64,
}

/// The message that is about to leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Send {
    /// The ledger's row.
    pub send_id: String,
    /// The enrollment.
    pub enrollment_id: String,
    /// The campaign.
    pub campaign_id: String,
    /// Whom it is for.
    pub contact: Contact,
    /// From 1.
    pub step: u32,
    /// Who sends it.
    pub credential: Credential,
    /// The best MX of the recipient's domain, where it is known.
    pub mx_host: Option<String>,
    /// The registrable domain of `mx_host`, such as `google.com`.
    pub mx_provider: Option<String>,
    /// The time.
    pub now: Timestamp,
    /// The same instant in the campaign's zone: RFC 3339 with that zone's offset.
    pub local_time: String,
    /// An IANA name, such as `Europe/Berlin`.
    pub time_zone: String,
    /// Unforeseen facts.
    pub extra: Extra,
}

impl Default for Send {
    fn default() -> Self {
        Self {
            send_id: String::new(),
            enrollment_id: String::new(),
            campaign_id: String::new(),
            contact: Contact::default(),
            step: 1,
            credential: Credential::default(),
            mx_host: None,
            mx_provider: None,
            now: Timestamp::from_millis(0),
            local_time: String::new(),
            time_zone: "UTC".to_owned(),
            extra: Extra::default(),
        }
    }
}

/// Whether it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Admission {
    /// Now.
    Admit,
    /// Never: the enrollment's sequence goes on without this step.
    Skip {
        /// For people.
        reason: String,
    },
    /// Not before that time.
    Defer {
        /// When to ask again.
        until: Timestamp,
        /// For people.
        reason: String,
    },
}

impl Admission {
    /// Reads `#{ decision: "admit" | "skip" | "defer", … }`.
    pub fn from_json(value: Value) -> Result<Self, BadAnswer> {
        let mut fields = Fields::of(value, "the answer", SHAPE)?;
        let word = fields.needed_text("decision")?;
        let (admission, keys): (_, &[&str]) = match word.as_str() {
            "admit" => (Self::Admit, &["decision"]),
            "skip" => (Self::skip(fields.needed_text("reason")?), &["decision", "reason"]),
            "defer" => {
                let (until, reason) = (fields.needed_text("until")?, fields.needed_text("reason")?);
                (Self::defer(&until, reason)?, &["decision", "until", "reason"])
            }
            other => return Err(unknown_word(other, "decision of a send gate", "admit, skip, defer")),
        };
        fields.finish(keys)?;
        Ok(admission)
    }

    /// `skip`, its reason cut to a length that a row can hold.
    pub fn skip(reason: String) -> Self {
        Self::Skip { reason: clip(reason) }
    }

    /// `defer`, its time checked and its reason cut to a length that a row can hold.
    pub fn defer(until: &str, reason: String) -> Result<Self, BadAnswer> {
        Ok(Self::Defer { until: instant(until)?, reason: clip(reason) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_read_and_others_refused() {
        for form in [
            json!({ "decision": "admit" }),
            json!({ "decision": "skip", "reason": "competitor" }),
            json!({ "decision": "defer", "until": "2026-11-23T08:00:00.000Z", "reason": "night" }),
        ] {
            assert_eq!(serde_json::to_value(Admission::from_json(form.clone()).unwrap()).unwrap(), form);
        }
        let refused = |form| Admission::from_json(form).unwrap_err().to_string();
        assert!(refused(json!({ "decision": "wait" })).contains("expected one of admit, skip, defer"));
        assert!(
            refused(json!({ "decision": "defer", "until": "soon", "reason": "x" })).contains("2026-11-23T08:00:00Z")
        );
    }
}
