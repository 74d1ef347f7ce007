//! Acceptances: what servers took within the same few milliseconds is written by as many statements as one message would
//! need. Everything that a single send may meet on its way has a function of its own in `delivery`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::enrollment_data;
use super::first_message::{Left, have_left, status_after};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{CredentialId, EventId, NodeId, SendId};
use crate::store::counters::CredentialCounter;
use crate::store::enrollments::standings::{self, Standing};
use crate::store::events::NewEvent;
use crate::store::sends::{ClaimedSend, Ending, NewSend};
use crate::store::webhooks::{self, Webhook};
use crate::store::{Answers, Dialect, Nth, Reads, Result, Tx, Writes, campaigns, counters, credentials, events, sends};

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

/// What is to be known of acceptances before they are written. PostgreSQL tells it as it locks the rows; on SQLite nobody
/// else writes meanwhile, and it can be asked together with others.
#[derive(Debug, Default)]
pub struct Known {
    /// How the enrollments of those stand that are still held.
    standings: HashMap<SendId, Standing>,
    /// Who is told.
    webhooks: Vec<Webhook>,
}

/// Which questions these were.
#[derive(Debug, Clone, Copy)]
pub struct Asked(Option<(Nth, Nth)>);

/// Asks what is to be known of them.
pub fn ask(reads: &mut Reads, all: &[Accepted<'_>], owner: NodeId) -> Asked {
    if all.is_empty() || reads.dialect() == Dialect::Postgres {
        return Asked(None);
    }
    let ids: Vec<_> = all.iter().map(|one| one.held.send.id).collect();
    let standings = standings::ask_of_held_sends(reads, &ids, owner);
    Asked(Some((standings, webhooks::ask_enabled(reads, all.iter().map(|one| one.held.send.account_id).collect()))))
}

impl Asked {
    /// The answers.
    pub fn known(self, answers: &Answers) -> Result<Known> {
        let Some((standings, webhooks)) = self.0 else { return Ok(Known::default()) };
        Ok(Known {
            standings: standings::of_held_sends(answers, standings)?,
            webhooks: webhooks::enabled_of(answers, webhooks)?,
        })
    }
}

/// Asks at once.
pub async fn known(tx: &mut Tx, all: &[Accepted<'_>], owner: NodeId) -> Result<Known> {
    let mut reads = tx.reads();
    let asked = ask(&mut reads, all, owner);
    asked.known(&tx.ask(reads).await?)
}

/// Servers took them, which `owner` held. Rows are locked in the order of every fact: sends, enrollments, counters of
/// campaigns, those of credentials, which all nodes share, last and for the shortest time.
pub async fn accepted(
    tx: &mut Tx,
    writes: &mut Writes,
    all: &[Accepted<'_>],
    known: Known,
    owner: NodeId,
    now: Timestamp,
    judge_at: Timestamp,
) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let Known { standings, webhooks } = known;
    let taken = finish(tx, writes, all, standings, owner, now).await?;
    if taken.is_empty() {
        return Ok(());
    }
    let enrolled: Vec<_> = taken.iter().filter_map(|(one, standing)| Some((*one, standing.as_ref()?))).collect();
    let told: Vec<_> = enrolled.iter().map(|(_, standing)| sent_event(standing, now)).collect();
    events::insert_for(tx, writes, &told, &webhooks, now);
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
    credentials::took_messages(writes, &made.into_keys().collect::<Vec<_>>(), now, judge_at);
    Ok(())
}

/// Moves them to `sent`; gives those that were still held, and how their enrollments stand.
async fn finish<'a>(
    tx: &mut Tx,
    writes: &mut Writes,
    all: &'a [Accepted<'_>],
    mut standings: HashMap<SendId, Standing>,
    owner: NodeId,
    now: Timestamp,
) -> Result<Vec<(&'a Accepted<'a>, Option<Standing>)>> {
    let endings: Vec<_> = all.iter().map(|one| (one.held.send.id, one.ending)).collect();
    match tx.dialect() {
        // Nobody else writes until this is committed: what is held now is held when it is written.
        Dialect::Sqlite => {
            sends::finish_sent(writes, &endings, owner, now);
            Ok(all.iter().filter_map(|one| Some((one, Some(standings.remove(&one.held.send.id)?)))).collect())
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
