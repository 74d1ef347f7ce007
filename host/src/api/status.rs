//! `GET /status`: whether this node serves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::state::Api;
use crate::catalog::Sizes;
use crate::store::{Result, sends};

#[derive(Serialize)]
pub(super) struct Status {
    status: &'static str,
    version: &'static str,
    database: &'static str,
    extensions: Sizes,
    queue: Option<Queue>,
}

#[derive(Serialize)]
struct Queue {
    due: u64,
    in_doubt: u64,
}

pub(super) async fn show(State(api): State<Api>) -> (StatusCode, Json<Status>) {
    let (code, status, database, queue) = match queue(&api).await {
        Ok(queue) => (StatusCode::OK, "ok", "ok", Some(queue)),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "The database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "unavailable", None)
        }
    };
    let extensions = api.catalog.sizes();
    (code, Json(Status { status, version: env!("CARGO_PKG_VERSION"), database, extensions, queue }))
}

async fn queue(api: &Api) -> Result<Queue> {
    let mut conn = api.app.store.read().await?;
    let (due, in_doubt) = sends::queue_sizes(&mut conn).await?;
    Ok(Queue { due, in_doubt })
}
