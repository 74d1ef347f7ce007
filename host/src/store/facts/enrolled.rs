//! Enrolling contacts into a campaign: who is passed over and why, the batches' numbers, the counters.

use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Outreach};
use crate::domain::ids::{ContactId, ContactImportId, EnrollmentId, OutreachId};
use crate::domain::status::words;
use crate::store::counters::SkipCounter;
use crate::store::enrollments::{self, Candidate, NewEnrollment};
use crate::store::{Result, Tx, counters, outreaches};

words! {
    /// Why a contact was not enrolled.
    pub SkipReason {
        /// It is in this campaign.
        AlreadyEnrolled = "already_enrolled",
        /// It does not want more.
        Unsubscribed = "unsubscribed",
        /// Its address or domain is suppressed.
        Suppressed = "suppressed",
        /// A sibling campaign of an outreach with unique contacts has it.
        CrossCampaignDuplicate = "cross_campaign_duplicate",
    }
}

/// A contact that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Who.
    pub contact_id: ContactId,
    /// The address.
    pub email: String,
    /// Why.
    pub reason: SkipReason,
}

/// Where the next enrollment goes: batches are filled one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// The batch that is being filled; none before the first.
    number: Option<i64>,
    /// How many it has already.
    filled: u64,
    /// How many it may have; at least one.
    size: u64,
    /// How many were begun.
    begun: u64,
}

/// Which part of an import is enrolled at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which import.
    pub import: ContactImportId,
    /// The outreach whose other campaigns must not have its contacts.
    pub unique_in: Option<OutreachId>,
    /// After this contact; from the first when there is none.
    pub after: Option<ContactId>,
    /// At most so many.
    pub limit: i64,
}

/// What came of one chunk of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// How many were enrolled.
    pub enrolled: u64,
    /// Who was passed over.
    pub skipped: Vec<Skipped>,
    /// The contact after which the next part begins; none when there is no more.
    pub next: Option<ContactId>,
}

impl Batching {
    /// Batches of `size`.
    pub fn new(size: u64) -> Self {
        Self { number: None, filled: 0, size: size.max(1), begun: 0 }
    }

    /// How many batches were filled, in part or whole.
    pub fn batches(&self) -> u64 {
        self.begun
    }

    /// `last` is the campaign's last batch: one that is not ours is another call's, and is not filled up.
    fn place(&mut self, last: i64) -> i64 {
        let ours = self.number.filter(|number| self.filled < self.size && *number >= last);
        let number = ours.unwrap_or_else(|| {
            self.filled = 0;
            self.begun += 1;
            last.max(self.number.unwrap_or(0)) + 1
        });
        self.number = Some(number);
        self.filled += 1;
        number
    }
}

impl SkipReason {
    /// What speaks against a candidate; the weightiest alone.
    pub fn of(candidate: &Candidate) -> Option<Self> {
        if candidate.already_enrolled {
            Some(Self::AlreadyEnrolled)
        } else if candidate.unsubscribed {
            Some(Self::Unsubscribed)
        } else if candidate.suppressed {
            Some(Self::Suppressed)
        } else if candidate.in_sibling {
            Some(Self::CrossCampaignDuplicate)
        } else {
            None
        }
    }

    /// The counter of the campaign's page; those that are in the campaign already are in none.
    fn counter(self) -> Option<SkipCounter> {
        match self {
            Self::AlreadyEnrolled => None,
            Self::Unsubscribed => Some(SkipCounter::Unsubscribed),
            Self::Suppressed => Some(SkipCounter::Suppressed),
            Self::CrossCampaignDuplicate => Some(SkipCounter::CrossCampaignDuplicate),
        }
    }
}

/// The outreach whose other campaigns must not have the contacts of this one.
pub fn unique_in(outreach: Option<&Outreach>) -> Option<OutreachId> {
    outreach.filter(|outreach| outreach.unique_contacts).map(|outreach| outreach.id)
}

/// Enrolls a part of an import.
pub async fn enroll_chunk(
    tx: &mut Tx,
    campaign: &Campaign,
    part: Part,
    batching: &mut Batching,
    now: Timestamp,
) -> Result<Chunk> {
    let Part { import, unique_in, after, limit } = part;
    lock(tx, campaign, unique_in).await?;
    let last_batch = enrollments::last_batch(tx.conn(), campaign.id).await?.unwrap_or(0).max(0);
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let candidates = enrollments::candidates(tx.conn(), campaign.id, unique_in, import, &after, limit).await?;
    let is_full = i64::try_from(candidates.len()).unwrap_or(i64::MAX) >= limit;
    let next = candidates.last().filter(|_| is_full).map(|candidate| candidate.contact_id);
    let mut chunk = Chunk { next, ..Chunk::default() };
    let mut chosen = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match SkipReason::of(&candidate) {
            Some(reason) => {
                chunk.skipped.push(Skipped { contact_id: candidate.contact_id, email: candidate.email, reason });
            }
            None => chosen.push(NewEnrollment {
                id: EnrollmentId::new(now),
                contact_id: candidate.contact_id,
                batch_number: batching.place(last_batch),
                priority: false,
            }),
        }
    }
    chunk.enrolled = insert(tx, campaign, &chosen, now).await?;
    for reason in SkipReason::ALL {
        let count = chunk.skipped.iter().filter(|skipped| skipped.reason == *reason).count();
        if let Some(counter) = reason.counter().filter(|_| count > 0) {
            counters::skipped(tx.conn(), campaign.id, counter, i64::try_from(count).unwrap_or(i64::MAX)).await?;
        }
    }
    Ok(chunk)
}

/// Enrolls one contact that nothing speaks against; false when another call did so first.
pub async fn enroll_one(tx: &mut Tx, campaign: &Campaign, enrollment: &NewEnrollment, now: Timestamp) -> Result<bool> {
    Ok(insert(tx, campaign, std::slice::from_ref(enrollment), now).await? > 0)
}

/// Makes other enrollments into this campaign, and into its siblings, wait for this transaction.
pub async fn lock(tx: &mut Tx, campaign: &Campaign, unique_in: Option<OutreachId>) -> Result<()> {
    if let Some(outreach) = unique_in {
        outreaches::lock(tx.conn(), outreach).await?;
    }
    counters::lock_campaign(tx.conn(), campaign.id).await
}

async fn insert(tx: &mut Tx, campaign: &Campaign, chosen: &[NewEnrollment], now: Timestamp) -> Result<u64> {
    if chosen.is_empty() {
        return Ok(0);
    }
    let made = enrollments::insert_many(tx, campaign.account_id, campaign.id, chosen, now).await?;
    // Under the lock nobody else enrolls here, so all were made and stand in order of their batches.
    for batch in chosen.chunk_by(|a, b| a.batch_number == b.batch_number) {
        let count = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        counters::enrolled(tx.conn(), campaign.id, batch[0].batch_number, count).await?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_filled_one_after_another_and_never_those_of_another_call() {
        let mut batching = Batching::new(2);
        let first: Vec<_> = (0..3).map(|_| batching.place(4)).collect();
        assert_eq!(first, [5, 5, 6]);
        // Our own batch 6 is the campaign's last now: it is filled up.
        assert_eq!(batching.place(6), 6);
        assert_eq!(batching.place(6), 7);
        // Another call has made 8 meanwhile.
        assert_eq!([batching.place(8), batching.place(9), batching.place(9)], [9, 9, 10]);
        assert_eq!(batching.batches(), 5);
    }
}
