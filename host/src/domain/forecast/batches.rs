//! First steps in their batches: each batch keeps its gaps, and one that is held up goes on where it stopped, as late as
//! that.

use super::Batches;
use crate::domain::Timestamp;

/// Batches that stand alike, and what they have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    batches: u64,
    each: u64,
    next: i64,
    gap: i64,
}

/// First steps that leave at about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departure {
    pub(super) at: Timestamp,
    pub(super) count: u64,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups(Vec<Group>);

impl Group {
    /// How many of each batch leave up to and at `until`.
    fn each_until(&self, until: i64) -> u64 {
        if self.next > until {
            return 0;
        }
        let gaps = (until - self.next).checked_div(self.gap).unwrap_or(0);
        self.each.min(u64::try_from(gaps).unwrap_or(0) + 1)
    }

    fn until(&self, until: i64) -> u64 {
        self.each_until(until).saturating_mul(self.batches)
    }

    /// Lets `count` of each batch go.
    fn advance(&mut self, count: u64) {
        self.each -= count;
        self.next = self.next.saturating_add(self.gap.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)));
    }
}

impl Groups {
    pub(super) fn new(batches: &[Batches], now: Timestamp) -> Self {
        let groups = batches.iter().filter(|one| one.count > 0 && one.each > 0).map(|one| {
            let (next, gap) =
                (one.next_at.max(now).as_millis(), i64::try_from(one.gap.as_millis()).unwrap_or(i64::MAX));
            match gap {
                // Without gaps all of a batch may leave at once: each is a batch of its own.
                0 => Group { batches: one.count.saturating_mul(one.each), each: 1, next, gap },
                _ => Group { batches: one.count, each: one.each, next, gap },
            }
        });
        Self(groups.collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|group| group.batches.saturating_mul(group.each)).sum()
    }

    pub(super) fn are_due_before(&self, end: Timestamp) -> bool {
        self.0.iter().any(|group| group.next < end.as_millis())
    }

    /// Lets at most `room` leave in a span, the earliest first. What is overdue leaves at its beginning, and the rest of
    /// its batch is as late; when nothing may leave, nothing moves.
    pub(super) fn leave(&mut self, begin: Timestamp, end: Timestamp, room: u64) -> Vec<Departure> {
        let mut departures = Vec::new();
        if room == 0 {
            return departures;
        }
        let (begin, end) = (begin.as_millis(), end.as_millis());
        for group in &mut self.0 {
            group.next = group.next.max(begin);
        }
        let until = self.last_instant_within(begin, end, room);
        let mut left = room;
        for group in &mut self.0 {
            let each = group.each_until(until);
            if each > 0 {
                left -= go(group, each, &mut departures);
            }
        }
        // The instant at which the room ends: some of its first steps still leave, and their batches go apart.
        if until + 1 < end {
            let mut apart = Vec::new();
            for group in self.0.iter_mut().filter(|group| group.next == until + 1) {
                let leaving = group.batches.min(left);
                if leaving > 0 {
                    left -= leaving;
                    let mut gone = Group { batches: leaving, ..*group };
                    group.batches -= leaving;
                    go(&mut gone, 1, &mut departures);
                    apart.push(gone);
                }
            }
            self.0.append(&mut apart);
        }
        self.0.retain(|group| group.batches > 0 && group.each > 0);
        departures
    }

    /// The last instant of the span up to which no more than `room` leave; the one before the span if there is none.
    fn last_instant_within(&self, begin: i64, end: i64, room: u64) -> i64 {
        let leaving = |until: i64| self.0.iter().fold(0_u64, |sum, group| sum.saturating_add(group.until(until)));
        let (mut fits, mut beyond) = (begin - 1, end);
        if leaving(end - 1) <= room {
            return end - 1;
        }
        while beyond - fits > 1 {
            let middle = fits + (beyond - fits) / 2;
            if leaving(middle) <= room {
                fits = middle;
            } else {
                beyond = middle;
            }
        }
        fits
    }
}

/// Lets `each` of every batch of a group go; told at their mean time. Gives how many.
fn go(group: &mut Group, each: u64, departures: &mut Vec<Departure>) -> u64 {
    let count = each.saturating_mul(group.batches);
    let between = group.gap.saturating_mul(i64::try_from(each - 1).unwrap_or(i64::MAX)) / 2;
    departures.push(Departure { at: Timestamp::from_millis(group.next.saturating_add(between)), count });
    group.advance(each);
    count
}
