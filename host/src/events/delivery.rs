//! Delivering to one webhook: claim what is next of each subject, sign, post, note how it went.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::sign::signature;
use crate::app::App;
use crate::domain::ids::{AccountId, EventId, WebhookId};
use crate::domain::{Timestamp, webhook_schedule};
use crate::http_client::{Method, Request, WhenLonger};
use crate::secrets::{SealedFor, SecretString};
use crate::store::deliveries::{self, Attempted, Delivery};
use crate::store::events::{self, Event};
use crate::store::webhooks::{self, DisabledReason, Webhook};
use crate::store::{Result, StoreError};
use crate::telemetry::Metrics;

/// Requests to one webhook at a time.
const MOST_REQUESTS: usize = 8;
/// Claims of one turn of a webhook.
const CLAIMS_A_TURN: usize = 2;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The answer's body is not read for what it says; a little is, so that the connection can be used again.
const LONGEST_ANSWER: usize = 16 << 10;
/// Longer than a request can take: only a node that died leaves one behind.
const LEASE: Duration = Duration::from_secs(20);

/// What is posted.
#[derive(Serialize)]
struct Envelope<'a> {
    id: EventId,
    #[serde(rename = "type")]
    event_type: &'a str,
    created_at: Timestamp,
    account_id: AccountId,
    data: &'a Value,
}

/// How an attempt went.
enum Attempt {
    /// A 2xx.
    Taken(u16),
    /// 410: nobody is there any more, for good.
    Gone,
    /// Any other answer, or none.
    Refused { status: Option<u16>, error: String },
    /// The event was swept away before it could be told.
    Lost,
}

/// One turn of a webhook: a few claims of what is due, up to the first that is not taken, so that no webhook, dead or
/// busy, keeps its place from the others for long. How many attempts were made.
pub(super) async fn take_turn(app: &App, id: WebhookId) -> Result<usize> {
    let mut attempted = 0;
    for _ in 0..CLAIMS_A_TURN {
        let Some((webhook, claimed)) = claim(app, id).await? else { break };
        if claimed.is_empty() {
            break;
        }
        let outcomes = join_all(claimed.iter().map(|delivery| deliver(app, &webhook, delivery))).await;
        attempted += claimed.len();
        let refused = outcomes.into_iter().collect::<Result<Vec<bool>>>()?;
        if refused.contains(&true) {
            break;
        }
    }
    Ok(attempted)
}

/// The webhook as it is now, and what may be tried; none when it is gone or disabled.
async fn claim(app: &App, id: WebhookId) -> Result<Option<(Webhook, Vec<Delivery>)>> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let webhook = webhooks::get(tx.conn(), id).await?.filter(|webhook| webhook.disabled_at.is_none());
    let Some(webhook) = webhook else { return Ok(None) };
    let limit = i64::try_from(MOST_REQUESTS).unwrap_or(i64::MAX);
    let claimed = deliveries::claim(tx.conn(), id, now, now.plus(LEASE), limit).await?;
    tx.commit().await?;
    Ok(Some((webhook, claimed)))
}

/// Tells one event; whether it was refused.
async fn deliver(app: &App, webhook: &Webhook, delivery: &Delivery) -> Result<bool> {
    let event = events::get(&mut *app.store.read().await?, delivery.event_id).await?;
    let attempt = match event {
        Some(event) => post(app, webhook, &event).await,
        None => Attempt::Lost,
    };
    let is_refused = matches!(attempt, Attempt::Gone | Attempt::Refused { .. });
    note(app, webhook, delivery, attempt).await?;
    Ok(is_refused)
}

async fn post(app: &App, webhook: &Webhook, event: &Event) -> Attempt {
    let refused = |error: String| Attempt::Refused { status: None, error };
    let refused_with = |status: u16, more: &str| Attempt::Refused {
        status: Some(status),
        error: format!("it answered {status}{more}"),
    };
    let request = match request(app, webhook, event) {
        Ok(request) => request,
        Err(problem) => return refused(problem),
    };
    match app.http.request(request).await {
        Ok(answer) => match answer.status {
            200..=299 => Attempt::Taken(answer.status),
            410 => Attempt::Gone,
            300..=399 => refused_with(answer.status, ": redirects are not followed"),
            status => refused_with(status, ""),
        },
        Err(error) => refused(error.to_string()),
    }
}

fn request(app: &App, webhook: &Webhook, event: &Event) -> std::result::Result<Request, String> {
    let url = Url::parse(&webhook.url).map_err(|_| "its address is no URL".to_owned())?;
    let envelope = Envelope {
        id: event.id,
        event_type: event.event_type.as_str(),
        created_at: event.created_at,
        account_id: event.account_id,
        data: &event.data,
    };
    let body = serde_json::to_vec(&envelope).map_err(|error| error.to_string())?;
    let (id, now) = (event.id.to_string(), app.clock.now());
    let timestamp = now.as_millis().div_euclid(1000);
    let signatures = secrets(app, webhook, now)?
        .iter()
        .map(|secret| signature(secret, &id, timestamp, &body))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    let header = |name: &str, value: String| (name.to_owned(), value);
    Ok(Request {
        method: Method::Post,
        url,
        headers: vec![
            header("content-type", "application/json".to_owned()),
            header("user-agent", concat!("ampout/", env!("CARGO_PKG_VERSION")).to_owned()),
            header("webhook-id", id),
            header("webhook-timestamp", timestamp.to_string()),
            header("webhook-signature", signatures.join(" ")),
        ],
        body: Bytes::from(body),
        timeout: TIMEOUT,
        max_answer_bytes: LONGEST_ANSWER,
        when_longer: WhenLonger::Truncate,
    })
}

/// The secret, and during a rotation's grace the one before it.
fn secrets(app: &App, webhook: &Webhook, now: Timestamp) -> std::result::Result<Vec<SecretString>, String> {
    let old = webhook.old_secret.as_ref().filter(|_| webhook.old_secret_until.is_some_and(|until| now < until));
    let row = webhook.id.to_string();
    let place = SealedFor { column: webhooks::SECRET, row: &row };
    let sealed = std::iter::once(&webhook.secret).chain(old);
    sealed.map(|sealed| app.sealer.open(sealed, place).map_err(|error| error.to_string())).collect()
}

async fn note(app: &App, webhook: &Webhook, delivery: &Delivery, attempt: Attempt) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let outcome = match attempt {
        Attempt::Taken(status) => {
            webhooks::forgive(tx.conn(), webhook.id).await?;
            Attempted { state: "delivered", status_code: Some(status), error: None, next_try_at: None }
        }
        Attempt::Gone => {
            webhooks::failed(tx.conn(), webhook.id, now).await?;
            webhooks::disable(tx.conn(), webhook.id, DisabledReason::Gone, now).await?;
            let error = Some("it answered 410: the webhook was disabled".to_owned());
            Attempted { state: "failed", status_code: Some(410), error, next_try_at: None }
        }
        Attempt::Refused { status, error } => {
            let (failures, since) = webhooks::failed(tx.conn(), webhook.id, now).await?;
            if webhook_schedule::is_hopeless(failures, since, now) {
                webhooks::disable(tx.conn(), webhook.id, DisabledReason::Failing, now).await?;
            }
            let next_try_at = webhook_schedule::retry(now, delivery.attempt + 1, rand::random());
            let state = if next_try_at.is_some() { "pending" } else { "failed" };
            Attempted { state, status_code: status, error: Some(error), next_try_at }
        }
        Attempt::Lost => {
            let error = Some("the event is older than events are kept".to_owned());
            Attempted { state: "failed", status_code: None, error, next_try_at: None }
        }
    };
    deliveries::attempted(tx.conn(), delivery, &outcome, now).await?;
    tx.commit().await?;
    Metrics::count(&app.metrics.deliveries, if outcome.state == "pending" { "put_off" } else { outcome.state });
    Ok::<_, StoreError>(())
}
