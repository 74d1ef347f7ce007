//! Connections that are kept: one set for each credential, bounded for the credential and for the node, handed out
//! healthy and taken back when they are dropped. It knows what a connection is good for and not what was sent on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SmtpServer;
use super::connection::Connection;
use super::connector::{Connector, TestReport};
use super::error::{ConnectError, LostError};
use super::transaction::{Envelope, TransactionOutcome};
use crate::domain::ids::CredentialId;
use crate::domain::smtp_reply::Stage;
use crate::secrets::{ExposeSecret, random_bytes};

/// How many connections there may be, and how long they are kept.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Open connections of one credential.
    pub per_credential: usize,
    /// Open connections of this process.
    pub per_node: usize,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// How many messages one connection carries. Servers have such a limit of their own; leaving before it is reached
    /// costs less than being turned away.
    pub max_messages_per_connection: u32,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { per_credential: 4, per_node: 256, idle: Duration::from_secs(60), max_messages_per_connection: 100 }
    }
}

/// All pools of this process. Cheap to clone.
#[derive(Clone)]
pub struct Pools {
    shared: Arc<Shared>,
}

/// A signed-in connection, yours until it is dropped.
pub struct PooledConnection {
    shared: Arc<Shared>,
    credential: CredentialId,
    server: SmtpServer,
    fingerprint: Fingerprint,
    /// None after a reconnection has failed.
    open: Option<Open>,
    _turn: OwnedSemaphorePermit,
}

struct Shared {
    connector: Connector,
    limits: PoolLimits,
    slots: Arc<Semaphore>,
    salt: [u8; 32],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    credentials: HashMap<CredentialId, Credential>,
    /// How many wait for a slot of the node; while any do, nothing is kept idle.
    waiting: usize,
}

struct Credential {
    turns: Arc<Semaphore>,
    idle: Vec<Idle>,
}

struct Idle {
    open: Open,
    fingerprint: Fingerprint,
    since: Instant,
}

/// A connection and its place among those of the node, given back when it closes.
struct Open {
    connection: Box<Connection>,
    _slot: OwnedSemaphorePermit,
}

/// A salted hash of a server's settings: equal when a connection made for one is good for the other.
type Fingerprint = [u8; 32];

impl Pools {
    /// Pools without connections yet.
    pub fn new(connector: Connector, limits: PoolLimits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.per_node.clamp(1, Semaphore::MAX_PERMITS)));
        let shared = Shared { connector, limits, slots, salt: random_bytes(), state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// A healthy, signed-in connection for `credential`, kept from before or new. Waits while the credential or the node
    /// has as many as it may; whoever holds them is bounded by the time-outs of each step.
    pub async fn acquire(
        &self,
        credential: CredentialId,
        server: &SmtpServer,
    ) -> Result<PooledConnection, ConnectError> {
        let turn = self.shared.turn(credential).await?;
        let fingerprint = self.shared.fingerprint(server);
        // Lets the runtime hear what the network has to tell, a server's goodbye among it.
        tokio::task::yield_now().await;
        let open = match self.shared.take_idle(credential, fingerprint) {
            Some(open) => open,
            None => self.shared.open(server).await?,
        };
        Ok(PooledConnection {
            shared: self.shared.clone(),
            credential,
            server: server.clone(),
            fingerprint,
            open: Some(open),
            _turn: turn,
        })
    }

    /// Tries a credential outside the pools, see [`Connector::test`].
    pub async fn test(&self, server: &SmtpServer) -> Result<TestReport, ConnectError> {
        self.shared.connector.test(server).await
    }

    /// Closes the connections that have been idle for too long. To be called every few seconds.
    pub async fn close_idle(&self) {
        let limit = self.shared.limits.idle;
        let too_old = self.shared.lock().drain(|idle| idle.since.elapsed() >= limit);
        say_goodbye(too_old).await;
    }

    /// Closes all idle connections, for an orderly end.
    pub async fn close_all_idle(&self) {
        let all = self.shared.lock().drain(|_| true);
        say_goodbye(all).await;
    }

    /// How many connections of a credential are open or being opened, idle ones among them.
    pub fn connections_of(&self, credential: CredentialId) -> usize {
        let state = self.shared.lock();
        let Some(of) = state.credentials.get(&credential) else { return 0 };
        let taken = turns_of(self.shared.limits.per_credential).saturating_sub(of.turns.available_permits());
        taken + of.idle.len()
    }

    /// How many connections are open, idle ones among them.
    pub fn open_connections(&self) -> usize {
        self.shared.limits.per_node.max(1).saturating_sub(self.shared.slots.available_permits())
    }
}

impl PooledConnection {
    /// Sends one message. When a kept connection turns out to be dead before any of the message has left, a new one
    /// takes its place and the caller notices nothing.
    pub async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> TransactionOutcome {
        if let Some(open) = self.open.as_mut().filter(|open| open.connection.is_alive()) {
            let was_reused = open.connection.is_reused();
            let outcome = open.connection.send(envelope, message).await;
            if !was_reused || !is_an_old_death(&outcome) {
                self.retire_when_due().await;
                return outcome;
            }
        }
        let connection = match self.renew().await {
            Ok(connection) => connection,
            Err(error) => {
                let error = LostError::NotRenewed { reason: error.to_string() };
                return TransactionOutcome::LostBeforeData { error };
            }
        };
        let outcome = connection.send(envelope, message).await;
        self.retire_when_due().await;
        outcome
    }

    async fn renew(&mut self) -> Result<&mut Connection, ConnectError> {
        // The old connection is closed first: its slot is what the new one stands on.
        self.open = None;
        let open = self.shared.open(&self.server).await?;
        Ok(&mut self.open.insert(open).connection)
    }

    async fn retire_when_due(&mut self) {
        let limit = self.shared.limits.max_messages_per_connection;
        if let Some(open) = self.open.as_mut().filter(|open| open.connection.messages() >= limit) {
            open.connection.quit().await;
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            self.shared.park(self.credential, self.fingerprint, open);
        }
    }
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pools").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PooledConnection").field("credential", &self.credential).finish_non_exhaustive()
    }
}

/// The server had left a kept connection before it saw anything of this message: silence or 421 to its first command.
fn is_an_old_death(outcome: &TransactionOutcome) -> bool {
    match outcome {
        TransactionOutcome::LostBeforeData { .. } => true,
        TransactionOutcome::Refused { stage: Stage::Mail, reply } => reply.code == 421,
        TransactionOutcome::Accepted(_)
        | TransactionOutcome::Refused { .. }
        | TransactionOutcome::Unsuitable { .. }
        | TransactionOutcome::LostAfterData { .. } => false,
    }
}

async fn say_goodbye(connections: Vec<Open>) {
    let goodbyes = connections.into_iter().map(|mut open| async move { open.connection.quit().await });
    futures_util::future::join_all(goodbyes).await;
}

impl Shared {
    async fn turn(&self, credential: CredentialId) -> Result<OwnedSemaphorePermit, ConnectError> {
        let turns = self.lock().credential(credential, self.limits.per_credential).turns.clone();
        turns.acquire_owned().await.map_err(|_| closed())
    }

    fn take_idle(&self, credential: CredentialId, fingerprint: Fingerprint) -> Option<Open> {
        let mut state = self.lock();
        let idle = &mut state.credential(credential, self.limits.per_credential).idle;
        // Settings were edited: what was opened with the old ones is of no use.
        idle.retain(|idle| idle.fingerprint == fingerprint && idle.since.elapsed() < self.limits.idle);
        // The one used last is the likeliest to be alive; the others grow old and are closed.
        while let Some(Idle { open, .. }) = idle.pop() {
            if open.connection.is_alive() {
                return Some(open);
            }
        }
        None
    }

    async fn open(&self, server: &SmtpServer) -> Result<Open, ConnectError> {
        let slot = self.slot().await?;
        let connection = Box::new(self.connector.connect(server).await?);
        Ok(Open { connection, _slot: slot })
    }

    /// A place among the node's connections. When there is none, the connection that has been idle longest makes room.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, ConnectError> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _waiter = Waiter::new(self);
        self.slots.clone().acquire_owned().await.map_err(|_| closed())
    }

    fn park(&self, credential: CredentialId, fingerprint: Fingerprint, open: Open) {
        let mut state = self.lock();
        if !open.connection.is_usable() || state.waiting > 0 {
            return;
        }
        let since = Instant::now();
        state.credential(credential, self.limits.per_credential).idle.push(Idle { open, fingerprint, since });
    }

    fn fingerprint(&self, server: &SmtpServer) -> Fingerprint {
        let mut hash = Sha256::new_with_prefix(self.salt);
        for part in [&server.host, server.tls.as_str(), &server.username, server.password.expose_secret()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(server.port.to_le_bytes());
        hash.finalize().into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn credential(&mut self, id: CredentialId, turns: usize) -> &mut Credential {
        self.credentials
            .entry(id)
            .or_insert_with(|| Credential { turns: Arc::new(Semaphore::new(turns_of(turns))), idle: Vec::new() })
    }

    /// Takes out the idle connections that `is_due` says, and forgets the credentials that nobody uses.
    fn drain(&mut self, is_due: impl Fn(&Idle) -> bool) -> Vec<Open> {
        let mut drained = Vec::new();
        self.credentials.retain(|_, credential| {
            drained.extend(credential.idle.extract_if(.., |idle| is_due(idle)).map(|idle| idle.open));
            // Each turn that is taken or waited for holds the semaphore too.
            !credential.idle.is_empty() || Arc::strong_count(&credential.turns) > 1
        });
        drained
    }

    /// Closes the connection that has been idle longest.
    fn close_oldest(&mut self) {
        let oldest =
            self.credentials.values_mut().filter_map(|c| c.idle.first().map(|idle| idle.since).map(|at| (at, c)));
        if let Some((_, credential)) = oldest.min_by_key(|(since, _)| *since) {
            credential.idle.remove(0);
        }
    }
}

/// One who waits for a slot. It is counted and makes room under one lock, so that no connection can be parked in between
/// and keep the slot that is waited for.
struct Waiter<'a>(&'a Shared);

impl<'a> Waiter<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut state = shared.lock();
        state.waiting += 1;
        state.close_oldest();
        Self(shared)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// As many turns as there may be of a semaphore's.
fn turns_of(limit: usize) -> usize {
    limit.clamp(1, Semaphore::MAX_PERMITS)
}

fn closed() -> ConnectError {
    ConnectError::BadSettings { why: "the pool is closed".to_owned() }
}
