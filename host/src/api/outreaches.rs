//! Outreaches: groups of campaigns.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::query::{Asked, Listed};
use super::state::Api;
use super::values::{flag, line};
use crate::domain::Timestamp;
use crate::domain::campaign::Outreach;
use crate::domain::ids::{AccountId, CampaignId, OutreachId};
use crate::domain::status::CampaignStatus;
use crate::store::counters::StatusTotals;
use crate::store::{Conn, outreaches};

#[derive(Serialize)]
pub(super) struct OutreachShown {
    id: OutreachId,
    name: String,
    unique_contacts: bool,
    created_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct OutreachInFull {
    #[serde(flatten)]
    outreach: OutreachShown,
    totals: StatusTotals,
    campaigns: Vec<CampaignOfIt>,
}

#[derive(Serialize)]
struct CampaignOfIt {
    id: CampaignId,
    name: String,
    status: CampaignStatus,
}

pub(super) async fn list(State(api): State<Api>, MayRead(caller): MayRead, asked: Asked) -> Result<Listed> {
    let mut conn = api.app.store.read().await?;
    let rows = outreaches::list(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |outreach| outreach.id, shown))
}

pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<OutreachShown>)> {
    let now = api.now();
    let outreach = read_wrapped(body, "outreach", |fields| {
        let name = fields.required("name", line(1, 200));
        let unique_contacts = fields.optional("unique_contacts", flag).unwrap_or(true);
        Some(Outreach { id: OutreachId::new(now), name: name?, unique_contacts, created_at: now })
    })?;
    let mut tx = api.app.store.begin().await?;
    outreaches::insert(tx.conn(), caller.account, &outreach).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(outreach))))
}

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<OutreachId>,
) -> Result<Json<OutreachInFull>> {
    let mut conn = api.app.store.read().await?;
    let outreach = found(&mut conn, caller.account, id).await?;
    let totals = outreaches::totals(&mut conn, id).await?;
    let campaigns = outreaches::campaigns(&mut conn, id).await?;
    let campaigns = campaigns.into_iter().map(|c| CampaignOfIt { id: c.id, name: c.name, status: c.status }).collect();
    Ok(Json(OutreachInFull { outreach: shown(outreach), totals, campaigns }))
}

pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<OutreachId>,
    body::Json(body): body::Json,
) -> Result<Json<OutreachShown>> {
    let mut tx = api.app.store.begin().await?;
    let mut outreach = found(tx.conn(), caller.account, id).await?;
    read_wrapped(body, "outreach", |fields| {
        fields.change("name", &mut outreach.name, line(1, 200));
        fields.change("unique_contacts", &mut outreach.unique_contacts, flag);
        Some(())
    })?;
    outreaches::update(tx.conn(), &outreach).await?;
    tx.commit().await?;
    Ok(Json(shown(outreach)))
}

async fn found(conn: &mut Conn, account: AccountId, id: OutreachId) -> Result<Outreach> {
    outreaches::find(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::OutreachNotFound))
}

fn shown(outreach: Outreach) -> OutreachShown {
    let Outreach { id, name, unique_contacts, created_at } = outreach;
    OutreachShown { id, name, unique_contacts, created_at }
}
