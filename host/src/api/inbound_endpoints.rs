//! Addresses that providers post their webhooks to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Serialize;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::{line, secret};
use crate::domain::Timestamp;
use crate::domain::ids::InboundEndpointId;
use crate::extensions::CallScope;
use crate::secrets::{SealedFor, random_bytes};
use crate::store::inbound::{self, InboundEndpoint, SIGNING_SECRET};

#[derive(Serialize)]
pub(super) struct EndpointShown {
    id: InboundEndpointId,
    provider: String,
    url: String,
    created_at: Timestamp,
}

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

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<InboundEndpointId>,
) -> Result<Json<EndpointShown>> {
    let mut conn = api.app.store.read().await?;
    let endpoint = inbound::get_endpoint(&mut conn, id).await?.filter(|endpoint| endpoint.account_id == caller.account);
    endpoint.map(|endpoint| Json(shown(&api, endpoint))).ok_or_else(|| ApiError::missing(Code::InboundEndpointNotFound))
}

pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<EndpointShown>)> {
    let now = api.now();
    let id = InboundEndpointId::new(now);
    let scope = CallScope { account: Some(caller.account), ..CallScope::default() };
    let endpoint = read_wrapped(body, "inbound_endpoint", |fields| {
        let provider = fields.required("provider", line(1, 64));
        let given = fields.optional("signing_secret", secret);
        let provider = provider?;
        let Some(adapter) = api.app.extensions.adapter(&scope, &provider) else {
            let providers = api.catalog.providers().join(", ");
            fields.note("provider", format!("has no adapter here; the adapters are {providers}"));
            return None;
        };
        let is_needed =
            |setting: &crate::extensions::manifest::Setting| setting.key == "signing_secret" && setting.required;
        if given.is_none() && adapter.manifest().settings.iter().any(is_needed) {
            fields.note("signing_secret", format!("is required by {provider}"));
        }
        let place = SealedFor { column: SIGNING_SECRET, row: &id.to_string() };
        Some(InboundEndpoint {
            id,
            account_id: caller.account,
            provider,
            token: BASE64.encode(random_bytes::<24>()),
            signing_secret: given.map(|secret| api.app.sealer.seal(&secret, place)),
            created_at: now,
        })
    })?;
    let mut tx = api.app.store.begin().await?;
    inbound::insert_endpoint(tx.conn(), &endpoint).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(&api, endpoint))))
}

pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<InboundEndpointId>,
) -> Result<Json<Deleted<InboundEndpointId>>> {
    let mut tx = api.app.store.begin().await?;
    if !inbound::delete_endpoint(tx.conn(), caller.account, id).await? {
        return Err(ApiError::missing(Code::InboundEndpointNotFound));
    }
    tx.commit().await?;
    Ok(Json(Deleted::new(id)))
}

fn shown(api: &Api, endpoint: InboundEndpoint) -> EndpointShown {
    let url = api.app.links.inbound(&endpoint.provider, &endpoint.token);
    EndpointShown { id: endpoint.id, provider: endpoint.provider, url, created_at: endpoint.created_at }
}
