//! What a classifier answers as JSON, in the contract's words: what a script returns and what a decision record keeps.

use serde_json::{Value, json};

use super::super::answer::{BadAnswer, Fields, unknown_word};
use super::super::json_of;
use super::{Answer, BouncedRecipient, Classification, Verdict};

const SHAPE: &str = r#"#{ verdict: "pass" }"#;
const VERDICTS: &str = "pass, human-reply, auto-reply, bounce, complaint, unsubscribe-request, challenge, ignore";

impl Answer {
    /// Reads `#{ verdict: "…", … }`.
    pub fn from_json(value: Value) -> Result<Self, BadAnswer> {
        let mut fields = Fields::of(value, "the answer", SHAPE)?;
        let word = fields.needed_text("verdict")?;
        let mut keys = vec!["verdict", "reason", "extra"];
        let verdict = match word.as_str() {
            "pass" => None,
            "human-reply" => Some(Verdict::HumanReply),
            "auto-reply" => {
                keys.extend(["kind", "return_date"]);
                let (kind, date) = (fields.needed_text("kind")?, fields.text("return_date")?);
                Some(Verdict::auto_reply(&kind, date.as_deref())?)
            }
            "bounce" => {
                keys.push("bounces");
                let told = fields.list("bounces")?.unwrap_or_default();
                Some(Verdict::Bounce(
                    told.into_iter().enumerate().map(|(i, one)| bounced(one, i)).collect::<Result<_, _>>()?,
                ))
            }
            "complaint" => {
                keys.extend(["recipient", "feedback_type"]);
                Some(Verdict::complaint(fields.text("recipient")?, fields.text("feedback_type")?))
            }
            "unsubscribe-request" => Some(Verdict::UnsubscribeRequest),
            "challenge" => Some(Verdict::Challenge),
            "ignore" => Some(Verdict::Ignore),
            other => return Err(unknown_word(other, "verdict", VERDICTS)),
        };
        let (reason, extra) = (fields.text("reason")?, fields.extra()?);
        fields.finish(&keys)?;
        Ok(verdict.map_or(Self::Pass, |verdict| Self::Classified(Classification::new(verdict, reason, extra))))
    }

    /// The contract's words.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Pass => json!({ "verdict": "pass" }),
            Self::Classified(classification) => classification.to_json(),
        }
    }
}

impl Classification {
    /// The contract's words: `{"verdict": "bounce", "bounces": […], "reason": "…"}`.
    pub fn to_json(&self) -> Value {
        let mut form = match &self.verdict {
            Verdict::AutoReply { kind, return_date } => {
                let mut form = json!({ "verdict": "auto-reply", "kind": kind });
                if let Some(date) = return_date {
                    form["return_date"] = json_of(&date.to_string());
                }
                form
            }
            Verdict::Bounce(told) => json!({ "verdict": "bounce", "bounces": told }),
            Verdict::Complaint { recipient, feedback_type } => {
                json!({ "verdict": "complaint", "recipient": recipient, "feedback_type": feedback_type })
            }
            other => json!({ "verdict": other.word() }),
        };
        if let Some(reason) = &self.reason {
            form["reason"] = json_of(reason);
        }
        if !self.extra.is_empty() {
            form["extra"] = json_of(&self.extra);
        }
        form
    }
}

fn bounced(value: Value, index: usize) -> Result<BouncedRecipient, BadAnswer> {
    let shape = r#"#{ recipient: "a@example.org", action: "failed", status: "5.1.1", class: "hard" }"#;
    let mut fields = Fields::of(value, &format!("bounces[{index}]"), shape)?;
    let (recipient, action) = (fields.needed_text("recipient")?, fields.needed_text("action")?);
    let (status, class) = (fields.text("status")?, fields.needed_text("class")?);
    let diagnostic = fields.text("diagnostic")?;
    let checked = BouncedRecipient::checked(recipient, &action, status.as_deref(), &class, diagnostic);
    let checked = fields.inside(checked)?;
    fields.finish(&["recipient", "action", "status", "class", "diagnostic"])?;
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: Value, expected: Result<Value, &str>) {
        match (Answer::from_json(answer), expected) {
            (Ok(answer), Ok(form)) => assert_eq!(answer.to_json(), form),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (answer, _) => panic!("{answer:?}"),
        }
    }

    #[test]
    fn an_answer_in_the_contracts_words_comes_back_the_same() {
        for form in [
            json!({ "verdict": "pass" }),
            json!({ "verdict": "human-reply", "reason": "signed by a person" }),
            json!({ "verdict": "auto-reply", "kind": "out-of-office", "return_date": "2026-12-01" }),
            json!({ "verdict": "unsubscribe-request", "extra": { "phrase": "stop" } }),
            json!({ "verdict": "bounce", "bounces": [{ "recipient": "a@example.org", "action": "failed",
                "status": "5.1.1", "class": "hard", "diagnostic": "no such user" }] }),
        ] {
            check(form.clone(), Ok(form));
        }
    }

    #[test]
    fn an_answer_outside_the_vocabulary_says_what_was_expected() {
        check(json!("bounce"), Err(r#"is a text; expected a map such as #{ verdict"#));
        check(json!({}), Err(r#"has no "verdict""#));
        check(json!({ "verdict": "bounced" }), Err("expected one of pass, human-reply"));
        check(json!({ "verdict": "unclassified" }), Err("expected one of pass, human-reply"));
        check(
            json!({ "verdict": "pass", "resaon": "x" }),
            Err(r#"unknown key "resaon"; the keys here are verdict, reason"#),
        );
        check(
            json!({ "verdict": "auto-reply", "kind": "vacation" }),
            Err("expected one of out-of-office, receipt, other"),
        );
        check(
            json!({ "verdict": "auto-reply", "kind": "other", "return_date": "tomorrow" }),
            Err("write it as 2026-12-01"),
        );
        check(json!({ "verdict": "human-reply", "bounces": [] }), Err(r#"unknown key "bounces""#));
        let recipient = json!({ "recipient": "a@b.example", "action": "failed", "class": "dead" });
        check(json!({ "verdict": "bounce", "bounces": [recipient] }), Err("bounces[0]"));
    }
}
