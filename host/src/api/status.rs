//! `GET /status`: whether this node serves.

use std::sync::PoisonError;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::Api;
use crate::catalog::Sizes;
use crate::store::{StoreError, sends};

/// The database counts as gone when it has not answered by then: whoever watches us waits no longer either.
const PATIENCE: Duration = Duration::from_secs(3);
const FRESH: Duration = Duration::from_secs(1);

/// How this node is.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// `ok` or `unavailable`
    status: &'static str,
    version: &'static str,
    /// `ok`, or `unavailable` when it does not answer or takes no writes
    database: &'static str,
    extensions: ExtensionsShown,
    /// Null while the database does not answer.
    queue: Option<Queue>,
}

/// Versions of extensions on this node.
#[derive(Serialize, ToSchema)]
struct ExtensionsShown {
    loaded: usize,
    suspended: usize,
}

/// Sends of all accounts.
#[derive(Serialize, ToSchema)]
struct Queue {
    /// Those that wait for their time; counted up to 100 000.
    due: u64,
    /// Those that may have left.
    in_doubt: u64,
}

/// Why the database counts as gone.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database did not answer within {PATIENCE:?}")]
    Silent,
}

/// Whether this node serves
///
/// Whether the database takes writes is tried every five seconds at most, when somebody asks.
#[utoipa::path(get, path = "/status", operation_id = "show_status", tag = "Status", security(()), responses(
    (status = OK, description = "It does.", body = Status),
    (status = SERVICE_UNAVAILABLE, description = "The database does not answer, or takes no writes.", body = Status)))]
pub(super) async fn show(State(api): State<Api>) -> (StatusCode, Json<Status>) {
    let counting = tokio::time::timeout(PATIENCE, queue(&api));
    let (counted, failure) = tokio::join!(counting, api.app.store.write_failure());
    let queue = counted.unwrap_or(Err(Gone::Silent));
    let (code, status) = match (&queue, failure) {
        (Ok(_), None) => (StatusCode::OK, "ok"),
        (Ok(_), Some(error)) => {
            tracing::error!(%error, "The database takes no writes");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        (Err(error), _) => {
            tracing::error!(error = error as &dyn std::error::Error, "The database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
    };
    let Sizes { loaded, suspended } = api.catalog.sizes();
    let extensions = ExtensionsShown { loaded, suspended };
    let version = env!("CARGO_PKG_VERSION");
    // It is all that a node needs.
    (code, Json(Status { status, version, database: status, extensions, queue: queue.ok() }))
}

/// Anybody may ask, and counting takes the database its time: figures of the last second will do.
async fn queue(api: &Api) -> Result<Queue, Gone> {
    let mut conn = api.app.store.read().await?;
    let now = api.now();
    let seen = api
        .queue_seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .filter(|(at, _)| *at <= now && at.plus(FRESH) > now);
    let (due, in_doubt) = match seen {
        Some((_, sizes)) => sizes,
        None => {
            let sizes = sends::queue_sizes(&mut conn).await?;
            *api.queue_seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, sizes));
            sizes
        }
    };
    Ok(Queue { due, in_doubt })
}
