//! How many first steps the credentials may still send in their day. Rotation takes from each in turn, so they are used
//! up evenly.

use super::CredentialOutlook;
use crate::domain::Timestamp;

pub(super) struct Capacities<'a> {
    credentials: &'a [CredentialOutlook],
    left: Vec<u64>,
}

impl<'a> Capacities<'a> {
    pub(super) fn new(credentials: &'a [CredentialOutlook]) -> Self {
        let left = credentials.iter().map(|one| one.daily_limit.saturating_sub(one.sent_today)).collect();
        Self { credentials, left }
    }

    pub(super) fn begin_day(&mut self) {
        self.left = self.credentials.iter().map(|one| one.daily_limit).collect();
    }

    pub(super) fn is_disabled(&self, credential: usize) -> bool {
        self.credentials.get(credential).is_none_or(|one| one.is_disabled)
    }

    pub(super) fn may_send(&self, credential: usize, at: Timestamp) -> bool {
        self.credentials.get(credential).is_some_and(|one| may_send(one, at))
    }

    /// What all that may send at `at` have left; none when none may.
    pub(super) fn left(&self, at: Timestamp) -> Option<u64> {
        let of_each = self.credentials.iter().zip(&self.left).filter(|(one, _)| may_send(one, at));
        of_each.map(|(_, left)| *left).reduce(u64::saturating_add)
    }

    /// When the next rest after `now` ends.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let resting = self.credentials.iter().filter(|one| !one.is_disabled).filter_map(|one| one.resting_until);
        resting.filter(|until| *until > now).min()
    }

    /// Takes `count` from those that may send at `at`, in turns.
    pub(super) fn take(&mut self, at: Timestamp, mut count: u64) {
        while count > 0 {
            let open =
                self.credentials.iter().zip(&mut self.left).filter(|(one, left)| may_send(one, at) && **left > 0);
            let mut open: Vec<&mut u64> = open.map(|(_, left)| left).collect();
            let turns = u64::try_from(open.len()).unwrap_or(u64::MAX);
            let Some(least) = open.iter().map(|left| **left).min() else { return };
            let rounds = least.min(count / turns);
            for left in &mut open {
                let taken = if rounds > 0 { rounds } else { count.min(1) };
                **left -= taken;
                count -= taken;
            }
        }
    }
}

fn may_send(one: &CredentialOutlook, at: Timestamp) -> bool {
    !one.is_disabled && one.resting_until.is_none_or(|until| until <= at)
}
