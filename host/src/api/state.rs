//! What every handler is handed: the engine's parts, the catalog, and the little that the API keeps in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::idempotency::{KEPT_FOR, Running};
use super::rate::Windows;
use crate::app::App;
use crate::catalog::Catalog;
use crate::domain::Timestamp;
use crate::domain::ids::ApiKeyId;
use crate::store::{StoreError, accounts, idempotent_answers};

/// Uses of keys are written this often at most.
const TOUCH_INTERVAL: Duration = Duration::from_secs(30);
/// Answers that are no longer given are deleted this often at most, while calls with keys come in.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
const MOST_SWEPT: i64 = 1000;
const SIGNUPS_AN_HOUR: u32 = 5;
/// A body of 32 MiB is ten times that in memory while it is read, so few are read at once.
const LARGE_BODIES_AT_ONCE: usize = 2;

/// The API's state. Cheap to clone.
#[derive(Clone)]
pub(super) struct Api(Arc<Parts>);

/// The parts of the state.
pub(super) struct Parts {
    pub(super) app: App,
    pub(super) catalog: Catalog,
    pub(super) calls: Windows<ApiKeyId>,
    pub(super) signups: Windows<Option<IpAddr>>,
    pub(super) large_bodies: Semaphore,
    /// The idempotency keys of calls under way.
    pub(super) running: Running,
    answers_swept_at: Mutex<Option<Timestamp>>,
    used_keys: Mutex<UsedKeys>,
}

#[derive(Default)]
struct UsedKeys {
    written_at: Option<Timestamp>,
    at: HashMap<ApiKeyId, Timestamp>,
}

impl Deref for Api {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    pub(super) fn new(app: App, catalog: Catalog) -> Self {
        let calls = Windows::new(app.config.rate_limit_per_minute, Duration::from_secs(60));
        Self(Arc::new(Parts {
            calls,
            signups: Windows::new(SIGNUPS_AN_HOUR, Duration::from_secs(3600)),
            large_bodies: Semaphore::new(LARGE_BODIES_AT_ONCE),
            running: Running::default(),
            answers_swept_at: Mutex::default(),
            used_keys: Mutex::default(),
            app,
            catalog,
        }))
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    /// Notes that a key was used. What has gathered is written beside the request, twice a minute at most.
    pub(super) fn note_use(&self, key: ApiKeyId, now: Timestamp) {
        let batch: Vec<_> = {
            let mut used = self.used_keys.lock().unwrap_or_else(PoisonError::into_inner);
            used.at.insert(key, now);
            if used.written_at.is_some_and(|written| written.plus(TOUCH_INTERVAL) > now) {
                return;
            }
            used.written_at = Some(now);
            used.at.drain().collect()
        };
        let store = self.app.store.clone();
        tokio::spawn(async move {
            let written = async {
                let mut tx = store.begin().await?;
                accounts::touch_keys(tx.conn(), &batch).await?;
                tx.commit().await
            };
            if let Err(error) = written.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "The last use of keys could not be written");
            }
        });
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
