//! `message/feedback-report`: the abuse reporting format (RFC 5965), read with tolerance.

use crate::address::first_address;
use crate::report_fields::{ReportLine, report_lines};

/// More recipients than this are not read from one report.
const MOST_RECIPIENTS: usize = 100;

/// What a feedback report says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedbackReport {
    /// `abuse`, `fraud`, `virus`, `other`, `not-spam`, `auth-failure`, `opt-out`, …; lower case.
    pub feedback_type: Option<String>,
    /// Original-Rcpt-To, often redacted and therefore often absent.
    pub original_recipients: Vec<String>,
    /// Original-Mail-From.
    pub original_sender: Option<String>,
    /// The software that wrote the report.
    pub user_agent: Option<String>,
}

impl FeedbackReport {
    /// Reads the content of a report. Never fails: what can't be read is left out.
    ///
    /// ```
    /// use ampout_plugin::feedback_report::FeedbackReport;
    /// let report = FeedbackReport::parse("Feedback-Type: abuse\nOriginal-Rcpt-To: <a@example.com>\n");
    /// assert!(report.is_complaint());
    /// ```
    #[must_use]
    pub fn parse(content: &str) -> Self {
        let mut report = Self::default();
        for line in report_lines(content) {
            let ReportLine::Field(name, value) = line else { continue };
            match name.as_str() {
                "feedback-type" => report.feedback_type = report.feedback_type.or_else(|| first_word(&value)),
                "original-rcpt-to" | "original-recipient" | "removal-recipient" => report.add_recipient(&value),
                "original-mail-from" => report.original_sender = first_address(&value),
                "user-agent" => report.user_agent = Some(value),
                _ => {}
            }
        }
        report
    }

    /// Whether a person called the message unwanted. `not-spam` is the reverse, `auth-failure` (RFC 6591) and `dmarc`
    /// are about the sender's DNS, and `opt-out` asks to be let go without blame.
    #[must_use]
    pub fn is_complaint(&self) -> bool {
        !matches!(
            self.feedback_type.as_deref(),
            Some("not-spam" | "auth-failure" | "dmarc" | "opt-out" | "opt-out-list")
        )
    }

    /// Whether the report asks to be let go.
    #[must_use]
    pub fn is_opt_out(&self) -> bool {
        matches!(self.feedback_type.as_deref(), Some("opt-out" | "opt-out-list"))
    }

    fn add_recipient(&mut self, value: &str) {
        let Some(address) = first_address(value) else { return };
        if self.original_recipients.len() < MOST_RECIPIENTS && !self.original_recipients.contains(&address) {
            self.original_recipients.push(address);
        }
    }
}

fn first_word(value: &str) -> Option<String> {
    let word = value.split([' ', ';', '(']).next()?.trim();
    (!word.is_empty()).then(|| word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, complaint: bool, opt_out: bool, recipients: &[&str]) {
        let report = FeedbackReport::parse(content);
        assert_eq!((report.is_complaint(), report.is_opt_out()), (complaint, opt_out));
        assert_eq!(report.original_recipients, recipients);
    }

    #[test]
    fn only_blame_is_a_complaint() {
        check("Feedback-Type: Abuse\r\nOriginal-Rcpt-To: <a@example.com>\r\n", true, false, &["a@example.com"]);
        check("Feedback-Type: not-spam\n", false, false, &[]);
        check("Feedback-Type: auth-failure\n", false, false, &[]);
        check("Feedback-Type: opt-out\n", false, true, &[]);
    }

    #[test]
    fn redacted_recipients_are_left_out() {
        check(
            "Feedback-Type: fraud\nOriginal-Rcpt-To: [redacted]\nOriginal-Rcpt-To: b@example.com\n",
            true,
            false,
            &["b@example.com"],
        );
    }
}
