//! The sends to come, day by day. The rule is `domain::forecast`'s; here the campaign's outlook is gathered.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::MayRead;
use super::super::body::Ids;
use super::super::error::{ApiError, Result};
use super::super::state::Api;
use super::found;
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Step};
use crate::domain::credential::Credential;
use crate::domain::forecast::{
    Assumption, Batches, CredentialOutlook, Day, Forecast, Limit, Outlook, PlanOutlook, PlannedSends, Sends, forecast,
};
use crate::domain::ids::{CampaignId, CredentialId};
use crate::domain::status::CampaignStatus;
use crate::store::sends::{self, BatchesAlike};
use crate::store::{Conn, account_months, campaigns, credential_days, credentials, enrollments};

/// The sends to come, if nobody answers, bounces or unsubscribes and nothing is changed.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ForecastShown {
    /// What it takes for granted of a campaign that sends nothing by itself.
    assumes: Option<Assumption>,
    /// From today to the last day on which anything leaves, at most 90.
    days: Vec<DayShown>,
    /// What is left after the last of 90 days.
    after: SendsShown,
    /// Follow-ups of disabled credentials: they wait until it is enabled again.
    held: HeldShown,
    /// Enrollments that wait for a dispatch, and are in no day unless `assumes` says so.
    not_dispatched: u64,
}

/// A UTC day.
#[derive(Serialize, ToSchema)]
#[schema(as = DayOfForecast)]
struct DayShown {
    #[schema(format = Date)]
    date: String,
    #[serde(flatten)]
    sends: SendsShown,
    /// What kept more first steps from leaving.
    limited_by: Option<Limit>,
}

/// Sends of both kinds.
#[derive(Serialize, ToSchema)]
#[schema(as = SendsOfForecast)]
struct SendsShown {
    first_steps: u64,
    follow_ups: u64,
}

/// Sends that wait for somebody.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldOfForecast)]
struct HeldShown {
    follow_ups: u64,
}

/// Forecast a campaign's sends
///
/// Day by day, with what limits each: `daily_limit`, `plan_limit`, `no_credential`, `spacing`, or nothing.
#[utoipa::path(get, path = "/campaigns/{id}/send_forecast", operation_id = "send_forecast", tag = "Campaigns",
    responses((status = OK, description = "The days.", body = ForecastShown)))]
pub(in super::super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<ForecastShown>> {
    // Each looks at all that the campaign has planned: few at a time leave the database to others.
    let _permit = api.forecasts.acquire().await.map_err(ApiError::internal)?;
    // What leaves meanwhile must not be counted twice, nor not at all.
    let mut conn = api.app.store.snapshot().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    let waiting = enrollments::undispatched_alike(&mut conn, id).await?;
    let not_dispatched = waiting.iter().map(|batches| batches.batches * batches.each).sum();
    let assumes = match campaign.status {
        CampaignStatus::Pending => Some(Assumption::DispatchedNow),
        CampaignStatus::Paused => Some(Assumption::ResumedNow),
        CampaignStatus::Active | CampaignStatus::Finished => None,
    };
    let mut outlook = gather(&mut conn, &campaign, api.now()).await?;
    drop(conn);
    if campaign.status == CampaignStatus::Pending {
        outlook.batches = waiting.into_iter().map(|batches| dispatched(&campaign, batches, api.now())).collect();
    }
    let forecast = tokio::task::spawn_blocking(move || forecast(&outlook)).await.map_err(ApiError::internal)?;
    let Forecast { days, after, held } = forecast;
    Ok(Json(ForecastShown {
        assumes,
        days: days.into_iter().map(day_shown).collect(),
        after: sends_shown(after),
        held: HeldShown { follow_ups: held },
        not_dispatched,
    }))
}

async fn gather(conn: &mut Conn, campaign: &Campaign, now: Timestamp) -> Result<Outlook> {
    let id = campaign.id;
    let steps = campaigns::steps(conn, id).await?;
    let all = credentials::of_campaign(conn, id).await?;
    let places: HashMap<CredentialId, usize> = all.iter().enumerate().map(|(n, one)| (one.id, n)).collect();
    let ahead = match campaign.waits.max.is_zero() {
        true => sends::first_steps_ahead_without_gaps(conn, id, now).await?,
        false => sends::first_steps_ahead(conn, id, now).await?,
    };
    let mut planned = Vec::new();
    for alike in sends::of_credentials_ahead(conn, id, now).await? {
        // Those of a deleted credential do not leave any more.
        let Some(place) = places.get(&alike.credential_id) else { continue };
        let step = place_of(&steps, alike.step_position);
        planned.push(PlannedSends { step, at: alike.at, count: alike.count, credential: Some(*place) });
    }
    for held in sends::held(conn, id).await? {
        let step = place_of(&steps, held.step_position);
        planned.push(PlannedSends { step, at: now, count: held.count, credential: None });
    }
    let mut outlooks = Vec::with_capacity(all.len());
    for credential in &all {
        outlooks.push(credential_outlook(conn, credential, now).await?);
    }
    let plan = account_months::plan(conn, campaign.account_id, now.utc_month()).await?;
    let plan = plan.monthly_limit.map(|limit| PlanOutlook { monthly_limit: limit, left: plan.left().unwrap_or(0) });
    let delays = steps.iter().map(|step| step.delay).collect();
    let batches = ahead.into_iter().map(batches_ahead).collect();
    Ok(Outlook { now, waits: campaign.waits, delays, batches, planned, credentials: outlooks, plan })
}

async fn credential_outlook(conn: &mut Conn, credential: &Credential, now: Timestamp) -> Result<CredentialOutlook> {
    Ok(CredentialOutlook {
        is_disabled: credential.disabled.is_some(),
        resting_until: credential.resting_until,
        daily_limit: credential.effective_limit(),
        sent_today: credential_days::reserved(conn, credential.id, now.utc_day()).await?,
    })
}

/// The place of a step in the sequence, from 0.
fn place_of(steps: &[Step], position: u32) -> usize {
    steps.iter().take_while(|step| step.position < position).count()
}

fn batches_ahead(alike: BatchesAlike) -> Batches {
    let gaps = alike.each.saturating_sub(1).max(1);
    let gap = Duration::from_millis(alike.span_millis / gaps);
    Batches { count: alike.batches, each: alike.each, next_at: alike.next_at, gap }
}

/// Batches as a dispatch would plan them.
fn dispatched(campaign: &Campaign, batches: enrollments::UndispatchedAlike, now: Timestamp) -> Batches {
    Batches { count: batches.batches, each: batches.each, next_at: now, gap: campaign.waits.gap(0.5) }
}

fn day_shown(day: Day) -> DayShown {
    let Day { begins, sends, limited_by } = day;
    DayShown { date: begins.utc_date(), sends: sends_shown(sends), limited_by }
}

fn sends_shown(sends: Sends) -> SendsShown {
    SendsShown { first_steps: sends.first_steps, follow_ups: sends.follow_ups }
}
