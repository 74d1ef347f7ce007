//! Claiming: what is due is taken under a lease, each send with the credential that it goes out through. The daily limit
//! is reserved in the same transaction, so that two nodes can't both take its last place.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Held;
use super::allowance::Allowance;
use super::open_credential::OpenCredential;
use super::sequence::Sequence;
use super::sequences::Sequences;
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Waits};
use crate::domain::credential::Credential;
use crate::domain::ids::{CampaignId, CredentialId, SendId};
use crate::domain::rotation::{Capacity, assign};
use crate::domain::status::CampaignStatus;
use crate::store::sends::{self, ClaimedSend, DueSend, Lease, Places};
use crate::store::{self, Tx, campaigns, credential_days, credentials};

/// Sends that a node holds at once, for each connection that it may open.
pub(super) const HELD_PER_CONNECTION: usize = 8;

/// A send that leaves this late is on time.
const PUNCTUAL: Duration = Duration::from_secs(1);

/// A campaign that another node is claiming from is looked at again after this; a claim takes milliseconds.
const BUSY_AGAIN: Duration = Duration::from_millis(50);

/// What a worker has to know of its campaign.
pub(super) struct CampaignContext {
    /// The campaign as it was when the sends were claimed.
    pub campaign: Campaign,
    /// Its steps; none where they can't be read (the campaign was altered by hand).
    pub(super) sequence: Option<Arc<Sequence>>,
    /// When the sends were claimed.
    pub claimed_at: Instant,
    /// Its credentials, with their passwords open.
    pub(super) credentials: HashMap<CredentialId, OpenCredential>,
}

/// What came of looking for a campaign's due work.
pub(super) enum Round {
    /// Sends to bring to their servers.
    Claimed {
        /// What they have in common.
        context: Arc<CampaignContext>,
        /// The sends.
        sends: Vec<ClaimedSend>,
        /// When to look again.
        next_due: Option<Timestamp>,
    },
    /// Nothing is due, or nothing may leave now.
    Idle {
        /// When to look again; none: when a bell rings.
        next_due: Option<Timestamp>,
    },
    /// Nothing is planned any more.
    NothingLeft(Box<Campaign>),
}

/// What a transaction found.
enum Found {
    /// Sends that are held once it is committed.
    Due { context: Arc<CampaignContext>, ids: Vec<SendId>, next_due: Option<Timestamp> },
    /// Nothing to commit.
    Nothing(Round),
}

/// Claims at most `room` due sends of a campaign.
pub(super) async fn claim(
    app: &App,
    held: &Held,
    sequences: &Sequences,
    id: CampaignId,
    room: usize,
    now: Timestamp,
) -> store::Result<Round> {
    let mut tx = app.store.begin().await?;
    // The wait for the writer is not the claim's.
    let began = Instant::now();
    match look(&mut tx, app, held, sequences, id, room, now).await? {
        Found::Due { context, ids, next_due } => {
            tx.commit().await?;
            // Read when others can write again. Where that fails, they are free once their leases have ended.
            let sends = sends::claimed(&mut *app.store.read().await?, app.store.dialect(), &ids, app.node).await?;
            app.metrics.claimed(sends.len(), began.elapsed());
            Ok(Round::Claimed { context, sends, next_due })
        }
        // Not left to the drop: the next look may come at once, and would take our own lock for another node's.
        Found::Nothing(round) => {
            tx.rollback().await?;
            Ok(round)
        }
    }
}

/// Without those that this node is still busy with: cut off from the database for longer than a lease, it has lost them, and
/// what it has to tell of the first time must not be taken for the second.
fn not_held(due: Vec<DueSend>, held: &Held) -> Vec<DueSend> {
    due.into_iter().filter(|send| !held.contains(send.id)).collect()
}

async fn look(
    tx: &mut Tx,
    app: &App,
    held: &Held,
    sequences: &Sequences,
    id: CampaignId,
    room: usize,
    now: Timestamp,
) -> store::Result<Found> {
    let claimed_at = Instant::now();
    let Some(campaign) = campaigns::lock_for_claim(tx, id).await? else {
        return Ok(Found::Nothing(Round::Idle { next_due: Some(now.plus(BUSY_AGAIN)) }));
    };
    if campaign.status != CampaignStatus::Active {
        return Ok(Found::Nothing(Round::Idle { next_due: None }));
    }
    let all = credentials::of_campaign(tx.conn(), id).await?;
    let mut next = NextLook::new(now);
    let most_held = most_held(app);
    let lease = Lease { owner: app.node, until: now.plus(app.lease()) };
    let mut ids: Vec<SendId> = Vec::new();
    let mut allowance = Allowance::of(tx, campaign.account_id, now).await?;
    let places = Places { day: None, month: now.utc_month() };

    let credential_ids: Vec<_> = all.iter().map(|credential| credential.id).collect();
    let next_due = sends::next_due_of_each(tx, id, &credential_ids).await?;
    for credential in &all {
        match (next_due.get(&credential.id).copied(), credential.is_usable(now)) {
            (None, _) => {}
            (Some(due), true) if due <= now => {
                next.planned = true;
                let free = most_held.saturating_sub(held.of(credential.id)).min(room.saturating_sub(ids.len()));
                let range = allowance.range(as_limit(free));
                let due = sends::due_follow_ups(tx, id, credential.id, now, range).await?;
                let follow_ups = allowance.take(not_held(due, held), &mut next);
                let claims: Vec<_> = follow_ups.iter().map(|send| (send.id, credential.id)).collect();
                sends::claim(tx, &claims, places, lease).await?;
                ids.extend(follow_ups.iter().map(|send| send.id));
                let due = sends::next_due(tx.conn(), id, Some(credential.id)).await?;
                next.at(due.filter(|due| *due > now));
            }
            (Some(due), true) => next.at(Some(due)),
            (Some(_), false) => next.at_or_never(credential.resting_until.filter(|_| credential.disabled.is_none())),
        }
    }

    allowance.reserve(tx).await?;
    match sends::next_due(tx.conn(), id, None).await? {
        None => {}
        Some(due) if due > now => next.at(Some(due)),
        Some(_) => {
            next.planned = true;
            let capacities = capacities(tx, &all, held, most_held, now, &mut next).await?;
            let free: u64 = capacities.iter().map(|capacity| capacity.left).sum();
            let wanted = usize::try_from(free).unwrap_or(usize::MAX).min(room.saturating_sub(ids.len()));
            let due = sends::due_first_steps(tx, id, now, allowance.range(as_limit(wanted))).await?;
            let first_steps = allowance.take(spaced(not_held(due, held), campaign.waits), &mut next);
            let turns = assign(&capacities, campaign.last_credential_id, first_steps.len());
            keep_gaps(tx, id, campaign.waits, &first_steps[..turns.len()], now).await?;
            let claims: Vec<_> = first_steps.into_iter().map(|step| step.id).zip(turns).collect();
            allowance.reserve(tx).await?;
            reserve(tx, &claims, now).await?;
            sends::claim(tx, &claims, Places { day: Some(now.utc_day()), ..places }, lease).await?;
            if let Some((_, last)) = claims.last() {
                campaigns::set_last_credential(tx.conn(), id, *last).await?;
            }
            ids.extend(claims.iter().map(|(send, _)| *send));
            let due = sends::next_due(tx.conn(), id, None).await?;
            next.at(due.filter(|due| *due > now));
        }
    }

    if ids.is_empty() {
        return Ok(Found::Nothing(match next.planned {
            true => Round::Idle { next_due: next.time },
            false => Round::NothingLeft(Box::new(campaign)),
        }));
    }
    let sequence = sequences.of(tx, id).await?;
    let open = |credential: Credential| (credential.id, OpenCredential::open(app, credential));
    let credentials = all.into_iter().map(open).collect();
    let context = Arc::new(CampaignContext { claimed_at, campaign, sequence, credentials });
    Ok(Found::Due { context, ids, next_due: next.time })
}

/// When to look at the campaign again, and whether anything is planned at all.
pub(super) struct NextLook {
    now: Timestamp,
    time: Option<Timestamp>,
    planned: bool,
}

impl NextLook {
    fn new(now: Timestamp) -> Self {
        Self { now, time: None, planned: false }
    }

    /// Something is planned for `time`. What is overdue waits for a worker to end, not for a time.
    pub(super) fn at(&mut self, time: Option<Timestamp>) {
        if let Some(time) = time {
            self.planned = true;
            if time > self.now {
                self.time = Some(self.time.map_or(time, |known| known.min(time)));
            }
        }
    }

    /// Something is planned that waits for `time`, or for a person.
    fn at_or_never(&mut self, time: Option<Timestamp>) {
        self.planned = true;
        self.at(time);
    }
}

/// How many first steps each usable credential may take now.
async fn capacities(
    tx: &mut Tx,
    all: &[Credential],
    held: &Held,
    most_held: usize,
    now: Timestamp,
    next: &mut NextLook,
) -> store::Result<Vec<Capacity>> {
    let ids: Vec<_> = all.iter().map(|credential| credential.id).collect();
    let reserved = credential_days::reserved_of_each(tx, &ids, now.utc_day()).await?;
    let mut capacities = Vec::with_capacity(all.len());
    for credential in all {
        if !credential.is_usable(now) {
            next.at_or_never(credential.resting_until.filter(|_| credential.disabled.is_none()));
            continue;
        }
        let reserved = reserved.get(&credential.id).copied().unwrap_or(0);
        let left_today = credential.effective_limit().saturating_sub(reserved);
        if left_today == 0 {
            next.at(Some(now.next_utc_day()));
        }
        let free = most_held.saturating_sub(held.of(credential.id));
        capacities.push(Capacity {
            credential_id: credential.id,
            left: left_today.min(u64::try_from(free).unwrap_or(u64::MAX)),
        });
    }
    Ok(capacities)
}

/// Of each batch the first that is due: what was held up (by a limit, a pause, a rest) must not leave in a burst.
fn spaced(due: Vec<DueSend>, waits: Waits) -> Vec<DueSend> {
    if waits.max.is_zero() {
        return due;
    }
    let mut batches = HashSet::new();
    due.into_iter().filter(|step| batches.insert(step.batch_number)).collect()
}

/// What follows a send that leaves late in its batch is as late, so that the gap between them stays.
async fn keep_gaps(
    tx: &mut Tx,
    campaign: CampaignId,
    waits: Waits,
    leaving: &[DueSend],
    now: Timestamp,
) -> store::Result<()> {
    if waits.max.is_zero() {
        return Ok(());
    }
    for step in leaving {
        let late = step.due_at.until(now);
        if late > PUNCTUAL {
            sends::delay_batch(tx, campaign, step.batch_number, late).await?;
        }
    }
    Ok(())
}

async fn reserve(tx: &mut Tx, claims: &[(SendId, CredentialId)], now: Timestamp) -> store::Result<()> {
    let mut counts: BTreeMap<CredentialId, i64> = BTreeMap::new();
    for (_, credential) in claims {
        *counts.entry(*credential).or_default() += 1;
    }
    credential_days::reserve_many(tx, &counts, now.utc_day()).await
}

/// Sends of one credential that a node holds at once.
pub(super) fn most_held(app: &App) -> usize {
    app.config.smtp_connections_per_credential * HELD_PER_CONNECTION
}

fn as_limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
