//! Automatic replies: vacations, receipts and other machines. Known by the headers of RFC 3834 and of the programs that
//! came before it, and by the subject, which for a third of real vacations is the only mark.

use ampout_plugin::{AutoReplyKind, Classification};

use crate::auto_reply_words::{AWAY, IN_REPLIES, RECEIVED};
use crate::mail::Mail;
use crate::subjects::{SubjectKind, automatic_kind, tells_of_automatic_reply};
use crate::{automatic_sentence, return_date};

/// A heading is no sentence.
const LONGEST_HEADING: usize = 40;

/// An automatic reply, if the message is one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let subject = automatic_kind(&mail.subject);
    let mark = header_mark(mail);
    let reason = match (mark, subject) {
        (Some(mark), _) => mark,
        (None, Some(subject)) if tells(mail, subject) => "the subject of an automatic reply".to_owned(),
        (None, _) if automatic_sentence::is_in(mail) || is_headed(mail) => "it calls itself automatic".to_owned(),
        // RFC 5321 section 4.5.5: no person's mail has an empty return path. What is neither a bounce nor a report and
        // speaks of an absence or of a receipt is a responder's.
        (None, subject) if mail.has_null_path() && (subject.is_some() || says_or_is_called(mail)) => {
            "an empty return path, and the words of an automatic reply".to_owned()
        }
        _ => return None,
    };
    let words = &mail.reply_words().text;
    let return_date = return_date::find(mail, words);
    let kind = kind(subject, IN_REPLIES.marks_in(words), return_date.is_some());
    // A receipt may name a day on which somebody answers; nobody returns.
    let return_date = return_date.filter(|_| kind == AutoReplyKind::OutOfOffice).map(|date| date.to_string());
    Some(Classification::auto_reply(kind, return_date).because(reason))
}

/// Whether the subject, with what the message itself says, leaves no doubt.
fn tells(mail: &Mail<'_>, subject: SubjectKind) -> bool {
    match subject {
        SubjectKind::Away | SubjectKind::Automatic => true,
        SubjectKind::AutoPrefix => mail.answers_something(),
        // A person may be writing about a vacation; who is on one answers, and says so.
        SubjectKind::MaybeAway => {
            (says(mail, AWAY) && !talks_to_us(mail)) || (mail.answers_something() && !mail.reply_words().quote)
        }
        SubjectKind::BeginsAway => mail.headers.is_answer && says(mail, AWAY) && !talks_to_us(mail),
        // Who answers keeps the subject; a machine puts its own in its place.
        SubjectKind::MaybeAutomatic => mail.headers.is_answer || says(mail, AWAY | RECEIVED),
        // Machines that answer each other quote nothing.
        SubjectKind::Quoted => says(mail, AWAY) && !mail.reply_words().quote,
        // A person may write "thank you for your message" over an answer; a receipt has to be marked by a header too.
        SubjectKind::Receipt => false,
    }
}

/// Whether it quotes us and asks us something, as no machine does.
fn talks_to_us(mail: &Mail<'_>) -> bool {
    let words = mail.reply_words();
    words.quote && words.above_signature().contains(['?', '？'])
}

/// Whether the text begins with a line of its own as the subject of an automatic reply would: `*** AUTO-REPLY ***`.
fn is_headed(mail: &Mail<'_>) -> bool {
    let first = mail.reply_words().lines().next().unwrap_or_default();
    let line = first.trim_matches(|c: char| !c.is_alphanumeric());
    !first.starts_with(char::is_alphanumeric) && line.len() <= LONGEST_HEADING && tells_of_automatic_reply(line)
}

fn says(mail: &Mail<'_>, words: u32) -> bool {
    IN_REPLIES.marks_in(&mail.reply_words().text) & words != 0
}

fn says_or_is_called(mail: &Mail<'_>) -> bool {
    says(mail, AWAY | RECEIVED) || IN_REPLIES.marks_in(&mail.subject) != 0
}

fn kind(subject: Option<SubjectKind>, words: u32, has_return_date: bool) -> AutoReplyKind {
    match subject {
        Some(SubjectKind::Away | SubjectKind::MaybeAway | SubjectKind::Quoted | SubjectKind::BeginsAway) => {
            AutoReplyKind::OutOfOffice
        }
        _ if has_return_date || words & AWAY != 0 => AutoReplyKind::OutOfOffice,
        Some(SubjectKind::Receipt) => AutoReplyKind::Receipt,
        _ if words & RECEIVED != 0 => AutoReplyKind::Receipt,
        // What Outlook and Gmail call an automatic reply is an absence, whatever its text is.
        Some(SubjectKind::Automatic | SubjectKind::MaybeAutomatic) => AutoReplyKind::OutOfOffice,
        _ => AutoReplyKind::Other,
    }
}

/// The header that marks an automatic reply. Precedence `bulk` and X-Auto-Response-Suppress alone do not: ordinary mail
/// carries them too.
fn header_mark(mail: &Mail<'_>) -> Option<String> {
    if let Some(token) = &mail.headers.auto_submitted {
        return Some(format!("Auto-Submitted: {token}"));
    }
    if mail.headers.is_list_notice {
        return Some("a mailing list's own notice".to_owned());
    }
    if let Some(mark) = mail.headers.autoresponder {
        return Some(mark.to_owned());
    }
    let waits = mail.subject.starts_with("your message to ") && mail.subject.contains(" awaits moderator approval");
    waits.then(|| "a list's moderation notice".to_owned())
}
