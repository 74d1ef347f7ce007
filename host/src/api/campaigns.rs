//! Campaigns: made with their credentials and steps, shown, changed, and told to go, to pause and to go on.

pub(super) mod delete;
pub(super) mod explain;
mod input;
pub(super) mod preview;
mod shown;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::auth::{MayRead, MaySend, MayWrite};
use super::body::{self, Ids};
use super::credentials::insert as insert_credential;
use super::error::{ApiError, Code, Result};
use super::input::{read, read_wrapped};
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::whole;
use crate::dispatch::plan::{self, PlanError, Planned};
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{AccountId, CampaignId, CredentialId, OutreachId, StepId};
use crate::domain::status::CampaignStatus;
use crate::store::{Conn, campaigns, credentials, facts, outreaches};
use crate::wake::Wake;

#[derive(Serialize)]
struct CampaignListed {
    id: CampaignId,
    name: String,
    status: CampaignStatus,
    created_at: Timestamp,
}

/// The ids of what came into being.
#[derive(Serialize)]
pub(super) struct CampaignMade {
    id: CampaignId,
    status: CampaignStatus,
    smtp_credentials: Vec<CredentialMade>,
    sequence_steps: Vec<StepMade>,
}

#[derive(Serialize)]
struct CredentialMade {
    id: CredentialId,
    from_email: String,
}

#[derive(Serialize)]
struct StepMade {
    id: StepId,
    position: u32,
}

#[derive(Serialize)]
pub(super) struct StatusOf {
    id: CampaignId,
    status: CampaignStatus,
}

#[derive(Serialize)]
pub(super) struct Dispatched {
    status: CampaignStatus,
    dispatched: u64,
    batches: u64,
}

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = campaigns::list(&mut conn, caller.account, &asked.page()).await?;
    let listed = |c: Campaign| CampaignListed { id: c.id, name: c.name, status: c.status, created_at: c.created_at };
    Ok(asked.answer(rows, |campaign| campaign.id, listed))
}

pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<CampaignMade>)> {
    let now = api.now();
    let new = read_wrapped(body, "campaign", |fields| input::new_campaign(fields, &api, caller.account, now))?;
    let mut tx = api.app.store.begin().await?;
    check_outreach(tx.conn(), caller.account, new.campaign.outreach_id).await?;
    campaigns::insert(tx.conn(), &new.campaign).await?;
    for step in &new.steps {
        campaigns::insert_step(tx.conn(), new.campaign.id, step).await?;
    }
    for credential in &new.credentials {
        insert_credential(&mut tx, credential, now).await?;
    }
    tx.commit().await?;
    let made = CampaignMade {
        id: new.campaign.id,
        status: new.campaign.status,
        smtp_credentials: new
            .credentials
            .into_iter()
            .map(|c| CredentialMade { id: c.id, from_email: c.from_email })
            .collect(),
        sequence_steps: new.steps.iter().map(|step| StepMade { id: step.id, position: step.position }).collect(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<shown::CampaignShown>> {
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    Ok(Json(shown::gather(&mut conn, campaign, api.now()).await?))
}

pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Json<shown::CampaignShown>> {
    let mut tx = api.app.store.begin().await?;
    let mut campaign = found(tx.conn(), caller.account, id).await?;
    read_wrapped(body, "campaign", |fields| input::change(fields, &mut campaign))?;
    campaigns::update(tx.conn(), &campaign).await?;
    let shown = shown::gather(tx.conn(), campaign, api.now()).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

pub(super) async fn dispatch(
    State(api): State<Api>,
    MaySend(caller): MaySend,
    Ids(id): Ids<CampaignId>,
    body::OptionalJson(body): body::OptionalJson,
) -> Result<(StatusCode, Json<Dispatched>)> {
    let batch = read(body, |fields| Some(fields.optional("batch_number", whole(0, u64::from(u32::MAX)))))?;
    let batch = batch.and_then(|batch| i64::try_from(batch).ok());
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    drop(conn);
    let Planned { dispatched, batches } = plan::plan(&api.app, &campaign, batch).await.map_err(not_planned)?;
    let mut conn = api.app.store.read().await?;
    let status = found(&mut conn, caller.account, id).await?.status;
    Ok((StatusCode::ACCEPTED, Json(Dispatched { status, dispatched, batches })))
}

pub(super) async fn pause(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<StatusOf>> {
    let mut tx = api.app.store.begin().await?;
    let campaign = found(tx.conn(), caller.account, id).await?;
    if !facts::campaign::pause(&mut tx, &campaign, "paused through the API", api.now()).await? {
        let message = format!("The campaign is {}; only an active one can be paused.", campaign.status);
        return Err(ApiError::new(Code::CampaignNotActive, message));
    }
    tx.commit().await?;
    Ok(Json(StatusOf { id, status: CampaignStatus::Paused }))
}

pub(super) async fn resume(
    State(api): State<Api>,
    MaySend(caller): MaySend,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<StatusOf>> {
    let mut tx = api.app.store.begin().await?;
    let campaign = found(tx.conn(), caller.account, id).await?;
    if campaign.status != CampaignStatus::Paused {
        let message = format!("The campaign is {}; only a paused one can be resumed.", campaign.status);
        return Err(ApiError::new(Code::CampaignNotPaused, message));
    }
    let credentials = credentials::of_campaign(tx.conn(), id).await?;
    if credentials.iter().all(|credential| credential.disabled.is_some()) {
        return Err(ApiError::unprocessable("No credential is enabled; reenable one, or add one, before resuming."));
    }
    campaigns::move_status(tx.conn(), id, &[CampaignStatus::Paused], CampaignStatus::Active, None).await?;
    tx.wake(Wake::Dispatch);
    tx.commit().await?;
    Ok(Json(StatusOf { id, status: CampaignStatus::Active }))
}

/// One campaign of the caller's account.
pub(super) async fn found(conn: &mut Conn, account: AccountId, id: CampaignId) -> Result<Campaign> {
    campaigns::find(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::CampaignNotFound))
}

async fn check_outreach(conn: &mut Conn, account: AccountId, outreach: Option<OutreachId>) -> Result<()> {
    let Some(id) = outreach else { return Ok(()) };
    match outreaches::find(conn, account, id).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::missing(Code::OutreachNotFound)),
    }
}

fn not_planned(error: PlanError) -> ApiError {
    match error {
        PlanError::NothingPending => {
            ApiError::new(Code::NoPendingEnrollments, "There are no enrollments that wait for a dispatch.")
        }
        PlanError::Paused => {
            ApiError::new(Code::CampaignNotActive, "The campaign is paused; resume it before dispatching.")
        }
        PlanError::NoSteps => ApiError::unprocessable("The campaign has no steps to send."),
        PlanError::Store(error) => error.into(),
    }
}
