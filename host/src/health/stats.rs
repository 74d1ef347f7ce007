//! The facts that a bounce policy is given, gathered from the counters.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::credential::Credential;
use crate::extensions::hooks::Extra;
use crate::extensions::hooks::bounce::{Counters, Stats};
use crate::store::counters::{self, CredentialCounters};
use crate::store::{Conn, Result, charges};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const MOST_REASONS: i64 = 10;

pub(super) async fn gather(
    conn: &mut Conn,
    credential: &Credential,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Stats> {
    let id = credential.id;
    // A policy that lowers the limit by a share must do so from the one that a person set, or it would sink each time.
    let throttled = credential.throttled_limit.map(|limit| ("throttled_limit".to_owned(), limit.to_string()));
    Ok(Stats {
        credential_id: id.to_string(),
        campaign_id: campaign.id.to_string(),
        from_email: credential.from_email.clone(),
        threshold: campaign.bounce_rate_threshold,
        daily_limit: credential.daily_limit,
        since_enabled: facts(counters::since_enabled(conn, id).await?),
        last_hour: facts(counters::since(conn, id, now.minus(HOUR)).await?),
        last_day: facts(counters::since(conn, id, now.minus(DAY)).await?),
        last_week: facts(counters::since(conn, id, now.minus(WEEK)).await?),
        lifetime: facts(counters::lifetime(conn, id).await?),
        campaign: facts(counters::of_campaigns_credentials(conn, campaign.id).await?),
        recent_reasons: charges::recent_reasons(conn, id, MOST_REASONS).await?,
        now,
        extra: Extra(throttled.into_iter().collect()),
    })
}

fn facts(kept: CredentialCounters) -> Counters {
    let CredentialCounters { transactions, hard_bounces, soft_bounces, policy_bounces, complaints, deferrals } = kept;
    Counters { transactions, hard_bounces, soft_bounces, policy_bounces, complaints, deferrals }
}
