//! What the SMTP receiver does instead of accepting: the moments at which its rule is asked, and the answers.

use std::sync::Arc;
use std::time::Duration;

/// A moment of a connection at which the receiver asks its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'a> {
    /// A connection was opened; the greeting is not yet written.
    Connected,
    /// The right user and password were given.
    Authenticated {
        /// The user name.
        username: &'a str,
    },
    /// MAIL FROM.
    MailFrom {
        /// The address; empty for `<>`.
        address: &'a str,
    },
    /// RCPT TO.
    Recipient {
        /// The address.
        address: &'a str,
    },
    /// The message is here in full; nothing is kept or answered yet.
    Message {
        /// The address in MAIL FROM.
        from: &'a str,
        /// The accepted recipients.
        to: &'a [String],
        /// The message.
        raw: &'a [u8],
    },
}

/// What the receiver does in place of accepting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Answers so; the message is not kept. A code of 421 also closes the connection.
    Refuse(Reply),
    /// Says nothing until the other side hangs up; the message is not kept.
    Hang,
    /// Closes the connection without a word; the message is not kept.
    Close,
    /// Keeps the message and closes the connection before the 250 is written: accepted, and the answer is lost. At any
    /// other moment than [`Moment::Message`] it is the same as [`Action::Close`].
    AcceptAndClose,
    /// Keeps the message, writes the 250 and closes the connection. At any other moment it is the same as
    /// [`Action::Close`].
    AnswerAndClose,
    /// Keeps the message at once and writes the 250 after this time, as a server does that is far away or busy. At any
    /// other moment it is the same as serving as usual.
    AnswerAfter(Duration),
}

/// A reply: `550 5.1.1 no such user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three-digit code (RFC 5321 §4.2).
    pub code: u16,
    /// The enhanced code (RFC 3463), such as `5.1.1`; written where ENHANCEDSTATUSCODES is offered.
    pub enhanced: String,
    /// The text, of one line.
    pub text: String,
}

impl Reply {
    /// A reply with all three.
    pub fn new(code: u16, enhanced: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code, enhanced: enhanced.into(), text: text.into() }
    }

    /// A refusal at the moment that asks for it.
    pub fn refuse(code: u16, enhanced: impl Into<String>, text: impl Into<String>) -> Action {
        Action::Refuse(Self::new(code, enhanced, text))
    }
}

pub(super) type Rule = Arc<dyn Fn(&Moment<'_>) -> Option<Action> + Send + Sync>;

/// A rule over recipients: the action for the first entry whose text begins the local part, in any case. Refusals are
/// given at RCPT, the others when the message is complete.
///
/// `by_local_part(vec![("nobody".to_owned(), Reply::refuse(550, "5.1.1", "no such user"))])`
pub fn by_local_part(table: Vec<(String, Action)>) -> impl Fn(&Moment<'_>) -> Option<Action> + Send + Sync + 'static {
    move |moment| {
        let find = |address: &str| {
            let local = address.rsplit_once('@').map_or(address, |(local, _)| local).to_lowercase();
            table.iter().find(|(start, _)| local.starts_with(&start.to_lowercase())).map(|(_, action)| action.clone())
        };
        match moment {
            Moment::Recipient { address } => find(address).filter(|action| matches!(action, Action::Refuse(_))),
            Moment::Message { to, .. } => {
                to.iter().find_map(|address| find(address)).filter(|action| !matches!(action, Action::Refuse(_)))
            }
            Moment::Connected | Moment::Authenticated { .. } | Moment::MailFrom { .. } => None,
        }
    }
}
