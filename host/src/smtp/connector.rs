//! Opens connections: what every connection of this engine has in common. What is said on one is the handshake's and
//! the transaction's business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::ConnectError;
use super::{SmtpServer, SmtpTimeouts, handshake};
use crate::egress::EgressGuard;
use crate::tls::{Plaintext, TlsClient};

/// What all connections have in common.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// The name given in EHLO: a host name of this machine, or an address literal (RFC 5321 §4.1.4).
    pub ehlo_name: String,
    /// Whether `smtp_tls: none` is taken.
    pub plaintext: Plaintext,
    /// How long each step may take.
    pub timeouts: SmtpTimeouts,
}

/// Opens connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    pub(super) shared: Arc<ConnectorParts>,
}

#[derive(Debug)]
pub(super) struct ConnectorParts {
    pub(super) guard: EgressGuard,
    pub(super) tls: TlsClient,
    pub(super) options: SmtpOptions,
}

/// What a trial of a credential found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// The TLS version, such as `TLS 1.3`; none when the operator allowed plain text.
    pub tls: Option<&'static str>,
    /// From the look-up to the server's yes to the password.
    pub latency: Duration,
}

impl Connector {
    /// A connector whose connections pass `guard`. Fails when the EHLO name could not stand in a command.
    pub fn new(guard: EgressGuard, tls: TlsClient, options: SmtpOptions) -> Result<Self, ConnectError> {
        let name = options.ehlo_name.as_str();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if name.is_empty() || name.len() > 255 || !name.bytes().all(allowed) {
            let why = format!("{name:?} can't be the EHLO name; give a host name or an address in brackets");
            return Err(ConnectError::BadSettings { why });
        }
        Ok(Self { shared: Arc::new(ConnectorParts { guard, tls, options }) })
    }

    /// Connects, signs in, and leaves politely: whether a credential works, and how fast.
    pub async fn test(&self, server: &SmtpServer) -> Result<TestReport, ConnectError> {
        let begun = Instant::now();
        let mut connection = self.connect(server).await?;
        let report = TestReport { tls: connection.tls_version(), latency: begun.elapsed() };
        connection.quit().await;
        Ok(report)
    }

    pub(super) async fn connect(&self, server: &SmtpServer) -> Result<Connection, ConnectError> {
        // On the heap: the states of look-up, TLS and dialogue are large, and every caller would carry them.
        let (wire, capabilities) = Box::pin(handshake::open(&self.shared, server)).await?;
        Ok(Connection::new(wire, capabilities, self.shared.options.timeouts))
    }
}
