//! Conveniences on what a reply classifier is given and what it answers.

use crate::delivery_status::Action;
use crate::{AutoReply, BounceClass, BouncedRecipient, Classification, Complaint, Message, Verdict};

impl Message {
    /// The value of the first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The values of every header of that name, in any case, in the order of the message.
    pub fn headers_named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    /// Whether there is a header of that name, in any case.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.header(name).is_some()
    }

    /// The content of every machine-readable part of that type; the type is given in lower case.
    pub fn parts_of_type(&self, content_type: &str) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(move |part| part.content_type == content_type).map(|part| part.content.as_str())
    }

    /// The message's own content type with its parameters, in lower case; empty when it has none.
    #[must_use]
    pub fn content_type(&self) -> String {
        self.header("content-type").unwrap_or_default().to_ascii_lowercase()
    }
}

/// What kind of machine answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoReplyKind {
    /// The person is away.
    OutOfOffice,
    /// "We have received your message."
    Receipt,
    /// Any other.
    Other,
}

impl AutoReplyKind {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfOffice => "out-of-office",
            Self::Receipt => "receipt",
            Self::Other => "other",
        }
    }
}

impl Classification {
    /// Not for this classifier: the next in line is asked.
    #[must_use]
    pub fn pass() -> Self {
        Verdict::Pass.into()
    }

    /// A person wrote it.
    #[must_use]
    pub fn human_reply() -> Self {
        Verdict::HumanReply.into()
    }

    /// A machine answered; `return_date` is the day on which the person is back, as `2026-12-01`.
    #[must_use]
    pub fn auto_reply(kind: AutoReplyKind, return_date: Option<String>) -> Self {
        Verdict::AutoReply(AutoReply { kind: kind.as_str().to_owned(), return_date }).into()
    }

    /// A report on what became of a message, whether it failed, waits or arrived.
    #[must_use]
    pub fn bounce(recipients: Vec<BouncedRecipient>) -> Self {
        Verdict::Bounce(recipients).into()
    }

    /// Somebody called the message unwanted.
    #[must_use]
    pub fn complaint(recipient: Option<String>, feedback_type: Option<String>) -> Self {
        Verdict::Complaint(Complaint { recipient, feedback_type }).into()
    }

    /// Somebody asks to be let go.
    #[must_use]
    pub fn unsubscribe_request() -> Self {
        Verdict::UnsubscribeRequest.into()
    }

    /// The recipient's system asks the sender to prove that it is a person.
    #[must_use]
    pub fn challenge() -> Self {
        Verdict::Challenge.into()
    }

    /// It means nothing for the enrollment.
    #[must_use]
    pub fn ignore() -> Self {
        Verdict::Ignore.into()
    }

    /// The same, with a reason for people to read.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

impl From<Verdict> for Classification {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, reason: None, extra: Vec::new() }
    }
}

impl BouncedRecipient {
    /// One recipient's fate in the contract's words.
    #[must_use]
    pub fn new(recipient: impl Into<String>, action: Action, class: BounceClass) -> Self {
        Self {
            recipient: recipient.into(),
            action: action.as_str().to_owned(),
            status: None,
            diagnostic: None,
            class: class.as_str().to_owned(),
        }
    }
}
