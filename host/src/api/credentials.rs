//! SMTP credentials of a campaign: made with it or later, changed, tried, enabled again. Passwords are sealed on their
//! way in and never come out.

mod input;

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::auth::{MayRead, MayWrite};
use super::body::{self, Ids};
use super::campaigns::found as campaign_found;
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::input::read_wrapped;
use super::query::{Listed, Parameters};
use super::state::Api;
use crate::domain::Timestamp;
use crate::domain::credential::{Credential, Endpoint};
use crate::domain::ids::{AccountId, CampaignId, CredentialId};
use crate::domain::status::{CampaignStatus, TlsMode};
use crate::imap::ImapServer;
use crate::secrets::SealedFor;
use crate::smtp::SmtpServer;
use crate::store::{Conn, Tx, credentials, facts, inbox, sends};
use crate::wake::Wake;

pub(super) use input::new_credential;

/// The answer to the making of one.
#[derive(Serialize)]
pub(super) struct CredentialMade {
    id: CredentialId,
    from_email: String,
    from_name: String,
    smtp_host: String,
    smtp_port: u16,
    daily_limit: u64,
}

#[derive(Serialize)]
pub(super) struct CredentialShown {
    id: CredentialId,
    label: Option<String>,
    smtp_host: String,
    smtp_port: u16,
    smtp_username: String,
    smtp_tls: TlsMode,
    from_name: String,
    from_email: String,
    daily_limit: u64,
    throttled_limit: Option<u64>,
    imap_host: Option<String>,
    imap_port: Option<u16>,
    imap_username: Option<String>,
    imap_tls: Option<TlsMode>,
    disabled_at: Option<Timestamp>,
    disabled_reason: Option<String>,
    resting_until: Option<Timestamp>,
    last_error: Option<String>,
    mailbox: Option<MailboxShown>,
    created_at: Timestamp,
}

/// How watching its mailbox goes.
#[derive(Serialize)]
struct MailboxShown {
    last_checked_at: Option<Timestamp>,
    last_error: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Reenabled {
    id: CredentialId,
    from_email: String,
    status: &'static str,
}

#[derive(Serialize)]
pub(super) struct Tried {
    smtp: TrialShown,
    imap: Option<TrialShown>,
}

#[derive(Serialize)]
struct TrialShown {
    ok: bool,
    error: Option<String>,
    tls: Option<&'static str>,
    latency_ms: u64,
}

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
    let after: Option<CredentialId> = asked.after();
    for credential in credentials::of_campaign(&mut conn, campaign).await?.into_iter().rev() {
        if after.is_none_or(|after| credential.id < after) {
            rows.push(shown(&mut conn, credential).await?);
        }
    }
    Ok(asked.answer(rows, |credential| credential.id, |credential| credential))
}

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Json<CredentialShown>> {
    let mut conn = api.app.store.read().await?;
    let credential = found(&mut conn, caller.account, campaign, id).await?;
    shown(&mut conn, credential).await.map(Json)
}

pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(campaign): Ids<CampaignId>,
    body::Json(body): body::Json,
) -> Result<(StatusCode, Json<CredentialMade>)> {
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    let campaign = campaign_found(tx.conn(), caller.account, campaign).await?;
    let credential = read_wrapped(body, "smtp_credential", |fields| new_credential(fields, &api, &campaign, now))?;
    insert(&mut tx, &credential, now).await?;
    tx.wake(Wake::Dispatch);
    tx.commit().await?;
    let Credential { id, from_email, from_name, smtp, daily_limit, .. } = credential;
    let made = CredentialMade { id, from_email, from_name, smtp_host: smtp.host, smtp_port: smtp.port, daily_limit };
    Ok((StatusCode::CREATED, Json(made)))
}

pub(super) async fn update(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
    body::Json(body): body::Json,
) -> Result<Json<CredentialShown>> {
    let mut tx = api.app.store.begin().await?;
    let mut credential = found(tx.conn(), caller.account, campaign, id).await?;
    read_wrapped(body, "smtp_credential", |fields| input::change(fields, &api, &mut credential))?;
    credentials::update(tx.conn(), &credential).await?;
    match credential.imap {
        Some(_) => inbox::watch(tx.conn(), id, caller.account, api.now()).await?,
        None => inbox::unwatch(tx.conn(), id).await?,
    }
    tx.wake(Wake::Inbox);
    tx.wake(Wake::Dispatch);
    let shown = shown(tx.conn(), credential).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Json<Deleted<CredentialId>>> {
    let now = api.now();
    let mut tx = api.app.store.begin().await?;
    let campaign = campaign_found(tx.conn(), caller.account, campaign).await?;
    found(tx.conn(), caller.account, campaign.id, id).await?;
    credentials::delete(tx.conn(), id, now).await?;
    sends::free_first_steps(tx.conn(), campaign.id, id).await?;
    sends::cancel_of_credential(tx.conn(), campaign.id, id, "the credential was deleted").await?;
    let usable = credentials::of_campaign(tx.conn(), campaign.id).await?.iter().any(|other| other.disabled.is_none());
    if !usable && campaign.status == CampaignStatus::Active {
        facts::campaign::pause(&mut tx, &campaign, "no enabled credential is left", now).await?;
    }
    tx.wake(Wake::Inbox);
    tx.wake(Wake::Dispatch);
    tx.commit().await?;
    Ok(Json(Deleted::new(id)))
}

pub(super) async fn reenable(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Json<Reenabled>> {
    let mut tx = api.app.store.begin().await?;
    let credential = found(tx.conn(), caller.account, campaign, id).await?;
    credentials::reenable(tx.conn(), id, api.now()).await?;
    tx.wake(Wake::Dispatch);
    tx.commit().await?;
    Ok(Json(Reenabled { id, from_email: credential.from_email, status: "enabled" }))
}

/// Connects and signs in, on both servers at once; sends and marks nothing.
pub(super) async fn test(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids((campaign, id)): Ids<(CampaignId, CredentialId)>,
) -> Result<Json<Tried>> {
    let mut conn = api.app.store.read().await?;
    let credential = found(&mut conn, caller.account, campaign, id).await?;
    // Servers may take a minute to answer: the connection to the database is not kept for that.
    drop(conn);
    let (smtp, imap) = tokio::join!(try_smtp(&api, &credential), try_imap(&api, &credential));
    Ok(Json(Tried { smtp: smtp?, imap: imap? }))
}

/// Stores a new credential; its mailbox is watched from now on.
pub(super) async fn insert(tx: &mut Tx, credential: &Credential, now: Timestamp) -> Result<()> {
    credentials::insert(tx.conn(), credential).await?;
    if credential.imap.is_some() {
        inbox::watch(tx.conn(), credential.id, credential.account_id, now).await?;
        tx.wake(Wake::Inbox);
    }
    Ok(())
}

async fn found(conn: &mut Conn, account: AccountId, campaign: CampaignId, id: CredentialId) -> Result<Credential> {
    campaign_found(conn, account, campaign).await?;
    let credential = credentials::find(conn, account, campaign, id).await?;
    credential.ok_or_else(|| ApiError::missing(Code::SmtpCredentialNotFound))
}

async fn try_smtp(api: &Api, credential: &Credential) -> Result<TrialShown> {
    let Endpoint { host, port, username, sealed_password, tls } = credential.smtp.clone();
    let place = SealedFor { column: credentials::SMTP_PASSWORD, row: &credential.id.to_string() };
    let password = api.app.sealer.open(&sealed_password, place)?;
    let begun = Instant::now();
    let tried = api.app.smtp.test(&SmtpServer { host, port, tls, username, password }).await;
    Ok(match tried {
        Ok(report) => TrialShown { ok: true, error: None, tls: report.tls, latency_ms: millis(report.latency) },
        Err(error) => trial_failed(error.to_string(), begun),
    })
}

async fn try_imap(api: &Api, credential: &Credential) -> Result<Option<TrialShown>> {
    let Some(Endpoint { host, port, username, sealed_password, tls }) = credential.imap.clone() else {
        return Ok(None);
    };
    let place = SealedFor { column: credentials::IMAP_PASSWORD, row: &credential.id.to_string() };
    let password = api.app.sealer.open(&sealed_password, place)?;
    let begun = Instant::now();
    let tried = api.app.imap.test(&ImapServer { host, port, tls, username, password }).await;
    Ok(Some(match tried {
        Ok(_) => {
            let tls = if tls == TlsMode::None { None } else { Some("TLS") };
            TrialShown { ok: true, error: None, tls, latency_ms: millis(begun.elapsed()) }
        }
        Err(error) => trial_failed(error.to_string(), begun),
    }))
}

fn trial_failed(error: String, begun: Instant) -> TrialShown {
    TrialShown { ok: false, error: Some(error), tls: None, latency_ms: millis(begun.elapsed()) }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn shown(conn: &mut Conn, credential: Credential) -> Result<CredentialShown> {
    let mailbox = inbox::mailbox(conn, credential.id).await?;
    let mailbox = mailbox.map(|m| MailboxShown { last_checked_at: m.last_checked_at, last_error: m.last_error });
    let (imap, disabled) = (credential.imap.as_ref(), credential.disabled.as_ref());
    Ok(CredentialShown {
        id: credential.id,
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
