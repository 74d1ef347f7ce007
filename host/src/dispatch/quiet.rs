//! Campaigns that need not be looked at for a while. Most wait for hours between two messages, and a look is a transaction:
//! with a thousand of them, a look at each whenever a connection is free would keep everybody else from the database.

use std::collections::HashMap;

use super::LOOK_AGAIN;
use crate::domain::Timestamp;
use crate::domain::ids::CampaignId;

/// Until when each is quiet.
#[derive(Debug, Default)]
pub(super) struct Quiet(HashMap<CampaignId, Timestamp>);

impl Quiet {
    /// Nothing of it leaves before `until`, as far as this node knows; another one may have planned something.
    pub(super) fn begin(&mut self, campaign: CampaignId, until: Option<Timestamp>, now: Timestamp) {
        let longest = now.plus(LOOK_AGAIN);
        self.0.insert(campaign, until.map_or(longest, |until| until.min(longest)));
    }

    /// When it is to be looked at, if not now.
    pub(super) fn until(&self, campaign: CampaignId, now: Timestamp) -> Option<Timestamp> {
        // Further away than ever begun: the clock was set back.
        self.0.get(&campaign).copied().filter(|until| *until > now && *until <= now.plus(LOOK_AGAIN))
    }

    /// It is looked at.
    pub(super) fn end(&mut self, campaign: CampaignId) {
        self.0.remove(&campaign);
    }

    /// A bell rang: anything may have been planned.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_campaign_is_quiet_until_its_time_a_bell_or_a_while() {
        let (campaign, now) = (CampaignId::NOBODY, Timestamp::from_millis(1_000_000));
        let soon = now.plus(Duration::from_secs(3));
        let mut quiet = Quiet::default();
        assert_eq!(quiet.until(campaign, now), None);
        quiet.begin(campaign, Some(soon), now);
        assert_eq!((quiet.until(campaign, now), quiet.until(campaign, soon)), (Some(soon), None));
        quiet.forget();
        assert_eq!(quiet.until(campaign, now), None);
        for late in [None, Some(now.plus(Duration::from_secs(86_400)))] {
            quiet.begin(campaign, late, now);
            assert_eq!(quiet.until(campaign, now), Some(now.plus(LOOK_AGAIN)));
        }
        assert_eq!(quiet.until(campaign, now.minus(Duration::from_secs(60))), None, "the clock was set back");
        quiet.end(campaign);
        assert_eq!(quiet.until(campaign, now), None);
    }
}
