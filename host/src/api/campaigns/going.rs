//! A campaign is told to go, to pause and to go on.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::Answer;
use super::super::auth::{MaySend, MayWrite};
use super::super::body::{self, Ids};
use super::super::error::{ApiError, Code, Result};
use super::super::input::read;
use super::super::state::Api;
use super::super::values::whole;
use super::{check_plan, found, requests};
use crate::dispatch::plan::{PlanError, Planned, Planning};
use crate::domain::ids::CampaignId;
use crate::domain::status::CampaignStatus;
use crate::store::{campaigns, credentials, enrollments, facts, sends};
use crate::wake::Wake;

/// Where a campaign stands.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct StatusOf {
    id: CampaignId,
    status: CampaignStatus,
}

/// What a dispatch set going.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Dispatched {
    status: CampaignStatus,
    /// Enrollments that were given their time.
    dispatched: u64,
    /// Batches that they are in.
    batches: u64,
}

/// Dispatch a campaign
///
/// Every enrollment that waits is given its time: within a batch spaced by the waits, batches side by side.
#[utoipa::path(post, path = "/campaigns/{id}/dispatch", operation_id = "dispatch_campaign", tag = "Campaigns",
    request_body(content = requests::Dispatch, description = "It may be left out."),
    responses(
        (status = ACCEPTED, description = "It goes.", body = Dispatched),
        (status = 402, description = "`plan_limit_reached`", body = super::super::openapi::Error),
    ))]
pub(in super::super) async fn dispatch(
    State(api): State<Api>,
    MaySend(caller): MaySend,
    Ids(id): Ids<CampaignId>,
    body::OptionalJson(body): body::OptionalJson,
) -> Result<Answer> {
    let batch = read(body, |fields| Some(fields.optional("batch_number", whole(0, u64::from(u32::MAX)))))?;
    let batch = batch.and_then(|batch| i64::try_from(batch).ok());
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    check_plan(&mut conn, caller.account, api.now()).await?;
    let mut planning = Planning::begin(&mut conn, campaign, batch).await.map_err(not_planned)?;
    drop(conn);
    let mut is_bulk = false;
    loop {
        let mut tx = api.app.store.begin().await?;
        let planned = match planning.go_on(&mut tx, api.now()).await {
            // The try before this one was cut off behind its last enrollment.
            Err(PlanError::NothingPending) if caller.resumed().is_some() => Some(Planned::default()),
            planned => planned.map_err(not_planned)?,
        };
        if let Some(Planned { dispatched, batches }) = planned {
            let answer = Dispatched { status: CampaignStatus::Active, dispatched, batches };
            let answer = caller.commit(tx, StatusCode::ACCEPTED, &answer).await?;
            if is_bulk {
                api.app.store.refresh_statistics().await;
            }
            return Ok(answer);
        }
        caller.begun(&mut tx, &id.to_string()).await?;
        tx.commit().await?;
        // What it has planned so far is being sent already.
        if !std::mem::replace(&mut is_bulk, true) {
            api.app.store.refresh_statistics().await;
        }
    }
}

/// Pause a campaign
#[utoipa::path(post, path = "/campaigns/{id}/pause", operation_id = "pause_campaign", tag = "Campaigns",
    responses((status = OK, description = "Nothing more leaves.", body = StatusOf)))]
pub(in super::super) async fn pause(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<CampaignId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let campaign = found(tx.conn(), caller.account, id).await?;
    if !facts::campaign::pause(&mut tx, &campaign, "paused through the API", api.now()).await? {
        let message = format!("The campaign is {}; only an active one can be paused.", campaign.status);
        return Err(ApiError::new(Code::CampaignNotActive, message));
    }
    caller.commit(tx, StatusCode::OK, &StatusOf { id, status: CampaignStatus::Paused }).await
}

/// Resume a campaign
///
/// What was due meanwhile leaves with its gaps, not in a burst.
#[utoipa::path(post, path = "/campaigns/{id}/resume", operation_id = "resume_campaign", tag = "Campaigns",
    responses((status = OK, description = "It goes on.", body = StatusOf)))]
pub(in super::super) async fn resume(
    State(api): State<Api>,
    MaySend(caller): MaySend,
    Ids(id): Ids<CampaignId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let campaign = found(tx.conn(), caller.account, id).await?;
    if campaign.status != CampaignStatus::Paused {
        let message = format!("The campaign is {}; only a paused one can be resumed.", campaign.status);
        return Err(ApiError::new(Code::CampaignNotPaused, message));
    }
    let credentials = credentials::of_campaign(tx.conn(), id).await?;
    let has_none = credentials.iter().all(|credential| credential.disabled.is_some());
    // One with nothing left to send needs none to be finished.
    if has_none && (sends::is_any_planned(tx.conn(), id).await? || enrollments::has_undispatched(tx.conn(), id).await?)
    {
        return Err(ApiError::unprocessable("No credential is enabled; reenable one, or add one, before resuming."));
    }
    campaigns::move_status(tx.conn(), id, &[CampaignStatus::Paused], CampaignStatus::Active, None).await?;
    tx.wake(Wake::Dispatch);
    caller.commit(tx, StatusCode::OK, &StatusOf { id, status: CampaignStatus::Active }).await
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
