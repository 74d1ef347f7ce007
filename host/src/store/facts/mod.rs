//! Facts: what happened, written with all that follows from it in one transaction: the row, the counters, the event.
//!
//! Dispatch, inbox and inbound meet here. An SMTP reply, a DSN, a provider's event and a feedback report that tell of the
//! same bounce are one fact, whichever comes first.

pub mod accepted;
pub mod bounce;
pub mod campaign;
pub mod delivery;
pub mod doubt;
pub mod enrolled;
mod first_message;
pub mod reply;
pub mod sheet;
pub mod suppressed;
pub mod unsubscribe;

#[cfg(test)]
mod sheet_tests;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::enrollments::{self, Enrollment};
use super::{Result, Tx, events, sends};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::EnrollmentId;

/// Tells the customer's app of an enrollment, as it stands at this point of the transaction.
async fn tell(tx: &mut Tx, id: EnrollmentId, event: EventType, now: Timestamp) -> Result<()> {
    let Some(enrollment) = enrollments::get(tx.conn(), id).await? else { return Ok(()) };
    let email = super::contacts::get(tx.conn(), enrollment.contact_id).await?.map(|contact| contact.email);
    let data = enrollment_data(&enrollment, email.as_deref());
    events::insert(tx, enrollment.account_id, event, &id.to_string(), &data, now).await?;
    Ok(())
}

/// The `data` of an enrollment's event.
fn enrollment_data(enrollment: &Enrollment, contact_email: Option<&str>) -> Value {
    json!({
        "enrollment_id": enrollment.id,
        "contact_id": enrollment.contact_id,
        "contact_email": contact_email,
        "campaign_id": enrollment.campaign_id,
        "status": enrollment.status,
        "sent_at": enrollment.sent_at,
        "replied_at": enrollment.replied_at,
        "bounce_reason": enrollment.bounce_reason,
    })
}

/// What a provider may tell of one message in any order, the weakest first.
const STOP_REASONS: [&str; 3] = ["bounced", "unsubscribed", "complaint"];

/// Nothing more is sent to an enrollment; false when that was so. Of several reasons the strongest stands, whichever was
/// told first.
pub(in crate::store) async fn stop(tx: &mut Tx, id: EnrollmentId, reason: &str, now: Timestamp) -> Result<bool> {
    let stopped = enrollments::stop(tx.conn(), id, reason, now).await?;
    if let (false, Some(rank)) = (stopped, STOP_REASONS.iter().position(|known| *known == reason)) {
        enrollments::replace_stop_reason(tx.conn(), id, reason, &STOP_REASONS[..rank]).await?;
    }
    sends::cancel_due(tx.conn(), id, reason).await?;
    Ok(stopped)
}
