//! What happens to campaigns and credentials as a whole.

use serde_json::json;

use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::credential::Credential;
use crate::domain::event::EventType;
use crate::domain::ids::{CampaignId, CredentialId};
use crate::domain::rates::percent;
use crate::domain::status::CampaignStatus;
use crate::store::{Result, Tx, campaigns, counters, credentials, enrollments, events, sends};
use crate::wake::Wake;

const CREDENTIAL_DELETED: &str = "the credential was deleted";
/// Sends that are ended at once: a campaign of a million keeps nobody else waiting.
const MOST_ENDED: i64 = 5000;

/// Turns a credential off on a policy's word; pauses the campaign when none is left. False when it was off.
pub async fn disable_credential(
    tx: &mut Tx,
    credential: &Credential,
    campaign: &Campaign,
    reason: &str,
    decided_by: &str,
    now: Timestamp,
) -> Result<bool> {
    // Of two credentials that go off at once, one goes off last, and finds that none is left.
    campaigns::lock(tx.conn(), campaign.id).await?;
    if !credentials::disable(tx.conn(), credential.id, reason, now).await? {
        return Ok(false);
    }
    // First steps that the server had put off wait for nobody: they go out through another credential.
    sends::free_first_steps(tx.conn(), campaign.id, credential.id).await?;
    let counts = counters::since_enabled(tx.conn(), credential.id).await?;
    let data = json!({
        "credential_id": credential.id,
        "campaign_id": campaign.id,
        "from_email": credential.from_email,
        "bounce_rate": percent(counts.bounces(), counts.transactions),
        "threshold": campaign.bounce_rate_threshold,
        "reason": reason,
        "decided_by": decided_by,
    });
    events::insert(tx, credential.account_id, EventType::CredentialDisabled, &credential.id.to_string(), &data, now)
        .await?;
    let left = credentials::of_campaign(tx.conn(), campaign.id).await?.iter().any(|other| other.disabled.is_none());
    if !left {
        pause(tx, campaign, "all credentials are disabled", now).await?;
    }
    tx.wake(Wake::Dispatch);
    Ok(true)
}

/// Pauses an active campaign; false when it was not active.
pub async fn pause(tx: &mut Tx, campaign: &Campaign, reason: &str, now: Timestamp) -> Result<bool> {
    let active = [CampaignStatus::Active];
    if !campaigns::move_status(tx.conn(), campaign.id, &active, CampaignStatus::Paused, Some(reason)).await? {
        return Ok(false);
    }
    let data = json!({ "campaign_id": campaign.id, "reason": reason });
    events::insert(tx, campaign.account_id, EventType::CampaignPaused, &campaign.id.to_string(), &data, now).await?;
    Ok(true)
}

/// What only a deleted credential could send ends: the first steps that it was to try again are free for others, and the
/// enrollments that it wrote to get nothing more. Of many, [`finish_if_done`] ends the rest.
pub async fn end_with_credential(
    tx: &mut Tx,
    campaign: CampaignId,
    credential: CredentialId,
    now: Timestamp,
) -> Result<()> {
    sends::free_first_steps(tx.conn(), campaign, credential).await?;
    end_orphans(tx, campaign, now).await.map(drop)
}

/// Ends follow-ups of deleted credentials, as many as one transaction should; true when there may be more.
async fn end_orphans(tx: &mut Tx, campaign: CampaignId, now: Timestamp) -> Result<bool> {
    let ended = sends::cancel_of_deleted_credentials(tx.conn(), campaign, CREDENTIAL_DELETED, MOST_ENDED).await?;
    enrollments::stop_many(tx, &ended, CREDENTIAL_DELETED, now).await?;
    Ok(i64::try_from(ended.len()).unwrap_or(i64::MAX) >= MOST_ENDED)
}

/// Marks an active campaign finished when nothing is left to send; false when something is.
pub async fn finish_if_done(tx: &mut Tx, campaign: &Campaign, now: Timestamp) -> Result<bool> {
    // Nobody else plans or claims for it meanwhile.
    if campaigns::lock_for_claim(tx, campaign.id).await?.is_none() {
        return Ok(false);
    }
    if end_orphans(tx, campaign.id, now).await? {
        tx.wake(Wake::Dispatch);
        return Ok(false);
    }
    // Who settles a doubt at this moment plans what follows it, which nobody sees before it is committed.
    if sends::is_any_doubt_being_settled(tx, campaign.id).await? {
        return Ok(false);
    }
    if !campaigns::finish_if_done(tx.conn(), campaign.id).await? {
        return Ok(false);
    }
    let data = json!({ "campaign_id": campaign.id });
    events::insert(tx, campaign.account_id, EventType::CampaignFinished, &campaign.id.to_string(), &data, now).await?;
    Ok(true)
}
