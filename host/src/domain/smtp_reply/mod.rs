//! What an SMTP reply means for a send: taken, later, the recipient's fault, or the credential's. Pure rules over the
//! code, the enhanced code (RFC 3463) and the text; it knows nothing of connections.
//!
//! Two mistakes are dear. A wrong "recipient" marks a person as bounced; a wrong "credential" makes the same message
//! due again and again while the others wait. So the credential is blamed only on evidence, and what nobody can tell
//! is either tried later, which ends, or a bounce of a class that lets the address live.

mod phrases;

use std::fmt;

use super::status::BounceClass;

/// A server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, such as 550.
    pub code: u16,
    /// The enhanced code (RFC 3463), such as `5.1.1`, when there is one of the code's class.
    pub enhanced: Option<String>,
    /// The text of all lines, without the codes.
    pub text: String,
}

/// Which command a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`, before the message.
    Data,
    /// The end of the message: the dot, or the last chunk.
    Message,
}

/// What a reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyVerdict {
    /// The server has taken the message.
    Accepted,
    /// The same message again, later.
    TryLater,
    /// This message to this address is refused for good.
    RecipientRefused {
        /// What that says of the address.
        class: BounceClass,
    },
    /// This message is too large for the sender's own server, whoever it is for: it has failed, nobody is bounced.
    MessageTooLarge,
    /// The account, the sender or the engine's own address is refused: the credential rests, nobody is bounced.
    CredentialAtFault {
        /// What is wrong with it.
        why: CredentialFault,
    },
}

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFault {
    /// Name or password, or the server wants authentication first.
    Authentication,
    /// The sender's address is not one that this account may use.
    Sender,
    /// The server does not relay for this account.
    Relay,
    /// The provider's quota for the account is used up.
    Quota,
    /// Too fast, or too many connections.
    Throttled,
    /// The provider has blocked the account or the engine's address.
    Blocked,
}

impl Reply {
    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx.
    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// Subject and detail of the enhanced code: `(1, 1)` for `5.1.1`.
    fn subject_and_detail(&self) -> Option<(u16, u16)> {
        let mut parts = self.enhanced.as_deref()?.split('.').skip(1).map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for part in self.enhanced.iter().chain((!self.text.is_empty()).then_some(&self.text)) {
            write!(f, " {part}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Message => "end of message",
        })
    }
}

impl fmt::Display for CredentialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authentication => "the server does not accept the name and password",
            Self::Sender => "the server does not let this account send from this address",
            Self::Relay => "the server does not relay for this account",
            Self::Quota => "the provider's sending quota is used up",
            Self::Throttled => "the provider asks for a slower pace",
            Self::Blocked => "the provider has blocked the account or the engine's address",
        })
    }
}

/// What `reply` to the command of `stage` means (RFC 5321 §4.2, RFC 3463).
pub fn judge(stage: Stage, reply: &Reply) -> ReplyVerdict {
    let text = phrases::normalised(&reply.text);
    match reply.code / 100 {
        2 => ReplyVerdict::Accepted,
        4 => judge_temporary(stage, reply, &text),
        5 => judge_permanent(stage, reply, &text),
        // Anything else is no final reply to these commands; trying later ends after a few times.
        _ => ReplyVerdict::TryLater,
    }
}

fn judge_temporary(stage: Stage, reply: &Reply, text: &str) -> ReplyVerdict {
    if phrases::is_about_the_recipients_pace(text) {
        return ReplyVerdict::TryLater;
    }
    if let Some(why) = phrases::credential_fault(text) {
        return ReplyVerdict::CredentialAtFault { why };
    }
    // 421 to MAIL closes the door before a recipient was named. Later it may be about this message, and resting would
    // then make it due for ever: TryLater ends.
    match (stage, reply.code) {
        (Stage::Mail, 421 | 454) => ReplyVerdict::CredentialAtFault { why: CredentialFault::Throttled },
        _ => ReplyVerdict::TryLater,
    }
}

fn judge_permanent(stage: Stage, reply: &Reply, text: &str) -> ReplyVerdict {
    let at_fault = |why| ReplyVerdict::CredentialAtFault { why };
    let refused = |class| ReplyVerdict::RecipientRefused { class };
    let detail = reply.subject_and_detail();

    if matches!(detail, Some((3, 4) | (2, 3))) || phrases::is_about_size(text) {
        // RFC 1870 §6.1: MAIL with SIZE may be refused for the message's size, and nobody was named by then. 5.3.4 is a limit
        // of the server (RFC 3463 §3.4), 5.2.3 one of the mailbox.
        return match (stage, detail) {
            (Stage::Mail, _) | (_, Some((3, 4))) => ReplyVerdict::MessageTooLarge,
            _ => refused(BounceClass::Policy),
        };
    }
    if let Some(why) = fault_by_code(reply.code, detail).or_else(|| phrases::credential_fault(text)) {
        return at_fault(why);
    }
    if stage == Stage::Mail {
        return at_fault(CredentialFault::Sender);
    }
    // Bad sequence, unknown command, unknown parameter: about the dialogue and not about anybody's address.
    if matches!(reply.code, 500 | 502 | 503 | 504 | 521 | 555)
        && detail.is_none_or(|(subject, _)| matches!(subject, 0 | 5))
    {
        return ReplyVerdict::TryLater;
    }
    refused(class_of(stage, reply.code, detail, text))
}

/// What the codes alone say of the credential.
fn fault_by_code(code: u16, detail: Option<(u16, u16)>) -> Option<CredentialFault> {
    match (code, detail) {
        // RFC 4954 §6; 534 and 538 are "mechanism too weak" and "encryption required".
        (530 | 534 | 535 | 538, _) => Some(CredentialFault::Authentication),
        // RFC 3463 §3.2: bad sender's mailbox syntax, bad sender's system.
        (_, Some((1, 7 | 8))) => Some(CredentialFault::Sender),
        // Gmail: daily user sending limit exceeded.
        (_, Some((4, 5))) => Some(CredentialFault::Quota),
        // Exchange Online: no permission to send as, send on behalf; not authenticated; relay; tenant quota; banned.
        (_, Some((7, 60)) | Some((2, 252))) => Some(CredentialFault::Sender),
        (_, Some((7, 57 | 139))) => Some(CredentialFault::Authentication),
        (_, Some((7, 64))) => Some(CredentialFault::Relay),
        (_, Some((7, 705 | 708 | 750))) | (_, Some((7, 501..=503))) => Some(CredentialFault::Blocked),
        _ => None,
    }
}

/// The class of a refusal that is not the credential's: the enhanced code first, then the text.
fn class_of(stage: Stage, code: u16, detail: Option<(u16, u16)>, text: &str) -> BounceClass {
    let by_text = || phrases::bounce_class(text);
    match detail {
        // RFC 3463 §3.2 and RFC 7505 §4: the mailbox or its domain is not there.
        Some((1, 1 | 2 | 3 | 4 | 6 | 10)) => BounceClass::Hard,
        Some((2, 2)) => BounceClass::Soft,
        Some((2, 1)) => by_text().unwrap_or(BounceClass::Hard),
        // 5.4.4: no route, which for a recipient's domain is a dead one; 5.4.310 is Exchange's "domain does not exist".
        Some((4, 4 | 310)) => BounceClass::Hard,
        // Exchange says 5.4.1 "Recipient address rejected" for a mailbox that does not exist.
        Some((4, 1)) if text.contains("recipient address rejected") => BounceClass::Hard,
        Some((3 | 4, _)) => by_text().unwrap_or(BounceClass::Soft),
        Some((6, _)) => BounceClass::Policy,
        // 5.7.x is policy whatever it says: "user unknown" there is an anti-spam rule's text as often as the truth.
        Some((7, _)) => BounceClass::Policy,
        _ => by_text().unwrap_or_else(|| class_without_words(stage, code)),
    }
}

fn class_without_words(stage: Stage, code: u16) -> BounceClass {
    match (stage, code) {
        // RFC 5321 §4.2.3: 551 the user is elsewhere; RFC 7504: 556 the domain takes no mail.
        (_, 551 | 556) => BounceClass::Hard,
        // RFC 5321 §4.2.3: 552 is "exceeded storage allocation", of the mailbox when it answers RCPT.
        (Stage::Rcpt, _) => BounceClass::Soft,
        // The address was taken; it is the message that is refused.
        _ => BounceClass::Policy,
    }
}

#[cfg(test)]
mod tests;
