//! The smallest IMAP4rev1 server (RFC 3501) that a client can watch a mailbox with: LOGIN, EXAMINE, UID FETCH, UID SEARCH
//! and IDLE over mailboxes in memory. Messages are only ever added, so sequence numbers never move.

mod fetch;
mod mailbox;
mod search;
mod session;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::DemoError;
use super::certificates::Certificates;
use crate::clock::Clock;
use crate::secrets::SecretString;
use mailbox::{Given, Mailbox};

/// A user with an INBOX.
#[derive(Debug, Clone)]
pub struct ImapUser {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// What the server offers. The default: plain text, IDLE, no user.
#[derive(Debug, Clone)]
pub struct ImapServerOptions {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// TLS from the first byte; otherwise plain text. STARTTLS is not served.
    pub tls: bool,
    /// The certificates to show; made anew when there are none.
    pub certificates: Option<Certificates>,
    /// Who may log in.
    pub users: Vec<ImapUser>,
    /// Whether IDLE is offered (RFC 2177).
    pub idle: bool,
    /// How many messages a mailbox holds before [`ImapServer::deliver`] refuses.
    pub max_messages: usize,
    /// How many connections are served at a time; the next ones wait.
    pub max_connections: usize,
    /// What INTERNALDATE is taken from.
    pub clock: Clock,
}

impl Default for ImapServerOptions {
    fn default() -> Self {
        Self {
            port: 0,
            tls: false,
            certificates: None,
            users: Vec::new(),
            idle: true,
            max_messages: 100_000,
            max_connections: 1_000,
            clock: Clock::system(),
        }
    }
}

/// Why a message can't be put into a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// No such user.
    #[error("the demo IMAP server has no user {username:?}")]
    UnknownUser {
        /// The name that was asked for.
        username: String,
    },
    /// The mailbox holds as many messages as it may.
    #[error("the mailbox of {username:?} is full")]
    MailboxFull {
        /// Whose mailbox.
        username: String,
    },
}

/// A running server. It stops when dropped.
pub struct ImapServer {
    address: SocketAddr,
    certificates: Certificates,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the connections and the handle share.
struct Shared {
    options: ImapServerOptions,
    certificates: Certificates,
    mailboxes: HashMap<String, SharedMailbox>,
}

struct SharedMailbox {
    mailbox: Mutex<Mailbox>,
    /// Moves whenever a message was added.
    changed: watch::Sender<()>,
}

impl ImapServer {
    /// Listens on 127.0.0.1 and serves until it is dropped.
    pub async fn start(options: ImapServerOptions) -> Result<Self, DemoError> {
        let certificates = match &options.certificates {
            Some(given) => given.clone(),
            None => Certificates::generate()?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let mailboxes = options.users.iter().map(|user| (user.username.clone(), SharedMailbox::default())).collect();
        let shared = Arc::new(Shared { options, certificates: certificates.clone(), mailboxes });
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

    /// Adds a message to the user's INBOX, tells those who IDLE on it, and returns its UID.
    pub fn deliver(&self, username: &str, raw: impl Into<Vec<u8>>) -> Result<u32, DeliveryError> {
        let shared = self.mailbox(username)?;
        let mut mailbox = lock(&shared.mailbox);
        if mailbox.messages().len() >= self.shared.options.max_messages {
            return Err(DeliveryError::MailboxFull { username: username.to_owned() });
        }
        let uid = mailbox.add(raw.into(), self.shared.options.clock.now());
        drop(mailbox);
        shared.changed.send_replace(());
        Ok(uid)
    }

    /// Leaves out the next `count` UIDs, as expunged messages would.
    pub fn skip_uids(&self, username: &str, count: u32) -> Result<(), DeliveryError> {
        lock(&self.mailbox(username)?.mailbox).skip_uids(count);
        Ok(())
    }

    /// Gives every message a new UID from 1 and the mailbox a new UIDVALIDITY, for those who open it from now on.
    pub fn renumber(&self, username: &str) -> Result<(), DeliveryError> {
        lock(&self.mailbox(username)?.mailbox).renumber();
        Ok(())
    }

    /// Refuses these messages, and none but these, from now on.
    pub fn withhold(&self, username: &str, uids: &[u32]) -> Result<(), DeliveryError> {
        lock(&self.mailbox(username)?.mailbox).give(uids, Given::Refused);
        Ok(())
    }

    /// Answers for these messages, and none but these, with what nobody asked for, from now on.
    pub fn garble(&self, username: &str, uids: &[u32]) -> Result<(), DeliveryError> {
        lock(&self.mailbox(username)?.mailbox).give(uids, Given::Garbled);
        Ok(())
    }

    /// How many messages of the INBOX carry `\Seen`.
    pub fn seen(&self, username: &str) -> Result<usize, DeliveryError> {
        Ok(lock(&self.mailbox(username)?.mailbox).messages().iter().filter(|message| message.seen).count())
    }

    fn mailbox(&self, username: &str) -> Result<&SharedMailbox, DeliveryError> {
        let unknown = || DeliveryError::UnknownUser { username: username.to_owned() };
        self.shared.mailboxes.get(username).ok_or_else(unknown)
    }
}

impl Drop for ImapServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for ImapServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImapServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Default for SharedMailbox {
    fn default() -> Self {
        Self { mailbox: Mutex::new(Mailbox::new()), changed: watch::Sender::new(()) }
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

/// Nothing that holds this lock can panic, and if it did the state would still be whole.
fn lock(mailbox: &Mutex<Mailbox>) -> MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}
