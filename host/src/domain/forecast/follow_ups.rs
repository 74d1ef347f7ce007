//! Follow-ups: planned when the step before has left, after their delay and a gap, and bound by no daily limit. Those of
//! a credential that may not send wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::capacity::Capacities;
use super::{Outlook, Sends};
use crate::domain::{Timestamp, pacing};

/// Follow-ups that are nearer to each other than this are one.
const ALIKE_MILLIS: i64 = 600_000;

/// Where a pool stands: its slot of time, its step, its credential.
type Place = (i64, usize, Option<usize>);

/// Sends that are due at about the same time.
#[derive(Debug, Clone, Copy, Default)]
struct Pool {
    count: u64,
    mean_millis: i64,
}

pub(super) struct FollowUps {
    pools: BTreeMap<Place, Pool>,
    /// Of disabled credentials.
    held: BTreeMap<usize, u64>,
    /// After which each step follows the one before, its mean gap with it.
    after: Vec<Duration>,
}

impl FollowUps {
    pub(super) fn new(outlook: &Outlook) -> Self {
        let gap = pacing::follow_up(Timestamp::from_millis(0), Duration::ZERO, outlook.waits, 0.5);
        let gap = Timestamp::from_millis(0).until(gap);
        let after = outlook.delays.iter().map(|delay| delay.saturating_add(gap)).collect();
        let mut all = Self { pools: BTreeMap::new(), held: BTreeMap::new(), after };
        let capacities = Capacities::new(&outlook.credentials);
        for planned in &outlook.planned {
            match planned.credential.filter(|credential| capacities.is_disabled(*credential)) {
                Some(_) => *all.held.entry(planned.step).or_default() += planned.count,
                None => all.plan(planned.step, planned.credential, planned.at.max(outlook.now), planned.count),
            }
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    pub(super) fn are_due_before(&self, end: Timestamp) -> bool {
        self.pools.values().next().is_some_and(|pool| pool.mean_millis < end.as_millis())
    }

    /// Plans what follows `count` sends of `step` that left at `at`.
    pub(super) fn follow(&mut self, step: usize, at: Timestamp, count: u64) {
        if let Some(after) = self.after.get(step + 1) {
            self.plan(step + 1, None, at.plus(*after), count);
        }
    }

    /// Lets at most `room` of what is due before `end` leave, and plans what follows it.
    pub(super) fn leave(&mut self, begin: Timestamp, end: Timestamp, room: u64, capacities: &Capacities<'_>) -> Sends {
        let mut sends = Sends::default();
        let last_slot = (end.as_millis() - 1).div_euclid(ALIKE_MILLIS);
        let due: Vec<Place> = self
            .pools
            .range(..(last_slot + 1, 0, None))
            .filter(|((_, _, credential), pool)| {
                pool.mean_millis < end.as_millis() && credential.is_none_or(|one| capacities.may_send(one, begin))
            })
            .map(|(place, _)| *place)
            .collect();
        for place in due {
            let left = room.saturating_sub(sends.total());
            let Some(pool) = self.pools.get_mut(&place).filter(|_| left > 0) else { break };
            let leaving = pool.count.min(left);
            let at = Timestamp::from_millis(pool.mean_millis).max(begin);
            pool.count -= leaving;
            if pool.count == 0 {
                self.pools.remove(&place);
            }
            let (_, step, _) = place;
            match step {
                0 => sends.first_steps += leaving,
                _ => sends.follow_ups += leaving,
            }
            self.follow(step, at, leaving);
        }
        sends
    }

    /// What has not left, and what would follow it.
    pub(super) fn left(&self) -> Sends {
        let mut left = Sends::default();
        for ((_, step, _), pool) in &self.pools {
            let with_later_steps = self.with_later_steps(*step, pool.count);
            match step {
                0 => {
                    left.first_steps += pool.count;
                    left.follow_ups += with_later_steps - pool.count;
                }
                _ => left.follow_ups += with_later_steps,
            }
        }
        left
    }

    /// What waits for disabled credentials, with what would follow it.
    pub(super) fn held(&self) -> u64 {
        self.held.iter().map(|(step, count)| self.with_later_steps(*step, *count)).sum()
    }

    fn with_later_steps(&self, step: usize, count: u64) -> u64 {
        let steps = self.after.len().saturating_sub(step).max(1);
        count.saturating_mul(u64::try_from(steps).unwrap_or(u64::MAX))
    }

    fn plan(&mut self, step: usize, credential: Option<usize>, at: Timestamp, count: u64) {
        let millis = at.as_millis();
        let pool = self.pools.entry((millis.div_euclid(ALIKE_MILLIS), step, credential)).or_default();
        let total = i128::from(pool.count + count);
        let sum = i128::from(pool.mean_millis) * i128::from(pool.count) + i128::from(millis) * i128::from(count);
        pool.count += count;
        pool.mean_millis = i64::try_from(sum.checked_div(total).unwrap_or(0)).unwrap_or(i64::MAX);
    }
}
