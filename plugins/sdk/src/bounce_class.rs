//! Whether a failure means that the address is dead. The class digit is no verdict: of 528 real bounces with a 5.x.x
//! status only 189 meant a dead address. The words of the server decide first, then the status, then the code.
//!
//! | words | status or code | class |
//! |---|---|---|
//! | any | 4.x.x (RFC 3463 section 2), unless it is bare and another is quoted | soft, or policy where the words say so |
//! | about the sender | any | policy |
//! | of the mailbox's own system, which knows it or does not tell | any | soft |
//! | none, or of a dead address | 521, 556 (RFC 7504) | hard |
//! | certainly dead, dead domain | none, 5.1.x, 5.4.x, 5.5.x, 5.0.0 | hard |
//! | dead domain | 5.7.27, with which sendmail told of a null MX before RFC 7505 | hard |
//! | certainly dead, dead domain | 5.1.7, 5.1.8, 5.2.x, 5.3.x, 5.7.x, refused at RCPT | hard |
//! | certainly dead, dead domain | the same, no word of RCPT | what the status says: it knows the mailbox, or us |
//! | unknown user, at the end of DATA | any but 5.1.x | soft: the address was taken and the message was not |
//! | the same of a server's own directory, DATA sent ahead or looked up after it | any | as if refused at no known command |
//! | full, suspended, timed out, busy | any | soft |
//! | spam, policy, size, authentication | any | policy |
//! | unknown user, beside nothing of the two lines above | as for "certainly dead" | hard |
//! | none | 5.1.1, 5.1.2, 5.1.3, 5.1.4, 5.1.6, 5.1.10 (RFC 7505), 5.4.4 | hard |
//! | none | 5.1.7, 5.1.8, 5.2.3, 5.3.4, 5.6.x, 5.7.x (RFC 7372) | policy |
//! | none | 542, 551 (RFC 5321 section 4.2.3) | hard |
//! | none | anything else, or nothing | soft |

use std::ops::BitOr;

use crate::bounce_phrases::{
    ADDRESS, AT_HOME, CERTAIN, DATA_STAGE, DIRECTORY, DOMAIN, LATE, LIVING, PASSING, PHRASES, RECIPIENT_STAGE, REFUSAL,
    SENDER,
};
use crate::smtp_reply::{EnhancedStatus, SmtpReply};
use crate::text::{clip, fold};

/// Longer texts are judged by their first 4 KiB.
const LONGEST_TEXT: usize = 4096;

/// What a failure means for the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BounceClass {
    /// The address or its domain is dead.
    Hard,
    /// Full, greylisted, given up on a temporary fault, or nobody can tell.
    Soft,
    /// Reputation, authentication, content, size: the address lives.
    Policy,
}

/// What the words of a server name: causes, and the command at which it refused. Those of two texts are joined by `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BounceWords(u32);

impl BounceWords {
    /// Reads a text as it stands.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::of_folded(&fold(clip(text, LONGEST_TEXT)))
    }

    /// Reads a text that is folded already (see [`fold`]).
    #[must_use]
    pub fn of_folded(text: &str) -> Self {
        Self(PHRASES.marks_in(clip(text, LONGEST_TEXT)))
    }

    /// Whether they name a cause, so that the class does not rest on a number or on nothing.
    #[must_use]
    pub fn tell(self) -> bool {
        self.class().is_some()
    }

    /// Whether they say at which command the server refused.
    #[must_use]
    pub fn name_a_command(self) -> bool {
        self.has(RECIPIENT_STAGE | DATA_STAGE)
    }

    /// Whether they call a user unknown and are not the words of a server that looked into its own directory, nor speak
    /// of the domain, nor are those of whoever runs the mailboxes.
    #[must_use]
    pub fn only_call_a_user_unknown(self) -> bool {
        self.has(CERTAIN | ADDRESS) && !self.has(DIRECTORY | DOMAIN | AT_HOME)
    }

    fn has(self, marks: u32) -> bool {
        self.0 & marks != 0
    }

    /// The class that the words imply by themselves, if any.
    fn class(self) -> Option<BounceClass> {
        if self.has(SENDER) {
            Some(BounceClass::Policy)
        } else if self.has(LIVING) {
            Some(BounceClass::Soft)
        } else if self.has(DIRECTORY | CERTAIN) {
            Some(BounceClass::Hard)
        } else if self.has(PASSING) {
            Some(BounceClass::Soft)
        } else if self.has(REFUSAL) {
            Some(BounceClass::Policy)
        } else if self.has(DOMAIN | ADDRESS) {
            Some(BounceClass::Hard)
        } else {
            None
        }
    }

    fn stage(self) -> Stage {
        if self.has(RECIPIENT_STAGE) {
            Stage::Recipient
        } else if self.has(DATA_STAGE) {
            Stage::Data
        } else {
            Stage::Untold
        }
    }
}

impl BitOr for BounceWords {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The command that a server refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Recipient,
    Data,
    Untold,
}

impl BounceClass {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Policy => "policy",
        }
    }

    /// Classes the words of a server, with the status and code that stand in them.
    ///
    /// ```
    /// use ampout_plugin::BounceClass;
    /// assert_eq!(BounceClass::of_text("550 5.1.1 User unknown"), BounceClass::Hard);
    /// assert_eq!(BounceClass::of_text("554 5.7.1 Blocked, see our policy"), BounceClass::Policy);
    /// ```
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::of(None, text)
    }

    /// Whether the words name a cause, so that the class does not rest on a number or on nothing.
    #[must_use]
    pub fn words_tell(text: &str) -> bool {
        BounceWords::of(text).tell()
    }

    /// Classes a failure by the status that a report states, if any, and the words of the server.
    ///
    /// A text may also tell at which command the server refused, as Postfix and sendmail do: an address that was taken
    /// at RCPT and is called unknown after DATA is filtered, not dead.
    #[must_use]
    pub fn of(stated: Option<EnhancedStatus>, text: &str) -> Self {
        let words = BounceWords::of(text);
        Self::of_words(stated, SmtpReply::find(text), words, words)
    }

    /// As [`of`](Self::of), of texts that were read already: the reply, the words that tell the cause, and those that
    /// tell at which command the server refused.
    #[must_use]
    pub fn of_words(
        stated: Option<EnhancedStatus>,
        reply: SmtpReply,
        words: BounceWords,
        transcript: BounceWords,
    ) -> Self {
        // `5.0.0` and the like come from reporters that did not look; what the remote server itself said is better.
        let status = match (stated, reply.status) {
            (Some(stated), Some(quoted)) if stated.is_bare() || is_vague(stated) => Some(quoted),
            (stated, quoted) => stated.or(quoted),
        };
        let stage = transcript.stage();
        match (words.class(), status) {
            // RFC 7504 gave these codes one meaning each: the host, or the domain, takes no mail. Some servers take 521
            // for any refusal, and say so.
            (Some(Self::Hard) | None, _) if matches!(reply.code, Some(521 | 556)) => Self::Hard,
            // Whoever states a temporary or a policy status speaks of now or of us, even where the words are harsher.
            (Some(Self::Hard) | None, Some(status)) if status.class == 4 => Self::Soft,
            (Some(Self::Hard), None) if reply.code.is_some_and(|code| code < 500) => Self::Soft,
            (Some(Self::Hard), status)
                if stage == Stage::Data
                    && status.and_then(by_status) != Some(Self::Hard)
                    && !(transcript.has(LATE) && words.has(DIRECTORY)) =>
            {
                Self::Soft
            }
            (Some(Self::Hard), Some(EnhancedStatus { class: 5, subject: 7, detail: 27 })) if words.has(DOMAIN) => {
                Self::Hard
            }
            (Some(Self::Hard), Some(status)) => match by_status(status) {
                Some(class) if stage == Stage::Untold && contradicts_a_dead_address(status) => class,
                _ => Self::Hard,
            },
            (Some(class), _) => class,
            (None, status) => status.and_then(by_status).or_else(|| reply.code.and_then(by_code)).unwrap_or(Self::Soft),
        }
    }
}

/// Statuses that speak of an existing mailbox, of the system (RFC 3463 section 3.3 and 3.4), of the sender, or of policy.
fn contradicts_a_dead_address(status: EnhancedStatus) -> bool {
    // 5.3.0 is what sendmail puts before any other server's words.
    matches!((status.class, status.subject, status.detail), (5, 1, 7 | 8) | (5, 2 | 7, _) | (5, 3, 1..))
}

/// RFC 3463, RFC 7505 (5.1.10), RFC 7372 (5.7.20 to 5.7.26).
fn by_status(status: EnhancedStatus) -> Option<BounceClass> {
    match (status.class, status.subject, status.detail) {
        (4, ..) => Some(BounceClass::Soft),
        (5, 1, 1 | 2 | 3 | 4 | 6 | 10) | (5, 4, 4) => Some(BounceClass::Hard),
        // 5.1.7 and 5.1.8 are about the sender's address; 5.6 is the content, 5.7 the policy, 5.2.3 and 5.3.4 the size.
        (5, 1, 7 | 8) | (5, 2, 3) | (5, 3, 4) | (5, 6 | 7, _) => Some(BounceClass::Policy),
        (5, 0, 0) => None,
        (5, ..) => Some(BounceClass::Soft),
        _ => None,
    }
}

fn by_code(code: u16) -> Option<BounceClass> {
    match code {
        400..=499 => Some(BounceClass::Soft),
        // "User not local" (RFC 5321 section 4.2.3), and what Symantec's gateway answers for an address not registered there.
        542 | 551 => Some(BounceClass::Hard),
        552 => Some(BounceClass::Soft),
        _ => None,
    }
}

/// Statuses that reporters put where they know no better: other address status, other or undefined network status.
fn is_vague(status: EnhancedStatus) -> bool {
    status.detail == 0
}

#[cfg(test)]
mod tests {
    use super::BounceClass::{Hard, Policy, Soft};
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: BounceClass) {
        assert_eq!(BounceClass::of_text(text), expected, "of {text:?}");
    }

    #[test]
    fn every_phrase_is_folded_as_the_texts_are() {
        let strange: Vec<_> = PHRASES.all().filter(|phrase| fold(phrase.trim()) != phrase.trim()).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    #[test]
    fn the_words_decide_before_the_status() {
        check("550 5.1.1 <x@example.net>: Recipient address rejected: User unknown", Hard);
        check("550 5.1.1 The mailbox is over its quota", Soft);
        check("550 5.1.1 Message rejected: your IP is listed at a blocklist", Policy);
        check("550 5.7.1 <x@example.net>: Recipient address rejected: User unknown", Policy);
        check("553 5.1.8 Domain of sender address does not exist", Policy);
        check("450 4.1.1 User unknown", Soft);
        check("550 User unknown (in reply to end of DATA command)", Soft);
        check("550 5.4.1 Recipient address rejected: Access denied", Hard);
        check("553 5.3.0 <x@example.net>... Addressee unknown", Hard);
        check("550 5.7.27 Host does not accept mail", Hard);
        check("550 user unknown. The user(s) account is disabled.", Soft);
        check("550 5.5.0 <x@example.net>: this account has expired", Hard);
        check("550 5.1.1 <x@example.net>: Recipient address rejected: message rejected by policy", Policy);
        check("550 5.7.1 Refused: too many messages to unknown users (no such user) came from you", Policy);
        // DATA was sent ahead, and refused because the recipient had been.
        check(">>> DATA <<< 550 No mailbox here by that name <<< 554 5.5.1 Error: no valid recipients", Hard);
        check(">>> DATA <<< 550 No mailbox here by that name", Soft);
    }

    #[test]
    fn without_words_the_status_decides_and_then_the_code() {
        check("550 5.1.10", Hard);
        check("550 5.7.26", Policy);
        check("550 5.2.2", Soft);
        check("552 5.3.4", Policy);
        check("450 4.1.1", Soft);
        check("551", Hard);
        check("521 5.3.2 System not accepting network messages", Hard);
        check("550", Soft);
        check("", Soft);
    }

    #[test]
    fn a_vague_status_gives_way_to_the_one_that_is_quoted() {
        let vague = EnhancedStatus { class: 5, subject: 0, detail: 0 };
        assert_eq!(BounceClass::of(Some(vague), "550 5.1.1"), Hard);
        assert_eq!(BounceClass::of(Some(vague), "550 5.7.1"), Policy);
    }
}
