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
    /// `ok` or `unavailable`
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
#[utoipa::path(get, path = "/status", operation_id = "show_status", tag = "Status", security(()), responses(
    (status = OK, description = "It does.", body = Status),
    (status = SERVICE_UNAVAILABLE, description = "The database does not answer.", body = Status)))]
pub(super) async fn show(State(api): State<Api>) -> (StatusCode, Json<Status>) {
    let (code, status, database, queue) =
        match tokio::time::timeout(PATIENCE, queue(&api)).await.unwrap_or(Err(Gone::Silent)) {
            Ok(queue) => (StatusCode::OK, "ok", "ok", Some(queue)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "The database does not answer");
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "unavailable", None)
            }
        };
    let Sizes { loaded, suspended } = api.catalog.sizes();
    let extensions = ExtensionsShown { loaded, suspended };
    (code, Json(Status { status, version: env!("CARGO_PKG_VERSION"), database, extensions, queue }))
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
