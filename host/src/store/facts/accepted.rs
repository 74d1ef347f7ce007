//! Acceptances: what servers took within the same few milliseconds is written by as many statements as one message would
//! need. Everything that a single send may meet on its way has a function of its own in `delivery`.

use std::collections::{BTreeMap, BTreeSet};

use super::enrollment_data;
use super::first_message::{Left, have_left, status_after};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{CredentialId, EventId, NodeId};
use crate::store::counters::CredentialCounter;
use crate::store::enrollments::standings::{self, Standing};
use crate::store::events::NewEvent;
use crate::store::sends::{ClaimedSend, Ending, NewSend};
use crate::store::{Dialect, Result, Tx, Writes, campaigns, counters, credentials, events, sends};

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

/// Servers took them, which `owner` held. Rows are locked in the order of every fact: sends, enrollments, counters of
/// campaigns, those of credentials, which all nodes share, last and for the shortest time.
pub async fn accepted(
    tx: &mut Tx,
    writes: &mut Writes,
    all: &[Accepted<'_>],
    owner: NodeId,
    now: Timestamp,
    judge_at: Timestamp,
) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let taken = finish(tx, writes, all, owner, now).await?;
    if taken.is_empty() {
        return Ok(());
    }
    let enrolled: Vec<_> = taken.iter().filter_map(|(one, standing)| Some((*one, standing.as_ref()?))).collect();
    let told: Vec<_> = enrolled.iter().map(|(_, standing)| sent_event(standing, now)).collect();
    events::insert_many(tx, writes, &told, now).await?;
    plan_next(writes, &enrolled, now);

    let left = enrolled.iter().map(|(Accepted { held, .. }, Standing { enrollment, .. })| Left {
        enrollment,
        send: held.send.id,
        credential: held.credential_id,
    });
    have_left(writes, &left.collect::<Vec<_>>(), now);
    let mut made: BTreeMap<CredentialId, i64> = BTreeMap::new();
    for (one, _) in &taken {
        *made.entry(one.held.credential_id).or_default() += 1;
    }
    counters::credentials(writes, CredentialCounter::Transaction, &made, now);
    credentials::took_messages(writes, &made.into_keys().collect::<Vec<_>>(), judge_at);
    Ok(())
}

/// Moves them to `sent`; gives those that were still held, and how their enrollments stand.
async fn finish<'a>(
    tx: &mut Tx,
    writes: &mut Writes,
    all: &'a [Accepted<'_>],
    owner: NodeId,
    now: Timestamp,
) -> Result<Vec<(&'a Accepted<'a>, Option<Standing>)>> {
    let endings: Vec<_> = all.iter().map(|one| (one.held.send.id, one.ending)).collect();
    match tx.dialect() {
        // Nobody else writes until this is committed: what is held now is held when it is written.
        Dialect::Sqlite => {
            sends::finish_sent(writes, &endings, owner, now);
            let ids: Vec<_> = endings.into_iter().map(|(id, _)| id).collect();
            let mut held = standings::of_held_sends(tx, &ids, owner).await?;
            Ok(all.iter().filter_map(|one| Some((one, Some(held.remove(&one.held.send.id)?)))).collect())
        }
        Dialect::Postgres => {
            let ours = sends::finish_sent_of(tx, &endings, owner, now).await?;
            let taken: Vec<_> = all.iter().filter(|one| ours.contains(&one.held.send.id)).collect();
            let ids: Vec<_> = taken.iter().map(|one| one.held.send.enrollment_id).collect();
            let of = standings::hold(tx, &ids).await?;
            Ok(taken.into_iter().map(|one| (one, of.get(&one.held.send.enrollment_id).cloned())).collect())
        }
    }
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
fn plan_next(writes: &mut Writes, enrolled: &[(&Accepted<'_>, &Standing)], now: Timestamp) {
    let goes_on = |standing: &Standing| standing.enrollment.stopped_at.is_none();
    let followed = enrolled.iter().filter(|(_, standing)| goes_on(standing));
    let planned: Vec<_> = followed.filter_map(|(Accepted { next, .. }, _)| (*next).cloned()).collect();
    if planned.is_empty() {
        return;
    }
    sends::plan_many(writes, &planned, now);
    let campaigns: BTreeSet<_> = enrolled.iter().map(|(one, _)| one.held.send.campaign_id).collect();
    campaigns::reopen(writes, &campaigns.into_iter().collect::<Vec<_>>());
}
