//! What is noted of calls that were made with keys: how often each route was called, and when each key was last used. It
//! gathers in memory, so that no request waits for it, and is written in batches: a few times a minute, when a good deal
//! has gathered, when somebody asks for the counts, and at the stop. It knows nothing of HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::domain::ids::ApiKeyId;
use crate::rounds::{self, Next};
use crate::store::usage::Call;
use crate::store::{Result, Store, StoreError, accounts, usage};

/// How many days the counts are kept for.
pub const DAYS_KEPT: i64 = 400;
/// Between two batches while little is called.
const WRITE_EVERY: Duration = Duration::from_secs(15);
/// So many counts are written at once, without waiting for the interval.
const ENOUGH_TO_WRITE: usize = 5_000;
/// More than this is not gathered while the database does not answer: what comes on top is lost, and the log says so.
const MOST_GATHERED: usize = 50_000;
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
const ACCOUNTS_OF_A_SWEEP: i64 = 1_000;

/// What this node has counted. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Usage(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    store: Store,
    gathered: Mutex<Gathered>,
    /// One batch at a time: who asks for the counts waits for one that is under way.
    writing: tokio::sync::Mutex<()>,
    enough: Notify,
}

#[derive(Debug, Default)]
struct Gathered {
    calls: HashMap<Call, u64>,
    keys: HashMap<ApiKeyId, Timestamp>,
    lost: u64,
}

impl Usage {
    /// Nothing counted yet.
    pub fn new(store: Store) -> Self {
        let (gathered, writing, enough) = (Mutex::default(), tokio::sync::Mutex::default(), Notify::new());
        Self(Arc::new(Parts { store, gathered, writing, enough }))
    }

    /// Counts a call that was made with `key`.
    pub fn note(&self, key: ApiKeyId, call: Call, now: Timestamp) {
        let mut gathered = self.gathered();
        gathered.add(call, 1);
        gathered.touch(key, now);
        if gathered.calls.len() >= ENOUGH_TO_WRITE {
            self.0.enough.notify_one();
        }
    }

    /// Writes what has gathered until now. It is finished even if the caller no longer waits.
    pub async fn write(&self) -> Result<()> {
        let usage = self.clone();
        match tokio::spawn(async move { usage.write_gathered().await }).await {
            Ok(written) => written,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is at its end.
            Err(_) => Ok(()),
        }
    }

    async fn write_gathered(&self) -> Result<()> {
        let _turn = self.0.writing.lock().await;
        let gathered = std::mem::take(&mut *self.gathered());
        let written = self.write_batch(&gathered).await;
        match &written {
            Ok(()) if gathered.lost > 0 => {
                tracing::warn!(calls = gathered.lost, "Calls could not be counted while the database did not answer");
            }
            Ok(()) => {}
            Err(_) => self.gathered().take_back(gathered),
        }
        written
    }

    async fn write_batch(&self, gathered: &Gathered) -> Result<()> {
        if gathered.calls.is_empty() && gathered.keys.is_empty() {
            return Ok(());
        }
        let mut calls: Vec<_> = gathered.calls.iter().map(|(call, count)| (call.clone(), *count)).collect();
        calls.sort_unstable();
        let mut keys: Vec<_> = gathered.keys.iter().map(|(key, at)| (*key, *at)).collect();
        keys.sort_unstable();
        let mut tx = self.0.store.begin().await?;
        accounts::touch_keys(&mut tx, &keys).await?;
        usage::add(&mut tx, &calls).await?;
        tx.commit().await
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn add(&mut self, call: Call, count: u64) {
        if self.calls.len() < MOST_GATHERED || self.calls.contains_key(&call) {
            *self.calls.entry(call).or_default() += count;
        } else {
            self.lost += count;
        }
    }

    fn touch(&mut self, key: ApiKeyId, at: Timestamp) {
        if self.keys.len() < MOST_GATHERED || self.keys.contains_key(&key) {
            let last = self.keys.entry(key).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// What could not be written joins what has gathered since.
    fn take_back(&mut self, older: Self) {
        self.lost += older.lost;
        older.calls.into_iter().for_each(|(call, count)| self.add(call, count));
        older.keys.into_iter().for_each(|(key, at)| self.touch(key, at));
    }
}

/// Writes in batches and forgets old days until `shutdown`. What gathers after that is written by the server's stop.
pub async fn run(usage: Usage, clock: Clock, shutdown: CancellationToken) {
    let writing = async {
        let round = || async {
            usage.write().await?;
            Ok::<_, StoreError>(Next::At(clock.now().plus(WRITE_EVERY)))
        };
        rounds::keep("usage", &clock, &shutdown, round, || usage.0.enough.notified()).await;
    };
    let sweeping = async {
        let round = || async {
            let more = sweep(&usage.0.store, clock.now()).await?;
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(clock.now().plus(SWEEP_EVERY)) })
        };
        rounds::keep("usage", &clock, &shutdown, round, std::future::pending::<()>).await;
    };
    tokio::join!(writing, sweeping);
}

async fn sweep(store: &Store, now: Timestamp) -> Result<bool> {
    let mut tx = store.begin().await?;
    let more = self::usage::sweep(tx.conn(), now.utc_day() - DAYS_KEPT, ACCOUNTS_OF_A_SWEEP).await?;
    tx.commit().await?;
    Ok(more)
}
