//! Acceptances: what servers took within the same few milliseconds is written by as many statements as one message would
//! need. Everything that a single send may meet on its way has a function of its own in `delivery`.

use std::collections::BTreeMap;

use super::first_message::{Left, have_left, status_after};
use super::{delivery, enrollment_data};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, CampaignId, CredentialId, EventId};
use crate::store::counters::CredentialCounter;
use crate::store::enrollments::standings::{self, Standing};
use crate::store::events::NewEvent;
use crate::store::sends::{ClaimedSend, Ending, NewSend};
use crate::store::{Result, Tx, counters, credentials, events, sends};

/// A send that its server took.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The send.
    pub held: &'a ClaimedSend,
    /// The reply.
    pub ending: &'a Ending,
    /// The step that follows, where there is one.
    pub next: Option<&'a NewSend>,
}

/// Servers took them. Rows are locked in the order of every fact: sends, enrollments, counters of campaigns, those of
/// credentials, which all nodes share, last and for the shortest time.
pub async fn accepted(tx: &mut Tx, all: &[Accepted<'_>], now: Timestamp, judge_at: Timestamp) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let endings: Vec<_> = all.iter().map(|one| (one.held.send.id, one.ending)).collect();
    let ours = sends::finish_sent(tx, &endings, now).await?;
    let taken: Vec<_> = all.iter().filter(|one| ours.contains(&one.held.send.id)).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = taken.iter().map(|one| one.held.send.enrollment_id).collect();
    let of = standings::hold(tx, &ids).await?;
    let enrolled: Vec<_> = taken.iter().filter_map(|one| Some((*one, of.get(&one.held.send.enrollment_id)?))).collect();
    let told: Vec<_> = enrolled.iter().map(|(_, standing)| sent_event(standing, now)).collect();
    events::insert_many(tx, &told, now).await?;
    plan_next(tx, &enrolled, now).await?;

    let left = enrolled.iter().map(|(Accepted { held, .. }, Standing { enrollment, .. })| Left {
        enrollment,
        send: held.send.id,
        credential: held.credential_id,
    });
    let left: Vec<_> = left.collect();
    have_left(tx, &left, now).await?;
    let mut made: BTreeMap<CredentialId, i64> = BTreeMap::new();
    for one in &taken {
        *made.entry(one.held.credential_id).or_default() += 1;
    }
    counters::credentials(tx, CredentialCounter::Transaction, &made, now).await?;
    let used: Vec<_> = made.into_keys().collect();
    credentials::took_messages(tx, &used, judge_at).await
}

/// `enrollment.sent` as it stands once this message has left.
fn sent_event(before: &Standing, now: Timestamp) -> NewEvent {
    let Standing { enrollment, contact_email } = before;
    let mut after = enrollment.clone();
    if after.first_send_id.is_none() {
        (after.status, after.sent_at) = (status_after(enrollment), Some(now));
    }
    NewEvent {
        id: EventId::new(now),
        account_id: after.account_id,
        event_type: EventType::EnrollmentSent,
        subject_id: after.id.to_string(),
        data: enrollment_data(&after, contact_email.as_deref()),
    }
}

/// Plans what follows, unless the sequence was stopped meanwhile.
async fn plan_next(tx: &mut Tx, enrolled: &[(&Accepted<'_>, &Standing)], now: Timestamp) -> Result<()> {
    let mut planned: BTreeMap<(AccountId, CampaignId), Vec<NewSend>> = BTreeMap::new();
    for (Accepted { held, next, .. }, Standing { enrollment, .. }) in enrolled {
        if let (Some(next), None) = (next, enrollment.stopped_at) {
            planned.entry((held.send.account_id, held.send.campaign_id)).or_default().push((*next).clone());
        }
    }
    for ((account, campaign), next) in planned {
        sends::plan_many(tx, account, campaign, &next, now).await?;
        delivery::reopen(tx, campaign).await?;
    }
    Ok(())
}
