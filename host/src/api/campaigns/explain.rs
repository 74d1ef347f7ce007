//! Why nothing is being sent right now. The rule is `domain::explain`'s; here its facts are gathered.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

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
use crate::store::{Conn, account_months, credentials, enrollments, sends};

#[derive(Serialize)]
pub(in super::super) struct ExplanationShown {
    state: ExplainState,
    reasons: Vec<ReasonShown>,
}

#[derive(Serialize)]
struct ReasonShown {
    code: ReasonCode,
    message: String,
    until: Option<Timestamp>,
    subject_id: Option<String>,
}

pub(in super::super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<CampaignId>,
) -> Result<Json<ExplanationShown>> {
    let mut conn = api.app.store.read().await?;
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
        let sent_today = credentials::reserved(conn, credential.id, now.utc_day()).await?;
        let own = sends::next(conn, id, Some(credential.id)).await?;
        let held = held.iter().filter(|held| held.credential_id == Some(credential.id)).map(|held| held.count).sum();
        of_credentials.push(CredentialFacts { credential, sent_today, held, own });
    }
    Ok(Facts {
        now,
        plan: account_months::plan(conn, campaign.account_id, now.utc_month()).await?,
        has_undispatched: !enrollments::undispatched(conn, id, None, 1).await?.is_empty(),
        in_doubt: sends::in_doubt_of(conn, id).await?,
        first_step: sends::next(conn, id, None).await?,
        credentials: of_credentials,
        most_held: most_held(&api.app),
        campaign,
    })
}
