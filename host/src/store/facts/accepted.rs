//! Acceptances: what servers took within the same few milliseconds is written by as many statements as one message would
//! need. Everything that a single send may meet on its way has a function of its own in `delivery`.

use std::collections::{BTreeMap, HashMap};

use super::first_message::{Left, have_left, status_after};
use super::{delivery, enrollment_data};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, CampaignId, CredentialId, EnrollmentId, EventId};
use crate::store::counters::CredentialCounter;
use crate::store::enrollments::Enrollment;
use crate::store::events::NewEvent;
use crate::store::sends::{ClaimedSend, Ending, NewSend};
use crate::store::{Result, Tx, counters, credentials, enrollments, events, sends, transactions};

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
    let attempts: Vec<_> = taken.iter().map(|one| delivery::attempt(one.held, "accepted", one.ending, now)).collect();
    transactions::insert_many(tx, &attempts).await?;

    let ids: Vec<_> = taken.iter().map(|one| one.held.send.enrollment_id).collect();
    let of = enrollments::get_many_for_update(tx, &ids).await?;
    let enrolled: Vec<_> = taken
        .iter()
        .filter_map(|one| of.get(&one.held.send.enrollment_id).map(|enrollment| (*one, enrollment)))
        .collect();
    let told: Vec<_> = enrolled.iter().map(|(one, enrollment)| sent_event(one.held, enrollment, now)).collect();
    events::insert_many(tx, &told, now).await?;
    plan_next(tx, &taken, &of, now).await?;

    let left: Vec<_> = enrolled
        .iter()
        .map(|(one, enrollment)| Left { enrollment, send: one.held.send.id, credential: one.held.credential_id })
        .collect();
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
fn sent_event(held: &ClaimedSend, before: &Enrollment, now: Timestamp) -> NewEvent {
    let is_first = before.first_send_id.is_none();
    let after = Enrollment {
        status: if is_first { status_after(before) } else { before.status },
        sent_at: if is_first { Some(now) } else { before.sent_at },
        ..before.clone()
    };
    NewEvent {
        id: EventId::new(now),
        account_id: after.account_id,
        event_type: EventType::EnrollmentSent,
        subject_id: after.id.to_string(),
        data: enrollment_data(&after, Some(&held.contact.email)),
    }
}

/// Plans what follows, unless the sequence was stopped meanwhile.
async fn plan_next(
    tx: &mut Tx,
    taken: &[&Accepted<'_>],
    of: &HashMap<EnrollmentId, Enrollment>,
    now: Timestamp,
) -> Result<()> {
    let goes_on = |one: &&&Accepted<'_>| of.get(&one.held.send.enrollment_id).is_some_and(|e| e.stopped_at.is_none());
    let mut planned: BTreeMap<(AccountId, CampaignId), Vec<NewSend>> = BTreeMap::new();
    for one in taken.iter().filter(goes_on) {
        let send = &one.held.send;
        if let Some(next) = one.next {
            planned.entry((send.account_id, send.campaign_id)).or_default().push(next.clone());
        }
    }
    for ((account, campaign), next) in planned {
        sends::plan_many(tx, account, campaign, &next, now).await?;
        delivery::reopen(tx, campaign).await?;
    }
    Ok(())
}
