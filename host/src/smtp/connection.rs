//! One signed-in session and what is known of its health: whether it may be used again, and how trustworthy it is.

use std::time::{Duration, Instant};

use super::SmtpTimeouts;
use super::capabilities::Capabilities;
use super::transaction::{Envelope, TransactionOutcome, transact};
use super::wire::Wire;

/// A session that was silent for less than this is taken to be alive; one that was silent for longer gets the chance to
/// show it before the message is handed over.
const SURELY_ALIVE: Duration = Duration::from_secs(5);
/// Servers hang up after about twenty errors in a row (Postfix: `smtpd_hard_error_limit`), and a refused transaction
/// that was pipelined makes two. Leaving before that costs less than being thrown out.
const MAX_REFUSALS_IN_A_ROW: u32 = 8;
const QUIT_LIMIT: Duration = Duration::from_secs(1);

/// A session with a server.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    pub(super) limits: SmtpTimeouts,
    /// A refused transaction is still open at the server; the next one begins with RSET.
    pub(super) needs_reset: bool,
    usable: bool,
    reused: bool,
    messages: u32,
    refusals_in_a_row: u32,
    last_heard: Instant,
}

impl Connection {
    pub(super) fn new(wire: Wire, capabilities: Capabilities, limits: SmtpTimeouts) -> Self {
        Self {
            wire,
            capabilities,
            limits,
            needs_reset: false,
            usable: true,
            reused: false,
            messages: 0,
            refusals_in_a_row: 0,
            last_heard: Instant::now(),
        }
    }

    /// One transaction. A future that is dropped on the way leaves a connection that is not usable any more.
    pub(super) async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> TransactionOutcome {
        self.usable = false;
        let outcome = transact(self, envelope, message).await;
        if let TransactionOutcome::Unsuitable { .. } = outcome {
            // Nothing was said, so it is as it was.
            self.usable = true;
            return outcome;
        }
        self.reused = true;
        self.messages += 1;
        self.last_heard = Instant::now();
        match &outcome {
            TransactionOutcome::Accepted(_) => {
                self.usable = true;
                self.needs_reset = false;
                self.refusals_in_a_row = 0;
            }
            TransactionOutcome::Refused { reply, .. } => {
                self.needs_reset = true;
                self.refusals_in_a_row += 1;
                // RFC 5321 §3.8: the server closes after 421.
                self.usable =
                    !self.wire.is_spoiled() && reply.code != 421 && self.refusals_in_a_row < MAX_REFUSALS_IN_A_ROW;
            }
            TransactionOutcome::Unsuitable { .. }
            | TransactionOutcome::LostBeforeData { .. }
            | TransactionOutcome::LostAfterData { .. } => {}
        }
        outcome
    }

    /// Says goodbye without waiting for an answer.
    pub(super) async fn quit(&mut self) {
        self.usable = false;
        // Whether the server hears it makes no difference: the connection closes either way.
        let _ = self.wire.write(b"QUIT\r\n", "QUIT", QUIT_LIMIT).await;
    }

    /// Whether another transaction may begin.
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Whether it may be used and nothing says that the server has left.
    pub(super) fn is_alive(&self) -> bool {
        self.usable && self.wire.is_quiet()
    }

    /// Whether the server was heard of in the last moments.
    pub(super) fn is_surely_alive(&self) -> bool {
        self.last_heard.elapsed() < SURELY_ALIVE
    }

    /// Whether it has been used before, so that its death may be an old one.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// How many transactions it has carried.
    pub(super) fn messages(&self) -> u32 {
        self.messages
    }

    /// The TLS version, if any.
    pub(super) fn tls_version(&self) -> Option<&'static str> {
        self.wire.tls_version()
    }
}
