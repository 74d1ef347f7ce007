//! The door to IMAP (RFC 3501): watching one mailbox, read-only. Nothing else names async-imap. It knows nothing of what
//! the messages mean, nor when to look again: a watcher does.
//!
//! Each command has a limit of time and of bytes, because the server is the tenant's choice and may be hostile.
//!
//! async-imap writes each command, passwords included, to the `log` crate at TRACE: whoever sets up the log must keep
//! the target `async_imap` at DEBUG or above.

mod arrival;
mod bodies;
mod connect;
mod error;
mod fetch;
mod idle;
mod panics;
mod screen;
mod sent;
mod session;
mod wire;

#[cfg(test)]
mod screen_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use arrival::Arrival;
pub use error::ImapError;
pub use fetch::{FetchBatch, FetchLimits, FetchedMessage};
pub use idle::Change;
pub use session::{MailboxState, Session};

use crate::domain::status::TlsMode;
use crate::egress::EgressGuard;
use crate::secrets::SecretString;
use crate::tls::TlsClient;

/// The port of IMAP with TLS from the first byte (RFC 8314 §3.2).
pub const IMPLICIT_TLS_PORT: u16 = 993;

/// Where a mailbox is and who it is opened as.
#[derive(Debug, Clone)]
pub struct ImapServer {
    /// A host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is protected. `Auto` is TLS from the first byte on port 993 and STARTTLS, required, elsewhere.
    pub tls: TlsMode,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// How long the steps of a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct ImapTimeouts {
    /// From the look-up of the name to the open TCP connection.
    pub connect: Duration,
    /// One command and its whole answer, a TLS handshake, or the greeting.
    pub command: Duration,
    /// One command that brings messages.
    pub fetch: Duration,
}

impl Default for ImapTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), command: Duration::from_secs(30), fetch: Duration::from_secs(180) }
    }
}

/// Opens mailboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailbox {
    egress: EgressGuard,
    tls: TlsClient,
    timeouts: ImapTimeouts,
    allow_plaintext: bool,
}

impl Mailbox {
    /// A door whose connections go through `egress` and are encrypted by `tls`. With `allow_plaintext`, [`TlsMode::None`]
    /// is served; without it, it is refused before a connection is made.
    pub fn new(egress: EgressGuard, tls: TlsClient, timeouts: ImapTimeouts, allow_plaintext: bool) -> Self {
        Self { egress, tls, timeouts, allow_plaintext }
    }

    /// Logs in and opens INBOX read-only (EXAMINE), so that nothing can be marked.
    pub async fn open(&self, server: &ImapServer) -> Result<Session, ImapError> {
        self.open_folder(server, "INBOX").await
    }

    /// The same for another folder, named as the server names it (RFC 3501 §5.1.3).
    pub async fn open_folder(&self, server: &ImapServer, folder: &str) -> Result<Session, ImapError> {
        let wire = self.connect(server).await?;
        Session::begin(wire, server, folder, self.timeouts).await
    }

    /// Whether the mailbox can be opened: connects, logs in, opens INBOX, leaves.
    pub async fn test(&self, server: &ImapServer) -> Result<MailboxState, ImapError> {
        let session = self.open(server).await?;
        let state = session.state();
        session.logout().await;
        Ok(state)
    }
}
