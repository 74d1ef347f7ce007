//! Serving HTTP: the API's listener and the one for Prometheus.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::store::sends;

const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Serves until `shutdown`; requests that are being answered then have ten seconds.
pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let stop = shutdown.clone();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move { stop.cancelled().await });
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(LAST_REQUESTS).await;
    };
    tokio::select! {
        ended = serving.into_future() => {
            if let Err(error) = ended {
                tracing::error!(%error, "The listener failed");
            }
        }
        () = late => {}
    }
}

/// `GET /metrics`, on a listener of its own: it is the operator's, not the customers'.
pub(super) fn metrics_router(app: App) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    app.metrics.smtp_connections.set(i64::try_from(app.smtp.open_connections()).unwrap_or(i64::MAX));
    if let Ok(mut conn) = app.store.read().await
        && let Ok((due, in_doubt)) = sends::queue_sizes(&mut conn).await
    {
        app.metrics.queue_due.set(i64::try_from(due).unwrap_or(i64::MAX));
        app.metrics.queue_in_doubt.set(in_doubt);
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], app.metrics.encode())
}
