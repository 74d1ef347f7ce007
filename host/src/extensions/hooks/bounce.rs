//! Bounce policy: are these bounces too many? The contract's `bounce-policy`, and the host's own rule for when no policy
//! can answer.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Extra;
use super::answer::{BadAnswer, Fields, clip, unknown_word};
use crate::domain::Timestamp;

const SHAPE: &str = r#"#{ decision: "keep" }"#;

/// Below this many transactions the host's own rule keeps a credential: one bounce of two says nothing.
const FEWEST_TRANSACTIONS: u64 = 20;

/// What happened in one window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counters {
    /// SMTP transactions of every step.
    pub transactions: u64,
    /// Dead addresses.
    pub hard_bounces: u64,
    /// Temporary faults that were given up.
    pub soft_bounces: u64,
    /// Refusals that say nothing of the address.
    pub policy_bounces: u64,
    /// Marked as spam.
    pub complaints: u64,
    /// Transactions that the server put off with a 4xx.
    pub deferrals: u64,
}

/// What a bounce policy is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stats {
    /// Whom it is about.
    pub credential_id: String,
    /// The campaign it sends for.
    pub campaign_id: String,
    /// Its From address.
    pub from_email: String,
    /// The campaign's `bounce_rate_threshold`, in percent.
    pub threshold: f64,
    /// First-step sends a day.
    pub daily_limit: u64,
    /// Since it was last enabled.
    pub since_enabled: Counters,
    /// The last hour.
    pub last_hour: Counters,
    /// The last 24 hours.
    pub last_day: Counters,
    /// The last 7 days.
    pub last_week: Counters,
    /// Ever.
    pub lifetime: Counters,
    /// All credentials of the campaign together, ever.
    pub campaign: Counters,
    /// The ten latest, newest first.
    pub recent_reasons: Vec<String>,
    /// The time.
    pub now: Timestamp,
    /// Unforeseen facts.
    pub extra: Extra,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            credential_id: String::new(),
            campaign_id: String::new(),
            from_email: String::new(),
            threshold: 0.0,
            daily_limit: 0,
            since_enabled: Counters::default(),
            last_hour: Counters::default(),
            last_day: Counters::default(),
            last_week: Counters::default(),
            lifetime: Counters::default(),
            campaign: Counters::default(),
            recent_reasons: Vec::new(),
            now: Timestamp::from_millis(0),
            extra: Extra::default(),
        }
    }
}

/// What becomes of the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Judgement {
    /// It goes on.
    Keep,
    /// It stops until a person enables it again.
    Disable {
        /// For people.
        reason: String,
    },
    /// It goes on slower.
    Throttle {
        /// First-step sends a day, from now on.
        daily_limit: u64,
        /// For people.
        reason: String,
    },
}

impl Counters {
    /// Bounces of every class.
    pub fn bounces(&self) -> u64 {
        self.hard_bounces.saturating_add(self.soft_bounces).saturating_add(self.policy_bounces)
    }

    /// Bounces per hundred transactions; 0 where there were none.
    pub fn bounce_rate(&self) -> f64 {
        if self.transactions == 0 {
            return 0.0;
        }
        self.bounces() as f64 * 100.0 / self.transactions as f64
    }
}

impl Judgement {
    /// The host's own rule, for when no policy can answer: disable when the rate over the transactions since the
    /// credential was last enabled exceeds the threshold and there are at least twenty of them.
    pub fn by_threshold(stats: &Stats) -> Self {
        let counters = &stats.since_enabled;
        let rate = counters.bounce_rate();
        if counters.transactions < FEWEST_TRANSACTIONS || rate <= stats.threshold {
            return Self::Keep;
        }
        let (bounces, transactions) = (counters.bounces(), counters.transactions);
        let threshold = stats.threshold;
        Self::Disable {
            reason: format!(
                "{bounces} of {transactions} bounced: {rate:.1} % is over the threshold of {threshold:.1} %"
            ),
        }
    }

    /// Reads `#{ decision: "keep" | "disable" | "throttle", … }`.
    pub fn from_json(value: Value) -> Result<Self, BadAnswer> {
        let mut fields = Fields::of(value, "the answer", SHAPE)?;
        let word = fields.needed_text("decision")?;
        let (judgement, keys): (_, &[&str]) = match word.as_str() {
            "keep" => (Self::Keep, &["decision"]),
            "disable" => (Self::disable(fields.needed_text("reason")?), &["decision", "reason"]),
            "throttle" => {
                let (daily_limit, reason) = (fields.needed_number("daily_limit")?, fields.needed_text("reason")?);
                (Self::throttle(daily_limit, reason), &["decision", "daily_limit", "reason"])
            }
            other => return Err(unknown_word(other, "decision of a bounce policy", "keep, disable, throttle")),
        };
        fields.finish(keys)?;
        Ok(judgement)
    }

    /// `disable`, its reason cut to a length that a row can hold.
    pub fn disable(reason: String) -> Self {
        Self::Disable { reason: clip(reason) }
    }

    /// `throttle`, its reason cut to a length that a row can hold.
    pub fn throttle(daily_limit: u64, reason: String) -> Self {
        Self::Throttle { daily_limit, reason: clip(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(bounces: u64, transactions: u64, disabled: bool) {
        let since_enabled = Counters { transactions, hard_bounces: bounces, ..Counters::default() };
        let judgement = Judgement::by_threshold(&Stats { threshold: 5.0, since_enabled, ..Stats::default() });
        assert_eq!(matches!(judgement, Judgement::Disable { .. }), disabled, "{judgement:?}");
    }

    #[test]
    fn the_hosts_own_rule_wants_twenty_transactions_and_a_rate_over_the_threshold() {
        check(19, 19, false);
        check(1, 20, false);
        check(2, 20, true);
        check(0, 0, false);
    }

    #[test]
    fn answers_are_read_and_others_refused() {
        for form in [
            json!({ "decision": "keep" }),
            json!({ "decision": "disable", "reason": "too many" }),
            json!({ "decision": "throttle", "daily_limit": 5, "reason": "slow down" }),
        ] {
            assert_eq!(serde_json::to_value(Judgement::from_json(form.clone()).unwrap()).unwrap(), form);
        }
        let refused = |form| Judgement::from_json(form).unwrap_err().to_string();
        assert!(refused(json!({ "decision": "stop" })).contains("expected one of keep, disable, throttle"));
        assert!(refused(json!({ "decision": "keep", "reason": "x" })).contains("unknown key"));
        assert!(refused(json!({ "decision": "throttle", "daily_limit": -1, "reason": "x" })).contains("whole number"));
    }
}
