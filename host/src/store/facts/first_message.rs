//! The first message of an enrollment counts it as sent, whatever was told of it before: an answer, a look, a bounce may be
//! faster than the server's reply.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::domain::ids::{CredentialId, SendId};
use crate::domain::status::EnrollmentStatus;
use crate::store::counters::FirstMessages;
use crate::store::enrollments::{Enrollment, OpenedThread};
use crate::store::{Result, Tx, counters, enrollments};

/// A message that left.
pub(super) struct Left<'a> {
    /// To whom, as it stood before.
    pub(super) enrollment: &'a Enrollment,
    /// Which.
    pub(super) send: SendId,
    /// Through which credential.
    pub(super) credential: CredentialId,
}

/// Writes those that opened their threads; the others say nothing new.
pub(super) async fn have_left(tx: &mut Tx, messages: &[Left<'_>], now: Timestamp) -> Result<()> {
    let mut by_batch: BTreeMap<_, FirstMessages> = BTreeMap::new();
    let mut opened = Vec::new();
    for Left { enrollment, send, credential } in messages.iter().filter(|left| left.enrollment.first_send_id.is_none())
    {
        let counts = by_batch.entry((enrollment.campaign_id, enrollment.batch_number)).or_default();
        let status = status_after(enrollment);
        match status {
            _ if enrollment.status != EnrollmentStatus::Pending => counts.unmoved += 1,
            EnrollmentStatus::Opened => counts.now_opened += 1,
            _ => counts.now_sent += 1,
        }
        opened.push(OpenedThread { id: enrollment.id, send: *send, credential: *credential, status });
    }
    if opened.is_empty() {
        return Ok(());
    }
    enrollments::opened_threads(tx, &opened, now).await?;
    counters::first_messages(tx, &by_batch).await
}

/// Where an enrollment stands once its first message has left.
pub(super) fn status_after(enrollment: &Enrollment) -> EnrollmentStatus {
    match (enrollment.status, enrollment.opened_at) {
        (EnrollmentStatus::Pending, None) => EnrollmentStatus::Sent,
        (EnrollmentStatus::Pending, Some(_)) => EnrollmentStatus::Opened,
        (other, _) => other,
    }
}
