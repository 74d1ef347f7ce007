//! Answers: of people, of machines, and of nobody knows whom; and the pixel that says that a message was looked at.

use super::{delivery, move_status, stop, tell};
use crate::domain::Timestamp;
use crate::domain::event::EventType;
use crate::domain::ids::EnrollmentId;
use crate::domain::status::EnrollmentStatus;
use crate::store::sends::Send;
use crate::store::{Result, Tx, counters, enrollments};

/// A person answered: the sequence ends; false when that was known.
pub async fn replied(tx: &mut Tx, id: EnrollmentId, send: Option<&Send>, now: Timestamp) -> Result<bool> {
    stop(tx, id, "replied", now).await?;
    if let Some(send) = send {
        // An answer is evidence that the message arrived. Nothing follows it: the sequence has just ended.
        delivery::settled(tx, send, 0.0, now).await?;
    }
    let Some(enrollment) = enrollments::get_for_update(tx, id).await? else { return Ok(false) };
    if enrollment.replied_at.is_some() {
        return Ok(false);
    }
    enrollments::set_replied(tx.conn(), id, now).await?;
    // A bounce that was told before stays the status; the answer is kept beside it.
    if enrollment.status != EnrollmentStatus::Bounced {
        move_status(tx, &enrollment, EnrollmentStatus::Replied, true).await?;
    }
    tell(tx, id, EventType::EnrollmentReplied, now).await?;
    Ok(true)
}

/// A machine answered: the customer's app is told, the sequence goes on; `draw` (0..1) is for where that is from a doubt.
pub async fn auto_replied(tx: &mut Tx, id: EnrollmentId, send: Option<&Send>, draw: f64, now: Timestamp) -> Result<()> {
    if let Some(send) = send {
        delivery::settled(tx, send, draw, now).await?;
    }
    tell(tx, id, EventType::EnrollmentAutoReplied, now).await
}

/// Something answered that no classifier could read: never mail on doubt.
pub async fn unclassified(tx: &mut Tx, id: EnrollmentId, now: Timestamp) -> Result<()> {
    stop(tx, id, "unclassified", now).await?;
    Ok(())
}

/// A message was looked at; false when that was known. `send` is the message where that is proven, and so it did leave;
/// `draw` (0..1) places the step that follows it from a doubt.
pub async fn opened(tx: &mut Tx, id: EnrollmentId, send: Option<&Send>, draw: f64, now: Timestamp) -> Result<bool> {
    if let Some(send) = send {
        delivery::settled(tx, send, draw, now).await?;
    }
    let Some(enrollment) = enrollments::get_for_update(tx, id).await? else { return Ok(false) };
    if enrollment.opened_at.is_some() {
        return Ok(false);
    }
    enrollments::set_opened(tx.conn(), id, now).await?;
    match enrollment.status {
        EnrollmentStatus::Sent => move_status(tx, &enrollment, EnrollmentStatus::Opened, true).await?,
        // Told after the bounce, it was a look all the same.
        EnrollmentStatus::Replied | EnrollmentStatus::Bounced => {
            counters::opened_late(tx.conn(), enrollment.campaign_id).await?;
        }
        // Counted when it is known to have left.
        EnrollmentStatus::Pending | EnrollmentStatus::Opened => {}
    }
    tell(tx, id, EventType::EnrollmentOpened, now).await?;
    Ok(true)
}
