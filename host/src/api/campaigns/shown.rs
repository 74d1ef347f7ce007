//! A campaign in full: its fields, and the figures that are kept for it. Nothing is counted for this.

use serde::Serialize;

use super::super::error::Result;
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Step};
use crate::domain::credential::Credential;
use crate::domain::ids::{CampaignId, CredentialId, EnrollmentId, OutreachId, StepId};
use crate::domain::rates::percent;
use crate::domain::status::CampaignStatus;
use crate::store::counters::{self, StatusTotals};
use crate::store::{Conn, campaigns, credentials, enrollments};

const RECENT_BOUNCES: i64 = 20;

#[derive(Serialize)]
pub(in super::super) struct CampaignShown {
    id: CampaignId,
    outreach_id: Option<OutreachId>,
    name: String,
    status: CampaignStatus,
    paused_reason: Option<String>,
    min_wait_seconds: u64,
    max_wait_seconds: u64,
    verify_email_mx: bool,
    bounce_rate_threshold: f64,
    track_opens: bool,
    created_at: Timestamp,
    totals: StatusTotals,
    rates: Rates,
    per_batch: Vec<Batch>,
    recent_bounces: Vec<Bounce>,
    credentials: Vec<CredentialFigures>,
    skipped: Skipped,
    sequence_steps: Vec<StepShown>,
}

#[derive(Serialize)]
struct Rates {
    bounce_rate: f64,
    open_rate: f64,
    reply_rate: f64,
}

#[derive(Serialize)]
struct Batch {
    batch_number: i64,
    totals: StatusTotals,
}

#[derive(Serialize)]
struct Bounce {
    enrollment_id: EnrollmentId,
    email: String,
    reason: String,
    at: Timestamp,
}

#[derive(Serialize)]
struct CredentialFigures {
    id: CredentialId,
    label: Option<String>,
    from_email: String,
    sent_today: u64,
    daily_limit: u64,
    transactions: u64,
    bounces: u64,
    bounce_rate: f64,
    disabled_at: Option<Timestamp>,
    disabled_reason: Option<String>,
}

#[derive(Serialize)]
struct Skipped {
    mx_invalid: u64,
    cross_campaign_duplicate: u64,
    unsubscribed: u64,
    suppressed: u64,
}

#[derive(Serialize)]
struct StepShown {
    id: StepId,
    position: u32,
    subject: String,
    body_html: String,
    body_text: Option<String>,
    delay_minutes: u64,
}

/// Reads all of it.
pub(super) async fn gather(conn: &mut Conn, campaign: Campaign, now: Timestamp) -> Result<CampaignShown> {
    let kept = counters::of_campaign(conn, campaign.id).await?;
    let sent = counters::of_campaigns_credentials(conn, campaign.id).await?;
    let per_batch = counters::per_batch(conn, campaign.id).await?;
    let recent_bounces = enrollments::recent_bounces(conn, campaign.id, RECENT_BOUNCES).await?;
    let mut figures = Vec::new();
    for credential in credentials::of_campaign(conn, campaign.id).await? {
        figures.push(credential_figures(conn, credential, now).await?);
    }
    let steps = campaigns::steps(conn, campaign.id).await?;
    Ok(CampaignShown {
        id: campaign.id,
        outreach_id: campaign.outreach_id,
        name: campaign.name,
        status: campaign.status,
        paused_reason: campaign.paused_reason,
        min_wait_seconds: campaign.waits.min.as_secs(),
        max_wait_seconds: campaign.waits.max.as_secs(),
        verify_email_mx: campaign.verify_email_mx,
        bounce_rate_threshold: campaign.bounce_rate_threshold,
        track_opens: campaign.track_opens,
        created_at: campaign.created_at,
        totals: kept.totals,
        rates: Rates {
            bounce_rate: percent(sent.bounces(), sent.transactions),
            open_rate: percent(kept.opened_ever, kept.sent_ever),
            reply_rate: percent(kept.replied_ever, kept.sent_ever),
        },
        per_batch: per_batch.into_iter().map(|(batch_number, totals)| Batch { batch_number, totals }).collect(),
        recent_bounces: recent_bounces
            .into_iter()
            .map(|b| Bounce { enrollment_id: b.enrollment_id, email: b.email, reason: b.reason, at: b.at })
            .collect(),
        credentials: figures,
        skipped: Skipped {
            mx_invalid: kept.mx_invalid,
            cross_campaign_duplicate: kept.cross_campaign_duplicate,
            unsubscribed: kept.unsubscribed,
            suppressed: kept.suppressed,
        },
        sequence_steps: steps.into_iter().map(step_shown).collect(),
    })
}

async fn credential_figures(conn: &mut Conn, credential: Credential, now: Timestamp) -> Result<CredentialFigures> {
    let counts = counters::lifetime(conn, credential.id).await?;
    let (disabled_at, disabled_reason) = credential.disabled.map(|disabled| (disabled.at, disabled.reason)).unzip();
    Ok(CredentialFigures {
        id: credential.id,
        label: credential.label,
        from_email: credential.from_email,
        sent_today: credentials::reserved(conn, credential.id, now.utc_day()).await?,
        daily_limit: credential.daily_limit,
        transactions: counts.transactions,
        bounces: counts.bounces(),
        bounce_rate: percent(counts.bounces(), counts.transactions),
        disabled_at,
        disabled_reason,
    })
}

fn step_shown(step: Step) -> StepShown {
    let Step { id, position, subject, body_html, body_text, delay } = step;
    StepShown { id, position, subject, body_html, body_text, delay_minutes: delay.as_secs() / 60 }
}
