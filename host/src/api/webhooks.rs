//! The account's webhooks, their secrets, and what was delivered to them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Reading, read_wrapped};
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::{flag, line, web_address};
use crate::domain::Timestamp;
use crate::domain::event::{EventType, is_filter};
use crate::domain::ids::{AccountId, DeliveryId, EventId, WebhookId};
use crate::secrets::{ExposeSecret, SealedFor, SecretString, random_bytes};
use crate::store::deliveries::{self, Delivery};
use crate::store::webhooks::{self, DisabledReason, Webhook};
use crate::store::{Conn, Tx, accounts};

/// How long the old secret signs, too, after a rotation with grace.
const GRACE: Duration = Duration::from_secs(24 * 3600);
const MOST_FILTERS: usize = 50;
/// Of an account: each event is written once for each of them.
const MOST_WEBHOOKS: u64 = 100;

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookShown {
    id: WebhookId,
    url: String,
    /// Names of events, `*` for all, or a group such as `enrollment.*`.
    event_filters: Vec<String>,
    /// Whether events are sent there.
    enabled: bool,
    disabled_at: Option<Timestamp>,
    /// `gone`: it answered 410. `failing`: 50 failures in a row over more than a day. `owner`: you turned it off.
    disabled_reason: Option<DisabledReason>,
    created_at: Timestamp,
}

/// A new webhook with the secret that it verifies signatures with.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookMade {
    #[serde(flatten)]
    webhook: WebhookShown,
    /// `whsec_` and 32 bytes in base64. It is shown once.
    secret: String,
}

/// The new secret of a webhook.
#[derive(Serialize, ToSchema)]
pub(super) struct Rotated {
    id: WebhookId,
    /// `whsec_` and 32 bytes in base64. It is shown once.
    secret: String,
}

/// An event on its way to a webhook.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryShown {
    id: DeliveryId,
    /// The event's, and the header `webhook-id` of each attempt.
    event_id: EventId,
    event_type: EventType,
    /// `pending`, `delivered` or `failed`.
    state: String,
    /// Attempts so far.
    attempt: u32,
    /// The last answer's.
    status_code: Option<u16>,
    /// What went wrong last.
    error: Option<String>,
    /// When it is tried (again).
    next_try_at: Option<Timestamp>,
    delivered_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// A delivery that is tried anew.
#[derive(Serialize, ToSchema)]
pub(super) struct Redelivered {
    id: DeliveryId,
    #[schema(example = "pending")]
    status: &'static str,
}

/// A new webhook.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct NewWebhook {
    webhook: WebhookFields,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct WebhookFields {
    #[schema(format = "uri", max_length = 2048)]
    url: String,
    /// Names of events, `*` for all, or a group such as `enrollment.*`. All when it is left out.
    #[schema(min_items = 1, max_items = 50)]
    event_filters: Option<Vec<String>>,
}

/// What to change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct WebhookChange {
    webhook: WebhookChanges,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct WebhookChanges {
    #[schema(format = "uri", max_length = 2048, nullable = false)]
    url: Option<String>,
    #[schema(min_items = 1, max_items = 50, nullable = false)]
    event_filters: Option<Vec<String>>,
    /// `true` sends there again and tries at once what waited; what happened while it was off is in `GET /events`.
    #[schema(nullable = false)]
    enabled: Option<bool>,
}

/// How a secret is rotated.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `rotate_secret` reads it")]
struct RotationParameters {
    /// `true`: the old secret signs, too, for 24 h more; the header has both signatures.
    #[param(default = false)]
    grace: Option<bool>,
}

/// List the webhooks
#[utoipa::path(get, path = "/webhooks", operation_id = "list_webhooks", tag = "Webhooks",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [WebhookShown])))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = webhooks::list(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |webhook| webhook.id, shown))
}

/// Show a webhook
#[utoipa::path(get, path = "/webhooks/{id}", operation_id = "show_webhook", tag = "Webhooks",
    responses((status = OK, description = "Without its secret.", body = WebhookShown)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<WebhookId>,
) -> Result<Json<WebhookShown>> {
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await.map(|webhook| Json(shown(webhook)))
}

/// Make a webhook
///
/// Events are posted as the Standard Webhooks specification says, signed with the secret of the answer, again until they are
/// taken, in order for each enrollment.
#[utoipa::path(post, path = "/webhooks", operation_id = "create_webhook", tag = "Webhooks",
    request_body = NewWebhook, responses((status = CREATED, description = "It is made.", body = WebhookMade)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let now = api.now();
    let id = WebhookId::new(now);
    let (url, event_filters) = read_wrapped(body, "webhook", |fields| {
        let url = fields.required("url", web_address(api.app.config.allow_plaintext));
        let filters = fields.optional_values("event_filters", filter).unwrap_or_else(|| vec!["*".to_owned()]);
        check_filters(fields, &filters);
        Some((url?, filters))
    })?;
    let secret = new_secret();
    let webhook = Webhook {
        id,
        account_id: caller.account,
        url,
        event_filters,
        secret: sealed(&api, id, &secret),
        old_secret: None,
        old_secret_until: None,
        failures: 0,
        failing_since: None,
        disabled_at: None,
        disabled_reason: None,
        created_at: now,
    };
    let mut tx = api.app.store.begin().await?;
    accounts::lock(tx.conn(), caller.account).await?;
    if webhooks::count_of(tx.conn(), caller.account).await? >= MOST_WEBHOOKS {
        let message = format!("The account has {MOST_WEBHOOKS} webhooks, which is all it may have; delete one first.");
        return Err(ApiError::unprocessable(message));
    }
    webhooks::insert(tx.conn(), &webhook).await?;
    let made = WebhookMade { webhook: shown(webhook), secret: secret.expose_secret().to_owned() };
    caller.commit(tx, StatusCode::CREATED, &made).await
}

/// Change a webhook, or turn it off and on
#[utoipa::path(patch, path = "/webhooks/{id}", operation_id = "update_webhook", tag = "Webhooks",
    request_body = WebhookChange, responses((status = OK, description = "As it is now.", body = WebhookShown)))]
pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<WebhookId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let mut webhook = found_for_update(&mut tx, caller.account, id).await?;
    let before = webhook.url.clone();
    let enabled = read_wrapped(body, "webhook", |fields| {
        fields.change("url", &mut webhook.url, web_address(api.app.config.allow_plaintext));
        if fields.is_null("event_filters") {
            fields.note("event_filters", "can't be null; leave it out to keep it");
        }
        if let Some(filters) = fields.optional_values("event_filters", filter) {
            check_filters(fields, &filters);
            webhook.event_filters = filters;
        }
        let mut enabled = webhook.disabled_at.is_none();
        fields.change("enabled", &mut enabled, flag);
        Some(enabled)
    })?;
    webhooks::update(tx.conn(), &webhook).await?;
    if webhook.url != before {
        webhooks::forgive(tx.conn(), id).await?;
    }
    match (webhook.disabled_at.is_none(), enabled) {
        (true, false) => webhooks::disable(tx.conn(), id, DisabledReason::Owner, api.now()).await?,
        (false, true) => webhooks::enable(&mut tx, id, api.now()).await?,
        _ => {}
    }
    let webhook = found(tx.conn(), caller.account, id).await?;
    caller.commit(tx, StatusCode::OK, &shown(webhook)).await
}

/// Delete a webhook
#[utoipa::path(delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "Webhooks",
    responses((status = OK, description = "It is gone, with its deliveries.", body = Deleted<WebhookId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<WebhookId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    found_for_update(&mut tx, caller.account, id).await?;
    webhooks::delete(tx.conn(), id).await?;
    caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await
}

/// Give a webhook a new secret
#[utoipa::path(post, path = "/webhooks/{id}/rotate_secret", operation_id = "rotate_webhook_secret", tag = "Webhooks",
    params(RotationParameters), responses((status = OK, description = "The new secret.", body = Rotated)))]
pub(super) async fn rotate_secret(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<WebhookId>,
    mut parameters: Parameters,
) -> Result<Answer> {
    let grace = parameters.optional("grace", |text| text.parse::<bool>().ok(), "true or false").unwrap_or(false);
    parameters.finish()?;
    let mut tx = api.app.store.begin().await?;
    let mut webhook = found_for_update(&mut tx, caller.account, id).await?;
    let secret = new_secret();
    let old = std::mem::replace(&mut webhook.secret, sealed(&api, id, &secret));
    webhook.old_secret = grace.then_some(old);
    webhook.old_secret_until = grace.then(|| api.now().plus(GRACE));
    webhooks::update(tx.conn(), &webhook).await?;
    caller.commit(tx, StatusCode::OK, &Rotated { id, secret: secret.expose_secret().to_owned() }).await
}

/// List what was sent to a webhook
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", operation_id = "list_webhook_deliveries", tag = "Webhooks",
    params(PageParameters), responses((status = OK, description = "Newest first, for 30 days.", body = [DeliveryShown])))]
pub(super) async fn deliveries(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<WebhookId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await?;
    let rows = deliveries::list(&mut conn, id, &asked.page()).await?;
    Ok(asked.answer(rows, |delivery| delivery.id, delivery_shown))
}

/// Send an event to a webhook again
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{delivery}/redeliver", operation_id = "redeliver_webhook_delivery",
    tag = "Webhooks", responses((status = OK, description = "It is tried anew.", body = Redelivered)))]
pub(super) async fn redeliver(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((id, delivery)): Ids<(WebhookId, DeliveryId)>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let webhook = found_for_update(&mut tx, caller.account, id).await?;
    if webhook.disabled_at.is_some() {
        let message = "The webhook is disabled: PATCH it with enabled: true first.";
        return Err(ApiError::unprocessable(message));
    }
    if !deliveries::redeliver(&mut tx, id, delivery, api.now()).await? {
        return Err(ApiError::new(Code::NotFound, "The webhook has no such delivery."));
    }
    caller.commit(tx, StatusCode::OK, &Redelivered { id: delivery, status: "pending" }).await
}

async fn found(conn: &mut Conn, account: AccountId, id: WebhookId) -> Result<Webhook> {
    webhooks::find(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::WebhookNotFound))
}

async fn found_for_update(tx: &mut Tx, account: AccountId, id: WebhookId) -> Result<Webhook> {
    webhooks::find_for_update(tx, account, id).await?.ok_or_else(|| ApiError::missing(Code::WebhookNotFound))
}

fn filter(value: &Value) -> Reading<String> {
    let text = line(1, 100)(value)?;
    if is_filter(&text) {
        return Ok(text);
    }
    let names = EventType::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", ");
    Err(format!("matches no event; write *, a group such as enrollment.*, or one of {names}"))
}

fn check_filters(fields: &super::input::Fields<'_>, filters: &[String]) {
    if filters.is_empty() || filters.len() > MOST_FILTERS {
        fields.note("event_filters", format!("must have 1 to {MOST_FILTERS} filters"));
    }
}

/// Standard Webhooks: `whsec_` and 32 bytes in base64.
fn new_secret() -> SecretString {
    SecretString::from(format!("whsec_{}", BASE64.encode(random_bytes::<32>())))
}

fn sealed(api: &Api, id: WebhookId, secret: &SecretString) -> String {
    api.app.sealer.seal(secret, SealedFor { column: webhooks::SECRET, row: &id.to_string() })
}

fn shown(webhook: Webhook) -> WebhookShown {
    let Webhook { id, url, event_filters, disabled_at, disabled_reason, created_at, .. } = webhook;
    WebhookShown { id, url, event_filters, enabled: disabled_at.is_none(), disabled_at, disabled_reason, created_at }
}

fn delivery_shown(delivery: Delivery) -> DeliveryShown {
    let Delivery { id, event_id, event_type, state, attempt, status_code, error, next_try_at, .. } = delivery;
    let (delivered_at, created_at) = (delivery.delivered_at, delivery.created_at);
    DeliveryShown {
        id,
        event_id,
        event_type,
        state,
        attempt,
        status_code,
        error,
        next_try_at,
        delivered_at,
        created_at,
    }
}
