//! Doubt: how a send comes into it without its node, and how a person ends it, or a copy in a Sent folder. What other
//! evidence tells is settled where it is read, by `delivery::settled`.

use super::delivery;
use crate::domain::credential::Credential;
use crate::domain::ids::{ApiKeyId, ResolutionId};
use crate::domain::status::{CampaignStatus, ResolvedAs, SendState};
use crate::domain::{EmailAddress, Timestamp};
use crate::store::enrollments::{self, Enrollment};
use crate::store::resolutions::{self, Resolution};
use crate::store::sends::{self, Send};
use crate::store::suppressions::{self, Refusal};
use crate::store::transactions::{self, Transaction};
use crate::store::{Result, Tx, campaigns, contacts, credential_days, credentials};
use crate::wake::Wake;

const WAITS_FOR_A_PLACE: &str = "its credential's daily limit is used up until then";
/// UTC days ahead in which a place is looked for.
const MOST_DAYS: usize = 30;

/// Why a doubt was not settled as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// There is no doubt (any more).
    NotInDoubt(SendState),
    /// Nothing more may be sent to its enrollment.
    Stopped(String),
    /// Its credential was deleted, and no other may send it.
    CredentialGone,
    /// Its credential's daily limit has no place for it.
    NoPlace {
        /// The limit.
        daily_limit: u64,
    },
}

/// The attempts of a dead node whose end nobody knows.
pub async fn left_behind(tx: &mut Tx, sends: &[Send], now: Timestamp) -> Result<()> {
    let attempt = |send: &Send| {
        Some(Transaction {
            account_id: send.account_id,
            enrollment_id: send.enrollment_id,
            send_id: send.id,
            credential_id: send.smtp_credential_id?,
            outcome: SendState::InDoubt.as_str().to_owned(),
            smtp_code: None,
            smtp_status: None,
            reply: sends::NODE_STOPPED.to_owned(),
            at: now,
        })
    };
    transactions::insert_many(tx, &sends.iter().filter_map(attempt).collect::<Vec<_>>()).await
}

/// A person has found out that it left: all that an acceptance brings is made up for. `draw` (0..1) places the step that
/// follows.
pub async fn resolved_as_sent(
    tx: &mut Tx,
    send: &Send,
    by: ApiKeyId,
    draw: f64,
    now: Timestamp,
) -> Result<std::result::Result<(), Unresolved>> {
    if send.state != SendState::InDoubt || !delivery::settled(tx, send, draw, now).await? {
        return not_in_doubt(tx, send).await.map(Err);
    }
    record(tx, send, ResolvedAs::Sent, Some(by), now).await.map(Ok)
}

/// A recipient has a link that is in all messages of an enrollment: where none is known to have left but one in doubt, that
/// is the one.
pub async fn opener_arrived(tx: &mut Tx, enrollment: &Enrollment, now: Timestamp) -> Result<()> {
    if enrollment.first_send_id.is_some() {
        return Ok(());
    }
    for send in sends::of_enrollment(tx.conn(), enrollment.id).await? {
        if send.state == SendState::InDoubt {
            // Nothing follows it: who uses the link wants no more.
            delivery::settled(tx, &send, 0.0, now).await?;
        }
    }
    Ok(())
}

/// Its copy lies in the sender's Sent folder: it had left. False when there was no doubt.
pub async fn found_in_sent_folder(tx: &mut Tx, send: &Send, draw: f64, now: Timestamp) -> Result<bool> {
    let is_settled = delivery::settled(tx, send, draw, now).await?;
    if is_settled {
        record(tx, send, ResolvedAs::Sent, None, now).await?;
    }
    Ok(is_settled)
}

/// A person has it sent again, through the same credential and so with the same Message-ID; gives when it is due.
pub async fn resolved_as_retry(
    tx: &mut Tx,
    send: &Send,
    by: ApiKeyId,
    now: Timestamp,
) -> Result<std::result::Result<Timestamp, Unresolved>> {
    // Nobody claims for the campaign meanwhile: places of the daily limit are taken by one transaction at a time.
    campaigns::lock(tx.conn(), send.campaign_id).await?;
    let Some(enrollment) = enrollments::get_for_update(tx, send.enrollment_id).await? else {
        return not_in_doubt(tx, send).await.map(Err);
    };
    if let Some(why) = stopped_by(tx, send, &enrollment).await? {
        return Ok(Err(Unresolved::Stopped(why)));
    }
    let usable = credentials::of_campaign(tx.conn(), send.campaign_id).await?;
    let Some(credential) = usable.into_iter().find(|one| Some(one.id) == send.smtp_credential_id) else {
        return Ok(Err(Unresolved::CredentialGone));
    };
    // Follow-ups don't count.
    let place = match enrollment.first_send_id {
        Some(_) => Some(now),
        None => take_place(tx, &credential, send.reserved_day, now).await?,
    };
    let Some(due_at) = place else {
        return Ok(Err(Unresolved::NoPlace { daily_limit: credential.effective_limit() }));
    };
    let reason = (due_at > now).then_some(WAITS_FOR_A_PLACE);
    if !sends::retry(tx.conn(), send.id, due_at, reason).await? {
        return not_in_doubt(tx, send).await.map(Err);
    }
    campaigns::move_status(tx.conn(), send.campaign_id, &[CampaignStatus::Finished], CampaignStatus::Active, None)
        .await?;
    record(tx, send, ResolvedAs::Retry, Some(by), now).await?;
    tx.wake(Wake::Dispatch);
    Ok(Ok(due_at))
}

/// Why nothing more is sent to an enrollment. The intent asks once more; here a person is told.
async fn stopped_by(tx: &mut Tx, send: &Send, enrollment: &Enrollment) -> Result<Option<String>> {
    if enrollment.stopped_at.is_some() {
        return Ok(Some(enrollment.stop_reason.clone().unwrap_or_default()));
    }
    let contact = contacts::get(tx.conn(), send.contact_id).await?;
    let Some(address) = contact.and_then(|contact| EmailAddress::parse(&contact.email).ok()) else { return Ok(None) };
    Ok(suppressions::refusal(tx.conn(), send.account_id, &address).await?.map(|refusal| match refusal {
        Refusal::Suppressed => "suppressed".to_owned(),
        Refusal::Unsubscribed => "unsubscribed".to_owned(),
    }))
}

/// The place of the day in which it is tried again. That of the first try stays taken, as that message may have left; on
/// the same day it serves for both, as it does for what a server puts off.
async fn take_place(
    tx: &mut Tx,
    credential: &Credential,
    held: Option<i64>,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    if held == Some(now.utc_day()) {
        return Ok(Some(now));
    }
    let mut at = now;
    for _ in 0..MOST_DAYS {
        if credential_days::reserved(tx.conn(), credential.id, at.utc_day()).await? < credential.effective_limit() {
            credential_days::reserve(tx, credential.id, at.utc_day(), 1).await?;
            return Ok(Some(at));
        }
        at = at.next_utc_day();
    }
    Ok(None)
}

async fn record(
    tx: &mut Tx,
    send: &Send,
    resolved_as: ResolvedAs,
    api_key_id: Option<ApiKeyId>,
    now: Timestamp,
) -> Result<()> {
    let resolution = Resolution {
        id: ResolutionId::new(now),
        account_id: send.account_id,
        enrollment_id: send.enrollment_id,
        send_id: send.id,
        resolved_as,
        api_key_id,
        at: now,
    };
    resolutions::insert(tx.conn(), &resolution).await
}

async fn not_in_doubt(tx: &mut Tx, send: &Send) -> Result<Unresolved> {
    let state = sends::get(tx.conn(), send.id).await?.map_or(send.state, |send| send.state);
    Ok(Unresolved::NotInDoubt(state))
}
