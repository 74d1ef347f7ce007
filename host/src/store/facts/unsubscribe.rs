//! Opt-outs. Nothing automatic ever takes one back.

use super::{stop, tell};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::{AccountId, ContactId};
use crate::store::{Result, Tx, contacts};

/// A contact does not want more: all its sequences end; false when that was known.
pub async fn unsubscribed(
    tx: &mut Tx,
    account: AccountId,
    contact: ContactId,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    if !contacts::unsubscribe(tx.conn(), account, contact, now).await? {
        return Ok(false);
    }
    for enrollment in contacts::enrollments(tx.conn(), contact).await? {
        let was_running = stop(tx, enrollment.id, reason, now).await?;
        if was_running {
            tell(tx, enrollment.id, EventType::EnrollmentUnsubscribed, now).await?;
        }
    }
    Ok(true)
}
