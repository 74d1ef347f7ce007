//! What every handler is handed: the engine's parts, the catalog, and the little that the API keeps in memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::rate::Windows;
use crate::app::App;
use crate::catalog::Catalog;
use crate::domain::Timestamp;
use crate::domain::ids::ApiKeyId;
use crate::store::accounts;

/// Uses of keys are written this often at most.
const TOUCH_INTERVAL: Duration = Duration::from_secs(30);
const SIGNUPS_AN_HOUR: u32 = 5;
/// A body of 32 MiB is ten times that in memory while it is read, so few are read at once.
const LARGE_BODIES_AT_ONCE: usize = 2;
const FORECASTS_AT_ONCE: usize = 2;

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
    pub(super) forecasts: Semaphore,
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
            forecasts: Semaphore::new(FORECASTS_AT_ONCE),
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
}
