//! Campaigns: made with their credentials and steps, shown and changed.

pub(super) mod delete;
pub(super) mod explain;
pub(super) mod going;
mod input;
pub(super) mod preview;
mod requests;
pub(super) mod send_forecast;
mod shown;
pub(super) mod test_send;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::credentials::insert as insert_credential;
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{AccountId, CampaignId, CredentialId, OutreachId, StepId};
use crate::domain::status::CampaignStatus;
use crate::store::{Conn, account_months, campaigns, outreaches};

/// A campaign in a list.
#[derive(Serialize, ToSchema)]
struct CampaignListed {
    id: CampaignId,
    name: String,
    status: CampaignStatus,
    created_at: Timestamp,
}

/// The ids of what came into being.
#[derive(Serialize, ToSchema)]
pub(super) struct CampaignMade {
    id: CampaignId,
    status: CampaignStatus,
    smtp_credentials: Vec<CredentialMade>,
    sequence_steps: Vec<StepMade>,
}

/// A credential that was made with its campaign.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialOfNewCampaign)]
struct CredentialMade {
    id: CredentialId,
    from_email: String,
}

/// A step that was made with its campaign.
#[derive(Serialize, ToSchema)]
struct StepMade {
    id: StepId,
    position: u32,
}

/// List the campaigns
#[utoipa::path(get, path = "/campaigns", operation_id = "list_campaigns", tag = "Campaigns",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [CampaignListed])))]
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

/// Make a campaign
///
/// With its credentials and steps. Everything that is wrong is told at once.
#[utoipa::path(post, path = "/campaigns", operation_id = "create_campaign", tag = "Campaigns",
    request_body = requests::NewCampaign,
    responses(
        (status = CREATED, description = "It is made, with the ids of all that came with it.", body = CampaignMade),
        (status = 404, description = "`outreach_not_found`", body = super::openapi::Error),
    ))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    body::Json(body): body::Json,
) -> Result<Answer> {
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
    caller.commit(tx, StatusCode::CREATED, &made).await
}

/// Show a campaign
///
/// Its fields and its figures. Nothing is counted for it, so it is as fast for a million enrollments as for one.
#[utoipa::path(get, path = "/campaigns/{id}", operation_id = "show_campaign", tag = "Campaigns",
    params(("batches_after" = Option<u64>, Query, minimum = 0, maximum = 4294967295_u64,
        description = "`per_batch` begins after this batch number.")),
    responses((status = OK, description = "The campaign.", body = shown::CampaignShown)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
    mut parameters: Parameters,
) -> Result<Json<shown::CampaignShown>> {
    let after = parameters.optional("batches_after", |text| text.parse::<u32>().ok(), "a batch's number");
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    Ok(Json(shown::gather(&mut conn, campaign, after.map(i64::from), api.now()).await?))
}

/// Change a campaign
///
/// New waits hold for what is given its time from then on; what is planned already leaves when it would have.
#[utoipa::path(patch, path = "/campaigns/{id}", operation_id = "update_campaign", tag = "Campaigns",
    request_body = requests::CampaignChange,
    responses((status = OK, description = "As it is now.", body = shown::CampaignShown)))]
pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    campaigns::lock(tx.conn(), id).await?;
    let mut campaign = found(tx.conn(), caller.account, id).await?;
    read_wrapped(body, "campaign", |fields| input::change(fields, &mut campaign))?;
    campaigns::update(tx.conn(), &campaign).await?;
    let shown = shown::gather(tx.conn(), campaign, None, api.now()).await?;
    caller.commit(tx, StatusCode::OK, &shown).await
}

/// One campaign of the caller's account.
pub(super) async fn found(conn: &mut Conn, account: AccountId, id: CampaignId) -> Result<Campaign> {
    campaigns::find(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::CampaignNotFound))
}

/// Refuses where the account's plan is used up.
async fn check_plan(conn: &mut Conn, account: AccountId, now: Timestamp) -> Result<()> {
    let plan = account_months::plan(conn, account, now.utc_month()).await?;
    if plan.is_used_up() {
        return Err(ApiError::plan_limit(&plan, now.next_utc_month()));
    }
    Ok(())
}

async fn check_outreach(conn: &mut Conn, account: AccountId, outreach: Option<OutreachId>) -> Result<()> {
    let Some(id) = outreach else { return Ok(()) };
    match outreaches::find(conn, account, id).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::missing(Code::OutreachNotFound)),
    }
}
