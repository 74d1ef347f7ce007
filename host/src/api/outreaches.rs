//! Outreaches: groups of campaigns.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::query::{Asked, Listed, PageParameters};
use super::state::Api;
use super::values::{flag, line};
use crate::domain::Timestamp;
use crate::domain::campaign::Outreach;
use crate::domain::ids::{AccountId, CampaignId, OutreachId};
use crate::domain::status::CampaignStatus;
use crate::store::counters::StatusTotals;
use crate::store::{Conn, outreaches};

/// A group of campaigns.
#[derive(Serialize, ToSchema)]
pub(super) struct OutreachShown {
    id: OutreachId,
    name: String,
    /// Whether an address that is enrolled in one campaign is skipped by its siblings.
    unique_contacts: bool,
    created_at: Timestamp,
}

/// A group with its campaigns and their figures.
#[derive(Serialize, ToSchema)]
pub(super) struct OutreachInFull {
    #[serde(flatten)]
    outreach: OutreachShown,
    /// Of all its campaigns together.
    totals: StatusTotals,
    campaigns: Vec<CampaignOfIt>,
}

/// A campaign of a group.
#[derive(Serialize, ToSchema)]
struct CampaignOfIt {
    id: CampaignId,
    name: String,
    status: CampaignStatus,
}

/// A new group.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct NewOutreach {
    outreach: OutreachFields,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `create` reads it")]
struct OutreachFields {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Whether an address that is enrolled in one campaign is skipped by its siblings.
    #[schema(default = true)]
    unique_contacts: Option<bool>,
}

/// What to change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct OutreachChange {
    outreach: OutreachChanges,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `update` reads it")]
struct OutreachChanges {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    name: Option<String>,
    /// Holds for enrollments that are made from then on; those that there are stay.
    #[schema(nullable = false)]
    unique_contacts: Option<bool>,
}

/// List the groups
#[utoipa::path(get, path = "/outreaches", operation_id = "list_outreaches", tag = "Outreaches",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [OutreachShown])))]
pub(super) async fn list(State(api): State<Api>, MayRead(caller): MayRead, asked: Asked) -> Result<Listed> {
    let mut conn = api.app.store.read().await?;
    let rows = outreaches::list(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |outreach| outreach.id, shown))
}

/// Make a group
#[utoipa::path(post, path = "/outreaches", operation_id = "create_outreach", tag = "Outreaches",
    request_body = NewOutreach, responses((status = CREATED, description = "It is made.", body = OutreachShown)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let now = api.now();
    let outreach = read_wrapped(body, "outreach", |fields| {
        let name = fields.required("name", line(1, 200));
        let unique_contacts = fields.optional("unique_contacts", flag).unwrap_or(true);
        Some(Outreach { id: OutreachId::new(now), name: name?, unique_contacts, created_at: now })
    })?;
    let mut tx = api.app.store.begin().await?;
    outreaches::insert(tx.conn(), caller.account, &outreach).await?;
    caller.commit(tx, StatusCode::CREATED, &shown(outreach)).await
}

/// Show a group
#[utoipa::path(get, path = "/outreaches/{id}", operation_id = "show_outreach", tag = "Outreaches",
    responses((status = OK, description = "With its campaigns and totals.", body = OutreachInFull)))]
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

/// Change a group
#[utoipa::path(patch, path = "/outreaches/{id}", operation_id = "update_outreach", tag = "Outreaches",
    request_body = OutreachChange, responses((status = OK, description = "As it is now.", body = OutreachShown)))]
pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<OutreachId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let outreach = outreaches::find_for_update(&mut tx, caller.account, id).await?;
    let mut outreach = outreach.ok_or_else(missing)?;
    read_wrapped(body, "outreach", |fields| {
        fields.change("name", &mut outreach.name, line(1, 200));
        fields.change("unique_contacts", &mut outreach.unique_contacts, flag);
        Some(())
    })?;
    outreaches::update(tx.conn(), &outreach).await?;
    caller.commit(tx, StatusCode::OK, &shown(outreach)).await
}

async fn found(conn: &mut Conn, account: AccountId, id: OutreachId) -> Result<Outreach> {
    outreaches::find(conn, account, id).await?.ok_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::missing(Code::OutreachNotFound)
}

fn shown(outreach: Outreach) -> OutreachShown {
    let Outreach { id, name, unique_contacts, created_at } = outreach;
    OutreachShown { id, name, unique_contacts, created_at }
}
