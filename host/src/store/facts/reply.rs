//! Answers: of people, of machines, and of nobody knows whom; and the pixel that says that a message was looked at.

use super::sheet::Sheet;
use super::{delivery, stop};
use crate::domain::Timestamp;
use crate::domain::ids::EnrollmentId;
use crate::store::sends::Send;
use crate::store::{Result, Tx};

/// A person answered: the sequence ends; false when that was known.
pub async fn replied(tx: &mut Tx, id: EnrollmentId, send: Option<&Send>, now: Timestamp) -> Result<bool> {
    if let Some(send) = send {
        // An answer is evidence that the message arrived. Nothing follows it: the sequence has just ended.
        stop(tx, id, "replied", now).await?;
        delivery::settled(tx, send, 0.0, now).await?;
    }
    let mut sheet = Sheet::open(tx, &[], [id], now).await?;
    let is_news = sheet.replied(id);
    sheet.write(tx).await.map(|()| is_news)
}

/// A machine answered: the customer's app is told, the sequence goes on; `draw` (0..1) is for where that is from a doubt.
pub async fn auto_replied(tx: &mut Tx, id: EnrollmentId, send: Option<&Send>, draw: f64, now: Timestamp) -> Result<()> {
    if let Some(send) = send {
        delivery::settled(tx, send, draw, now).await?;
    }
    let mut sheet = Sheet::open(tx, &[], [id], now).await?;
    sheet.auto_replied(id);
    sheet.write(tx).await
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
    let mut sheet = Sheet::open(tx, &[], [id], now).await?;
    let is_news = sheet.opened(id);
    sheet.write(tx).await.map(|()| is_news)
}
