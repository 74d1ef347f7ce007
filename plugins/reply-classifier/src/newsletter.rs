//! Mail that many got the same: a contact's newsletter answers nothing, whoever reads it.

use ampout_plugin::Classification;

use crate::mail::Mail;
use crate::subjects;

/// A mass mailing, if the message is one. A mailing list's posts are none: people write them.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let is_answer = mail.headers.is_answer || subjects::has_reply_prefix(&mail.subject);
    (mail.headers.is_bulk && !is_answer).then(|| Classification::ignore().because("a mass mailing"))
}
