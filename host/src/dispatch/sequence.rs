//! A campaign's sequence, ready to render: its templates are parsed once a claim, not once a message.

use crate::domain::campaign::{Campaign, Step};
use crate::domain::ids::SendId;
use crate::domain::merge_tags::BadTemplate;
use crate::domain::{Timestamp, pacing};
use crate::store::sends::{ClaimedSend, NewSend};

use super::render::CompiledStep;

/// The steps of a campaign in order.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    steps: Vec<CompiledStep>,
}

impl Sequence {
    pub(super) fn compile(steps: &[Step]) -> Result<Self, BadTemplate> {
        Ok(Self { steps: steps.iter().map(CompiledStep::compile).collect::<Result<_, _>>()? })
    }

    pub(super) fn step(&self, position: u32) -> Option<&CompiledStep> {
        self.steps.iter().find(|step| step.position == position)
    }

    /// The send that follows `held`, accepted (or passed over) at `now`.
    pub(super) fn after(&self, campaign: &Campaign, held: &ClaimedSend, now: Timestamp) -> Option<NewSend> {
        let next = self.steps.iter().find(|step| step.position > held.send.step_position)?;
        Some(NewSend {
            id: SendId::new(now),
            enrollment_id: held.send.enrollment_id,
            contact_id: held.send.contact_id,
            step_position: next.position,
            smtp_credential_id: Some(held.credential_id),
            due_at: pacing::follow_up(now, next.delay, campaign.waits, rand::random()),
            priority: false,
        })
    }
}
