//! What a claim has to know of its campaign, asked for together at its beginning.

use std::collections::HashMap;

use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::credential::Credential;
use crate::domain::ids::{CampaignId, CredentialId, StepId};
use crate::domain::plan::Plan;
use crate::store::sends::{self, NextDue};
use crate::store::{self, Answers, Nth, Reads, account_months, campaigns, credential_days, credentials};

/// Which questions these were.
pub(super) struct Questions {
    campaign: Nth,
    credentials: Nth,
    plan: Nth,
    reserved: Nth,
    step_ids: Nth,
    first_steps: Nth,
    of_credentials: Nth,
}

/// How a campaign stands.
pub(super) struct Standing {
    pub(super) campaign: Campaign,
    /// In the order of rotation.
    pub(super) credentials: Vec<Credential>,
    /// Of its account.
    pub(super) plan: Plan,
    /// Places of today's limit that are taken, of those credentials that have any.
    pub(super) reserved: HashMap<CredentialId, u64>,
    pub(super) step_ids: Vec<StepId>,
    pub(super) first_steps: NextDue,
    /// Of those credentials that have any planned.
    pub(super) of_credentials: HashMap<CredentialId, NextDue>,
}

impl Questions {
    pub(super) fn ask(reads: &mut Reads, id: CampaignId, now: Timestamp) -> Self {
        Self {
            // First, as it locks.
            campaign: campaigns::ask_claimable(reads, id),
            credentials: credentials::ask_of_campaign(reads, id),
            plan: account_months::ask_plan(reads, id, now.utc_month()),
            reserved: credential_days::ask_reserved(reads, id, now.utc_day()),
            step_ids: campaigns::ask_step_ids(reads, id),
            first_steps: sends::ask_next_first_step(reads, id, now),
            of_credentials: sends::ask_next_of_credentials(reads, id, now),
        }
    }

    /// None: it is gone, or another node is claiming from it.
    pub(super) fn standing(&self, answers: &Answers) -> store::Result<Option<Standing>> {
        let Some(campaign) = campaigns::claimable_of(answers, self.campaign)? else { return Ok(None) };
        Ok(Some(Standing {
            campaign,
            credentials: credentials::of_campaign_of(answers, self.credentials)?,
            plan: account_months::plan_of(answers, self.plan)?,
            reserved: credential_days::reserved_of(answers, self.reserved)?,
            step_ids: campaigns::step_ids_of(answers, self.step_ids)?,
            first_steps: sends::next_first_step_of(answers, self.first_steps)?,
            of_credentials: sends::next_of_credentials_of(answers, self.of_credentials)?,
        }))
    }
}
