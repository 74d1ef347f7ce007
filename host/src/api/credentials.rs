//! SMTP credentials of a campaign: made with it or later, changed, tried, enabled again. Passwords are sealed on their
//! way in and never come out.

mod input;
pub(super) mod requests;
mod trial;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::campaigns::found as campaign_found;
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::credential::Credential;
use crate::domain::ids::{AccountId, CampaignId, CredentialId};
use crate::domain::provider::Provider;
use crate::domain::status::{CampaignStatus, TlsMode};
use crate::store::{Conn, Tx, campaigns, credentials, facts, mailboxes};
use crate::wake::Wake;

pub(super) use input::new_credential;

/// The answer to the making of one.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialMade {
    id: CredentialId,
    from_email: String,
    from_name: String,
    smtp_host: String,
    smtp_port: u16,
    daily_limit: u64,
}

/// An SMTP account of a campaign, and how it fares. Passwords are never shown.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialShown {
    id: CredentialId,
    label: Option<String>,
    smtp_host: String,
    smtp_port: u16,
    smtp_username: String,
    smtp_tls: TlsMode,
    provider: Option<Provider>,
    from_name: String,
    from_email: String,
    /// First-step sends of a UTC day.
    daily_limit: u64,
    /// What a bounce policy throttled it to; the smaller limit binds.
    throttled_limit: Option<u64>,
    imap_host: Option<String>,
    imap_port: Option<u16>,
    imap_username: Option<String>,
    imap_tls: Option<TlsMode>,
    disabled_at: Option<Timestamp>,
    disabled_reason: Option<String>,
    /// Its server refused it; it is tried again then.
    resting_until: Option<Timestamp>,
    last_error: Option<String>,
    mailbox: Option<MailboxShown>,
    created_at: Timestamp,
}

/// How watching its mailbox goes.
#[derive(Serialize, ToSchema)]
struct MailboxShown {
    last_checked_at: Option<Timestamp>,
    last_error: Option<String>,
}

/// A credential that sends again.
#[derive(Serialize, ToSchema)]
pub(super) struct Reenabled {
    id: CredentialId,
    from_email: String,
    /// `enabled`
    status: &'static str,
}

/// List a campaign's credentials
#[utoipa::path(get, path = "/campaigns/{id}/smtp_credentials", operation_id = "list_smtp_credentials",
    tag = "SMTP credentials", params(PageParameters),
    responses((status = OK, description = "Newest first.", body = [CredentialShown])))]
pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(campaign): Ids<CampaignId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    campaign_found(&mut conn, caller.account, campaign).await?;
    let mut rows = Vec::new();
    for credential in credentials::list(&mut conn, campaign, &asked.page()).await? {
        rows.push(shown(&mut conn, credential).await?);
    }
    Ok(asked.answer(rows, |credential| credential.id, |credential| credential))
}

/// Show a credential
#[utoipa::path(get, path = "/campaigns/{id}/smtp_credentials/{credential}", operation_id = "show_smtp_credential",
    tag = "SMTP credentials", responses((status = OK, description = "Without its passwords.", body = CredentialShown)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Json<CredentialShown>> {
    let mut conn = api.app.store.read().await?;
    let credential = found(&mut conn, caller.account, campaign, id).await?;
    shown(&mut conn, credential).await.map(Json)
}

/// Add a credential to a campaign
#[utoipa::path(post, path = "/campaigns/{id}/smtp_credentials", operation_id = "create_smtp_credential",
    tag = "SMTP credentials", request_body = requests::NewCredential,
    responses((status = CREATED, description = "It takes its turn from now on.", body = CredentialMade)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(campaign): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    let campaign = campaign_found(tx.conn(), caller.account, campaign).await?;
    let credential = read_wrapped(body, "smtp_credential", |fields| new_credential(fields, &api, &campaign, now))?;
    insert(&mut tx, &credential, now).await?;
    tx.wake(Wake::Dispatch);
    let Credential { id, from_email, from_name, smtp, daily_limit, .. } = credential;
    let made = CredentialMade { id, from_email, from_name, smtp_host: smtp.host, smtp_port: smtp.port, daily_limit };
    caller.commit(tx, StatusCode::CREATED, &made).await
}

/// Change a credential
///
/// A rest ends with it. `imap_host: null` turns reply detection off. Another `imap_host` or `imap_username` is another
/// mailbox: it is read from when the one before was last read to its end, and where that never was, from when it was given.
#[utoipa::path(patch, path = "/campaigns/{id}/smtp_credentials/{credential}", operation_id = "update_smtp_credential",
    tag = "SMTP credentials", request_body = requests::CredentialChange,
    responses((status = OK, description = "As it is now.", body = CredentialShown)))]
pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
    body::Json(body): body::Json,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    credentials::lock(tx.conn(), id).await?;
    let mut credential = found(tx.conn(), caller.account, campaign, id).await?;
    let before = credential.imap.clone();
    read_wrapped(body, "smtp_credential", |fields| input::change(fields, &api, &mut credential))?;
    credentials::update(tx.conn(), &credential).await?;
    mailboxes::follow(tx.conn(), &credential, before.as_ref(), api.now()).await?;
    tx.wake(Wake::Inbox);
    tx.wake(Wake::Dispatch);
    let shown = shown(tx.conn(), credential).await?;
    caller.commit(tx, StatusCode::OK, &shown).await
}

/// Delete a credential
///
/// Its follow-ups end; the first steps that wait for it go out through another. Its figures stay in the campaign's rates.
#[utoipa::path(delete, path = "/campaigns/{id}/smtp_credentials/{credential}", operation_id = "delete_smtp_credential",
    tag = "SMTP credentials", responses((status = OK, description = "It is gone.", body = Deleted<CredentialId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Answer> {
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    let campaign = campaign_found(tx.conn(), caller.account, campaign).await?;
    found(tx.conn(), caller.account, campaign.id, id).await?;
    // Another that goes off at the same time must know of this one, or this one of that.
    campaigns::lock(tx.conn(), campaign.id).await?;
    credentials::delete(tx.conn(), id, now).await?;
    facts::campaign::end_with_credential(&mut tx, campaign.id, id, now).await?;
    let usable = credentials::of_campaign(tx.conn(), campaign.id).await?.iter().any(|other| other.disabled.is_none());
    if !usable && campaign.status == CampaignStatus::Active {
        facts::campaign::pause(&mut tx, &campaign, "no enabled credential is left", now).await?;
    }
    tx.wake(Wake::Inbox);
    tx.wake(Wake::Dispatch);
    caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await
}

/// Enable a credential again
///
/// Its counts since it was enabled begin anew; a throttle and a rest end. A campaign that was paused stays paused.
#[utoipa::path(post, path = "/campaigns/{id}/smtp_credentials/{credential}/reenable",
    operation_id = "reenable_smtp_credential", tag = "SMTP credentials",
    responses((status = OK, description = "It sends again.", body = Reenabled)))]
pub(super) async fn reenable(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let credential = found(tx.conn(), caller.account, campaign, id).await?;
    credentials::reenable(tx.conn(), id, api.now()).await?;
    tx.wake(Wake::Dispatch);
    caller.commit(tx, StatusCode::OK, &Reenabled { id, from_email: credential.from_email, status: "enabled" }).await
}

/// Try a credential
///
/// Connects and signs in, on both servers at once, for at most 30 s; sends and marks nothing.
#[utoipa::path(post, path = "/campaigns/{id}/smtp_credentials/{credential}/test", operation_id = "test_smtp_credential",
    tag = "SMTP credentials", responses((status = OK, description = "What came of it.", body = trial::Tried)))]
pub(super) async fn test(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Json<trial::Tried>> {
    let mut conn = api.app.store.read().await?;
    let credential = found(&mut conn, caller.account, campaign, id).await?;
    // Servers may take a minute to answer: the connection to the database is not kept for that.
    drop(conn);
    trial::of(&api, &credential).await.map(Json)
}

/// Stores a new credential; its mailbox is watched from now on.
pub(super) async fn insert(tx: &mut Tx, credential: &Credential, now: Timestamp) -> Result<()> {
    credentials::insert(tx.conn(), credential).await?;
    if credential.imap.is_some() {
        mailboxes::watch(tx.conn(), credential.id, credential.account_id, now).await?;
        tx.wake(Wake::Inbox);
    }
    Ok(())
}

async fn found(conn: &mut Conn, account: AccountId, campaign: CampaignId, id: CredentialId) -> Result<Credential> {
    campaign_found(conn, account, campaign).await?;
    let credential = credentials::find(conn, account, campaign, id).await?;
    credential.ok_or_else(|| ApiError::missing(Code::SmtpCredentialNotFound))
}

async fn shown(conn: &mut Conn, credential: Credential) -> Result<CredentialShown> {
    let mailbox = mailboxes::mailbox(conn, credential.id).await?;
    let mailbox = mailbox.map(|m| MailboxShown { last_checked_at: m.last_checked_at, last_error: m.last_error });
    let (imap, disabled) = (credential.imap.as_ref(), credential.disabled.as_ref());
    Ok(CredentialShown {
        id: credential.id,
        provider: credential.provider(),
        label: credential.label,
        smtp_host: credential.smtp.host,
        smtp_port: credential.smtp.port,
        smtp_username: credential.smtp.username,
        smtp_tls: credential.smtp.tls,
        from_name: credential.from_name,
        from_email: credential.from_email,
        daily_limit: credential.daily_limit,
        throttled_limit: credential.throttled_limit,
        imap_host: imap.map(|imap| imap.host.clone()),
        imap_port: imap.map(|imap| imap.port),
        imap_username: imap.map(|imap| imap.username.clone()),
        imap_tls: imap.map(|imap| imap.tls),
        disabled_at: disabled.map(|disabled| disabled.at),
        disabled_reason: disabled.map(|disabled| disabled.reason.clone()),
        resting_until: credential.resting_until,
        last_error: credential.last_error,
        mailbox,
        created_at: credential.created_at,
    })
}
