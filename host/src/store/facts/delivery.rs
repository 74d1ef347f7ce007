//! How a send that a node held came out, one at a time; `accepted` writes many. An outcome that is told again, because the
//! answer to its commit was lost, finds its row moved and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::first_message::{Left, have_left};
use super::{stop, tell};
use crate::domain::event::EventType;
use crate::domain::ids::{CampaignId, CredentialId, SendId};
use crate::domain::status::SendState;
use crate::domain::{Timestamp, pacing};
use crate::store::counters::{CredentialCounter, SkipCounter};
use crate::store::enrollments::standings;
use crate::store::sends::{ClaimedSend, Ending, NewSend, Send};
use crate::store::transactions::Transaction;
use crate::store::{
    Dialect, Result, Tx, account_months, campaigns, counters, credential_days, credentials, enrollments, sends,
    transactions,
};
use crate::wake::Wake;

/// How a transaction ended after which there is no other, and why an enrollment is stopped then.
const FAILED: &str = "failed";

/// The server put it off. It is tried again through the same credential at `retry_at`, or has failed for good.
pub async fn deferred(
    tx: &mut Tx,
    held: &ClaimedSend,
    ending: &Ending,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let retry_at = match retry_at {
        // Connections that broke are tries, too, of which the server knows nothing.
        None => pacing::retry(now, transactions::deferrals(tx.conn(), held).await? + 1),
        at => at,
    };
    let is_news = match retry_at {
        Some(at) => sends::put_off(tx.conn(), held, at, ending).await?,
        None => give_up(tx, held, ending, FAILED, now).await?,
    };
    if !is_news {
        return Ok(());
    }
    reopen(tx, held).await?;
    record(tx, held, if retry_at.is_some() { "deferred" } else { FAILED }, ending, now).await?;
    counters::credential(tx, held.credential_id, CredentialCounter::Transaction, now).await?;
    counters::credential(tx, held.credential_id, CredentialCounter::Deferral, now).await
}

/// The connection broke before the message left: again at `retry_at`, or that was once too often.
pub async fn lost(
    tx: &mut Tx,
    held: &ClaimedSend,
    ending: &Ending,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let is_news = match retry_at {
        Some(at) => sends::put_off(tx.conn(), held, at, ending).await?,
        None => give_up(tx, held, ending, FAILED, now).await?,
    };
    if !is_news {
        return Ok(());
    }
    reopen(tx, held).await?;
    record(tx, held, "lost", ending, now).await?;
    if retry_at.is_none() { release(tx, held).await } else { Ok(()) }
}

/// The server takes no message of this size: an SMTP transaction as any other, and nobody's bounce.
pub async fn too_large(tx: &mut Tx, held: &ClaimedSend, ending: &Ending, now: Timestamp) -> Result<()> {
    if give_up(tx, held, ending, FAILED, now).await? {
        reopen(tx, held).await?;
        record(tx, held, FAILED, ending, now).await?;
        counters::credential(tx, held.credential_id, CredentialCounter::Transaction, now).await?;
    }
    Ok(())
}

/// It can't be sent: its message could not be built.
pub async fn failed(tx: &mut Tx, held: &ClaimedSend, ending: &Ending, now: Timestamp) -> Result<()> {
    if give_up(tx, held, ending, FAILED, now).await? {
        record(tx, held, FAILED, ending, now).await?;
        release(tx, held).await?;
    }
    Ok(())
}

/// Its server can't take it by what it offers, and was told nothing: no SMTP transaction, in no rate, and nobody's bounce.
pub async fn unsuitable(tx: &mut Tx, held: &ClaimedSend, reason: &str, now: Timestamp) -> Result<()> {
    let ending = Ending { reason: Some(reason.to_owned()), ..Ending::default() };
    if give_up(tx, held, &ending, reason, now).await? {
        release(tx, held).await?;
    }
    Ok(())
}

/// The credential is at fault: it rests, and its message goes back to due, for another credential where it can.
pub async fn credential_at_fault(
    tx: &mut Tx,
    held: &ClaimedSend,
    ending: &Ending,
    rest_until: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let reason = ending.reason.as_deref().unwrap_or_default();
    if give_back(tx, held, now, reason).await? {
        record(tx, held, "credential_fault", ending, now).await?;
    }
    credentials::rest(tx.conn(), held.credential_id, rest_until, reason, now).await
}

/// Locks sends, enrollments and counters of the outcomes of held sends, in the order of every fact: written one after the
/// other, the second one's send would be locked behind the first one's counters, and two nodes could wait for each other.
pub async fn hold_all(tx: &mut Tx, all: &[&ClaimedSend]) -> Result<()> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    sends::hold_many(tx, &all.iter().map(|held| held.send.id).collect::<Vec<_>>()).await?;
    standings::hold(tx, &all.iter().map(|held| held.send.enrollment_id).collect::<Vec<_>>()).await?;
    for campaign in all.iter().map(|held| held.send.campaign_id).collect::<BTreeSet<_>>() {
        counters::lock_campaign(tx.conn(), campaign).await?;
    }
    let credentials: BTreeSet<_> = all.iter().map(|held| held.credential_id).collect();
    counters::lock_credentials(tx, &credentials.into_iter().collect::<Vec<_>>()).await
}

/// Nothing has left; it is due again at `due_at`. False when that was known.
pub async fn give_back(tx: &mut Tx, held: &ClaimedSend, due_at: Timestamp, reason: &str) -> Result<bool> {
    let is_news = sends::give_back(tx.conn(), held, due_at, reason).await?;
    if is_news {
        reopen(tx, held).await?;
        release(tx, held).await?;
    }
    Ok(is_news)
}

/// What came in doubt meanwhile kept no campaign from being finished. Of one that is, what is due again would never leave.
async fn reopen(tx: &mut Tx, held: &ClaimedSend) -> Result<()> {
    tx.make(|writes| campaigns::reopen(writes, &[held.send.campaign_id])).await
}

/// The connection was lost when the server may have had it.
pub async fn in_doubt(tx: &mut Tx, held: &ClaimedSend, ending: &Ending, now: Timestamp) -> Result<()> {
    if sends::finish(tx.conn(), held, SendState::InDoubt, ending).await? {
        record(tx, held, "in_doubt", ending, now).await?;
    }
    Ok(())
}

/// Evidence came that a send in doubt had left, or before its sender told that it has: all that an acceptance brings is made
/// up for. `draw` (0..1) places the step that follows. False when that was known.
pub async fn settled(tx: &mut Tx, send: &Send, draw: f64, now: Timestamp) -> Result<bool> {
    let Some(credential) = send.smtp_credential_id else { return Ok(false) };
    if !sends::settle_sent(tx.conn(), send.id, now).await? {
        return Ok(false);
    }
    if let Some(enrollment) = enrollments::get_for_update(tx, send.enrollment_id).await? {
        let left = Left { enrollment: &enrollment, send: send.id, credential };
        tx.make(|writes| have_left(writes, &[left], now)).await?;
        tell(tx, enrollment.id, EventType::EnrollmentSent, now).await?;
        if enrollment.stopped_at.is_none() {
            plan_after(tx, send, credential, draw, now).await?;
        }
    }
    counters::credential(tx, credential, CredentialCounter::Transaction, now).await?;
    Ok(true)
}

/// Not to be sent. `next` is planned where the sequence goes on without it. False when that was known.
pub async fn skipped(
    tx: &mut Tx,
    held: &ClaimedSend,
    reason: &str,
    next: Option<&NewSend>,
    now: Timestamp,
) -> Result<bool> {
    let ending = Ending { reason: Some(reason.to_owned()), ..Ending::default() };
    let is_news = sends::finish(tx.conn(), held, SendState::Skipped, &ending).await?;
    if is_news {
        release(tx, held).await?;
        plan_next(tx, held, next, now).await?;
    }
    Ok(is_news)
}

/// Not to be sent to this contact at all, for a reason that the campaign's page counts.
pub async fn passed_over(
    tx: &mut Tx,
    held: &ClaimedSend,
    why: SkipCounter,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    if !skipped(tx, held, reason, None, now).await? {
        return Ok(());
    }
    stop(tx, held.send.enrollment_id, reason, now).await?;
    counters::skipped(tx.conn(), held.send.campaign_id, why, 1).await
}

/// The domain takes no mail: bounced without an SMTP transaction, and in no rate.
pub async fn domain_takes_no_mail(tx: &mut Tx, held: &ClaimedSend, reason: &str, now: Timestamp) -> Result<()> {
    let ending = Ending { reason: Some(reason.to_owned()), ..Ending::default() };
    if !sends::finish(tx.conn(), held, SendState::Bounced, &ending).await? {
        return Ok(());
    }
    super::bounce::mark_enrollment(tx, held.send.enrollment_id, reason, now).await?;
    counters::skipped(tx.conn(), held.send.campaign_id, SkipCounter::MxInvalid, 1).await?;
    release(tx, held).await
}

/// Records the transaction of a held send that was not accepted.
pub async fn record(tx: &mut Tx, held: &ClaimedSend, outcome: &str, ending: &Ending, now: Timestamp) -> Result<()> {
    let attempt = Transaction {
        account_id: held.send.account_id,
        enrollment_id: held.send.enrollment_id,
        send_id: held.send.id,
        credential_id: held.credential_id,
        outcome: outcome.to_owned(),
        smtp_code: ending.smtp_code,
        smtp_status: ending.smtp_status.clone(),
        reply: ending.smtp_reply.clone().or_else(|| ending.reason.clone()).unwrap_or_default(),
        at: now,
    };
    transactions::insert_many(tx, &[attempt]).await
}

/// Nothing more is sent to the enrollment, because of `why`.
async fn give_up(tx: &mut Tx, held: &ClaimedSend, ending: &Ending, why: &str, now: Timestamp) -> Result<bool> {
    let is_news = sends::finish(tx.conn(), held, SendState::Failed, ending).await?;
    if is_news {
        stop(tx, held.send.enrollment_id, why, now).await?;
    }
    Ok(is_news)
}

async fn plan_next(tx: &mut Tx, held: &ClaimedSend, next: Option<&NewSend>, now: Timestamp) -> Result<()> {
    let Some(next) = next else { return Ok(()) };
    let enrollment = enrollments::get_for_update(tx, held.send.enrollment_id).await?;
    if enrollment.is_some_and(|one| one.stopped_at.is_none()) {
        plan(tx, next.clone(), held.send.campaign_id, now).await?;
    }
    Ok(())
}

async fn plan_after(tx: &mut Tx, send: &Send, credential: CredentialId, draw: f64, now: Timestamp) -> Result<()> {
    let Some(campaign) = campaigns::get(tx.conn(), send.campaign_id).await? else { return Ok(()) };
    let steps = campaigns::steps(tx.conn(), campaign.id).await?;
    let Some(next) = steps.iter().find(|step| step.position > send.step_position) else { return Ok(()) };
    let planned = NewSend {
        id: SendId::new(now),
        enrollment_id: send.enrollment_id,
        contact_id: send.contact_id,
        step_position: next.position,
        smtp_credential_id: Some(credential),
        due_at: pacing::follow_up(now, next.delay, campaign.waits, draw),
        priority: false,
    };
    plan(tx, planned, campaign.id, now).await?;
    tx.wake(Wake::Dispatch);
    Ok(())
}

/// A doubt that is settled late may find its campaign finished; with a step to come it is not.
async fn plan(tx: &mut Tx, next: NewSend, campaign: CampaignId, now: Timestamp) -> Result<()> {
    tx.make(|writes| {
        sends::plan_many(writes, &[next], now);
        campaigns::reopen(writes, &[campaign]);
    })
    .await
}

/// Gives the places of the month and of the day back.
async fn release(tx: &mut Tx, held: &ClaimedSend) -> Result<()> {
    release_all(tx, std::slice::from_ref(&held.send)).await
}

/// The same for sends that nobody holds any more; given as they were held.
pub async fn release_all(tx: &mut Tx, sends: &[Send]) -> Result<()> {
    let mut months: BTreeMap<_, i64> = BTreeMap::new();
    let mut days: BTreeMap<_, BTreeMap<_, i64>> = BTreeMap::new();
    for send in sends {
        if let Some(month) = send.reserved_month {
            *months.entry((send.account_id, month)).or_default() -= 1;
        }
        // With a transaction behind it, the place of the day was used.
        let day = send.reserved_day.filter(|_| send.attempts == 0);
        if let (Some(day), Some(credential)) = (day, send.smtp_credential_id) {
            *days.entry(day).or_default().entry(credential).or_default() -= 1;
        }
    }
    for ((account, month), count) in months {
        tx.make(|writes| account_months::reserve(writes, account, month, count)).await?;
    }
    for (day, counts) in days {
        tx.make(|writes| credential_days::reserve_many(writes, &counts, day)).await?;
    }
    Ok(())
}
