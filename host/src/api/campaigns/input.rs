//! Reading campaigns from bodies: the whole of a new one, or what a PATCH changes.

use std::collections::HashSet;
use std::time::Duration;

use super::super::credentials::new_credential;
use super::super::input::Fields;
use super::super::state::Api;
use super::super::values::{decimal, flag, id, line, template, template_line, whole};
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Step, Waits};
use crate::domain::credential::Credential;
use crate::domain::ids::{AccountId, CampaignId, OutreachId, StepId};
use crate::domain::status::CampaignStatus;

const LONGEST_WAIT_SECONDS: u64 = 86_400;
const DEFAULT_MIN_WAIT_SECONDS: u64 = 120;
const DEFAULT_MAX_WAIT_SECONDS: u64 = 420;
const DEFAULT_THRESHOLD: f64 = 8.0;
/// Five years.
const LONGEST_DELAY_MINUTES: u64 = 5 * 366 * 24 * 60;
const HIGHEST_POSITION: u64 = 1000;
/// RFC 5322 §2.1.1, without the line end.
const LONGEST_SUBJECT: usize = 998;
const LONGEST_BODY: usize = 500_000;

/// A campaign with all that is made with it.
pub(super) struct NewCampaign {
    pub(super) campaign: Campaign,
    pub(super) steps: Vec<Step>,
    pub(super) credentials: Vec<Credential>,
}

pub(super) fn new_campaign(
    fields: &mut Fields<'_>,
    api: &Api,
    account_id: AccountId,
    now: Timestamp,
) -> Option<NewCampaign> {
    let name = fields.required("name", line(1, 200));
    let outreach_id = fields.optional("outreach_id", id::<OutreachId>);
    let min = fields.optional("min_wait_seconds", whole(0, LONGEST_WAIT_SECONDS)).unwrap_or(DEFAULT_MIN_WAIT_SECONDS);
    let max = fields.optional("max_wait_seconds", whole(0, LONGEST_WAIT_SECONDS));
    // Who asks for a longer shortest gap alone means gaps of at least that.
    let max = max.unwrap_or(DEFAULT_MAX_WAIT_SECONDS.max(min));
    let verify_email_mx = fields.optional("verify_email_mx", flag).unwrap_or(false);
    let bounce_rate_threshold =
        fields.optional("bounce_rate_threshold", decimal(0.5..=25.0)).unwrap_or(DEFAULT_THRESHOLD);
    let track_opens = fields.optional("track_opens", flag).unwrap_or(true);
    let waits = Waits { min: Duration::from_secs(min), max: Duration::from_secs(max) };
    check_waits(fields, waits);
    let campaign = Campaign {
        id: CampaignId::new(now),
        account_id,
        outreach_id,
        name: name.clone().unwrap_or_default(),
        status: CampaignStatus::Pending,
        paused_reason: None,
        waits,
        verify_email_mx,
        bounce_rate_threshold,
        track_opens,
        last_credential_id: None,
        created_at: now,
    };
    let credentials = fields.objects("smtp_credentials", |fields| new_credential(fields, api, &campaign, now));
    let steps = fields.objects("sequence_steps", |fields| new_step(fields, now));
    if credentials.as_ref().is_some_and(Vec::is_empty) {
        fields.note("smtp_credentials", "must have at least one");
    }
    if steps.as_ref().is_some_and(Vec::is_empty) {
        fields.note("sequence_steps", "must have at least one");
    }
    let mut positions = HashSet::new();
    for (index, step) in steps.iter().flatten().enumerate() {
        if !positions.insert(step.position) {
            fields.note(&format!("sequence_steps.{index}.position"), "is the position of another step");
        }
    }
    name?;
    Some(NewCampaign { campaign, steps: steps?, credentials: credentials? })
}

pub(super) fn change(fields: &mut Fields<'_>, campaign: &mut Campaign) -> Option<()> {
    let seconds = |value: &serde_json::Value| whole(0, LONGEST_WAIT_SECONDS)(value).map(Duration::from_secs);
    fields.change("name", &mut campaign.name, line(1, 200));
    fields.change("min_wait_seconds", &mut campaign.waits.min, seconds);
    fields.change("max_wait_seconds", &mut campaign.waits.max, seconds);
    fields.change("verify_email_mx", &mut campaign.verify_email_mx, flag);
    fields.change("bounce_rate_threshold", &mut campaign.bounce_rate_threshold, decimal(0.5..=25.0));
    fields.change("track_opens", &mut campaign.track_opens, flag);
    check_waits(fields, campaign.waits);
    Some(())
}

fn new_step(fields: &mut Fields<'_>, now: Timestamp) -> Option<Step> {
    let position = fields.required("position", whole(1, HIGHEST_POSITION));
    let subject = fields.required("subject", template_line(1, LONGEST_SUBJECT));
    let body_html = fields.required("body_html", template(1, LONGEST_BODY));
    let body_text = fields.optional("body_text", template(1, LONGEST_BODY));
    let delay = fields.optional("delay_minutes", whole(0, LONGEST_DELAY_MINUTES)).unwrap_or(0);
    Some(Step {
        id: StepId::new(now),
        position: u32::try_from(position?).ok()?,
        subject: subject?,
        body_html: body_html?,
        body_text,
        delay: Duration::from_secs(delay * 60),
    })
}

fn check_waits(fields: &Fields<'_>, waits: Waits) {
    let is_told = fields.is_wrong("min_wait_seconds") || fields.is_wrong("max_wait_seconds");
    if waits.min > waits.max && !is_told {
        let min = waits.min.as_secs();
        fields.note("max_wait_seconds", format!("must be at least min_wait_seconds, which is {min}"));
    }
}
