//! The sends to come, day by day: the dispatcher's rules played through in averages. It moves in short spans of time; in
//! each, follow-ups leave as they fall due, and first steps leave with their batches' gaps while a credential has room
//! left in its day. Nothing is played message by message: batches that stand alike move together, so a million
//! enrollments cost no more than their groups.
//!
//! It is a forecast of what the engine would send if nobody answered, bounced or unsubscribed, if every server took
//! everything, and if nobody changed anything.

mod batches;
mod capacity;
mod follow_ups;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::campaign::Waits;
use super::status::words;
use super::time::Timestamp;
use batches::Groups;
use capacity::Capacities;
use follow_ups::FollowUps;

/// Days that are played through, today among them.
pub const DAYS: usize = 90;

const TEN_MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);
/// Up to this much work a span is ten minutes long; beyond, an hour.
const FINE_WORK: usize = 2000;

words! {
    /// What kept a day from having more first steps.
    pub Limit {
        /// Every credential used up its daily limit.
        DailyLimit = "daily_limit",
        /// The account's plan is used up for the month; it holds follow-ups back, too.
        PlanLimit = "plan_limit",
        /// No credential may send: all are disabled, or at rest.
        NoCredential = "no_credential",
        /// The gaps between first messages.
        Spacing = "spacing",
    }
}

words! {
    /// What a forecast takes for granted of a campaign that sends nothing by itself.
    pub Assumption {
        /// Never dispatched: as if that happened now.
        DispatchedNow = "dispatched_now",
        /// Paused: as if it was resumed now.
        ResumedNow = "resumed_now",
    }
}

/// A campaign as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The time.
    pub now: Timestamp,
    /// The gaps.
    pub waits: Waits,
    /// Each step's delay after the one before, in order.
    pub delays: Vec<Duration>,
    /// First steps to come, by batches that stand alike.
    pub batches: Vec<Batches>,
    /// Sends that do not wait for room: follow-ups, first steps that are tried again, what is on its way.
    pub planned: Vec<PlannedSends>,
    /// The campaign's credentials.
    pub credentials: Vec<CredentialOutlook>,
    /// The account's plan, where it has a limit.
    pub plan: Option<PlanOutlook>,
}

/// Batches that stand alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// How many.
    pub count: u64,
    /// First steps that each has to go.
    pub each: u64,
    /// When the next of each leaves.
    pub next_at: Timestamp,
    /// Between two of a batch, on average.
    pub gap: Duration,
}

/// Sends that are planned for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSends {
    /// The place of their step in the sequence, from 0.
    pub step: usize,
    /// When.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
    /// The place of their credential in the list; none: any.
    pub credential: Option<usize>,
}

/// What a credential may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialOutlook {
    /// Whether it is disabled.
    pub is_disabled: bool,
    /// Until when it rests.
    pub resting_until: Option<Timestamp>,
    /// First steps of a UTC day.
    pub daily_limit: u64,
    /// First steps of today, those on their way among them.
    pub sent_today: u64,
}

/// What an account may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOutlook {
    /// In a month.
    pub monthly_limit: u64,
    /// In this one, still.
    pub left: u64,
}

/// What is to come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// From today to the last day on which anything leaves, at most [`DAYS`].
    pub days: Vec<Day>,
    /// What is left after them.
    pub after: Sends,
    /// Follow-ups that wait for a disabled credential, with the steps that follow them.
    pub held: u64,
}

/// A UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its first instant; for today, now.
    pub begins: Timestamp,
    /// What leaves.
    pub sends: Sends,
    /// What kept more first steps from leaving.
    pub limited_by: Option<Limit>,
}

/// Sends of both kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sends {
    /// First steps.
    pub first_steps: u64,
    /// All later steps.
    pub follow_ups: u64,
}

/// Plays the dispatcher's rules through.
pub fn forecast(outlook: &Outlook) -> Forecast {
    Play::new(outlook).played()
}

/// The state of a play.
struct Play<'a> {
    outlook: &'a Outlook,
    groups: Groups,
    follow_ups: FollowUps,
    capacities: Capacities<'a>,
    /// Of the month; none: as many as it likes.
    allowance: Option<u64>,
    days: Vec<Day>,
}

impl<'a> Play<'a> {
    fn new(outlook: &'a Outlook) -> Self {
        Self {
            outlook,
            groups: Groups::new(&outlook.batches, outlook.now),
            follow_ups: FollowUps::new(outlook),
            capacities: Capacities::new(&outlook.credentials),
            allowance: outlook.plan.map(|plan| plan.left),
            days: Vec::new(),
        }
    }

    fn played(mut self) -> Forecast {
        let is_fine = self.groups.len() + 20 * self.outlook.delays.len() <= FINE_WORK;
        let length = if is_fine { TEN_MINUTES } else { HOUR };
        let mut now = self.outlook.now;
        self.begin_day(now);
        loop {
            let midnight = now.next_utc_day();
            let end = now.plus(length).min(midnight).min(self.capacities.next_change(now).unwrap_or(midnight));
            self.span(now, end);
            if end == midnight {
                self.end_day();
                if self.days.len() == DAYS || self.is_over() {
                    break;
                }
                if end.utc_month() != now.utc_month() {
                    self.allowance = self.outlook.plan.map(|plan| plan.monthly_limit);
                }
                self.capacities.begin_day();
                self.begin_day(end);
            }
            now = end;
        }
        self.ended()
    }

    /// From `begin` up to, and without, `end`.
    fn span(&mut self, begin: Timestamp, end: Timestamp) {
        let mut room = self.allowance.unwrap_or(u64::MAX);
        let mut sends = Sends::default();
        // A step without delay and gap follows within the same span; each pass is a step further.
        loop {
            let left = self.follow_ups.leave(begin, end, room, &self.capacities);
            if left.total() == 0 {
                break;
            }
            room = room.saturating_sub(left.total());
            sends.add(left);
        }
        let (wanted, limit) = self.room_for_first_steps(begin, room);
        let departures = self.groups.leave(begin, end, wanted);
        for departure in &departures {
            sends.first_steps += departure.count;
            self.follow_ups.follow(0, departure.at, departure.count);
        }
        let left: u64 = departures.iter().map(|departure| departure.count).sum();
        self.capacities.take(begin, left);
        room = room.saturating_sub(left);
        let is_held_back = self.groups.are_due_before(end) || (room == 0 && self.follow_ups.are_due_before(end));
        // What followed the first steps of this very span.
        loop {
            let followed = self.follow_ups.leave(begin, end, room, &self.capacities);
            if followed.total() == 0 {
                break;
            }
            room = room.saturating_sub(followed.total());
            sends.add(followed);
        }
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.saturating_sub(sends.total());
        }
        if let Some(day) = self.days.last_mut() {
            day.sends.add(sends);
            if is_held_back {
                day.limited_by = Some(if room == 0 { Limit::PlanLimit } else { limit });
            }
        }
    }

    /// How many first steps may leave, and what would hold back more.
    fn room_for_first_steps(&self, at: Timestamp, room: u64) -> (u64, Limit) {
        match self.capacities.left(at) {
            None => (0, Limit::NoCredential),
            Some(left) => (left.min(room), Limit::DailyLimit),
        }
    }

    fn begin_day(&mut self, begins: Timestamp) {
        self.days.push(Day { begins, sends: Sends::default(), limited_by: None });
    }

    fn end_day(&mut self) {
        let is_spaced = !self.groups.is_empty();
        if let Some(day) = self.days.last_mut() {
            day.limited_by = day.limited_by.or(is_spaced.then_some(Limit::Spacing));
        }
    }

    /// Whether nothing will ever leave any more, as far as the play can tell.
    fn is_over(&self) -> bool {
        self.groups.is_empty() && self.follow_ups.is_empty()
    }

    fn ended(mut self) -> Forecast {
        let steps_after_first = u64::try_from(self.outlook.delays.len().saturating_sub(1)).unwrap_or(u64::MAX);
        let (first_steps, planned) = (self.groups.total(), self.follow_ups.left());
        let after = Sends {
            first_steps: first_steps + planned.first_steps,
            follow_ups: planned.follow_ups + first_steps.saturating_mul(steps_after_first),
        };
        // Days without sends at the end say nothing, unless it is all that there is to say.
        while self.days.len() > 1 && self.days.last().is_some_and(|day| day.sends.total() == 0) {
            self.days.pop();
        }
        let held = self.follow_ups.held();
        if self.days.last().is_some_and(|day| day.sends.total() == 0) && after.total() == 0 {
            self.days.clear();
        }
        Forecast { days: self.days, after, held }
    }
}

impl Sends {
    /// Of both kinds.
    pub fn total(self) -> u64 {
        self.first_steps + self.follow_ups
    }

    fn add(&mut self, more: Self) {
        self.first_steps += more.first_steps;
        self.follow_ups += more.follow_ups;
    }
}
