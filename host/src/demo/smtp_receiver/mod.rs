//! An SMTP receiver (RFC 5321) that keeps what it accepts in memory and fails as it is told: refusals, deferrals, silence
//! and broken connections at chosen moments. It relays nothing, and knows nothing of the engine that sends to it.

mod commands;
mod rules;
mod session;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use rules::{Action, Moment, Reply, by_local_part};

use super::DemoError;
use super::certificates::Certificates;
use crate::secrets::SecretString;
use rules::Rule;

/// When the receiver speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiverTls {
    /// Never.
    #[default]
    None,
    /// STARTTLS is offered (RFC 3207) and nothing but it, EHLO, NOOP and QUIT is served before.
    StarttlsRequired,
    /// From the first byte (RFC 8314).
    Implicit,
}

/// The user and password that AUTH PLAIN and AUTH LOGIN must give before MAIL is taken.
#[derive(Debug, Clone)]
pub struct ReceiverLogin {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// What the receiver offers. The default: no TLS, no AUTH, every extension, 100 000 messages kept.
#[derive(Debug, Clone)]
pub struct SmtpReceiverOptions {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// When it speaks TLS.
    pub tls: ReceiverTls,
    /// The certificates to show; made anew when there are none.
    pub certificates: Option<Certificates>,
    /// Whether a sender must log in, and how.
    pub login: Option<ReceiverLogin>,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3030: BDAT.
    pub chunking: bool,
    /// RFC 1870: the largest message in bytes. It binds even where SIZE is not offered.
    pub max_message_bytes: usize,
    /// Whether SIZE is offered.
    pub size: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 2034: replies carry codes such as `5.1.1`.
    pub enhanced_status_codes: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// How many messages are kept; the oldest go first.
    pub kept_messages: usize,
    /// How many connections are served at a time; the next ones wait.
    pub max_connections: usize,
}

impl Default for SmtpReceiverOptions {
    fn default() -> Self {
        Self {
            port: 0,
            tls: ReceiverTls::None,
            certificates: None,
            login: None,
            pipelining: true,
            chunking: true,
            max_message_bytes: 10 << 20,
            size: true,
            eight_bit_mime: true,
            enhanced_status_codes: true,
            dsn: true,
            kept_messages: 100_000,
            max_connections: 1_000,
        }
    }
}

/// A message that the receiver accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The address in MAIL FROM; empty for `<>`.
    pub from: String,
    /// The addresses in RCPT TO that were accepted.
    pub to: Vec<String>,
    /// ENVID of MAIL FROM (RFC 3461).
    pub envelope_id: Option<String>,
    /// The message as it came, without dot-stuffing.
    pub raw: Vec<u8>,
    /// The value of its Message-ID header, without brackets.
    pub message_id: Option<String>,
    /// The user that was logged in.
    pub user: Option<String>,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// The connection that it came by, counted from 1.
    pub connection: u64,
    /// Whether it came by BDAT rather than DATA.
    pub chunked: bool,
}

/// A running receiver. It stops when dropped.
pub struct SmtpReceiver {
    address: SocketAddr,
    certificates: Certificates,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the connections and the handle share.
struct Shared {
    options: SmtpReceiverOptions,
    certificates: Certificates,
    rule: Mutex<Rule>,
    messages: Mutex<VecDeque<Arc<ReceivedMessage>>>,
    accepted: watch::Sender<u64>,
    connections: AtomicU64,
    transactions: AtomicU64,
}

impl SmtpReceiver {
    /// Listens on 127.0.0.1 and serves until it is dropped.
    pub async fn start(options: SmtpReceiverOptions) -> Result<Self, DemoError> {
        let certificates = match &options.certificates {
            Some(given) => given.clone(),
            None => Certificates::generate()?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            options,
            certificates: certificates.clone(),
            rule: Mutex::new(Arc::new(|_| None)),
            messages: Mutex::default(),
            accepted: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
        });
        let task = tokio::spawn(serve(listener, shared.clone()));
        Ok(Self { address, certificates, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority that its own is signed by, as PEM.
    pub fn ca_pem(&self) -> &str {
        self.certificates.ca_pem()
    }

    /// Replaces the rule that is asked at each [`Moment`]. `None` from it means: serve as usual.
    pub fn set_rule(&self, rule: impl Fn(&Moment<'_>) -> Option<Action> + Send + Sync + 'static) {
        *lock(&self.shared.rule) = Arc::new(rule);
    }

    /// The messages that are kept, in the order of their acceptance.
    pub fn messages(&self) -> Vec<Arc<ReceivedMessage>> {
        lock(&self.shared.messages).iter().cloned().collect()
    }

    /// How many messages were accepted since the start, kept or not.
    pub fn accepted(&self) -> u64 {
        *self.shared.accepted.borrow()
    }

    /// How many connections were opened since the start.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many MAIL FROM commands came since the start, accepted or not.
    pub fn transactions(&self) -> u64 {
        self.shared.transactions.load(Ordering::Relaxed)
    }

    /// The count of accepted messages, to be watched.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.accepted.subscribe()
    }

    /// Waits until `count` messages were accepted since the start, or `patience` is over. True if they were.
    pub async fn wait_for(&self, count: u64, patience: Duration) -> bool {
        let mut accepted = self.shared.accepted.subscribe();
        let reached = accepted.wait_for(|so_far| *so_far >= count);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Stops it, breaks its connections, and returns when its port is free again.
    pub async fn stop(mut self) {
        self.task.abort();
        // An aborted task always ends with an error, which is what was asked for.
        let _aborted = (&mut self.task).await;
    }
}

impl Drop for SmtpReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for SmtpReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpReceiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    fn decide(&self, moment: &Moment<'_>) -> Option<Action> {
        let rule = lock(&self.rule).clone();
        rule(moment)
    }

    fn keep(&self, message: ReceivedMessage) {
        {
            let mut messages = lock(&self.messages);
            if messages.len() >= self.options.kept_messages {
                messages.pop_front();
            }
            messages.push_back(Arc::new(message));
        }
        self.accepted.send_modify(|count| *count += 1);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(shared.options.max_connections.max(1)));
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let shared = shared.clone();
        connections.spawn(async move {
            session::serve_connection(tcp, &shared).await;
            drop(permit);
        });
    }
}

/// A poisoned lock means that a rule panicked in some test: the state is whole, so the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
