//! Addresses that providers post their webhooks to.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::{Fields, Reading, read_wrapped};
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::{line, secret, texts};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, InboundEndpointId, InboundRequestId};
use crate::extensions::CallScope;
use crate::extensions::manifest::Manifest;
use crate::secrets::{SealedFor, SecretString, random_bytes};
use crate::store::inbound::{self, InboundEndpoint, RequestState, SETTINGS, SIGNING_SECRET};
use crate::store::inbound_fates::{self, Fate};
use crate::store::{Conn, accounts};

/// The setting that every adapter may have, and that has a field of its own.
const SECRET_SETTING: &str = "signing_secret";
/// Of an account.
const MOST_ENDPOINTS: u64 = 100;

/// An address that a provider posts its webhooks to.
#[derive(Serialize, ToSchema)]
pub(super) struct EndpointShown {
    id: InboundEndpointId,
    /// The adapter that reads what comes.
    provider: String,
    /// Give this to the provider, and to nobody else.
    #[schema(format = "uri")]
    url: String,
    created_at: Timestamp,
}

/// What became of a provider's request.
#[derive(Serialize, ToSchema)]
pub(super) struct RequestShown {
    id: InboundRequestId,
    /// `stored`: not read yet. `applied`: its events are facts. `unauthorized`: its signature is wrong. `malformed`: the adapter
    /// can't read it. `retry`: the adapter is down, and is asked again. `failed`: it was asked too often.
    state: RequestState,
    /// How often it was read.
    attempts: u32,
    /// When it is read (again).
    next_try_at: Option<Timestamp>,
    /// What the adapter said, or what went wrong.
    error: Option<String>,
    /// The length of its body in bytes.
    size: u64,
    received_at: Timestamp,
}

/// A request that is read again.
#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    id: InboundRequestId,
    #[schema(example = "stored")]
    status: RequestState,
}

/// A new endpoint.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct NewEndpoint {
    inbound_endpoint: EndpointFields,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct EndpointFields {
    /// The name of a loaded adapter.
    #[schema(min_length = 1, max_length = 64, example = "smtp2go")]
    provider: String,
    /// What the provider signs with; some adapters need one.
    #[schema(min_length = 1, max_length = 1024)]
    signing_secret: Option<String>,
    /// What else the adapter needs, such as the topics of Amazon SES; its page says what.
    #[schema(example = json!({"topic_arns": "arn:aws:sns:eu-west-1:111122223333:ses-events"}))]
    settings: Option<BTreeMap<String, String>>,
}

/// What is changed of an endpoint.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct EndpointChange {
    inbound_endpoint: EndpointChangeFields,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct EndpointChangeFields {
    /// The new one; what the provider signs with the old one is refused from now on. Null takes it away, where the adapter
    /// does without.
    #[schema(min_length = 1, max_length = 1024)]
    signing_secret: Option<String>,
    /// All of them, in the place of those that there were. Null takes them away, where the adapter needs none.
    settings: Option<BTreeMap<String, String>>,
}

/// Which requests.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `requests` reads it")]
struct RequestParameters {
    /// Requests in this state alone.
    state: Option<RequestState>,
}

/// List the inbound endpoints
#[utoipa::path(get, path = "/inbound_endpoints", operation_id = "list_inbound_endpoints", tag = "Inbound webhooks",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [EndpointShown])))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = inbound::list_endpoints(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |endpoint| endpoint.id, |endpoint| shown(&api, endpoint)))
}

/// Show an inbound endpoint
#[utoipa::path(get, path = "/inbound_endpoints/{id}", operation_id = "show_inbound_endpoint", tag = "Inbound webhooks",
    responses((status = OK, description = "Without its signing secret.", body = EndpointShown)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<InboundEndpointId>,
) -> Result<Json<EndpointShown>> {
    let mut conn = api.app.store.read().await?;
    Ok(Json(shown(&api, found(&mut conn, caller.account, id).await?)))
}

/// Make an inbound endpoint
#[utoipa::path(post, path = "/inbound_endpoints", operation_id = "create_inbound_endpoint", tag = "Inbound webhooks",
    request_body = NewEndpoint, responses((status = CREATED, description = "It is made.", body = EndpointShown)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let now = api.now();
    let id = InboundEndpointId::new(now);
    let scope = CallScope { account: Some(caller.account), ..CallScope::default() };
    let endpoint = read_wrapped(body, "inbound_endpoint", |fields| {
        let provider = fields.required("provider", line(1, 64));
        let given = fields.optional("signing_secret", secret);
        let others = fields.optional("settings", texts).unwrap_or_default();
        let provider = provider?;
        let Some(adapter) = api.app.extensions.adapter(&scope, &provider) else {
            let providers = api.catalog.providers(caller.account).join(", ");
            fields.note("provider", format!("has no adapter here; the adapters are {providers}"));
            return None;
        };
        check_secret(fields, adapter.manifest(), given.is_some());
        check_settings(fields, adapter.manifest(), &others);
        Some(InboundEndpoint {
            id,
            account_id: caller.account,
            provider,
            token: BASE64.encode(random_bytes::<24>()),
            signing_secret: given.map(|secret| seal(&api, id, SIGNING_SECRET, &secret)),
            settings: sealed_settings(&api, id, &others),
            created_at: now,
        })
    })?;
    let mut tx = api.app.store.begin().await?;
    accounts::lock(tx.conn(), caller.account).await?;
    if inbound::count_endpoints(tx.conn(), caller.account).await? >= MOST_ENDPOINTS {
        let message =
            format!("The account has {MOST_ENDPOINTS} inbound endpoints, which is all it may have; delete one first.");
        return Err(ApiError::unprocessable(message));
    }
    inbound::insert_endpoint(tx.conn(), &endpoint).await?;
    caller.commit(tx, StatusCode::CREATED, &shown(&api, endpoint)).await
}

/// Change an inbound endpoint
///
/// Its address stays. For a provider that tells its secret or key only once it knows the address, and for a new one.
#[utoipa::path(patch, path = "/inbound_endpoints/{id}", operation_id = "update_inbound_endpoint", tag = "Inbound webhooks",
    request_body = EndpointChange, responses((status = OK, description = "As it is now.", body = EndpointShown)))]
pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<InboundEndpointId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let endpoint = inbound::get_endpoint_for_update(&mut tx, id).await?;
    let mut endpoint = of_account(endpoint, caller.account)?;
    let scope = CallScope { account: Some(caller.account), ..CallScope::default() };
    read_wrapped(body, "inbound_endpoint", |fields| {
        let (takes_secret, takes_others) = (fields.is_null("signing_secret"), fields.is_null("settings"));
        let sealed = |value: &Value| -> Reading<String> { Ok(seal(&api, id, SIGNING_SECRET, &secret(value)?)) };
        fields.change_or_clear("signing_secret", &mut endpoint.signing_secret, sealed);
        let others = fields.optional("settings", texts).or_else(|| takes_others.then(BTreeMap::new));
        // Without its adapter, what it would make of them is seen once that is back.
        if let Some(adapter) = api.app.extensions.adapter(&scope, &endpoint.provider) {
            check_secret(fields, adapter.manifest(), !takes_secret);
            if let Some(others) = &others {
                check_settings(fields, adapter.manifest(), others);
            }
        }
        if let Some(others) = others {
            endpoint.settings = sealed_settings(&api, id, &others);
        }
        Some(())
    })?;
    inbound::update_endpoint(tx.conn(), &endpoint).await?;
    caller.commit(tx, StatusCode::OK, &shown(&api, endpoint)).await
}

fn seal(api: &Api, id: InboundEndpointId, column: &'static str, secret: &SecretString) -> String {
    api.app.sealer.seal(secret, SealedFor { column, row: &id.to_string() })
}

fn sealed_settings(api: &Api, id: InboundEndpointId, given: &BTreeMap<String, String>) -> Option<String> {
    let json = serde_json::to_string(given).unwrap_or_default();
    (!given.is_empty()).then(|| seal(api, id, SETTINGS, &json.into()))
}

fn check_secret(fields: &Fields<'_>, manifest: &Manifest, has_secret: bool) {
    let needs_one = manifest.settings.iter().any(|setting| setting.required && setting.key == SECRET_SETTING);
    if needs_one && !has_secret && !fields.is_wrong(SECRET_SETTING) {
        let name = &manifest.name;
        let problem = format!("is required by {name}; where {name} tells it later, give any and PATCH it then");
        fields.note(SECRET_SETTING, problem);
    }
}

/// The adapter's manifest says what it needs and what it knows.
fn check_settings(fields: &Fields<'_>, manifest: &Manifest, given: &BTreeMap<String, String>) {
    if fields.is_wrong("settings") {
        return;
    }
    let Manifest { name, settings, .. } = manifest;
    let others = || settings.iter().filter(|setting| setting.key != SECRET_SETTING);
    for setting in others().filter(|setting| setting.required && !given.contains_key(&setting.key)) {
        fields.note("settings", format!("{} is required by {name}", setting.key));
    }
    let known = || others().map(|setting| setting.key.as_str());
    for key in given.keys().filter(|key| !known().any(|known| known == key.as_str())) {
        let keys: Vec<&str> = known().collect();
        let mend = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
        fields.note("settings", format!("{key:?} is no setting of {name}; beside signing_secret it has {mend}"));
    }
}

/// Delete an inbound endpoint
#[utoipa::path(delete, path = "/inbound_endpoints/{id}", operation_id = "delete_inbound_endpoint", tag = "Inbound webhooks",
    responses((status = OK, description = "Its address is nobody's.", body = Deleted<InboundEndpointId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<InboundEndpointId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    if !inbound::delete_endpoint(tx.conn(), caller.account, id).await? {
        return Err(ApiError::missing(Code::InboundEndpointNotFound));
    }
    caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await
}

/// List what became of a provider's requests
#[utoipa::path(get, path = "/inbound_endpoints/{id}/requests", operation_id = "list_inbound_requests",
    tag = "Inbound webhooks", params(PageParameters, RequestParameters),
    responses((status = OK, description = "Newest first, for 30 days.", body = [RequestShown])))]
pub(super) async fn requests(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<InboundEndpointId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    let words = RequestState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
    let state = parameters.optional("state", RequestState::parse, format!("one of {words}"));
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await?;
    let rows = inbound_fates::list(&mut conn, id, state, &asked.page()).await?;
    Ok(asked.answer(rows, |fate| fate.id, request_shown))
}

/// Read a provider's request again
///
/// For one that could not be read, once the adapter is mended. What was applied before is not applied twice.
#[utoipa::path(post, path = "/inbound_endpoints/{id}/requests/{request}/retry", operation_id = "retry_inbound_request",
    tag = "Inbound webhooks", responses((status = OK, description = "It is read again.", body = Retried)))]
pub(super) async fn retry(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((id, request)): Ids<(InboundEndpointId, InboundRequestId)>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    found(tx.conn(), caller.account, id).await?;
    if !inbound_fates::retry(&mut tx, id, request, api.now()).await? {
        return Err(ApiError::new(Code::NotFound, "The endpoint has no such request, or no longer."));
    }
    caller.commit(tx, StatusCode::OK, &Retried { id: request, status: RequestState::Stored }).await
}

async fn found(conn: &mut Conn, account: AccountId, id: InboundEndpointId) -> Result<InboundEndpoint> {
    of_account(inbound::get_endpoint(conn, id).await?, account)
}

fn of_account(endpoint: Option<InboundEndpoint>, account: AccountId) -> Result<InboundEndpoint> {
    let endpoint = endpoint.filter(|endpoint| endpoint.account_id == account);
    endpoint.ok_or_else(|| ApiError::missing(Code::InboundEndpointNotFound))
}

fn request_shown(fate: Fate) -> RequestShown {
    let Fate { id, state, attempts, next_try_at, error, size, received_at } = fate;
    RequestShown { id, state, attempts, next_try_at, error, size, received_at }
}

fn shown(api: &Api, endpoint: InboundEndpoint) -> EndpointShown {
    let url = api.app.links.inbound(&endpoint.provider, &endpoint.token);
    EndpointShown { id: endpoint.id, provider: endpoint.provider, url, created_at: endpoint.created_at }
}
