//! The first message of an enrollment counts it as sent, whatever was told of it before: an answer, a look, a bounce may be
//! faster than the server's reply.

use crate::domain::Timestamp;
use crate::domain::ids::{CredentialId, SendId};
use crate::domain::status::EnrollmentStatus;
use crate::store::counters::Tallies;
use crate::store::enrollments::{Enrollment, OpenedThread};
use crate::store::{Writes, enrollments};

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
pub(super) fn have_left(writes: &mut Writes, messages: &[Left<'_>], now: Timestamp) {
    let (mut tallies, mut opened) = (Tallies::default(), Vec::new());
    for Left { enrollment, send, credential } in messages.iter().filter(|left| left.enrollment.first_send_id.is_none())
    {
        let status = status_after(enrollment);
        tallies.sent_first(enrollment);
        if status != enrollment.status {
            tallies.moved(enrollment, status);
        }
        opened.push(OpenedThread { id: enrollment.id, send: *send, credential: *credential, status });
    }
    if !opened.is_empty() {
        enrollments::opened_threads(writes, &opened, now);
        tallies.write(writes);
    }
}

/// Where an enrollment stands once its first message has left.
pub(super) fn status_after(enrollment: &Enrollment) -> EnrollmentStatus {
    match (enrollment.status, enrollment.opened_at) {
        (EnrollmentStatus::Pending, None) => EnrollmentStatus::Sent,
        (EnrollmentStatus::Pending, Some(_)) => EnrollmentStatus::Opened,
        (other, _) => other,
    }
}
