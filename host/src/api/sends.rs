//! Sends in doubt: found and settled by people.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MaySend};
use super::body::{self, Ids};
use super::campaigns::found as campaign_found;
use super::error::{ApiError, Code, Result};
use super::input::read;
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::word;
use crate::domain::ids::{CampaignId, ContactId, CredentialId, EnrollmentId, SendId};
use crate::domain::status::{ResolvedAs, SendState};
use crate::domain::{Timestamp, message_id};
use crate::store::facts::doubt::{self, Unresolved};
use crate::store::sends::{self, Doubt};

/// A message that may or may not have left.
#[derive(Serialize, ToSchema)]
pub(super) struct SendInDoubt {
    id: SendId,
    state: SendState,
    campaign_id: CampaignId,
    enrollment_id: EnrollmentId,
    contact_id: ContactId,
    contact_email: String,
    /// Which step, from 1.
    step: u32,
    /// What to look for in the provider's log or the Sent folder, without its angle brackets.
    message_id: String,
    smtp_credential_id: Option<CredentialId>,
    from_email: String,
    /// Why nobody knows.
    reason: Option<String>,
    in_doubt_since: Option<Timestamp>,
}

/// What is known of a message in doubt.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `resolve` reads it")]
struct Resolve {
    r#as: ResolvedAs,
}

/// A doubt that was settled.
#[derive(Serialize, ToSchema)]
pub(super) struct Resolved {
    id: SendId,
    /// `sent`, or `due`: it is tried again.
    state: SendState,
    /// When it is tried again: now, or in the next UTC day whose limit has a place for it.
    due_at: Option<Timestamp>,
}

/// The filters, for the reference page.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape alone; `list` reads them")]
pub(super) struct SendFilters {
    /// The one state that sends are listed by; what became of any other stands in its enrollment's timeline.
    #[param(inline)]
    state: ListedState,
    /// Of this campaign alone.
    campaign_id: Option<CampaignId>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape alone")]
enum ListedState {
    InDoubt,
}

/// List the messages in doubt
///
/// Their server may have them: the connection broke, or the engine was killed, between the message and the answer. None is
/// sent again by itself. A provider's event, a DSN, an answer, an open or an opt-out settles it; so do you, with `resolve`.
#[utoipa::path(get, path = "/sends", operation_id = "list_sends", tag = "Sends", params(PageParameters, SendFilters),
    responses((status = OK, description = "Newest first.", body = [SendInDoubt]),
        (status = NOT_FOUND, description = "There is no such campaign.", body = super::openapi::Error)))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    let only = |text: &str| (text == SendState::InDoubt.as_str()).then_some(());
    parameters.required("state", only, "in_doubt");
    let campaign = parameters.id::<CampaignId>("campaign_id");
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    if let Some(campaign) = campaign {
        campaign_found(&mut conn, caller.account, campaign).await?;
    }
    let rows = sends::in_doubt(&mut conn, caller.account, campaign, &asked.page()).await?;
    Ok(asked.answer(rows, |doubt| doubt.send.id, shown))
}

/// Settle a doubt
///
/// `sent`: you have found out that it left; it counts as sent, and the next step follows. `retry`: it did not leave, or you
/// would rather send it twice than not at all; it goes out through the same credential with the same Message-ID. Evidence
/// may come first: then there is no doubt any more, and the call is refused.
#[utoipa::path(post, path = "/sends/{id}/resolve", operation_id = "resolve_send", tag = "Sends", request_body = Resolve,
    responses((status = OK, description = "It is settled.", body = Resolved)))]
pub(super) async fn resolve(
    State(api): State<Api>,
    MaySend(caller): MaySend,
    Ids(id): Ids<SendId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let resolved_as = read(body, |fields| fields.required("as", word(ResolvedAs::parse, ResolvedAs::ALL)))?;
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    let send = sends::find(tx.conn(), caller.account, id).await?;
    let send = send.ok_or_else(|| ApiError::missing(Code::SendNotFound))?;
    let settled = match resolved_as {
        ResolvedAs::Sent => {
            let settled = doubt::resolved_as_sent(&mut tx, &send, caller.key, rand::random(), now).await?;
            settled.map(|()| Resolved { id, state: SendState::Sent, due_at: None })
        }
        ResolvedAs::Retry => {
            let settled = doubt::resolved_as_retry(&mut tx, &send, caller.key, now).await?;
            settled.map(|due_at| Resolved { id, state: SendState::Due, due_at: Some(due_at) })
        }
    };
    match settled {
        Ok(answer) => caller.commit(tx, StatusCode::OK, &answer).await,
        Err(why) => Err(refused(why)),
    }
}

fn refused(why: Unresolved) -> ApiError {
    ApiError::unprocessable(match why {
        Unresolved::NotInDoubt(state) => format!("The send is {state}; only one in doubt can be resolved."),
        Unresolved::Stopped(reason) => {
            format!("Nothing more is sent to its enrollment ({reason}); it can only be resolved as sent.")
        }
        Unresolved::CredentialGone => {
            "Its credential was deleted, and no other can send it as it was; it can only be resolved as sent."
                .to_owned()
        }
        Unresolved::NoPlace { daily_limit: limit } => {
            format!("Its credential's daily limit of {limit} has no place for it in the next 30 days; raise it first.")
        }
    })
}

fn shown(doubt: Doubt) -> SendInDoubt {
    let Doubt { send, contact_email, from_email, message_id_domain, since } = doubt;
    let domain = message_id::domain_of(message_id_domain.as_deref(), &from_email);
    SendInDoubt {
        id: send.id,
        state: send.state,
        campaign_id: send.campaign_id,
        enrollment_id: send.enrollment_id,
        contact_id: send.contact_id,
        contact_email,
        step: send.step_position,
        message_id: message_id::message_id_of(send.id, domain),
        smtp_credential_id: send.smtp_credential_id,
        from_email,
        reason: send.reason,
        in_doubt_since: since,
    }
}
