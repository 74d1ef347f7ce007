//! Mail that many got the same: a contact's newsletter answers nothing, though the contact's address sent it.

use ampout_plugin::Classification;

use crate::mail::Mail;
use crate::subjects;

/// A mass mailing that only its sender's address matched to an enrollment, if the message is one. What nothing matched
/// stops no sequence, and a mailing list's posts are people's.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let by_address =
        mail.message.enrollment.as_ref().is_some_and(|enrollment| enrollment.matched_by == "sender-address");
    let is_answer = mail.headers.is_answer || subjects::has_reply_prefix(&mail.subject);
    (mail.headers.is_bulk && by_address && !is_answer).then(|| Classification::ignore().because("a mass mailing"))
}
