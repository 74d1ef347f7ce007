//! Whether a text calls itself automatic. People write of automatic mail, too: of ours, and below their signatures of what
//! their scanners did.

use std::ops::ControlFlow;

use ampout_plugin::phrases::Found;
use ampout_plugin::text::clip;

use crate::auto_reply_words::{AUTOMATIC, AUTOMATIC_IF, AWAY, IN_REPLIES, RECEIVED};
use crate::automatic_words::{DOUBTS, OF_ANOTHERS, OF_ITSELF, WHAT_IS_AUTOMATIC};
use crate::mail::Mail;
use crate::subjects::is_plain_reply;

/// So much of a sentence is read behind a statement.
const LONGEST_REST: usize = 300;

/// Whether the writer's own text says of itself that a machine wrote it.
pub(crate) fn is_in(mail: &Mail<'_>) -> bool {
    let words = mail.reply_words();
    let text = words.above_signature();
    // A person's answer that quotes us may have a footer that no line separates from it.
    let looks_human = mail.headers.in_reply_to && words.quote && is_plain_reply(mail);
    let mut says_so = false;
    IN_REPLIES.each_in(text, |found| {
        says_so = found.marks & (AUTOMATIC | AUTOMATIC_IF) != 0
            && speaks_of_itself(text, found)
            && (!looks_human || !text[..found.start].contains('\n') || says_more(text));
        if says_so { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    says_so
}

/// Whether the text has another mark of an automatic reply.
fn says_more(text: &str) -> bool {
    IN_REPLIES.marks_in(text) & (AWAY | RECEIVED) != 0
}

fn speaks_of_itself(text: &str, found: Found) -> bool {
    let (before, rest) = (&text[..found.start], &text[found.end..]);
    // `dies ist eine automatisch` ends amid its last word.
    let next = rest.trim_start_matches(char::is_alphabetic).trim_start_matches([' ', '\n']);
    let goes_on_with =
        |words: &[&str]| words.iter().any(|word| next.starts_with(word) || rest.trim_start().starts_with(word));
    if found.marks & AUTOMATIC_IF != 0 && !goes_on_with(WHAT_IS_AUTOMATIC) {
        return false;
    }
    let rest = clip(rest, LONGEST_REST);
    let end = rest.find(['.', '!', '?', '？', '。', '\n']).unwrap_or(rest.len());
    let is_question = rest[end..].starts_with(['?', '？']);
    let is_doubted = || DOUBTS.iter().any(|doubt| rest[..end].contains(doubt));
    !is_question && !is_doubted() && begins_a_statement(before)
}

/// Whether a statement may begin behind these words.
fn begins_a_statement(before: &str) -> bool {
    let said = before.trim_end_matches([' ', '\n']);
    let Some(last) = said.chars().next_back() else { return true };
    // A script without spaces between words begins anywhere.
    if !last.is_alphanumeric() || last >= '\u{2e80}' {
        return true;
    }
    let ends_with = |words: &[&str]| {
        words.iter().any(|word| {
            said.strip_suffix(word).is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '\''))
        })
    };
    // Behind the end of a line a sentence may go on or begin.
    if before[said.len()..].contains('\n') { !ends_with(OF_ANOTHERS) } else { ends_with(OF_ITSELF) && !is_known(said) }
}

/// `that` alone stands behind "please note" as well as behind "I know".
fn is_known(said: &str) -> bool {
    let Some(before) = said.strip_suffix(" that") else { return false };
    !["note", "notice", "aware", "advised", "informed"].iter().any(|word| before.ends_with(word))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Header, Message};

    use super::*;

    #[track_caller]
    fn check(text: &str, is_automatic: bool) {
        let message = Message { text: text.to_owned(), ..Message::default() };
        assert_eq!(is_in(&Mail::new(&message)), is_automatic, "of {text:?}");
    }

    #[test]
    fn texts_that_call_themselves_automatic_are() {
        for text in [
            "This is an automated reply. We will read your message.",
            "Hello,\nthis is an automatic response to your message",
            "Please note that this is an automated message.",
            "Please do not answer, as this is an automated message.",
            "*** This is an automatically generated email ***",
            "Vielen Dank. Diese E-Mail wurde automatisch generiert.",
            "Diese Nachricht wurde automatisch versendet, bitte antworten Sie nicht.",
            "Dies ist eine automatische Antwort.",
            "This is an automated confirmation, please do not reply.",
            "Ihre Anfrage ist da. Bitte antworten Sie nicht auf diese automatisch erzeugte E-Mail.",
            "Dies ist eine automatisch generierte Nachricht.",
            "Dit is een automatisch antwoord.",
            "Dit bericht is automatisch gegenereerd.",
            "Ceci est un message automatique, merci de ne pas répondre.",
            "Detta är ett automatiskt svar.",
            "Bu otomatik bir yanıttır.",
            "このメールは自動送信されています。",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn what_people_say_of_our_mail_or_of_their_scanners_is_not() {
        for text in [
            "I can see this is an automated email, but the timing is good. Can we talk on Thursday?",
            "I assume this is an automated message from your CRM. Anyway: we do need this.",
            "This is an automated email, I know, yet it is what we need.",
            "We know that this is an automated message. Call us.",
            "I guess\nthis is an automated email",
            "Is this an automated message? If this is an automated reply, ignore me.",
            "Je vois que ceci est un message automatique, mais appelez-moi.",
            "Ja, gern. Rufen Sie an.\nKim\nDiese E-Mail wurde automatisch auf Viren geprüft.",
            "Ja graag.\nDit bericht is automatisch gecontroleerd op virussen.",
            "Passt.\nDiese Nachricht wurde automatisch verschlüsselt übertragen.",
            "Sure.\nThis message was sent automatically encrypted by Acme.",
            "Yes.\nKim\n--\nThis message was automatically generated by a person's hands.",
            "Dies ist eine automatische Übersetzung, entschuldigen Sie die Fehler. Wir sind interessiert.",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn an_answer_that_quotes_us_needs_more_than_a_footer() {
        let check = |text: &str, is_automatic: bool| {
            let header = Header { name: "In-Reply-To".to_owned(), value: "<1@sender.example>".to_owned() };
            let text = format!("{text}\n\nOn Mon, Ana wrote:\n> Quick question");
            let message =
                Message { headers: vec![header], subject: "Re: Quick question".to_owned(), text, ..Message::default() };
            assert_eq!(is_in(&Mail::new(&message)), is_automatic);
        };
        check("Yes, on Monday.\nKim\n\nThis message was generated automatically.", false);
        check("This is an automated reply.", true);
        check("We have received your message.\nThis message was generated automatically.", true);
    }
}
