//! What can go wrong with a mailbox, by what its watcher does about it. No variant holds a secret, nor any part of a
//! message.

use std::time::Duration;

use async_imap::error::Error;

use super::screen::Unacceptable;
use crate::egress::EgressError;
use crate::tls::TlsError;

/// The longest text of a server that is passed on, in characters.
const LONGEST_TEXT: usize = 200;

/// Why a mailbox can't be opened or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImapError {
    /// The host is out of bounds, or no host at all. Somebody must change a setting.
    #[error(transparent)]
    Egress(EgressError),
    /// No connection, or it was lost, or the server said that it is not available at present.
    #[error("the IMAP server can't be reached: {reason}")]
    Unreachable {
        /// What was seen.
        reason: String,
    },
    /// No answer in time.
    #[error("the IMAP server did not answer {step} within {} s", .after.as_secs())]
    TimedOut {
        /// What was asked.
        step: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// No encryption: the certificate does not verify, or STARTTLS is required and not to be had.
    #[error("no encrypted connection to the IMAP server: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// Wrong user or password, or the account may not use IMAP.
    #[error("the IMAP server refused the user or password: {reason}")]
    AuthRefused {
        /// What the server said.
        reason: String,
    },
    /// The settings ask for plain text and the operator does not allow it.
    #[error("an IMAP connection without TLS is not allowed here")]
    PlaintextForbidden,
    /// The server said NO to a command other than a login, such as EXAMINE of a folder that doesn't exist.
    #[error("the IMAP server refused {step}: {reason}")]
    Refused {
        /// What was asked.
        step: &'static str,
        /// What the server said.
        reason: String,
    },
    /// The server's answer is not IMAP, or is larger than any honest one.
    #[error("the IMAP server's answer to {step} can't be used: {reason}")]
    Protocol {
        /// What was asked.
        step: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ImapError {
    /// Whether the same may work later without anybody changing a setting.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Egress(error) => error.is_temporary(),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Refused { .. } | Self::Protocol { .. } => true,
            Self::Tls { .. } | Self::AuthRefused { .. } | Self::PlaintextForbidden => false,
        }
    }

    pub(super) fn lost() -> Self {
        Self::Unreachable { reason: "it closed the connection".to_owned() }
    }

    pub(super) fn protocol(step: &'static str, reason: impl Into<String>) -> Self {
        Self::Protocol { step, reason: reason.into() }
    }

    /// async-imap's errors about what it can't parse hold the answer itself, so their text is not passed on.
    pub(super) fn of_library(error: &Error, step: &'static str) -> Self {
        match error {
            Error::Io(error) => Self::of_io(error, step),
            Error::ConnectionLost => Self::lost(),
            Error::No(text) => Self::Refused { step, reason: said(text) },
            Error::Bad(text) => Self::protocol(step, format!("it says the command is bad: {}", said(text))),
            Error::Validate(_) => Self::protocol(step, "a line break stands in the command"),
            _ => Self::protocol(step, "it is not IMAP"),
        }
    }

    pub(super) fn of_io(error: &std::io::Error, step: &'static str) -> Self {
        if let Some(unacceptable) = error.get_ref().and_then(|inner| inner.downcast_ref::<Unacceptable>()) {
            return Self::protocol(step, unacceptable.to_string());
        }
        match error.kind() {
            // Also what the library makes of an answer that it can't parse; the text would hold that answer.
            std::io::ErrorKind::Other => Self::protocol(step, "it is not IMAP"),
            kind => Self::Unreachable { reason: kind.to_string() },
        }
    }
}

impl From<EgressError> for ImapError {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::NotAHost { .. } | EgressError::Refused { .. } => Self::Egress(error),
            EgressError::TimedOut { after, .. } => Self::TimedOut { step: "the connection", after },
            other => Self::Unreachable { reason: other.to_string() },
        }
    }
}

impl From<TlsError> for ImapError {
    fn from(error: TlsError) -> Self {
        Self::Tls { reason: error.to_string() }
    }
}

/// What a server said, without control characters and no longer than a line.
pub(super) fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    if text.is_empty() { "it gave no reason".to_owned() } else { text }
}

/// The server's words in the library's `code: …, info: Some("…")`.
fn said(text: &str) -> String {
    let words = text.split_once("info: Some(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    clean(words.unwrap_or(text))
}
