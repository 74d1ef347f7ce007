//! Dispatching: enrollments that wait are given the times at which their first steps leave.
//!
//! It goes in transactions of a bounded size, which the caller commits: the last one with the answer to the call. A
//! dispatch that is cut off has planned what it has committed, and the same call goes on from there.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Waits};
use crate::domain::ids::{EnrollmentId, SendId};
use crate::domain::status::CampaignStatus;
use crate::store::enrollments::{self, Undispatched};
use crate::store::sends::{self, DueSpan, NewSend};
use crate::store::{Conn, StoreError, Tx, campaigns};
use crate::wake::Wake;

/// Enrollments a transaction: a dispatch of a million keeps nobody else waiting.
const CHUNK: i64 = 2000;

/// What a dispatch set going.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planned {
    /// Enrollments.
    pub dispatched: u64,
    /// Batches that they are in.
    pub batches: u64,
}

/// Why nothing was dispatched.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No enrollment waits (in this batch).
    #[error("no enrollment of this campaign waits for a dispatch")]
    NothingPending,
    /// A paused campaign is resumed, not dispatched.
    #[error("the campaign is paused; resume it first")]
    Paused,
    /// The campaign has no step to send.
    #[error("the campaign has no steps")]
    NoSteps,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A dispatch under way.
#[derive(Debug)]
pub struct Planning {
    campaign: Campaign,
    batch: Option<i64>,
    first_step: u32,
    /// The last batch that was planned: the next transaction may go on in it.
    last_batch: Option<i64>,
    planned: Planned,
}

impl Planning {
    /// Of every waiting enrollment (of `batch`, if one is named).
    pub async fn begin(conn: &mut Conn, campaign: Campaign, batch: Option<i64>) -> Result<Self, PlanError> {
        let steps = campaigns::steps(conn, campaign.id).await?;
        let first_step = steps.first().ok_or(PlanError::NoSteps)?.position;
        Ok(Self { campaign, batch, first_step, last_batch: None, planned: Planned::default() })
    }

    /// Gives the next enrollments their times: within a batch spaced by random gaps, batches side by side. The campaign
    /// becomes active. `Some`: these were the last.
    pub async fn go_on(&mut self, tx: &mut Tx, now: Timestamp) -> Result<Option<Planned>, PlanError> {
        let from = [CampaignStatus::Pending, CampaignStatus::Active, CampaignStatus::Finished];
        // First of all: on PostgreSQL another dispatch of the campaign waits here until this one is committed.
        if !campaigns::move_status(tx.conn(), self.campaign.id, &from, CampaignStatus::Active, None).await? {
            return Err(PlanError::Paused);
        }
        let waiting = enrollments::hold_undispatched(tx, self.campaign.id, self.batch, CHUNK).await?;
        let mut sends = Vec::with_capacity(waiting.len());
        let mut under_way = self.under_way(tx.conn(), &waiting).await?;
        for batch in waiting.chunk_by(|a, b| a.batch_number == b.batch_number) {
            let number = batch.first().map_or(0, |enrollment| enrollment.batch_number);
            if self.last_batch.replace(number) != Some(number) {
                self.planned.batches += 1;
            }
            let times = times(under_way.remove(&number), batch, self.campaign.waits, now, &mut rand::random);
            if !times.others_later.is_zero() {
                sends::delay_batch(tx, self.campaign.id, number, times.others_later).await?;
            }
            let planned = batch.iter().zip(times.due);
            sends.extend(planned.map(|(enrollment, due_at)| first_send(enrollment, self.first_step, due_at, now)));
        }
        tx.make(|writes| sends::plan_many(writes, &sends, now)).await?;
        let ids: Vec<EnrollmentId> = waiting.iter().map(|enrollment| enrollment.id).collect();
        enrollments::mark_dispatched(tx, &ids, now).await?;
        tx.wake(Wake::Dispatch);
        self.planned.dispatched += u64::try_from(ids.len()).unwrap_or(u64::MAX);
        if i64::try_from(ids.len()).unwrap_or(i64::MAX) >= CHUNK {
            return Ok(None);
        }
        match self.planned.dispatched {
            0 => Err(PlanError::NothingPending),
            _ => Ok(Some(self.planned)),
        }
    }

    /// The batches of `waiting` that have first steps to go.
    async fn under_way(&self, conn: &mut Conn, waiting: &[Undispatched]) -> Result<HashMap<i64, DueSpan>, StoreError> {
        let (Some(first), Some(last)) = (waiting.first(), waiting.last()) else { return Ok(HashMap::new()) };
        let batches = first.batch_number..=last.batch_number;
        Ok(sends::due_spans(conn, self.campaign.id, batches).await?.into_iter().collect())
    }
}

/// The times of a batch's new first steps.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    /// Of each, in order.
    due: Vec<Timestamp>,
    /// By how much those that the batch had already are later for it.
    others_later: Duration,
}

/// Spaces `new` by random gaps. In a batch that is under way those with priority go first and the others go last.
fn times(
    under_way: Option<DueSpan>,
    new: &[Undispatched],
    waits: Waits,
    now: Timestamp,
    draw: &mut dyn FnMut() -> f64,
) -> Times {
    let mut due = Vec::with_capacity(new.len());
    let mut others_later = Duration::ZERO;
    let mut next = now;
    if let Some(DueSpan { first, last }) = under_way {
        for _ in new.iter().take_while(|enrollment| enrollment.priority) {
            due.push(first.plus(others_later));
            others_later += waits.gap(draw());
        }
        next = last.plus(others_later).plus(waits.gap(draw())).max(now);
    }
    while due.len() < new.len() {
        due.push(next);
        next = next.plus(waits.gap(draw()));
    }
    Times { due, others_later }
}

fn first_send(enrollment: &Undispatched, position: u32, due_at: Timestamp, now: Timestamp) -> NewSend {
    NewSend {
        id: SendId::new(now),
        enrollment_id: enrollment.id,
        contact_id: enrollment.contact_id,
        step_position: position,
        smtp_credential_id: None,
        due_at,
        priority: enrollment.priority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ContactId;

    /// Gaps of 60 and 180 s in turn; `expected` in seconds from now.
    #[track_caller]
    fn check(under_way: Option<(u64, u64)>, new: &[bool], expected: &[u64], others_later: u64) {
        let now = Timestamp::from_millis(1_000_000);
        let at = |seconds| now.plus(Duration::from_secs(seconds));
        let waits = Waits { min: Duration::from_secs(60), max: Duration::from_secs(180) };
        let new: Vec<_> = new
            .iter()
            .map(|priority| Undispatched {
                id: EnrollmentId::NOBODY,
                contact_id: ContactId::NOBODY,
                batch_number: 1,
                priority: *priority,
            })
            .collect();
        let mut is_long = true;
        let mut draw = || {
            is_long = !is_long;
            f64::from(u8::from(is_long))
        };
        let span = under_way.map(|(first, last)| DueSpan { first: at(first), last: at(last) });
        let made = times(span, &new, waits, now, &mut draw);
        let expected = Times {
            due: expected.iter().map(|seconds| at(*seconds)).collect(),
            others_later: Duration::from_secs(others_later),
        };
        assert_eq!(made, expected);
    }

    #[test]
    fn a_new_batch_begins_now_with_those_that_have_priority() {
        check(None, &[true, false, false, false], &[0, 60, 240, 300], 0);
        check(None, &[], &[], 0);
    }

    #[test]
    fn a_batch_that_is_under_way_goes_on_where_it_ends() {
        check(Some((100, 500)), &[false, false], &[560, 740], 0);
    }

    #[test]
    fn priority_goes_before_what_the_batch_has_to_go_and_keeps_the_gaps() {
        check(Some((100, 500)), &[true], &[100], 60);
        check(Some((100, 500)), &[true, true, false], &[100, 160, 500 + 240 + 60], 240);
    }
}
