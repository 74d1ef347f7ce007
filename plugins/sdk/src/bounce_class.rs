//! Whether a failure means that the address is dead. The class digit is no verdict: of 528 real bounces with a 5.x.x
//! status only 189 meant a dead address. The words of the server decide first, then the status, then the code.

use crate::bounce_phrases::{ABOUT_THE_SENDER, AT_DATA, AT_RECIPIENT, CERTAINLY_DEAD, DEAD_ADDRESS, POLICY, TEMPORARY};
use crate::smtp_reply::{EnhancedStatus, SmtpReply};
use crate::text::fold;

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
        by_words(&fold(clip(text))).is_some()
    }

    /// Classes a failure by the status that a report states, if any, and the words of the server.
    ///
    /// A text may also tell at which command the server refused, as Postfix and sendmail do: an address that was taken
    /// at RCPT and is called unknown after DATA is filtered, not dead.
    #[must_use]
    pub fn of(stated: Option<EnhancedStatus>, text: &str) -> Self {
        Self::of_transcript(stated, text, text)
    }

    /// As [`of`](Self::of), where the command at which the server refused is told by another text.
    #[must_use]
    pub fn of_transcript(stated: Option<EnhancedStatus>, text: &str, transcript: &str) -> Self {
        let reply = SmtpReply::find(text);
        // `5.0.0` and the like come from reporters that did not look; what the remote server itself said is better.
        let status = match (stated, reply.status) {
            (Some(stated), Some(quoted)) if stated.is_bare() || is_vague(stated) => Some(quoted),
            (stated, quoted) => stated.or(quoted),
        };
        let words = by_words(&fold(clip(text)));
        let stage = Stage::find(&fold(clip(transcript)));
        match (words, status) {
            // RFC 7504 gave these codes one meaning each: the host, or the domain, takes no mail.
            _ if matches!(reply.code, Some(521 | 556)) => Self::Hard,
            // Whoever states a temporary or a policy status speaks of now or of us, even where the words are harsher.
            (Some(Self::Hard) | None, Some(status)) if status.class == 4 => Self::Soft,
            (Some(Self::Hard), None) if reply.code.is_some_and(|code| code < 500) => Self::Soft,
            (Some(Self::Hard), status) if stage == Stage::Data && status.and_then(by_status) != Some(Self::Hard) => {
                Self::Soft
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

/// The class that folded words (see [`fold`]) imply, if any do.
fn by_words(folded: &str) -> Option<BounceClass> {
    let has_any = |phrases: &[&str]| phrases.iter().any(|phrase| folded.contains(phrase));
    if has_any(ABOUT_THE_SENDER) {
        Some(BounceClass::Policy)
    } else if has_any(CERTAINLY_DEAD) {
        Some(BounceClass::Hard)
    } else if has_any(TEMPORARY) {
        Some(BounceClass::Soft)
    } else if has_any(POLICY) {
        Some(BounceClass::Policy)
    } else if has_any(DEAD_ADDRESS) {
        // Servers explain a block at length and may mention unknown users while they do; therefore these come last.
        Some(BounceClass::Hard)
    } else {
        None
    }
}

/// The command that a server refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Recipient,
    Data,
    Untold,
}

impl Stage {
    fn find(folded: &str) -> Self {
        let has_any = |phrases: &[&str]| phrases.iter().any(|phrase| folded.contains(phrase));
        if has_any(AT_RECIPIENT) {
            Self::Recipient
        } else if has_any(AT_DATA) {
            Self::Data
        } else {
            Self::Untold
        }
    }
}

/// Statuses that speak of an existing mailbox, of the system (RFC 3463 section 3.3 and 3.4), of the sender, or of policy.
fn contradicts_a_dead_address(status: EnhancedStatus) -> bool {
    matches!((status.class, status.subject, status.detail), (5, 1, 7 | 8) | (5, 2 | 3 | 7, _))
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
        // "User not local" and "mailbox name not allowed" (RFC 5321 section 4.2.3).
        551 => Some(BounceClass::Hard),
        552 => Some(BounceClass::Soft),
        _ => None,
    }
}

/// Statuses that reporters put where they know no better: other address status, other or undefined network status.
fn is_vague(status: EnhancedStatus) -> bool {
    status.detail == 0
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
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
    fn the_words_decide_before_the_status() {
        check("550 5.1.1 <x@example.net>: Recipient address rejected: User unknown", Hard);
        check("550 5.1.1 The mailbox is over its quota", Soft);
        check("550 5.1.1 Message rejected: your IP is listed at a blocklist", Policy);
        check("550 5.7.1 <x@example.net>: Recipient address rejected: User unknown", Policy);
        check("553 5.1.8 Domain of sender address does not exist", Policy);
        check("450 4.1.1 User unknown", Soft);
        check("550 User unknown (in reply to end of DATA command)", Soft);
        check("550 5.4.1 Recipient address rejected: Access denied", Hard);
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
