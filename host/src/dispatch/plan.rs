//! Dispatching: enrollments that wait are given the times at which their first steps leave.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{EnrollmentId, SendId};
use crate::domain::status::CampaignStatus;
use crate::store::enrollments::{self, Undispatched};
use crate::store::sends::{self, NewSend};
use crate::store::{StoreError, campaigns};
use crate::wake::Wake;

/// Enrollments a transaction: a dispatch of a million keeps nobody else waiting.
const CHUNK: i64 = 5000;

/// What a dispatch set going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The database failed; what was planned before stays planned, and the same call goes on from there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives every waiting enrollment (of `batch`, if one is named) its time: within a batch spaced by random gaps, batches
/// side by side. The campaign becomes active.
pub async fn plan(app: &App, campaign: &Campaign, batch: Option<i64>) -> Result<Planned, PlanError> {
    let steps = campaigns::steps(&mut *app.store.read().await?, campaign.id).await?;
    let first_step = steps.first().ok_or(PlanError::NoSteps)?.position;
    let start = app.clock.now();
    let mut next_of_batch: BTreeMap<i64, Timestamp> = BTreeMap::new();
    let mut planned = Planned { dispatched: 0, batches: 0 };
    loop {
        let mut tx = app.store.begin().await?;
        // Two dispatches of one campaign would take every other enrollment of a batch each, and halve its gaps.
        campaigns::lock(&mut tx, campaign.id).await?;
        let waiting = enrollments::hold_undispatched(&mut tx, campaign.id, batch, CHUNK).await?;
        if waiting.is_empty() {
            // Whoever came to claim what is planned by now has found the campaign locked, and comes again.
            tx.rollback().await?;
            app.store.wakeups().ring(Wake::Dispatch);
            break;
        }
        let from = [CampaignStatus::Pending, CampaignStatus::Active, CampaignStatus::Finished];
        if !campaigns::move_status(tx.conn(), campaign.id, &from, CampaignStatus::Active, None).await? {
            return Err(PlanError::Paused);
        }
        let now = app.clock.now();
        for enrollment in &waiting {
            // A batch that is under way goes on where it ends.
            if let Entry::Vacant(first) = next_of_batch.entry(enrollment.batch_number) {
                let last = sends::last_due_in_batch(tx.conn(), campaign.id, enrollment.batch_number).await?;
                first.insert(last.map_or(start, |last| last.plus(campaign.waits.gap(rand::random())).max(start)));
            }
        }
        let sends: Vec<_> = waiting
            .iter()
            .map(|enrollment| {
                let next = next_of_batch.entry(enrollment.batch_number).or_insert(start);
                let due_at = *next;
                *next = due_at.plus(campaign.waits.gap(rand::random()));
                first_send(enrollment, first_step, due_at, now)
            })
            .collect();
        sends::plan_many(&mut tx, campaign.account_id, campaign.id, &sends, now).await?;
        let ids: Vec<EnrollmentId> = waiting.iter().map(|enrollment| enrollment.id).collect();
        enrollments::mark_dispatched(&mut tx, &ids, now).await?;
        tx.wake(Wake::Dispatch);
        tx.commit().await?;
        planned.dispatched += u64::try_from(ids.len()).unwrap_or(u64::MAX);
    }
    planned.batches = u64::try_from(next_of_batch.len()).unwrap_or(u64::MAX);
    if planned.dispatched == 0 { Err(PlanError::NothingPending) } else { Ok(planned) }
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
