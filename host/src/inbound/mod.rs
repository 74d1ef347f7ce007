//! Providers' webhooks: the raw request is stored before anything reads it, the adapter says what it tells, and its events
//! are applied as the same facts that mail and SMTP replies bring. What could not be read at once is read again here.

mod answer;
mod apply;
mod matching;
mod read;

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::ids::InboundRequestId;
use crate::rounds::{self, Next};
use crate::store::inbound::{self, InboundEndpoint, InboundRequest, RequestState};
use crate::store::inbound_many::{self, Finished};
use crate::store::{Result, StoreError, Tx, Writing};
use crate::wake::Wake;

pub use answer::Answer;
pub use read::question;

/// Requests that are read again in one round, all at a time: none waits while its lease runs.
const MOST_REQUESTS: i64 = 8;
/// A request whose reading was begun is nobody else's for so long.
const LEASE: Duration = Duration::from_secs(20);
/// Without a bell the stored requests are looked through this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long raw requests are kept for replay.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const MOST_SWEPT: i64 = 2_000;

/// A request as it came to `POST /inbound/{provider}/{token}`. Its path is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// In capitals.
    pub method: String,
    /// The whole path.
    pub path: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    /// Names in lower case, in the order of the request.
    pub headers: Vec<(String, String)>,
    /// The raw bytes, at most 1 MiB.
    pub body: Vec<u8>,
}

/// A request that is about to be stored.
struct Stored(Arc<InboundRequest>);

/// What one [`step`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests that were read again.
    pub read: usize,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, body, .. } = self;
        f.debug_struct("Received").field("method", method).field("body_bytes", &body.len()).finish_non_exhaustive()
    }
}

/// Whose address was called; none when it is nobody's.
pub async fn endpoint(app: &App, provider: &str, token: &str) -> Result<Option<InboundEndpoint>> {
    // No address of ours has a NUL, and PostgreSQL can't be asked about one.
    if provider.contains('\0') || token.contains('\0') {
        return Ok(None);
    }
    inbound::endpoint_by_token(&mut *app.store.read().await?, provider, token).await
}

/// Takes a provider's request: stores it, reads it, applies its events, and says what to answer. An error means that the
/// database failed: where that was after the request was stored, it is read again from there.
pub async fn receive(app: &App, endpoint: InboundEndpoint, request: Received) -> Result<Answer> {
    let now = app.clock.now();
    let stored = InboundRequest {
        id: InboundRequestId::new(now),
        account_id: endpoint.account_id,
        endpoint_id: endpoint.id,
        method: request.method,
        path: request.path,
        query: request.query,
        headers: request.headers,
        body: request.body,
        attempts: 0,
        failures: 0,
        received_at: now,
    };
    let stored = Arc::new(stored);
    app.store.write_alike(Stored(Arc::clone(&stored)), store_all).await?;
    read::read(app, &Arc::new(endpoint), &stored).await
}

fn store_all<'a>(tx: &'a mut Tx, requests: Vec<&'a Stored>) -> Writing<'a, ()> {
    let requests: Vec<_> = requests.into_iter().map(|Stored(request)| &**request).collect();
    Box::pin(async move { inbound_many::insert_requests(tx, &requests).await })
}

/// Reads what is to be read again until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    let reading = async {
        let round = || async {
            let outcome = step(&app).await?;
            if outcome.read > 0 {
                return Ok::<_, StoreError>(Next::Now);
            }
            let next = inbound::next_retry(&mut *app.store.read().await?).await?;
            let look_again = app.clock.now().plus(LOOK_AGAIN);
            Ok(Next::At(next.map_or(look_again, |next| next.min(look_again))))
        };
        rounds::keep("inbound", &app.clock, &shutdown, round, || app.store.wakeups().wait(Wake::Inbound)).await;
    };
    let sweeping = async {
        let round = || async {
            let mut tx = app.store.begin().await?;
            let before = app.clock.now().minus(KEPT_FOR);
            let swept = inbound::sweep_requests(tx.conn(), before, MOST_SWEPT).await?;
            tx.commit().await?;
            let more = swept >= MOST_SWEPT.unsigned_abs();
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(app.clock.now().plus(SWEEP_EVERY)) })
        };
        rounds::keep("inbound", &app.clock, &shutdown, round, std::future::pending::<()>).await;
    };
    tokio::join!(reading, sweeping);
}

/// Reads the requests that are to be read again by now, a bounded number. One that fails keeps no other waiting.
pub async fn step(app: &App) -> Result<Outcome> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let taken = inbound::take_to_retry(&mut tx, now, now.plus(LEASE), MOST_REQUESTS).await?;
    tx.commit().await?;
    let count = taken.len();
    let readings = join_all(taken.into_iter().map(|request| read_again(app, request))).await;
    readings.into_iter().collect::<Result<()>>()?;
    Ok(Outcome { read: count })
}

async fn read_again(app: &App, request: InboundRequest) -> Result<()> {
    let found = inbound::get_endpoint(&mut *app.store.read().await?, request.endpoint_id).await?;
    let Some(endpoint) = found else {
        let error = Some("its endpoint was deleted".to_owned());
        let state = RequestState::Failed;
        return finish(app, Finished { id: request.id, state, error, next_try_at: None, has_failed: false }).await;
    };
    let id = request.id;
    let next = read::next_try(&request, true, app.clock.now());
    match read::read(app, &Arc::new(endpoint), &Arc::new(request)).await {
        // One that the database can't take now may be taken later; one that it can't take at all must not be asked
        // about for ever.
        Err(error) if !error.is_passing() => {
            let state = if next.is_some() { RequestState::Retry } else { RequestState::Failed };
            let told = Some(error.to_string());
            finish(app, Finished { id, state, error: told, next_try_at: next, has_failed: true }).await?;
            Err(error)
        }
        other => other.map(|_| ()),
    }
}

async fn finish(app: &App, finished: Finished) -> Result<()> {
    let mut tx = app.store.begin().await?;
    tx.make(|writes| inbound_many::finish_requests(writes, &[finished])).await?;
    tx.commit().await
}
