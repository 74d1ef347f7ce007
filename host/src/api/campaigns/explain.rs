//! Why nothing is being sent right now. The rule is `domain::explain`'s; here its facts are gathered.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::MayRead;
use super::super::body::Ids;
use super::super::error::Result;
use super::super::state::Api;
use super::found;
use crate::dispatch::most_held;
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::explain::{CredentialFacts, ExplainState, Explanation, Facts, ReasonCode, explain};
use crate::domain::ids::CampaignId;
use crate::store::{Conn, account_months, credential_days, credentials, enrollments, sends};

/// What a campaign is doing and what it waits for.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ExplanationShown {
    state: ExplainState,
    /// The limit that binds comes first; what else stands in the way of single credentials follows.
    reasons: Vec<ReasonShown>,
}

/// One thing that stands in the way.
#[derive(Serialize, ToSchema)]
struct ReasonShown {
    code: ReasonCode,
    /// For people.
    message: String,
    /// When it ends by itself.
    until: Option<Timestamp>,
    /// The credential or account that it is about.
    subject_id: Option<String>,
}

/// Say why nothing is being sent right now
///
/// `reasons[0]` is the one limit that binds, and `until` is when it ends by itself. Codes: `nobody_enrolled`,
/// `never_dispatched`, `not_dispatched` (enrollments wait for a dispatch), `finished`, `nothing_to_send`, `in_doubt`
/// (messages may or may not have left), `campaign_paused`, `waiting_for_due_time` (the waits, or a step's delay),
/// `put_off` (by a server, an MX look-up or a send gate), `no_credential`, `credential_disabled`, `credential_resting`
/// (its server refused it), `credential_busy` (its connections carry no more), `daily_limit_reached` (until the next UTC
/// midnight), `daily_limit_is_zero`, `plan_limit_reached` (until the next UTC month).
#[utoipa::path(get, path = "/campaigns/{id}/explain", operation_id = "explain_campaign", tag = "Campaigns",
    responses((status = OK, description = "What it is doing.", body = ExplanationShown)))]
pub(in super::super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<ExplanationShown>> {
    // Of one moment: what leaves meanwhile is planned or sent, and not both.
    let mut conn = api.app.store.snapshot().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    let facts = gather(&mut conn, &api, campaign).await?;
    let Explanation { state, reasons } = explain(&facts);
    let shown = |r: crate::domain::explain::Reason| ReasonShown {
        code: r.code,
        message: r.message,
        until: r.until,
        subject_id: r.subject_id,
    };
    Ok(Json(ExplanationShown { state, reasons: reasons.into_iter().map(shown).collect() }))
}

async fn gather(conn: &mut Conn, api: &Api, campaign: Campaign) -> Result<Facts> {
    let (now, id) = (api.now(), campaign.id);
    let held = sends::held(conn, id).await?;
    let mut of_credentials = Vec::new();
    for credential in credentials::of_campaign(conn, id).await? {
        let sent_today = credential_days::reserved(conn, credential.id, now.utc_day()).await?;
        let own = sends::next(conn, id, Some(credential.id)).await?;
        let held = held.iter().filter(|held| held.credential_id == Some(credential.id)).map(|held| held.count).sum();
        of_credentials.push(CredentialFacts { credential, sent_today, held, own });
    }
    Ok(Facts {
        now,
        plan: account_months::plan(conn, campaign.account_id, now.utc_month()).await?,
        has_enrollments: enrollments::has_any(conn, id).await?,
        has_undispatched: enrollments::has_undispatched(conn, id).await?,
        in_doubt: sends::in_doubt_of(conn, id).await?,
        first_step: sends::next(conn, id, None).await?,
        credentials: of_credentials,
        most_held: most_held(&api.app),
        campaign,
    })
}
