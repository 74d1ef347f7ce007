//! The sequences of the campaigns that are being sent, kept compiled between claims: parsing a body of half a megabyte for
//! each message would cost more than sending it. Steps are never altered once they are made, so a sequence is the one of
//! its steps' ids.

use std::sync::{Arc, Mutex, PoisonError};

use super::sequence::Sequence;
use crate::domain::ids::{CampaignId, StepId};
use crate::store::{self, Tx, campaigns};

/// Bytes of templates that are kept; what was used longest ago is forgotten first.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What is kept. One a dispatcher.
#[derive(Default)]
pub(super) struct Sequences {
    /// In order of use, the latest at the end.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    campaign: CampaignId,
    steps: Vec<StepId>,
    sequence: Option<Arc<Sequence>>,
    bytes: usize,
}

impl Sequences {
    /// A campaign's sequence of these steps; none where its templates can't be read (it was altered by hand).
    pub(super) async fn of(
        &self,
        tx: &mut Tx,
        campaign: CampaignId,
        ids: Vec<StepId>,
    ) -> store::Result<Option<Arc<Sequence>>> {
        if let Some(sequence) = self.known(campaign, &ids) {
            return Ok(sequence);
        }
        let steps = campaigns::steps(tx.conn(), campaign).await?;
        let bytes = steps.iter().map(|s| s.subject.len() + 2 * s.body_html.len() + s.body_text.iter().len()).sum();
        let sequence = Sequence::compile(&steps).ok().map(Arc::new);
        self.keep(Kept { campaign, steps: ids, sequence: sequence.clone(), bytes });
        Ok(sequence)
    }

    fn known(&self, campaign: CampaignId, steps: &[StepId]) -> Option<Option<Arc<Sequence>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|one| one.campaign == campaign && one.steps == steps)?;
        let one = kept.remove(at);
        let sequence = one.sequence.clone();
        kept.push(one);
        Some(sequence)
    }

    fn keep(&self, new: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.campaign != new.campaign);
        kept.push(new);
        let mut total: usize = kept.iter().map(|one| one.bytes).sum();
        while total > MOST_BYTES && kept.len() > 1 {
            total -= kept.remove(0).bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn kept(campaign: CampaignId, bytes: usize) -> Kept {
        Kept { campaign, steps: Vec::new(), sequence: None, bytes }
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_first() {
        let [a, b, c] = [0, 1, 2].map(|n| CampaignId::new(Timestamp::from_millis(n)));
        let sequences = Sequences::default();
        sequences.keep(kept(a, MOST_BYTES / 2));
        sequences.keep(kept(b, MOST_BYTES / 2));
        assert!(sequences.known(a, &[]).is_some());
        sequences.keep(kept(c, 1));
        assert_eq!([a, b, c].map(|id| sequences.known(id, &[]).is_some()), [true, false, true]);
        assert!(sequences.known(a, &[StepId::new(Timestamp::from_millis(0))]).is_none(), "other steps");
    }
}
