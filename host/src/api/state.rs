//! What every handler is handed: the engine's parts, the catalog, and the little that the API keeps in memory.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::address::Address;
use super::rate::Windows;
use crate::app::App;
use crate::catalog::Catalog;
use crate::domain::Timestamp;

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
    /// By the key's hash, so that one can be found before the database is asked.
    pub(super) calls: Windows<String>,
    pub(super) failed_authentications: Windows<Address>,
    pub(super) signups: Windows<Address>,
    pub(super) large_bodies: Semaphore,
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
            app,
            catalog,
        }))
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        self.app.clock.now()
    }
}
