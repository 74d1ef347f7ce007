//! `message/delivery-status` and `message/global-delivery-status` (RFC 3464, RFC 6533), read with tolerance: blocks
//! without blank lines between them, blank lines within them, odd words for Action. Recipients are never merged.

use crate::address::first_address;
use crate::report_fields::{ReportLine, report_lines, without_type};
use crate::smtp_reply::EnhancedStatus;

/// More recipients than this are not read from one report.
const MOST_RECIPIENTS: usize = 500;

/// What a report says: the block about the message, and one block a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryStatus {
    /// The server that wrote the report, without its type.
    pub reporting_mta: Option<String>,
    /// The ENVID that was given at submission (RFC 3461 section 4.4), where we gave one.
    pub original_envelope_id: Option<String>,
    /// The recipients, in order.
    pub recipients: Vec<RecipientStatus>,
}

/// What a report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipientStatus {
    /// The address as the sender gave it.
    pub original_recipient: Option<String>,
    /// The address at which delivery ended; after a forward it is another one.
    pub final_recipient: Option<String>,
    /// What became of the message, where the report says it in a word that is known.
    pub action: Option<Action>,
    /// RFC 3463.
    pub status: Option<EnhancedStatus>,
    /// The remote server's words, without their type.
    pub diagnostic: Option<String>,
    /// The remote server, without its type.
    pub remote_mta: Option<String>,
}

/// What became of a message (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet; the server goes on trying.
    Delayed,
    /// At the recipient.
    Delivered,
    /// Handed to a server that gives no reports.
    Relayed,
    /// Sent on to several.
    Expanded,
}

impl Action {
    /// The word of RFC 3464.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// Reads a word, the ones that servers put in place of the RFC's among them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.trim().trim_matches(['"', '<', '>']).to_ascii_lowercase();
        let first = word.split(|c: char| !c.is_ascii_alphabetic() && c != '-').next().unwrap_or_default();
        match first {
            "failed"
            | "failure"
            | "fail"
            | "error"
            | "undeliverable"
            | "undelivered"
            | "rejected"
            | "expired"
            | "deleted"
            | "denied"
            | "bounced"
            | "refused"
            | "dropped"
            | "undeliverable-recipient" => Some(Self::Failed),
            "delayed" | "delay" | "deferred" | "warning" | "retrying" => Some(Self::Delayed),
            "delivered" | "success" | "deliverable" | "displayed" => Some(Self::Delivered),
            "relayed" | "forwarded" => Some(Self::Relayed),
            "expanded" => Some(Self::Expanded),
            _ => None,
        }
    }
}

impl DeliveryStatus {
    /// Reads the content of a report. Never fails: what can't be read is left out.
    ///
    /// ```
    /// use ampout_plugin::delivery_status::{Action, DeliveryStatus};
    /// let report = DeliveryStatus::parse("Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; a@example.com\nAction: failed\n");
    /// assert_eq!(report.recipients[0].action, Some(Action::Failed));
    /// ```
    #[must_use]
    pub fn parse(content: &str) -> Self {
        let mut report = Self::default();
        let mut block = RecipientStatus::default();
        let mut after_blank_line = false;
        for line in report_lines(content) {
            let ReportLine::Field(name, value) = line else {
                after_blank_line = true;
                continue;
            };
            match name.as_str() {
                "reporting-mta" => report.reporting_mta = non_empty(without_type(&value)),
                "original-envelope-id" => report.original_envelope_id = non_empty(&value),
                _ => {
                    if block.already_has(&name, after_blank_line) {
                        report.push(std::mem::take(&mut block));
                    }
                    block.set(&name, &value);
                }
            }
            after_blank_line = false;
        }
        report.push(block);
        report
    }

    fn push(&mut self, block: RecipientStatus) {
        let says_something = block.recipient().is_some() || block.action.is_some() || block.status.is_some();
        if says_something && self.recipients.len() < MOST_RECIPIENTS {
            self.recipients.push(block);
        }
    }
}

impl RecipientStatus {
    /// The address that the sender knows: Original-Recipient before Final-Recipient, which may be a forwarded alias.
    #[must_use]
    pub fn recipient(&self) -> Option<&str> {
        self.original_recipient.as_deref().or(self.final_recipient.as_deref())
    }

    /// The action, or what the status's class implies where no known word stands.
    #[must_use]
    pub fn action_or_implied(&self) -> Option<Action> {
        self.action.or(match self.status?.class {
            2 => Some(Action::Delivered),
            _ => Some(Action::Failed),
        })
    }

    /// A field that comes a second time begins the next recipient, whether or not a blank line stands between them.
    /// Blank lines by themselves end nothing: some servers put one after each field.
    fn already_has(&self, name: &str, after_blank_line: bool) -> bool {
        match name {
            // RFC 3464 puts it before Final-Recipient, Postfix after it.
            "original-recipient" => {
                let block_is_whole = self.final_recipient.is_some() && self.action.is_some();
                self.original_recipient.is_some() || (block_is_whole && after_blank_line)
            }
            "final-recipient" => self.final_recipient.is_some(),
            "action" => self.action.is_some(),
            "status" => self.status.is_some(),
            _ => false,
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        match name {
            "original-recipient" => self.original_recipient = recipient_in(value),
            "final-recipient" => self.final_recipient = recipient_in(value),
            // Exchange and others write the alias that failed; it counts only where nothing else names a recipient.
            "x-actual-recipient" if self.final_recipient.is_none() => self.final_recipient = recipient_in(value),
            "action" => self.action = Action::from_word(value),
            "status" => self.status = EnhancedStatus::find(value),
            "diagnostic-code" => self.diagnostic = non_empty(without_type(value)),
            "remote-mta" => self.remote_mta = non_empty(without_type(value)),
            _ => {}
        }
    }
}

fn recipient_in(value: &str) -> Option<String> {
    first_address(value).or_else(|| {
        // A local user of the reporting server has no domain; the word is kept so that recipients aren't merged.
        non_empty(without_type(value).trim_matches(['<', '>', '"', ' ']))
    })
}

fn non_empty(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, expected: &[(&str, Option<Action>, &str)]) {
        let report = DeliveryStatus::parse(content);
        let seen: Vec<_> = report
            .recipients
            .iter()
            .map(|r| (r.recipient().unwrap_or(""), r.action, r.status.map(|s| s.to_string()).unwrap_or_default()))
            .collect();
        let seen: Vec<_> = seen.iter().map(|(address, action, status)| (*address, *action, status.as_str())).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn two_recipients_stay_two_with_and_without_blank_lines() {
        let one = "Final-Recipient: RFC822; a@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n";
        let two = "Final-Recipient: RFC822; b@example.com\r\nAction: delayed\r\nStatus: 4.4.1\r\n";
        let expected =
            [("a@example.com", Some(Action::Failed), "5.1.1"), ("b@example.com", Some(Action::Delayed), "4.4.1")];
        check(&format!("Reporting-MTA: dns; mx\r\n\r\n{one}\r\n{two}"), &expected);
        check(&format!("Reporting-MTA: dns; mx\r\n{one}{two}"), &expected);
        check(&format!("{one}\r\n\r\n\r\n{two}").replace("\r\nAction", "\r\n\r\nAction"), &expected);
    }

    #[test]
    fn the_address_we_sent_to_comes_before_its_alias() {
        check(
            "Original-Recipient: rfc822;alias@example.com\nFinal-Recipient: rfc822;real@example.net\nAction: failed\nStatus: 5.2.2 (full)\n",
            &[("alias@example.com", Some(Action::Failed), "5.2.2")],
        );
        check(
            "Original-Recipient: rfc822;a@example.com\nFinal-Recipient: rfc822;b@example.net\nAction: failed\nStatus: 5.1.1\n\
             Original-Recipient: rfc822;c@example.com\nFinal-Recipient: rfc822;d@example.net\nAction: failed\nStatus: 5.1.1\n",
            &[("a@example.com", Some(Action::Failed), "5.1.1"), ("c@example.com", Some(Action::Failed), "5.1.1")],
        );
    }

    #[test]
    fn odd_words_and_broken_lines_are_understood() {
        check(
            "Final-Recipient: <a@example.com>\nAction: Failure (bounced)\nStatus: 5.0.0\n",
            &[("a@example.com", Some(Action::Failed), "5.0.0")],
        );
        let report =
            DeliveryStatus::parse("Final-Recipient: rfc822;a@example.com\nDiagnostic-Code: smtp; 550 no\nsuch user\n");
        assert_eq!(report.recipients[0].diagnostic.as_deref(), Some("550 no such user"));
        assert_eq!(report.recipients[0].action_or_implied(), None);
    }

    #[test]
    fn nonsense_is_an_empty_report() {
        check("", &[]);
        check("\u{0}\u{ffff}::::\n: :\n", &[]);
    }
}
