//! What an account's plan leaves of the month. It is part of the claim's transaction: two nodes can't both take the last
//! place.

use super::claim::NextLook;
use crate::domain::Timestamp;
use crate::domain::ids::AccountId;
use crate::domain::plan::Plan;
use crate::store::sends::{DueRange, DueSend};
use crate::store::{self, Tx, Writes, account_months};

/// Places of a month, as a claim takes them.
pub(super) struct Allowance {
    account: AccountId,
    now: Timestamp,
    /// None: as many as it likes.
    left: Option<u64>,
    taken: i64,
}

impl Allowance {
    /// Where `plan` has a limit, what is left of it is looked at once more with its row locked.
    pub(super) async fn of(tx: &mut Tx, account: AccountId, plan: &Plan, now: Timestamp) -> store::Result<Self> {
        let left = match plan.monthly_limit {
            None => None,
            Some(_) => account_months::lock_plan(tx, account, now.utc_month()).await?.left(),
        };
        Ok(Self { account, now, left, taken: 0 })
    }

    /// Which due sends are worth looking at.
    pub(super) fn range(&self, limit: i64) -> DueRange {
        DueRange { limit, only_with_place: self.left == Some(0) }
    }

    /// Those of `due` that may leave: a send that is tried again has its place already. Where the plan holds others back,
    /// the next look is at the beginning of the next month.
    pub(super) fn take(&mut self, mut due: Vec<DueSend>, next: &mut NextLook) -> Vec<DueSend> {
        due.retain(|send| send.has_place || self.take_one());
        if self.left == Some(0) {
            next.at(Some(self.now.next_utc_month()));
        }
        due
    }

    fn take_one(&mut self) -> bool {
        match &mut self.left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.taken += 1;
        true
    }

    /// Writes what was taken.
    pub(super) fn reserve(self, writes: &mut Writes) {
        if self.taken > 0 {
            account_months::reserve(writes, self.account, self.now.utc_month(), self.taken);
        }
    }
}
