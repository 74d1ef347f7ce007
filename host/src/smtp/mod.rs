//! Our own SMTP client: connections that are opened through the egress guard, secured, authenticated, kept and reused,
//! and transactions of which it is always known whether the server may have the message. It is also the only door to
//! lettre, which builds messages and sends none. It knows nothing of campaigns, of the ledger or of retries.

mod capabilities;
mod connection;
mod connector;
mod error;
mod handshake;
pub mod message;
mod pool;
mod reply;
mod transaction;
mod wire;

use std::time::Duration;

pub use connector::{Connector, SmtpOptions, TestReport};
pub use error::{Blame, ConnectError, LostError, Unsuitable};
pub use pool::{PoolLimits, PooledConnection, Pools};
pub use transaction::{Envelope, TransactionOutcome};

pub use crate::domain::smtp_reply::{Reply, Stage};
use crate::domain::status::TlsMode;
use crate::secrets::SecretString;

/// Where a credential sends, and as whom.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// Host name or address.
    pub host: String,
    /// Port, usually 465 or 587.
    pub port: u16,
    /// How the connection is secured.
    pub tls: TlsMode,
    /// Who signs in; empty for nobody.
    pub username: String,
    /// With what.
    pub password: SecretString,
}

/// How long each step may take. RFC 5321 §4.5.3.2 asks for minutes, for relays that wait on behalf of nobody; these are
/// shorter, since a submission server answers in moments and a waiting connection is one that sends nothing.
#[derive(Debug, Clone, Copy)]
pub struct SmtpTimeouts {
    /// Look-up and TCP connection (RFC: not given).
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// Until the server's greeting (RFC: 5 min). Some servers make strangers wait here on purpose.
    pub greeting: Duration,
    /// Any command's reply (RFC: 5 min; DATA 2 min).
    pub command: Duration,
    /// One write of a message without progress (RFC: 3 min).
    pub write: Duration,
    /// The reply to a whole message (RFC: 10 min). Past it the message is in doubt, so it is the most patient.
    pub message: Duration,
}

impl Default for SmtpTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            tls: Duration::from_secs(15),
            greeting: Duration::from_secs(30),
            command: Duration::from_secs(60),
            write: Duration::from_secs(60),
            message: Duration::from_secs(120),
        }
    }
}

#[cfg(test)]
mod test_peer;
#[cfg(test)]
mod tests;
