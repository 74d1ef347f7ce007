//! A campaign in full: its fields, and the figures that are kept for it. Nothing is counted for this.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::Result;
use crate::domain::Timestamp;
use crate::domain::campaign::{Campaign, Step};
use crate::domain::ids::{CampaignId, CredentialId, EnrollmentId, OutreachId, StepId};
use crate::domain::rates::percent;
use crate::domain::status::CampaignStatus;
use crate::store::counters::{self, StatusTotals};
use crate::store::credentials::{self, Figures};
use crate::store::{Conn, campaigns, enrollments};

const RECENT_BOUNCES: i64 = 20;
const MOST_BATCHES: i64 = 1000;

/// A campaign in full.
#[derive(Serialize, ToSchema)]
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
    /// The first 1000 batches (after `batches_after`), in order of their numbers.
    per_batch: Vec<Batch>,
    /// There are more batches: ask again with `?batches_after=` this.
    more_batches_after: Option<i64>,
    /// The latest twenty.
    recent_bounces: Vec<Bounce>,
    credentials: Vec<CredentialFigures>,
    skipped: Skipped,
    sequence_steps: Vec<StepShown>,
}

/// In percent, rounded half up to one decimal.
#[derive(Serialize, ToSchema)]
struct Rates {
    /// Bounces ÷ SMTP transactions of every step.
    bounce_rate: f64,
    /// Of the enrollments that were sent to.
    open_rate: f64,
    /// Of the enrollments that were sent to.
    reply_rate: f64,
}

/// A batch.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchShown)]
struct Batch {
    batch_number: i64,
    totals: StatusTotals,
}

/// A bounce.
#[derive(Serialize, ToSchema)]
#[schema(as = BounceShown)]
struct Bounce {
    enrollment_id: EnrollmentId,
    email: String,
    reason: String,
    at: Timestamp,
}

/// A credential with its figures.
#[derive(Serialize, ToSchema)]
struct CredentialFigures {
    id: CredentialId,
    label: Option<String>,
    from_email: String,
    /// First steps of this UTC day.
    sent_today: u64,
    daily_limit: u64,
    transactions: u64,
    bounces: u64,
    bounce_rate: f64,
    disabled_at: Option<Timestamp>,
    disabled_reason: Option<String>,
}

/// How often contacts were not enrolled or not mailed, by the reason: one that is passed over at each of three enrollments
/// counts thrice.
#[derive(Serialize, ToSchema)]
#[schema(as = SkippedShown)]
struct Skipped {
    mx_invalid: u64,
    cross_campaign_duplicate: u64,
    unsubscribed: u64,
    suppressed: u64,
}

/// A message of the sequence.
#[derive(Serialize, ToSchema)]
struct StepShown {
    id: StepId,
    position: u32,
    subject: String,
    body_html: String,
    body_text: Option<String>,
    delay_minutes: u64,
}

/// Reads all of it.
pub(super) async fn gather(
    conn: &mut Conn,
    campaign: Campaign,
    batches_after: Option<i64>,
    now: Timestamp,
) -> Result<CampaignShown> {
    let kept = counters::of_campaign(conn, campaign.id).await?;
    let sent = counters::of_campaigns_credentials(conn, campaign.id).await?;
    let mut per_batch = counters::per_batch(conn, campaign.id, batches_after, MOST_BATCHES + 1).await?;
    let has_more = i64::try_from(per_batch.len()).unwrap_or(i64::MAX) > MOST_BATCHES;
    if has_more {
        per_batch.pop();
    }
    let more_batches_after = per_batch.last().filter(|_| has_more).map(|(number, _)| *number);
    let recent_bounces = enrollments::recent_bounces(conn, campaign.id, RECENT_BOUNCES).await?;
    let figures = credentials::figures(conn, campaign.id, now.utc_day()).await?;
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
        more_batches_after,
        recent_bounces: recent_bounces
            .into_iter()
            .map(|b| Bounce { enrollment_id: b.enrollment_id, email: b.email, reason: b.reason, at: b.at })
            .collect(),
        credentials: figures.into_iter().map(credential_figures).collect(),
        skipped: Skipped {
            mx_invalid: kept.mx_invalid,
            cross_campaign_duplicate: kept.cross_campaign_duplicate,
            unsubscribed: kept.unsubscribed,
            suppressed: kept.suppressed,
        },
        sequence_steps: steps.into_iter().map(step_shown).collect(),
    })
}

fn credential_figures(figures: Figures) -> CredentialFigures {
    let Figures { credential, sent_today, lifetime: counts } = figures;
    let (disabled_at, disabled_reason) = credential.disabled.map(|disabled| (disabled.at, disabled.reason)).unzip();
    CredentialFigures {
        id: credential.id,
        label: credential.label,
        from_email: credential.from_email,
        sent_today,
        daily_limit: credential.daily_limit,
        transactions: counts.transactions,
        bounces: counts.bounces(),
        bounce_rate: percent(counts.bounces(), counts.transactions),
        disabled_at,
        disabled_reason,
    }
}

fn step_shown(step: Step) -> StepShown {
    let Step { id, position, subject, body_html, body_text, delay } = step;
    StepShown { id, position, subject, body_html, body_text, delay_minutes: delay.as_secs() / 60 }
}
