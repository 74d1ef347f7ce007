//! Reply classification: what is this inbound message? The contract's `reply-classifier`. The JSON form of an answer is in
//! `json.rs`.

mod json;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::answer::{BadAnswer, EnhancedStatus, civil_date, clip, known};
use super::{Extra, bytes_form};
use crate::domain::Timestamp;
use crate::domain::status::{BounceClass, words};

/// A header field: unfolded, RFC 2047 decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// As written, such as `Auto-Submitted`.
    pub name: String,
    /// The decoded value.
    pub value: String,
}

/// A machine-readable part, at most 64 KiB of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Lower case, without parameters, such as `message/delivery-status`.
    pub content_type: String,
    /// Its text; of a `message/rfc822` the header block alone.
    pub content: String,
}

words! {
    /// How a message was matched to an enrollment.
    pub MatchedBy {
        /// In-Reply-To or References name a message of ours.
        ReplyHeader = "reply-header",
        /// A returned part names a message of ours.
        ReturnedPart = "returned-part",
        /// The address has our plus or VERP token.
        PlusToken = "plus-token",
        /// The sender is a contact that this mailbox wrote to.
        SenderAddress = "sender-address",
    }
}

/// The enrollment that the message answers, as the host matched it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchedEnrollment {
    /// Its id.
    pub enrollment_id: String,
    /// The campaign's id.
    pub campaign_id: String,
    /// Whom we wrote to.
    pub contact_email: String,
    /// The step whose message was matched, from 1.
    pub step: u32,
    /// By what it was matched.
    pub matched_by: MatchedBy,
    /// When that step was sent.
    #[serde(default)]
    pub sent_at: Option<Timestamp>,
    /// Unforeseen facts.
    #[serde(default)]
    pub extra: Extra,
}

/// An inbound message, as a classifier sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Message {
    /// In the order of the message.
    pub headers: Vec<Header>,
    /// The header block as it arrived, at most 64 KiB.
    #[serde(with = "bytes_form")]
    pub raw_headers: Bytes,
    /// The address in From.
    pub sender: Option<String>,
    /// The address in Return-Path; an empty string is the null path `<>`.
    pub return_path: Option<String>,
    /// To, Cc and Delivered-To.
    pub recipients: Vec<String>,
    /// Decoded.
    pub subject: String,
    /// The plain text, or the HTML turned into text; at most 64 KiB.
    pub text: String,
    /// The machine-readable parts.
    pub parts: Vec<Part>,
    /// Message-IDs of ours found anywhere in it, without `<>`.
    pub our_message_ids: Vec<String>,
    /// What it answers, if that is known.
    pub enrollment: Option<MatchedEnrollment>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Unforeseen facts.
    pub extra: Extra,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            raw_headers: Bytes::new(),
            sender: None,
            return_path: None,
            recipients: Vec::new(),
            subject: String::new(),
            text: String::new(),
            parts: Vec::new(),
            our_message_ids: Vec::new(),
            enrollment: None,
            received_at: Timestamp::from_millis(0),
            extra: Extra::default(),
        }
    }
}

words! {
    /// What answered by itself.
    pub AutoReplyKind {
        /// The person is away.
        OutOfOffice = "out-of-office",
        /// The message was received or read.
        Receipt = "receipt",
        /// Some other machine.
        Other = "other",
    }
}

words! {
    /// The Action of RFC 3464 §2.3.3.
    pub Action {
        /// It could not be delivered.
        Failed = "failed",
        /// It could not be delivered yet.
        Delayed = "delayed",
        /// It was delivered.
        Delivered = "delivered",
        /// It went on to a system that tells nothing.
        Relayed = "relayed",
        /// It was delivered and sent on to many.
        Expanded = "expanded",
    }
}

/// What a report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BouncedRecipient {
    /// As the report writes it, without `rfc822;`.
    pub recipient: String,
    /// What happened.
    pub action: Action,
    /// The enhanced status.
    pub status: Option<EnhancedStatus>,
    /// What it says of the address.
    pub class: BounceClass,
    /// The server's words.
    pub diagnostic: Option<String>,
}

/// What the message is. `Unclassified` is the host's own: no extension may answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A person wrote it.
    HumanReply,
    /// A machine answered.
    AutoReply {
        /// What kind of machine.
        kind: AutoReplyKind,
        /// The day on which the person is back.
        return_date: Option<jiff::civil::Date>,
    },
    /// Told of recipients; an empty list means whomever the message was matched to.
    Bounce(Vec<BouncedRecipient>),
    /// A feedback report (RFC 5965).
    Complaint {
        /// Often redacted by the reporter.
        recipient: Option<String>,
        /// `abuse`, `fraud`, `virus`, `other`, …
        feedback_type: Option<String>,
    },
    /// They want no more mail.
    UnsubscribeRequest,
    /// A challenge-response system asks who we are.
    Challenge,
    /// It means nothing for the enrollment.
    Ignore,
    /// Nobody could tell: the sequence stops and the message is kept for replay.
    Unclassified,
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification {
    /// What the message is.
    pub verdict: Verdict,
    /// For people; shown in the timeline.
    pub reason: Option<String>,
    /// Unforeseen facts.
    pub extra: Extra,
}

/// What one extension answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not for me: the next in line is asked.
    Pass,
    /// The message is this.
    Classified(Classification),
}

impl BouncedRecipient {
    /// Checks the words of a report; the error names the field and what was expected.
    pub fn checked(
        recipient: String,
        action: &str,
        status: Option<&str>,
        class: &str,
        diagnostic: Option<String>,
    ) -> Result<Self, BadAnswer> {
        Ok(Self {
            recipient: clip(recipient),
            action: known(action, "action", Action::parse, Action::ALL)?,
            status: status.map(EnhancedStatus::parse).transpose()?,
            class: known(class, "class", BounceClass::parse, BounceClass::ALL)?,
            diagnostic: diagnostic.map(clip),
        })
    }
}

impl Verdict {
    /// Checks the words of an auto-reply.
    pub fn auto_reply(kind: &str, return_date: Option<&str>) -> Result<Self, BadAnswer> {
        Ok(Self::AutoReply {
            kind: known(kind, "kind of auto-reply", AutoReplyKind::parse, AutoReplyKind::ALL)?,
            return_date: return_date.map(civil_date).transpose()?,
        })
    }

    /// A complaint, about whom it names.
    pub fn complaint(recipient: Option<String>, feedback_type: Option<String>) -> Self {
        Self::Complaint { recipient: recipient.map(clip), feedback_type: feedback_type.map(clip) }
    }

    /// The word of the contract. A report that tells of nothing but delays is `delayed`; one that tells of deliveries, and
    /// at most of delays, is nobody's bounce and `ignore`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::HumanReply => "human-reply",
            Self::AutoReply { .. } => "auto-reply",
            Self::Bounce(told) if told.is_empty() || told.iter().any(|one| one.action == Action::Failed) => "bounce",
            Self::Bounce(told) if told.iter().all(|one| one.action == Action::Delayed) => "delayed",
            Self::Bounce(_) => "ignore",
            Self::Complaint { .. } => "complaint",
            Self::UnsubscribeRequest => "unsubscribe-request",
            Self::Challenge => "challenge",
            Self::Ignore => "ignore",
            Self::Unclassified => "unclassified",
        }
    }
}

impl Classification {
    /// A verdict with a reason for people, cut to a length that a row can hold.
    pub fn new(verdict: Verdict, reason: Option<String>, extra: Extra) -> Self {
        Self { verdict, reason: reason.map(clip), extra: extra.clipped() }
    }
}
