//! What a send gate is asked with.

use super::open_credential::OpenCredential;
use crate::app::App;
use crate::domain::Timestamp;
use crate::extensions::hooks::gate;
use crate::store::credential_days;
use crate::store::sends::ClaimedSend;

/// Campaigns have no time zone of their own yet; the gate is told the instant in UTC twice.
const TIME_ZONE: &str = "UTC";

/// The facts of one held send. A counter that can't be read is told as zero: the gate decides on the rest.
pub(super) async fn of(
    app: &App,
    credential: &OpenCredential,
    held: &ClaimedSend,
    mx_host: Option<&str>,
    now: Timestamp,
) -> gate::Send {
    let credential = &credential.credential;
    let sent_today = match app.store.read().await {
        Ok(mut conn) => credential_days::reserved(&mut conn, credential.id, now.utc_day()).await.unwrap_or(0),
        Err(_) => 0,
    };
    gate::Send {
        send_id: held.send.id.to_string(),
        enrollment_id: held.send.enrollment_id.to_string(),
        campaign_id: held.send.campaign_id.to_string(),
        contact: gate::Contact {
            id: held.contact.id.to_string(),
            email: held.contact.email.clone(),
            domain: held.contact.domain.clone(),
            first_name: held.contact.first_name.clone(),
            last_name: held.contact.last_name.clone(),
            company: held.contact.company.clone(),
        },
        step: held.send.step_position,
        credential: gate::Credential {
            id: credential.id.to_string(),
            from_email: credential.from_email.clone(),
            smtp_host: credential.smtp.host.clone(),
            sent_today,
            daily_limit: credential.effective_limit(),
        },
        mx_host: mx_host.map(str::to_owned),
        mx_provider: mx_host.map(registrable_guess),
        now,
        local_time: now.to_string(),
        time_zone: TIME_ZONE.to_owned(),
        extra: Default::default(),
    }
}

/// The last two labels of a host name: enough to tell google.com from outlook.com. Names under a public suffix of two
/// labels (co.uk) come out as that suffix.
fn registrable_guess(host: &str) -> String {
    let labels: Vec<&str> = host.trim_end_matches('.').rsplit('.').take(2).collect();
    labels.into_iter().rev().collect::<Vec<_>>().join(".")
}
