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
use super::standing::{Questions, Standing};
use super::used_up::UsedUp;
use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Waits};
use crate::domain::credential::Credential;
use crate::domain::ids::{CampaignId, CredentialId, SendId};
use crate::domain::rotation::{Capacity, assign};
use crate::domain::status::CampaignStatus;
use crate::store::sends::{self, ClaimedSend, DueSend, Lease, NextDue, Places};
use crate::store::{self, Tx, Writes, campaigns, credential_days};

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
        /// Nothing will leave before that, whatever comes of what this node holds.
        is_quiet: bool,
    },
    /// Nothing is planned any more.
    NothingLeft(Box<Campaign>),
}

/// What a transaction found.
enum Found {
    /// Sends that are held once these writes are committed.
    Due { context: Arc<CampaignContext>, ids: Vec<SendId>, next_due: Option<Timestamp>, writes: Writes },
    /// Nothing to commit.
    Nothing(Round),
}

/// What a node remembers from one claim to the next.
#[derive(Default)]
pub(super) struct Memory {
    sequences: Sequences,
    used_up: UsedUp,
}

/// Claims at most `room` due sends of a campaign.
pub(super) async fn claim(
    app: &App,
    held: &Held,
    memory: &Memory,
    id: CampaignId,
    room: usize,
    now: Timestamp,
) -> store::Result<Round> {
    let mut reads = app.store.reads();
    let questions = Questions::ask(&mut reads, id, now);
    let (mut tx, answers) = app.store.begin_with(reads).await?;
    // The wait for the writer is not the claim's.
    let began = tx.since();
    let Some(standing) = questions.standing(&answers)? else {
        tx.rollback().await?;
        return Ok(Round::Idle { next_due: Some(now.plus(BUSY_AGAIN)), is_quiet: true });
    };
    match look(&mut tx, app, held, memory, standing, room, now).await? {
        Found::Due { context, ids, next_due, writes } => {
            tx.commit_with(writes).await?;
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
    memory: &Memory,
    standing: Standing,
    room: usize,
    now: Timestamp,
) -> store::Result<Found> {
    let claimed_at = Instant::now();
    let Standing { campaign, credentials: all, plan, reserved, step_ids, first_steps, of_credentials } = standing;
    if campaign.status != CampaignStatus::Active {
        return Ok(Found::Nothing(Round::Idle { next_due: None, is_quiet: true }));
    }
    let id = campaign.id;
    let mut next = NextLook::new(now);
    let most_held = most_held(app);
    let lease = Lease { owner: app.node, until: now.plus(app.lease()) };
    let mut ids: Vec<SendId> = Vec::new();
    let mut writes = tx.writes();
    let mut allowance = Allowance::of(tx, campaign.account_id, &plan, now).await?;
    let places = Places { day: None, month: now.utc_month() };

    // Each time another is the first, so that none is always the last to find room.
    let (others, first) = all.split_at(usize::try_from(now.as_millis()).unwrap_or(0) % all.len().max(1));
    for credential in first.iter().chain(others) {
        let Some(NextDue { first: Some(first), later }) = of_credentials.get(&credential.id).copied() else { continue };
        if !credential.is_usable(now) {
            next.at_or_never(credential.resting_until.filter(|_| credential.disabled.is_none()));
        } else if first > now {
            next.at(Some(first));
        } else {
            next.planned = true;
            let free = most_held.saturating_sub(held.of(credential.id)).min(room.saturating_sub(ids.len()));
            let range = allowance.range(as_limit(free));
            let due = sends::due_follow_ups(tx, id, credential.id, now, range).await?;
            let follow_ups = allowance.take(not_held(due, held), &mut next);
            let claims: Vec<_> = follow_ups.iter().map(|send| (send.id, credential.id)).collect();
            sends::claim(&mut writes, &claims, places, lease);
            ids.extend(follow_ups.iter().map(|send| send.id));
            next.at(later);
        }
    }

    let mut taken_today = Vec::new();
    match first_steps.first {
        None => {}
        Some(due) if due > now => next.at(Some(due)),
        Some(_) => {
            next.planned = true;
            let capacities = capacities(&all, &reserved, held, most_held, now, &mut next);
            let is_used_up = |one: &Credential| reserved.get(&one.id).copied().unwrap_or(0) >= one.effective_limit();
            if !capacities.is_empty() && all.iter().filter(|one| one.is_usable(now)).all(is_used_up) {
                memory.used_up.tell(id, now);
            }
            let free: u64 = capacities.iter().map(|capacity| capacity.left).sum();
            let wanted = usize::try_from(free).unwrap_or(usize::MAX).min(room.saturating_sub(ids.len()));
            let due = sends::due_first_steps(tx, id, now, allowance.range(as_limit(wanted))).await?;
            let steps = allowance.take(spaced(not_held(due, held), campaign.waits), &mut next);
            let turns = assign(&capacities, campaign.last_credential_id, steps.len());
            let moved_to = keep_gaps(tx, id, campaign.waits, &steps[..turns.len()], now).await?;
            let claims: Vec<_> = steps.into_iter().map(|step| step.id).zip(turns).collect();
            sends::claim(&mut writes, &claims, Places { day: Some(now.utc_day()), ..places }, lease);
            if let Some((_, last)) = claims.last() {
                campaigns::set_last_credential(&mut writes, id, *last);
            }
            ids.extend(claims.iter().map(|(send, _)| *send));
            taken_today = claims;
            next.at(moved_to.or(first_steps.later));
        }
    }

    if ids.is_empty() {
        let is_quiet = all.iter().all(|credential| held.of(credential.id) == 0);
        return Ok(Found::Nothing(match next.planned {
            true => Round::Idle { next_due: next.time, is_quiet },
            false => Round::NothingLeft(Box::new(campaign)),
        }));
    }
    allowance.reserve(&mut writes);
    reserve(&mut writes, &taken_today, now);
    let sequence = memory.sequences.of(tx, id, step_ids).await?;
    let open = |credential: Credential| (credential.id, OpenCredential::open(app, credential));
    let credentials = all.into_iter().map(open).collect();
    let context = Arc::new(CampaignContext { claimed_at, campaign, sequence, credentials });
    Ok(Found::Due { context, ids, next_due: next.time, writes })
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
fn capacities(
    all: &[Credential],
    reserved: &HashMap<CredentialId, u64>,
    held: &Held,
    most_held: usize,
    now: Timestamp,
    next: &mut NextLook,
) -> Vec<Capacity> {
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
    capacities
}

/// Of each batch the first that is due: what was held up (by a limit, a pause, a rest) must not leave in a burst.
fn spaced(due: Vec<DueSend>, waits: Waits) -> Vec<DueSend> {
    if waits.max.is_zero() {
        return due;
    }
    let mut batches = HashSet::new();
    due.into_iter().filter(|step| batches.insert(step.batch_number)).collect()
}

/// What follows a send that leaves late in its batch is as late, so that the gap between them stays; and where there is no gap,
/// because a gate put all of them off to the same time, one is drawn. Gives when the next one is due by then, where any was
/// moved.
async fn keep_gaps(
    tx: &mut Tx,
    campaign: CampaignId,
    waits: Waits,
    leaving: &[DueSend],
    now: Timestamp,
) -> store::Result<Option<Timestamp>> {
    if waits.max.is_zero() || leaving.is_empty() {
        return Ok(None);
    }
    let late = leaving.iter().map(|step| (step.batch_number, step.due_at.until(now)));
    let late: HashMap<i64, Duration> = late.filter(|(_, late)| *late > PUNCTUAL).collect();
    let earliest = now.plus(waits.min.saturating_sub(PUNCTUAL));
    let mut is_moved = false;
    for (batch, next) in sends::next_in_batches(tx, campaign, leaving).await? {
        let late = late.get(&batch).copied().unwrap_or_default();
        let moved = next.plus(late);
        let delay = match moved <= now || moved < earliest {
            true => next.until(now.plus(waits.gap(rand::random()))),
            false => late,
        };
        if !delay.is_zero() {
            // Each for itself: SQLite would look through all that the campaign has planned for those of many batches.
            sends::delay_batch(tx, campaign, batch, delay).await?;
            is_moved = true;
        }
    }
    if !is_moved {
        return Ok(None);
    }
    let mut reads = tx.reads();
    let asked = sends::ask_next_first_step(&mut reads, campaign, now);
    Ok(sends::next_first_step_of(&tx.ask(reads).await?, asked)?.later)
}

fn reserve(writes: &mut Writes, claims: &[(SendId, CredentialId)], now: Timestamp) {
    let mut counts: BTreeMap<CredentialId, i64> = BTreeMap::new();
    for (_, credential) in claims {
        *counts.entry(*credential).or_default() += 1;
    }
    if !counts.is_empty() {
        credential_days::reserve_many(writes, &counts, now.utc_day());
    }
}

/// Sends of one credential that a node holds at once.
pub(super) fn most_held(app: &App) -> usize {
    app.config.smtp_connections_per_credential.saturating_mul(HELD_PER_CONNECTION)
}

fn as_limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
