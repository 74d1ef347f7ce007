//! What every handler is handed: the engine's parts, the catalog, and the little that the API keeps in memory.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::address::Address;
use super::contact_imports::Room;
use super::error::{ApiError, Code, Result};
use super::idempotency::{KEPT_FOR, Running};
use super::rate::Windows;
use crate::app::App;
use crate::catalog::Catalog;
use crate::domain::Timestamp;
use crate::store::{StoreError, idempotent_answers};

/// Answers that are no longer given are deleted this often at most, while calls with keys come in.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
const MOST_SWEPT: i64 = 1000;
const SIGNUPS_AN_HOUR: u32 = 5;
/// A body of 32 MiB is held whole while it is checked, so few are read at once. Whoever waits for longer than this comes
/// again: others may send theirs slowly.
const LARGE_BODIES_AT_ONCE: usize = 2;
const LARGE_BODY_WAITS: Duration = Duration::from_secs(20);
const FORECASTS_AT_ONCE: usize = 2;
/// Providers' requests, each with a body of up to 1 MiB.
const INBOUND_AT_ONCE: usize = 128;

/// The API's state. Cheap to clone.
#[derive(Clone)]
pub(super) struct Api(Arc<Parts>);

/// The parts of the state.
pub(super) struct Parts {
    pub(super) app: App,
    pub(super) catalog: Catalog,
    /// By the key's hash, so that one can be found before the database is asked.
    pub(super) calls: Windows<String>,
    pub(super) failed_authentications: Windows<Address>,
    pub(super) signups: Windows<Address>,
    large_bodies: Semaphore,
    pub(super) room_for_imports: Room,
    pub(super) forecasts: Semaphore,
    /// How many sends were due and in doubt, and when that was counted.
    pub(super) queue_seen: Mutex<Option<(Timestamp, (u64, u64))>>,
    pub(super) inbound_requests: Semaphore,
    /// The idempotency keys of calls under way.
    pub(super) running: Running,
    answers_swept_at: Mutex<Option<Timestamp>>,
}

impl Deref for Api {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    pub(super) fn new(app: App, catalog: Catalog) -> Self {
        let minute = Duration::from_secs(60);
        Self(Arc::new(Parts {
            calls: Windows::new(app.config.rate_limit_per_minute, minute),
            failed_authentications: Windows::new(app.config.failed_authentications_per_minute, minute),
            signups: Windows::new(SIGNUPS_AN_HOUR, Duration::from_secs(3600)),
            large_bodies: Semaphore::new(LARGE_BODIES_AT_ONCE),
            room_for_imports: Room::default(),
            forecasts: Semaphore::new(FORECASTS_AT_ONCE),
            queue_seen: Mutex::default(),
            inbound_requests: Semaphore::new(INBOUND_AT_ONCE),
            running: Running::default(),
            answers_swept_at: Mutex::default(),
            app,
            catalog,
        }))
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    /// A place among the large bodies that are read at once; it is taken before the first byte, which is what needs memory.
    pub(super) async fn place_for_large_body(&self) -> Result<SemaphorePermit<'_>> {
        match timeout(LARGE_BODY_WAITS, self.large_bodies.acquire()).await {
            Ok(place) => place.map_err(ApiError::internal),
            Err(_) => {
                let message = "Other large bodies are being read; send this one again in a moment.";
                Err(ApiError { retry_after: Some(10), ..ApiError::new(Code::RateLimited, message) })
            }
        }
    }

    /// Deletes the answers to keys that are too old to be given again, beside the request.
    pub(super) fn sweep_answers(&self) {
        let now = self.now();
        let mut swept_at = self.answers_swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if swept_at.is_some_and(|swept| swept.plus(SWEEP_INTERVAL) > now) {
            return;
        }
        *swept_at = Some(now);
        drop(swept_at);
        let store = self.app.store.clone();
        tokio::spawn(async move {
            let swept = async {
                loop {
                    let mut tx = store.begin().await?;
                    let count = idempotent_answers::sweep(tx.conn(), now.minus(KEPT_FOR), MOST_SWEPT).await?;
                    tx.commit().await?;
                    // Each round deletes what is older than a day, so there is an end.
                    if count == 0 {
                        return Ok::<_, StoreError>(());
                    }
                }
            };
            if let Err(error) = swept.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "Old idempotent answers could not be deleted");
            }
        });
    }
}
