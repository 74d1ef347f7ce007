//! Why nothing is being sent right now: each thing that stands in the way, and until when.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::auth::MayRead;
use super::super::body::Ids;
use super::super::error::Result;
use super::super::state::Api;
use super::found;
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::credential::Credential;
use crate::domain::ids::{CampaignId, CredentialId};
use crate::domain::status::CampaignStatus;
use crate::store::{Conn, credentials, enrollments, sends};

#[derive(Serialize)]
pub(in super::super) struct Explanation {
    /// `sending`, `waiting`, `blocked` or `idle`.
    state: &'static str,
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: String,
    until: Option<Timestamp>,
    subject_id: Option<String>,
}

/// When the next sends are planned for.
struct Planned {
    first_step: Option<Timestamp>,
    follow_ups: Vec<(CredentialId, Timestamp)>,
}

pub(in super::super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<Explanation>> {
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    Ok(Json(explain(&mut conn, &campaign, api.now()).await?))
}

async fn explain(conn: &mut Conn, campaign: &Campaign, now: Timestamp) -> Result<Explanation> {
    match campaign.status {
        CampaignStatus::Pending => {
            return Ok(stopped(
                "idle",
                "never_dispatched",
                "The campaign was never dispatched: POST /campaigns/:id/dispatch.",
            ));
        }
        CampaignStatus::Finished => return Ok(stopped("idle", "finished", "Nothing is left to send.")),
        CampaignStatus::Paused => {
            let why = campaign.paused_reason.as_deref().unwrap_or("no reason was given");
            return Ok(stopped("blocked", "campaign_paused", format!("The campaign is paused: {why}.")));
        }
        CampaignStatus::Active => {}
    }
    let credentials = credentials::of_campaign(conn, campaign.id).await?;
    let planned = planned(conn, campaign.id, &credentials).await?;
    let next = planned.follow_ups.iter().map(|(_, at)| *at).chain(planned.first_step).min();
    let Some(next) = next else { return nothing_planned(conn, campaign).await };
    if next > now {
        let message = "The next message waits for its time: the gap between sends, a step's delay or a retry.";
        let reason =
            Reason { code: "waiting_for_due_time", message: message.to_owned(), until: Some(next), subject_id: None };
        return Ok(Explanation { state: "waiting", reasons: vec![reason] });
    }
    let mut reasons = Vec::new();
    let mut can_send = false;
    for credential in &credentials {
        let has_follow_up = planned.follow_ups.iter().any(|(id, at)| *id == credential.id && *at <= now);
        match obstacle(conn, credential, has_follow_up, now).await? {
            Some(reason) => reasons.push(reason),
            None => can_send |= has_follow_up || planned.first_step.is_some_and(|at| at <= now),
        }
    }
    if can_send {
        return Ok(Explanation { state: "sending", reasons });
    }
    Ok(Explanation { state: "blocked", reasons })
}

async fn planned(conn: &mut Conn, campaign: CampaignId, credentials: &[Credential]) -> Result<Planned> {
    let first_step = sends::next_due(conn, campaign, None).await?;
    let mut follow_ups = Vec::new();
    for credential in credentials {
        let next = sends::next_due(conn, campaign, Some(credential.id)).await?;
        follow_ups.extend(next.map(|at| (credential.id, at)));
    }
    Ok(Planned { first_step, follow_ups })
}

async fn nothing_planned(conn: &mut Conn, campaign: &Campaign) -> Result<Explanation> {
    if enrollments::undispatched(conn, campaign.id, None, 1).await?.is_empty() {
        return Ok(stopped("idle", "nothing_to_send", "Every enrollment was sent to, or has ended."));
    }
    let message = "Enrollments wait for a dispatch of their own: POST /campaigns/:id/dispatch.";
    Ok(stopped("idle", "not_dispatched", message))
}

/// What keeps a credential from sending now. Its daily limit does not bind follow-ups.
async fn obstacle(
    conn: &mut Conn,
    credential: &Credential,
    has_follow_up: bool,
    now: Timestamp,
) -> Result<Option<Reason>> {
    let from = &credential.from_email;
    let reason = |code, message, until| Reason { code, message, until, subject_id: Some(credential.id.to_string()) };
    if let Some(disabled) = &credential.disabled {
        return Ok(Some(reason("credential_disabled", format!("{from} is disabled: {}.", disabled.reason), None)));
    }
    if let Some(until) = credential.resting_until.filter(|until| *until > now) {
        let why = credential.last_error.as_deref().unwrap_or("its server refused it");
        return Ok(Some(reason("credential_resting", format!("{from} rests: {why}"), Some(until))));
    }
    let limit = credential.effective_limit();
    if !has_follow_up && credentials::reserved(conn, credential.id, now.utc_day()).await? >= limit {
        let message = format!("{from} has used its daily limit of {limit} for this UTC day.");
        return Ok(Some(reason("daily_limit_reached", message, Some(now.next_utc_day()))));
    }
    Ok(None)
}

fn stopped(state: &'static str, code: &'static str, message: impl Into<String>) -> Explanation {
    let reason = Reason { code, message: message.into(), until: None, subject_id: None };
    Explanation { state, reasons: vec![reason] }
}
