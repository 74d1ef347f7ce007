//! Campaigns of which every credential that may send has used up the day's limit, as the log is told once a day.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::domain::Timestamp;
use crate::domain::ids::CampaignId;

/// Whom the log was told of on which day. One a dispatcher.
#[derive(Debug, Default)]
pub(super) struct UsedUp(Mutex<(i64, HashSet<CampaignId>)>);

impl UsedUp {
    /// Nothing new leaves for a campaign until the next UTC day.
    pub(super) fn tell(&self, campaign: CampaignId, now: Timestamp) {
        if self.is_news(campaign, now) {
            tracing::warn!(campaign.id = %campaign, until = %now.next_utc_day(),
                "All credentials of a campaign that may send have used up their daily limit");
        }
    }

    fn is_news(&self, campaign: CampaignId, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (day, campaigns) = &mut *told;
        if std::mem::replace(day, now.utc_day()) != now.utc_day() {
            campaigns.clear();
        }
        campaigns.insert(campaign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_campaign_is_told_of_once_a_day() {
        let (used_up, now) = (UsedUp::default(), Timestamp::from_millis(1_795_420_800_000));
        assert!(used_up.is_news(CampaignId::NOBODY, now));
        assert!(!used_up.is_news(CampaignId::NOBODY, now));
        assert!(used_up.is_news(CampaignId::NOBODY, now.next_utc_day()));
    }
}
