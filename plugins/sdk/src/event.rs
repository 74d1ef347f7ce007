//! An event of a provider, made piece by piece. Each piece takes what the provider sent as it came, leaves out what is
//! empty or beyond reading, and never makes more of it than it says.

use crate::address::{bare_message_id, first_address};
use crate::smtp_reply::{EnhancedStatus, SmtpReply};
use crate::time::instant;
use crate::{BounceClass, Event, dedupe_key};

/// A reason longer than this is cut.
const LONGEST_REASON: usize = 1024;

/// Texts that name things are cut at this.
const LONGEST_NAME: usize = 512;

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

/// What a provider itself calls a failure, before anybody has looked at the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// "Hard", "permanent", "invalid address".
    Hard,
    /// "Soft", "transient", "full".
    Soft,
    /// "Blocked", "spam", "content".
    Policy,
    /// Nothing, or something that does not tell.
    Untold,
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

    /// The kind that has this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        const ALL: [EventKind; 15] = [
            EventKind::Delivered,
            EventKind::Processed,
            EventKind::Deferred,
            EventKind::HardBounce,
            EventKind::SoftBounce,
            EventKind::PolicyBounce,
            EventKind::Complaint,
            EventKind::Unsubscribe,
            EventKind::Resubscribe,
            EventKind::Open,
            EventKind::OpenMachine,
            EventKind::Click,
            EventKind::Reject,
            EventKind::AutoReply,
            EventKind::Unknown,
        ];
        ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Which bounce it is, by what the provider calls it and what the recipient's server said.
    ///
    /// Providers call policy refusals hard as well, which would kill living addresses: their `hard` stands unless the
    /// server's words or status say that the address lives. Their `soft` is never made worse than policy, because a
    /// delivery may still follow; their `policy` is about us, whatever the words.
    ///
    /// ```
    /// use ampout_plugin::{Claim, EventKind};
    /// assert_eq!(EventKind::of_bounce(Claim::Hard, "550 5.1.1 user unknown"), EventKind::HardBounce);
    /// assert_eq!(EventKind::of_bounce(Claim::Hard, "554 5.7.1 blocked by policy"), EventKind::PolicyBounce);
    /// assert_eq!(EventKind::of_bounce(Claim::Hard, ""), EventKind::HardBounce);
    /// assert_eq!(EventKind::of_bounce(Claim::Soft, "550 5.1.1 user unknown"), EventKind::SoftBounce);
    /// ```
    #[must_use]
    pub fn of_bounce(claim: Claim, reply: &str) -> Self {
        match (claim, BounceClass::of_text(reply)) {
            (Claim::Policy, _) | (_, BounceClass::Policy) => Self::PolicyBounce,
            (Claim::Hard | Claim::Untold, BounceClass::Hard) => Self::HardBounce,
            (Claim::Hard, BounceClass::Soft) if says_nothing(reply) => Self::HardBounce,
            _ => Self::SoftBounce,
        }
    }
}

/// Whether a reply gives no ground to doubt the provider's own word: no text at all, or a bare permanent code.
fn says_nothing(reply: &str) -> bool {
    let numbers = SmtpReply::find(reply);
    let is_temporary =
        numbers.code.is_some_and(|code| code < 500) || numbers.status.is_some_and(|status| status.class == 4);
    let names_a_status = numbers.status.is_some_and(|status| !status.is_bare());
    !is_temporary && !names_a_status && !BounceClass::words_tell(reply)
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

    /// Something that this adapter has no word for; `name` is kept in `extra.event`.
    #[must_use]
    pub fn unknown(name: &str) -> Self {
        Self::new(EventKind::Unknown).with_extra("event", Some(name.to_owned()))
    }

    /// The address, with or without a name around it; what holds none is left out.
    #[must_use]
    pub fn with_recipient(mut self, recipient: Option<String>) -> Self {
        self.recipient = recipient.and_then(|text| first_address(&text));
        self
    }

    /// Our own id, as the provider echoes it.
    #[must_use]
    pub fn with_send_id(mut self, send_id: Option<String>) -> Self {
        self.send_id = send_id.map(|text| cut(text.trim(), LONGEST_NAME)).filter(|text| !text.is_empty());
        self
    }

    /// The RFC 5322 Message-ID; angle brackets are taken off.
    #[must_use]
    pub fn with_message_id(mut self, message_id: Option<String>) -> Self {
        self.message_id = message_id.and_then(|text| bare_message_id(&cut(&text, LONGEST_NAME)));
        self
    }

    /// The provider's own id of the message.
    #[must_use]
    pub fn with_provider_message_id(mut self, id: Option<String>) -> Self {
        self.provider_message_id = id.map(|text| cut(text.trim(), LONGEST_NAME)).filter(|text| !text.is_empty());
        self
    }

    /// When it happened, in any form that [`instant`] reads.
    #[must_use]
    pub fn with_time(mut self, time: Option<String>) -> Self {
        self.at = time.and_then(|text| instant(&text));
        self
    }

    /// The words of the recipient's server, or of the provider: the reason, and the code and status that stand in them.
    #[must_use]
    pub fn with_reply(mut self, reply: &str) -> Self {
        let numbers = SmtpReply::find(reply);
        self.smtp_code = self.smtp_code.or(numbers.code);
        self.status = self.status.or_else(|| numbers.status.map(|status| status.to_string()));
        let reason = cut(reply.trim(), LONGEST_REASON);
        self.reason = if reason.is_empty() { self.reason } else { Some(reason) };
        self
    }

    /// The SMTP code where the provider gives it by itself; what is none is left out. To be called before
    /// [`with_reply`](Self::with_reply).
    #[must_use]
    pub fn with_code(mut self, code: Option<i64>) -> Self {
        self.smtp_code = code.and_then(|code| u16::try_from(code).ok()).filter(|code| (200..=599).contains(code));
        self
    }

    /// The enhanced status where the provider gives it by itself; what is none is left out. To be called before
    /// [`with_reply`](Self::with_reply).
    #[must_use]
    pub fn with_status(mut self, status: Option<String>) -> Self {
        self.status = status.and_then(|text| EnhancedStatus::find(&text)).map(|status| status.to_string());
        self
    }

    /// A fact of the provider that has no field; left out when empty.
    #[must_use]
    pub fn with_extra(mut self, key: &str, value: Option<String>) -> Self {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.extra.push((key.to_owned(), cut(&value, LONGEST_NAME)));
        }
        self
    }

    /// The provider's own id of this event, where it has one that is the same however often the event is told.
    #[must_use]
    pub fn with_event_id(mut self, id: Option<String>) -> Self {
        self.dedupe_key = id.map(|text| cut(text.trim(), LONGEST_NAME)).filter(|text| !text.is_empty());
        self
    }

    /// A key for providers that give none: of the provider's `name` for the event, of what it is about, of its time, and
    /// of `more` (such as the link of a click). To be called last.
    #[must_use]
    pub fn with_own_key(mut self, name: &str, more: &[Option<String>]) -> Self {
        let about = [&self.provider_message_id, &self.message_id, &self.send_id, &self.recipient, &self.at];
        let parts = about.into_iter().chain(more).map(|part| part.as_deref().unwrap_or_default());
        let parts: Vec<&str> = std::iter::once(name).chain(parts).collect();
        self.dedupe_key = Some(dedupe_key(&parts));
        self
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for word in ["delivered", "policy_bounce", "open_machine", "unknown"] {
            assert_eq!(EventKind::parse(word).map(EventKind::as_str), Some(word));
        }
        assert_eq!(EventKind::parse("bounce"), None);
    }

    #[track_caller]
    fn check(claim: Claim, reply: &str, expected: EventKind) {
        assert_eq!(EventKind::of_bounce(claim, reply), expected, "{claim:?} with {reply:?}");
    }

    #[test]
    fn a_provider_s_word_stands_unless_the_server_says_that_the_address_lives() {
        check(Claim::Hard, "550", EventKind::HardBounce);
        check(Claim::Hard, "452 4.2.2 mailbox full", EventKind::SoftBounce);
        check(Claim::Hard, "550 5.7.26 unauthenticated", EventKind::PolicyBounce);
        check(Claim::Soft, "", EventKind::SoftBounce);
        check(Claim::Soft, "550 5.7.1 listed at a blocklist", EventKind::PolicyBounce);
        check(Claim::Policy, "550 5.1.1 user unknown", EventKind::PolicyBounce);
        check(Claim::Untold, "550 5.1.1 user unknown", EventKind::HardBounce);
        check(Claim::Untold, "", EventKind::SoftBounce);
    }

    #[test]
    fn pieces_that_say_nothing_are_left_out() {
        let text = |text: &str| Some(text.to_owned());
        let event = Event::new(EventKind::Open)
            .with_recipient(text("nobody"))
            .with_send_id(text(" "))
            .with_message_id(text("<>"))
            .with_time(text("soon"))
            .with_reply(" ")
            .with_extra("url", text(""));
        assert_eq!(event, Event::new(EventKind::Open));
        let long = Event::new(EventKind::Open).with_reply(&"\0é".repeat(3000));
        assert_eq!(long.reason.unwrap(), "é".repeat(LONGEST_REASON));
    }

    #[test]
    fn two_events_of_one_message_have_two_keys() {
        let open = |url: &str| Event::new(EventKind::Click).with_own_key("click", &[Some(url.to_owned())]);
        assert_eq!(open("a"), open("a"));
        assert_ne!(open("a").dedupe_key, open("b").dedupe_key);
    }
}
