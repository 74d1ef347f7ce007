//! Why there is no connection, or no longer one. The texts are for people and hold no password.

use std::time::Duration;

use crate::domain::smtp_reply::Reply;
use crate::egress::EgressError;
use crate::tls::TlsError;

/// Why a server can't be sent through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// `smtp_tls` is `none`, and the operator does not allow it.
    #[error("{host} would be spoken to in plain text, which the operator does not allow; use smtp_tls \"auto\"")]
    PlaintextForbidden {
        /// The server.
        host: String,
    },
    /// The settings can't be sent to any server.
    #[error("the SMTP settings can't be used: {why}")]
    BadSettings {
        /// What is wrong with them.
        why: String,
    },
    /// No TCP connection.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server offers no STARTTLS where it is required.
    #[error("{host} port {port} does not offer STARTTLS; port 465 with smtp_tls \"implicit\" may work")]
    NoStarttls {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The server offers no way to sign in that we speak.
    #[error("{host} offers neither AUTH PLAIN nor AUTH LOGIN")]
    NoAuth {
        /// The server.
        host: String,
    },
    /// The server refused name and password.
    #[error("the server refused the username or password: {reply}")]
    AuthRefused {
        /// What it said.
        reply: Reply,
    },
    /// The server refused something else.
    #[error("the server refused at {step}: {reply}")]
    ServerRefused {
        /// What it answered.
        step: &'static str,
        /// What it said.
        reply: Reply,
    },
    /// The connection broke on the way.
    #[error(transparent)]
    Lost(#[from] LostError),
}

/// Why a server is not even asked. The texts are for people, and say what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// No message of this sender can go through it (RFC 6531 §3.4).
    #[error(
        "not sent: the sender's address is not ASCII, and the server does not offer SMTPUTF8; give the credential a \
         from_email in ASCII, or a server that offers it"
    )]
    Sender,
    /// No message to this recipient can (RFC 6531 §3.4).
    #[error(
        "not sent: the recipient's address is not ASCII, and the server does not offer SMTPUTF8; write to an address of \
         theirs in ASCII, or through a server that offers it"
    )]
    Recipient,
}

/// How a connection ended that should not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LostError {
    /// No reply in time.
    #[error("no reply to {step} within {} s", .after.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        step: &'static str,
        /// How long.
        after: Duration,
    },
    /// The server hung up.
    #[error("the server closed the connection at {step}")]
    Closed {
        /// Where.
        step: &'static str,
    },
    /// The network failed.
    #[error("the connection broke at {step}: {reason}")]
    Broken {
        /// Where.
        step: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The server does not speak SMTP, or speaks out of turn.
    #[error("the server broke the protocol at {step}: {why}")]
    Protocol {
        /// Where.
        step: &'static str,
        /// What it did.
        why: &'static str,
    },
    /// A kept connection was dead, and a new one could not be made.
    #[error("the kept connection was dead, and a new one failed: {reason}")]
    NotRenewed {
        /// Why the new one failed.
        reason: String,
    },
}

/// Whom an error is about: what is told to people, and how long to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The network or the name server; passes by itself.
    Network,
    /// The server, for now.
    Server,
    /// The settings or the password: somebody has to change them.
    Credential,
}

impl ConnectError {
    /// The whole chain in one line, for people.
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    /// Whom this is about.
    pub fn blame(&self) -> Blame {
        match self {
            Self::PlaintextForbidden { .. }
            | Self::BadSettings { .. }
            | Self::NoStarttls { .. }
            | Self::NoAuth { .. }
            | Self::AuthRefused { .. } => Blame::Credential,
            Self::Egress(error) if error.is_temporary() => Blame::Network,
            Self::Egress(_) => Blame::Credential,
            Self::Tls(_) => Blame::Server,
            Self::ServerRefused { reply, .. } if reply.is_temporary() => Blame::Server,
            // 5xx before any message: 554 "no SMTP service for you here" and its like.
            Self::ServerRefused { .. } => Blame::Credential,
            Self::Lost(_) => Blame::Network,
        }
    }
}
