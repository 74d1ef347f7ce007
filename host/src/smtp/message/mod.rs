//! Builds the message that leaves, through lettre: headers, two bodies, and nothing that a value could break out of.
//! Texts for people (names, the subject) lose their line breaks; everything else is refused when it has one.
//!
//! There is no `Precedence` and no `Auto-Submitted`: both keep out-of-office replies away, which are worth having.

use std::time::{Duration, SystemTime};

use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MessageBuilder, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use crate::domain::ids::SendId;
use crate::domain::{EmailAddress, Timestamp};

/// RFC 5322 §2.1.1, without the line end.
const MAX_LINE_BYTES: usize = 998;

/// One message to one person. The bodies are final: merge tags are replaced, the pixel is in.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    /// The sender's name; may be empty.
    pub from_name: String,
    /// The sender's address.
    pub from_email: EmailAddress,
    /// The recipient's name.
    pub to_name: Option<String>,
    /// The recipient's address.
    pub to_email: EmailAddress,
    /// The subject, in any script.
    pub subject: String,
    /// The HTML body.
    pub body_html: String,
    /// The plain text body.
    pub body_text: String,
    /// The Message-ID, without its brackets.
    pub message_id: String,
    /// The Message-ID that this follows up on, without its brackets.
    pub in_reply_to: Option<String>,
    /// The thread so far, oldest first, without brackets.
    pub references: Vec<String>,
    /// When it is sent.
    pub date: Timestamp,
    /// Where one click unsubscribes (RFC 8058): an https URL.
    pub list_unsubscribe_url: Option<String>,
    /// Goes out, and comes back, as `X-Ampout-Send-Id`.
    pub send_id: SendId,
    /// More headers, for a provider's sake. Those that the message is made of can't be among them.
    pub extra_headers: Vec<(String, String)>,
}

/// Why no message could be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An address that can't stand in a header.
    #[error("{address} can't stand in a header: {reason}")]
    Address {
        /// Which.
        address: String,
        /// What lettre said.
        reason: String,
    },
    /// A value with blanks, brackets, control characters or letters outside ASCII where none may be.
    #[error("the header {header} can't hold this value; it must be visible ASCII without blanks or angle brackets")]
    Value {
        /// Whose value.
        header: String,
    },
    /// A name that is no header's name, or one that the message sets itself.
    #[error("{header:?} can't be an extra header: it is not a header name, or the message sets it itself")]
    ExtraHeader {
        /// The name.
        header: String,
    },
    /// A line of a header would be longer than mail may carry (RFC 5322 §2.1.1).
    #[error("a header has a line of more than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// Before 1970 or after 9999.
    #[error("{date} can't be a message's date")]
    Date {
        /// What was given.
        date: Timestamp,
    },
    /// lettre refused it.
    #[error("the message can't be built: {reason}")]
    Other {
        /// What it said.
        reason: String,
    },
}

impl OutgoingMessage {
    /// The message as it goes into DATA: headers, `multipart/alternative`, lines ended by CRLF. The same message gives
    /// the same bytes, however often it is built.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let from = mailbox(Some(&self.from_name), &self.from_email)?;
        let to = mailbox(self.to_name.as_deref(), &self.to_email)?;
        // Without one lettre reads the addresses back from the headers that it has just written.
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()]);
        let mut builder = Message::builder()
            .envelope(envelope.map_err(|e| BuildError::Other { reason: e.to_string() })?)
            .from(from)
            .to(to)
            .raw_header(words(HeaderName::new_from_ascii_str("Subject"), one_line(&self.subject)))
            .date(system_time(self.date)?)
            .raw_header(literal("Message-ID", format!("<{}>", token("Message-ID", &self.message_id)?)));
        if let Some(id) = &self.in_reply_to {
            builder = builder.raw_header(literal("In-Reply-To", format!("<{}>", token("In-Reply-To", id)?)));
        }
        builder = self.add_references(builder)?;
        if let Some(url) = &self.list_unsubscribe_url {
            let url = token("List-Unsubscribe", url)?;
            builder = builder
                .raw_header(literal("List-Unsubscribe", format!("<{url}>")))
                .raw_header(literal("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        builder = builder.raw_header(literal("X-Ampout-Send-Id", self.send_id.to_string()));
        for (name, value) in &self.extra_headers {
            builder = builder.raw_header(extra_header(extra_name(name)?, one_line(value)));
        }

        let bodies = MultiPart::alternative()
            .boundary(self.boundary())
            .singlepart(SinglePart::plain(self.body_text.clone()))
            .singlepart(SinglePart::html(self.body_html.clone()));
        let message = builder.multipart(bodies).map_err(|e| BuildError::Other { reason: e.to_string() })?;
        let bytes = message.formatted();
        check_line_lengths(&bytes)?;
        Ok(bytes)
    }

    /// RFC 5322 §3.6.4, one id a line.
    fn add_references(&self, builder: MessageBuilder) -> Result<MessageBuilder, BuildError> {
        if self.references.is_empty() {
            return Ok(builder);
        }
        let ids = self.references.iter().map(|id| Ok(format!("<{}>", token("References", id)?)));
        let ids: Vec<String> = ids.collect::<Result<_, BuildError>>()?;
        Ok(builder.raw_header(literal("References", ids.join("\r\n "))))
    }

    /// Made of the send's id: the same at each try, and not to be foreseen by whoever wrote the body.
    fn boundary(&self) -> String {
        let digest = Sha256::digest([b"boundary".as_slice(), self.send_id.as_bytes()].concat());
        hex::encode(&digest[..16])
    }
}

fn mailbox(name: Option<&str>, email: &EmailAddress) -> Result<Mailbox, BuildError> {
    let address = Address::new(email.local(), email.domain())
        .map_err(|e| BuildError::Address { address: email.to_string(), reason: e.to_string() })?;
    Ok(Mailbox::new(name.map(one_line).filter(|name| !name.is_empty()), address))
}

/// Words for people on one line: whatever could end it becomes a blank.
fn one_line(text: &str) -> String {
    let breaks_lines = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if breaks_lines(c) { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// A value that stands between angle brackets or alone, as it is.
fn token<'a>(header: &str, value: &'a str) -> Result<&'a str, BuildError> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>');
    if value.is_empty() || !value.bytes().all(fits) {
        return Err(BuildError::Value { header: header.to_owned() });
    }
    Ok(value)
}

/// A header whose value is ASCII and folded already. lettre would encode a long word, and an encoded Message-ID or URL
/// is none.
fn literal(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

/// A header for a provider. What fits on a line stays as it is: providers read their headers raw, and JSON that was folded
/// or encoded as RFC 2047 says is none to them.
fn extra_header(name: HeaderName, value: String) -> HeaderValue {
    const FITS: usize = MAX_LINE_BYTES - 100;
    if value.is_ascii() && value.len() <= FITS {
        return HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value);
    }
    words(name, value)
}

/// A header for people, folded and, where ASCII can't say it, encoded (RFC 2047). lettre encodes word by word and loses the
/// blanks between two encoded ones, which §6.2 has readers pass over; it leaves alone what only looks encoded, and words
/// that no line can hold.
fn words(name: HeaderName, value: String) -> HeaderValue {
    const FITS: usize = MAX_LINE_BYTES - 100;
    let is_plain = value.is_ascii() && !value.contains("=?") && value.split(' ').all(|word| word.len() <= FITS);
    if is_plain {
        return HeaderValue::new(name, value);
    }
    let mut encoded = String::new();
    // Writing into a String can't fail.
    let _ = rfc2047::encode(&value, &mut EmailWriter::new(&mut encoded, name.len() + ": ".len(), 0, false));
    HeaderValue::dangerous_new_pre_encoded(name, value, encoded)
}

fn extra_name(name: &str) -> Result<HeaderName, BuildError> {
    let refused = || BuildError::ExtraHeader { header: name.chars().take(80).collect() };
    let own = [
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "in-reply-to",
        "references",
        "mime-version",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "x-ampout-send-id",
        "return-path",
        "received",
    ];
    let lower = name.to_ascii_lowercase();
    // RFC 5322 §3.6.8 would allow more; what providers read is letters, digits, hyphens.
    let is_name = lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_name || own.contains(&lower.as_str()) || lower.starts_with("content-") || lower.starts_with("resent-") {
        return Err(refused());
    }
    HeaderName::new_from_ascii(name.to_owned()).map_err(|_| refused())
}

fn system_time(date: Timestamp) -> Result<SystemTime, BuildError> {
    // lettre panics past the year 9999.
    const YEAR_10000_MILLIS: u64 = 253_402_300_800_000;
    let millis = u64::try_from(date.as_millis()).ok().filter(|millis| *millis < YEAR_10000_MILLIS);
    millis.map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).ok_or(BuildError::Date { date })
}

/// lettre encodes bodies with long lines; a header made of one long word is the rest.
fn check_line_lengths(bytes: &[u8]) -> Result<(), BuildError> {
    let too_long = bytes.split(|&byte| byte == b'\n').any(|line| line.len() > MAX_LINE_BYTES + 1);
    if too_long { Err(BuildError::LineTooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
