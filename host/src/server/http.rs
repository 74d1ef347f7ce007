//! Serving HTTP: the API's listener and the one for Prometheus. Both bound what one client may hold: so many connections,
//! so long and so much for the head of a request, and so long without taking any of an answer. The time of a body is bounded
//! where it is read.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer as _;

use crate::app::App;
use crate::store::sends;

const LAST_REQUESTS: Duration = Duration::from_secs(10);
/// Connections of one listener. Who comes then waits in the system's queue.
const MOST_CONNECTIONS: usize = 4_096;
/// A head is no longer than this; of a body, so much is read ahead.
const MOST_BUFFERED: usize = 64 << 10;
/// Before the next try where a connection can't be taken, for want of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown`; requests that are being answered then have ten seconds. A connection that sends no whole
/// head of a request within `patience` is closed, an idle one among them, and so is one that takes nothing of an answer for
/// so long.
pub(super) async fn serve(listener: TcpListener, router: Router, patience: Duration, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    let accepting = async {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let (stream, peer) = accept(&listener).await;
            let answering = answer(stream, peer, router.clone(), patience, shutdown.clone());
            connections.spawn(async move {
                answering.await;
                drop(place);
            });
        }
    };
    shutdown.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    // A client that keeps its connection open must not keep the server up.
    let _ = tokio::time::timeout(LAST_REQUESTS, connections.wait()).await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client has gone before it was taken.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::error!(%error, "A connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection.
async fn answer(stream: TcpStream, peer: SocketAddr, router: Router, patience: Duration, shutdown: CancellationToken) {
    // Answers are written whole; waiting for more of them would only delay them.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(Extension(ConnectInfo(peer)).layer(router));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MOST_BUFFERED);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "A client's connection broke off");
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "it plays the client")]
    async fn who_takes_nothing_of_an_answer_is_let_go() {
        const ANSWER: usize = 8 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || vec![b'x'; ANSWER]));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, Duration::from_millis(200), shutdown.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10);
        client.write_all(requests.as_bytes()).await.unwrap();
        // Nothing is read until the server has closed it: then writing fails.
        let closed = async { while client.write_all(b"GET").await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("it is still connected");
        let mut taken = Vec::new();
        let _ = client.read_to_end(&mut taken).await;
        assert!(taken.len() < 10 * ANSWER, "{}", taken.len());
        shutdown.cancel();
        serving.await.unwrap();
    }
}
