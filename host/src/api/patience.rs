//! How long a body may keep us waiting. A client that sends a byte now and then must not hold a connection, and what the
//! call has taken already, for ever. Only the waiting counts: a handler may take its time between two pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use futures_util::{StreamExt as _, stream};

/// Tells whether a body was too slow.
#[derive(Debug, Clone, Default)]
pub(super) struct Slowness(Arc<AtomicBool>);

/// The body took longer to arrive than it may. [`super::finish`] tells of it, whatever the reader made of it.
#[derive(Debug, thiserror::Error)]
#[error("the body took too long to arrive")]
struct TooSlow;

impl Slowness {
    pub(super) fn was_met(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same request, whose body fails once it was waited for `patience` in all.
pub(super) fn with_patience(request: Request, patience: Duration) -> (Request, Slowness) {
    let slowness = Slowness::default();
    if request.body().is_end_stream() {
        return (request, slowness);
    }
    let met = slowness.clone();
    let bounded = request.map(|body| {
        let waiting = Some((body.into_data_stream(), patience));
        Body::from_stream(stream::unfold(waiting, move |waiting| next_piece(waiting, met.clone())))
    });
    (bounded, slowness)
}

type Waiting = Option<(BodyDataStream, Duration)>;
type Piece = Result<axum::body::Bytes, Box<dyn std::error::Error + Send + Sync>>;

async fn next_piece(waiting: Waiting, slowness: Slowness) -> Option<(Piece, Waiting)> {
    let (mut body, left) = waiting?;
    let begun = Instant::now();
    match tokio::time::timeout(left, body.next()).await {
        Ok(None) => None,
        Ok(Some(Ok(piece))) => Some((Ok(piece), Some((body, left.saturating_sub(begun.elapsed()))))),
        Ok(Some(Err(error))) => Some((Err(error.into()), None)),
        Err(_) => {
            slowness.0.store(true, Ordering::Relaxed);
            Some((Err(TooSlow.into()), None))
        }
    }
}
