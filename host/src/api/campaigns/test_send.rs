//! A step, sent to the customer's own addresses at once.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::{Caller, MaySend};
use super::super::body::{self, Ids};
use super::super::error::{ApiError, Code, Result};
use super::super::input::{Fields, read};
use super::super::json::Given;
use super::super::state::Api;
use super::super::values::{email, id, whole};
use super::{check_plan, found, requests};
use crate::dispatch::test_send;
use crate::domain::EmailAddress;
use crate::domain::campaign::{Campaign, Step};
use crate::domain::credential::Credential;
use crate::domain::ids::{CampaignId, CredentialId};
use crate::store::suppressions::{self, Refusal};
use crate::store::{Conn, campaigns, credentials};

const MOST_RECIPIENTS: usize = 10;
/// Whoever asked is waiting.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What became of a test.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct TestSent {
    sent: Vec<String>,
    failed: Vec<Failed>,
}

/// An address that was not sent to.
#[derive(Serialize, ToSchema)]
#[schema(as = TestFailed)]
struct Failed {
    email: String,
    error: String,
}

struct Asked {
    emails: Vec<EmailAddress>,
    step: Option<u64>,
    credential: Option<CredentialId>,
}

/// Send a test
///
/// One step to at most ten addresses of your own, with made-up data, at once and within 30 s. It counts nowhere: no figure,
/// no limit, and its pixel and unsubscribe link are about nobody.
#[utoipa::path(post, path = "/campaigns/{id}/test_send", operation_id = "test_send", tag = "Campaigns",
    request_body = requests::TestSend,
    responses(
        (status = OK, description = "What became of each address.", body = TestSent),
        (status = 402, description = "`plan_limit_reached`", body = super::super::openapi::Error),
    ))]
pub(in super::super) async fn send(
    State(api): State<Api>,
    MaySend(caller): MaySend,
    Ids(id): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Json<TestSent>> {
    let mut conn = api.app.store.read().await?;
    let campaign = found(&mut conn, caller.account, id).await?;
    let Asked { emails, step, credential } = asked(body)?;
    let step = chosen_step(&mut conn, &campaign, step).await?;
    let credential = chosen_credential(&mut conn, &caller, &campaign, credential).await?;
    check_plan(&mut conn, caller.account, api.now()).await?;
    let mut answer = TestSent { sent: Vec::new(), failed: Vec::new() };
    let mut recipients = Vec::with_capacity(emails.len());
    for email in emails {
        match suppressions::refusal(&mut conn, caller.account, &email).await? {
            Some(refusal) => answer.failed.push(Failed { email: email.to_string(), error: never_mailed(refusal) }),
            None => recipients.push(email),
        }
    }
    // The server may take its time: the connection to the database is not kept for that.
    drop(conn);
    if !recipients.is_empty() {
        let tested = test_send::send(&api.app, &campaign, &step, credential, recipients, TIME_LIMIT).await;
        for (email, result) in tested {
            match result {
                Ok(()) => answer.sent.push(email.to_string()),
                Err(error) => answer.failed.push(Failed { email: email.to_string(), error }),
            }
        }
    }
    Ok(Json(answer))
}

fn asked(body: Given) -> Result<Asked> {
    let asked = read(body, |fields: &mut Fields<'_>| {
        let emails = fields.optional_values("emails", email).unwrap_or_default();
        if emails.len() > MOST_RECIPIENTS {
            fields.note("emails", format!("must have at most {MOST_RECIPIENTS}"));
        }
        let step = fields.optional("step", whole(1, u64::from(u32::MAX)));
        let credential = fields.optional("smtp_credential_id", id::<CredentialId>);
        Some(Asked { emails, step, credential })
    })?;
    if asked.emails.is_empty() {
        return Err(ApiError::new(Code::NoEmailsProvided, "Give at least one address in emails."));
    }
    let mut emails: Vec<EmailAddress> = Vec::with_capacity(asked.emails.len());
    for email in asked.emails {
        if emails.iter().all(|known| known.key() != email.key()) {
            emails.push(email);
        }
    }
    Ok(Asked { emails, ..asked })
}

/// The step at a position, or the first one.
async fn chosen_step(conn: &mut Conn, campaign: &Campaign, position: Option<u64>) -> Result<Step> {
    let steps = campaigns::steps(conn, campaign.id).await?;
    let positions = steps.iter().map(|step| step.position.to_string()).collect::<Vec<_>>().join(", ");
    let chosen = steps.into_iter().find(|step| position.is_none_or(|wanted| u64::from(step.position) == wanted));
    chosen.ok_or_else(|| ApiError::invalid_field("step", format!("is no step's position; there are {positions}")))
}

/// The named credential, be it disabled; else the first that is enabled.
async fn chosen_credential(
    conn: &mut Conn,
    caller: &Caller,
    campaign: &Campaign,
    wanted: Option<CredentialId>,
) -> Result<Credential> {
    if let Some(id) = wanted {
        let found = credentials::find(conn, caller.account, campaign.id, id).await?;
        return found.ok_or_else(|| ApiError::missing(Code::SmtpCredentialNotFound));
    }
    let all = credentials::of_campaign(conn, campaign.id).await?;
    let first = all.into_iter().find(|credential| credential.disabled.is_none());
    first.ok_or_else(|| ApiError::unprocessable("No credential is enabled; name one in smtp_credential_id."))
}

fn never_mailed(refusal: Refusal) -> String {
    match refusal {
        Refusal::Suppressed => "not sent: the address or its domain is suppressed".to_owned(),
        Refusal::Unsubscribed => "not sent: the contact with this address unsubscribed".to_owned(),
    }
}
