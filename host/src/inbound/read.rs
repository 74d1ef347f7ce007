//! Reading one stored request: the adapter is asked, and what it says is written in one transaction with what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use secrecy::ExposeSecret as _;

use super::answer::Answer;
use super::apply::{self, Told};
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::status::Hook;
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::ingest::{Event, Outcome, Refusal, Request, Settings};
use crate::extensions::{CallScope, Decided, Ingested, Time};
use crate::rounds;
use crate::secrets::{SealedFor, SecretError, SecretString};
use crate::store::decisions::{self, Decision};
use crate::store::inbound::{self, InboundEndpoint, InboundRequest, RequestState};
use crate::store::inbound_many::{self, Finished};
use crate::store::{Result, Tx, inbound_fates};
use crate::telemetry::Metrics;

/// A request that adapters failed at so often is kept and left.
const MOST_FAILURES: u32 = 20;
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The name of the setting that every endpoint may have.
const SIGNING_SECRET: &str = "signing_secret";

/// What became of a reading.
struct Ending {
    state: RequestState,
    error: Option<String>,
    answer: Answer,
}

/// All that is written of one reading.
struct Reading {
    endpoint: Arc<InboundEndpoint>,
    stored: Arc<InboundRequest>,
    events: Vec<Event>,
    rows: Vec<Decision>,
    state: RequestState,
    error: Option<String>,
    next: Option<Timestamp>,
    has_failed: bool,
    now: Timestamp,
}

/// Reads a stored request and says what to answer. Reading it twice changes nothing.
pub(super) async fn read(app: &App, endpoint: &Arc<InboundEndpoint>, stored: &Arc<InboundRequest>) -> Result<Answer> {
    let scope = scope_of(endpoint);
    let mut decided = ask(app, endpoint, stored).await;
    let now = app.clock.now();
    let rows = rows_of(stored, &decided, now);
    let events = match &mut decided.decision {
        Ingested::Outcome(Outcome::Events(events)) => std::mem::take(events),
        _ => Vec::new(),
    };
    let was_asked = was_asked(&decided.decision);
    let ending = ending(app, &scope, endpoint, decided.decision);
    let has_failed = was_asked && ending.state == RequestState::Retry;
    let next = (ending.state == RequestState::Retry).then(|| next_try(stored, has_failed, now)).flatten();
    let is_over = ending.state == RequestState::Retry && next.is_none();
    let (state, error) = (if is_over { RequestState::Failed } else { ending.state }, ending.error);
    let (endpoint, stored) = (Arc::clone(endpoint), Arc::clone(stored));
    let reading = Reading { endpoint, stored, events, rows, state, error, next, has_failed, now };
    app.store.write_alike(reading, |tx, readings| Box::pin(write(tx, readings))).await?;
    Metrics::count(&app.metrics.inbound_requests, state.as_str());
    Ok(ending.answer)
}

async fn write(tx: &mut Tx, readings: Vec<&Reading>) -> Result<()> {
    let decisions: Vec<_> = readings.iter().flat_map(|reading| reading.rows.iter().cloned()).collect();
    let mut writes = tx.writes();
    decisions::insert_many(&mut writes, &decisions);
    let finished = readings.iter().map(|Reading { stored, state, error, next, has_failed, .. }| Finished {
        id: stored.id,
        state: *state,
        error: error.clone(),
        next_try_at: *next,
        has_failed: *has_failed,
    });
    inbound_many::finish_requests(&mut writes, &finished.collect::<Vec<_>>());
    let told = readings.iter().flat_map(|reading| {
        let Reading { endpoint, stored, now, .. } = reading;
        reading.events.iter().map(move |event| Told { endpoint, request: stored.id, event, now: *now })
    });
    apply::events(tx, writes, &told.collect::<Vec<_>>()).await?;
    let refused = readings.iter().filter(|reading| reading.state == RequestState::Unauthorized);
    for endpoint in refused.map(|reading| reading.endpoint.id).collect::<BTreeSet<_>>() {
        inbound_fates::drop_unauthorized(tx.conn(), endpoint).await?;
    }
    Ok(())
}

fn ending(app: &App, scope: &CallScope, endpoint: &InboundEndpoint, decision: Ingested) -> Ending {
    match decision {
        Ingested::Outcome(Outcome::Events(_)) => {
            Ending { state: RequestState::Applied, error: None, answer: Answer::plain(200) }
        }
        Ingested::Outcome(Outcome::Respond(response)) => {
            Ending { state: RequestState::Applied, error: None, answer: Answer::chosen(response) }
        }
        Ingested::Refused(Refusal::Unauthorized(reason)) => {
            Ending { state: RequestState::Unauthorized, error: Some(reason), answer: Answer::plain(401) }
        }
        Ingested::Refused(Refusal::Malformed(reason)) => {
            Ending { state: RequestState::Malformed, error: Some(reason), answer: Answer::plain(422) }
        }
        Ingested::Refused(Refusal::Retry(reason)) | Ingested::Unavailable { reason, .. } => {
            put_off(app, scope, endpoint, reason)
        }
        Ingested::UnknownProvider => {
            put_off(app, scope, endpoint, format!("no adapter named {:?} is loaded", endpoint.provider))
        }
    }
}

async fn ask(app: &App, endpoint: &InboundEndpoint, stored: &InboundRequest) -> Decided<Ingested> {
    match question(app, endpoint, stored) {
        Ok((scope, request, settings)) => {
            let time = if stored.failures > 0 { Time::Again } else { Time::First };
            app.extensions.ingest(&scope, &endpoint.provider, Arc::new(request), Arc::new(settings), time).await
        }
        // The operator's key is missing: once it is back, the request is read as if nothing had been.
        Err(error) => {
            let decision = Ingested::Unavailable { reason: error.to_string(), was_asked: false };
            Decided { decision, by: None, records: Vec::new() }
        }
    }
}

/// What the adapter is asked about a stored request, and for whom.
pub fn question(
    app: &App,
    endpoint: &InboundEndpoint,
    stored: &InboundRequest,
) -> std::result::Result<(CallScope, Request, Settings), SecretError> {
    let settings = settings(app, endpoint)?;
    let mut url = app.links.inbound(&endpoint.provider, &endpoint.token);
    if !stored.query.is_empty() {
        url = format!("{url}?{}", stored.query);
    }
    let request = Request {
        method: stored.method.clone(),
        path: stored.path.clone(),
        query: stored.query.clone(),
        url,
        headers: stored.headers.clone(),
        body: Bytes::copy_from_slice(&stored.body),
        received_at: stored.received_at,
        extra: Extra::default(),
    };
    Ok((scope_of(endpoint), request, settings))
}

fn scope_of(endpoint: &InboundEndpoint) -> CallScope {
    CallScope { account: Some(endpoint.account_id), ..CallScope::default() }
}

fn settings(app: &App, endpoint: &InboundEndpoint) -> std::result::Result<Settings, SecretError> {
    let row = endpoint.id.to_string();
    let open = |sealed: &Option<String>, column| {
        sealed.as_ref().map(|sealed| app.sealer.open(sealed, SealedFor { column, row: &row })).transpose()
    };
    let secret = open(&endpoint.signing_secret, inbound::SIGNING_SECRET)?;
    let others: BTreeMap<String, String> = open(&endpoint.settings, inbound::SETTINGS)?
        .and_then(|json| serde_json::from_str(json.expose_secret()).ok())
        .unwrap_or_default();
    let others = others.into_iter().map(|(key, value)| (key, SecretString::from(value)));
    Ok(Settings::new(secret.map(|secret| (SIGNING_SECRET.to_owned(), secret)).into_iter().chain(others)))
}

/// What everybody said who was asked.
fn rows_of(stored: &InboundRequest, decided: &Decided<Ingested>, now: Timestamp) -> Vec<Decision> {
    let subject = stored.id.to_string();
    let mut rows = Decision::of_records(&decided.records, stored.account_id, &subject, None, now);
    if let (None, Ingested::Unavailable { reason, .. }) = (&decided.by, &decided.decision) {
        let decision = serde_json::json!({ "error": "retry", "reason": reason });
        rows.push(Decision::of_host(Hook::ProviderAdapter, stored.account_id, &subject, None, decision, now));
    }
    rows
}

/// The status makes the provider try again; we do, too, whoever comes first.
fn put_off(app: &App, scope: &CallScope, endpoint: &InboundEndpoint, reason: String) -> Ending {
    let adapter = app.extensions.adapter(scope, &endpoint.provider);
    let status = adapter.map_or(503, |adapter| adapter.manifest().retry_status());
    Ending { state: RequestState::Retry, error: Some(reason), answer: Answer::plain(status) }
}

/// Whether an adapter has said something of the request, or failed at it.
fn was_asked(decision: &Ingested) -> bool {
    !matches!(decision, Ingested::UnknownProvider | Ingested::Unavailable { was_asked: false, .. })
}

/// When a request that could not be read is read again; `None` when this was the last time. One that no adapter was asked
/// about is read for as long as it is kept.
pub(super) fn next_try(stored: &InboundRequest, has_failed: bool, now: Timestamp) -> Option<Timestamp> {
    let is_over =
        stored.failures + u32::from(has_failed) >= MOST_FAILURES || stored.received_at.until(now) >= super::KEPT_FOR;
    let pause = rounds::pause(stored.attempts + 1, SHORTEST_PAUSE, LONGEST_PAUSE);
    (!is_over).then(|| now.plus(rounds::jittered(pause, rand::random())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AccountId, InboundEndpointId, InboundRequestId};

    #[test]
    fn a_request_is_given_up_after_twenty_failures_and_one_that_nobody_was_asked_about_after_a_month() {
        let came = Timestamp::from_millis(1_000_000);
        let mut request = InboundRequest {
            id: InboundRequestId::new(came),
            account_id: AccountId::NOBODY,
            endpoint_id: InboundEndpointId::new(came),
            method: "POST".to_owned(),
            path: String::new(),
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            attempts: 500,
            failures: 18,
            received_at: came,
        };
        let soon = came.plus(Duration::from_secs(60));
        let wait = soon.until(next_try(&request, true, soon).unwrap());
        assert!(wait > LONGEST_PAUSE / 2, "the more often it was read, the longer it waits: {wait:?}");
        request.failures = 19;
        assert_eq!(next_try(&request, true, soon), None);
        assert!(next_try(&request, false, soon).is_some());
        assert_eq!(next_try(&request, false, came.plus(super::super::KEPT_FOR)), None);
    }
}
