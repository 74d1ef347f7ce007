//! Requests to be let go, only where they are clear: the machine-made ones of one-click unsubscribing, and short replies
//! that ask for nothing else. A polite decline is another matter and left to a script.

use ampout_plugin::Classification;
use ampout_plugin::phrases::{Phrases, count};

use crate::mail::Mail;

/// A longer reply asks for more than to be let go.
const MOST_WORDS: usize = 40;

/// A whole line that asks, punctuation left out.
const LINES: &[&str] = &[
    "unsubscribe",
    "unsubscribe me",
    "unsubscribe please",
    "please unsubscribe",
    "please unsubscribe me",
    "stop",
    "stop please",
    "please stop",
    "remove",
    "remove me",
    "remove me please",
    "please remove",
    "please remove me",
    "opt out",
    "opt-out",
    "optout",
    "opt me out",
    "take me off",
    "abmelden",
    "bitte abmelden",
    "abbestellen",
    "austragen",
    "bitte austragen",
    "desabonner",
    "desinscription",
    "desinscrire",
    "me desinscrire",
    "baja",
    "darme de baja",
    "cancelar suscripcion",
    "desuscribir",
    "cancellami",
    "disiscrivimi",
    "cancelar inscricao",
    "descadastrar",
    "remover",
    "uitschrijven",
    "afmelden",
    "avregistrera",
    "avsluta prenumeration",
    "afmeld",
    "avmeld",
    "meld meg av",
    "wypisz mnie",
    "prosze o wypisanie",
    "отписаться",
    "отпишите меня",
    "配信停止",
    "退订",
    "수신거부",
];

/// Words that ask wherever they stand in a short reply.
const PHRASES: &[&str] = &[
    "unsubscribe me",
    "please unsubscribe",
    "remove me from",
    "remove my email",
    "remove my address",
    "remove us from",
    "remove this address",
    "remove this email",
    "take me off",
    "take us off",
    "off your list",
    "off your mailing list",
    "stop emailing",
    "stop mailing me",
    "stop contacting",
    "stop sending me",
    "stop writing",
    "do not contact me",
    "don't contact me",
    "do not email me",
    "don't email me",
    "opt me out",
    "no more emails",
    "do not send me any more",
    "don't send me any more",
    "delete my data",
    "delete my email",
    "nehmen sie mich aus",
    "aus ihrem verteiler",
    "aus dem verteiler",
    "keine weiteren e-mails",
    "keine weiteren mails",
    "keine mails mehr",
    "tragen sie mich aus",
    "loschen sie meine",
    "me desabonner",
    "me retirer de",
    "retirez-moi",
    "ne plus recevoir",
    "ne plus me contacter",
    "darme de baja",
    "denme de baja",
    "no me escriban",
    "no deseo recibir",
    "non contattatemi",
    "rimuovetemi",
    "cancellatemi",
    "nao desejo receber",
    "me remova",
    "remova meu",
    "schrijf mij uit",
    "haal mij van",
    "ta bort mig",
    "sluta skicka",
    "fjern meg",
    "fjern mig",
    "prosze mnie wypisac",
    "prosze usunac moj",
    "уберите меня",
    "не пишите мне",
];

const NEGATIONS: &[&str] = &[
    "don't unsubscribe",
    "do not unsubscribe",
    "don't remove me",
    "do not remove me",
    "not to unsubscribe",
    "don't take me off",
];

const IN_REPLIES: &[(u32, &[&str])] = &[(1, PHRASES), (2, NEGATIONS)];
static ASKING: Phrases<{ count(IN_REPLIES) }> = Phrases::new(IN_REPLIES);

/// A request that a mail program made for its user (RFC 2369 `mailto:`, as Apple Mail sends it).
pub(crate) fn find_made_by_a_machine(mail: &Mail<'_>) -> Option<Classification> {
    if mail.headers.asked_by_apple {
        return Some(Classification::unsubscribe_request().because("X-Apple-Unsubscribe"));
    }
    // The subject alone, as a List-Unsubscribe `mailto:` sets it; a reply would have a prefix.
    let subject = mail.subject.trim_matches(['.', '!', '"', ' ']);
    let asks = matches!(
        subject,
        "unsubscribe" | "unsubscribe me" | "please unsubscribe" | "opt out" | "opt-out" | "unsubscribe request"
    );
    // The sender's own mark of the subscription stands behind it.
    let names_a_mark = |rest: &str| !rest.contains(' ') && rest.bytes().any(|byte| byte.is_ascii_digit());
    let asks = asks
        || subject
            .strip_prefix("unsubscribe")
            .is_some_and(|rest| rest.starts_with([':', ' ', '-', '_']) && names_a_mark(rest[1..].trim_start()));
    (asks && mail.reply_words().are_at_most(MOST_WORDS))
        .then(|| Classification::unsubscribe_request().because("the subject asks to unsubscribe"))
}

/// A person's clear request.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    let words = mail.reply_words();
    if mail.headers.has_list_unsubscribe || mail.headers.is_bulk || !words.are_at_most(MOST_WORDS) {
        return None;
    }
    // Sentences go on over the ends of lines.
    let text = words.text.replace('\n', " ");
    let marks = ASKING.marks_in(&text);
    if marks & 2 != 0 {
        return None;
    }
    // A question about unsubscribing is about our product, not about the asker.
    let phrase_asks = marks & 1 != 0 && !text.contains('?');
    let first_lines_ask = || words.lines().take(3).any(|line| LINES.contains(&bare(line)));
    (phrase_asks || first_lines_ask())
        .then(|| Classification::unsubscribe_request().because("a short reply that asks to be let go"))
}

fn bare(line: &str) -> &str {
    line.trim_matches(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Message, Verdict};

    use super::*;

    #[track_caller]
    fn check(text: &str, asks: bool) {
        let message = Message { subject: "Re: Quick question".to_owned(), text: text.to_owned(), ..Message::default() };
        let found = find(&Mail::new(&message)).map(|classification| classification.verdict);
        assert_eq!(found == Some(Verdict::UnsubscribeRequest), asks, "of {text:?}");
    }

    #[test]
    fn clear_requests_are_heard_in_several_languages() {
        for text in [
            "Unsubscribe",
            "unsubscribe.\n\nAna",
            "STOP!",
            "Please remove me from your list.",
            "Take me off your list, thanks",
            "Bitte nehmen Sie mich aus Ihrem Verteiler.",
            "Merci de me retirer de vos listes",
            "Por favor, darme de baja",
            "Non contattatemi più",
            "退订",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn other_replies_are_not() {
        for text in [
            "Not interested, thanks.",
            "Does your tool have an unsubscribe link?",
            "Don't remove me from the list yet.",
            "We could stop by on Monday.",
            "Sure.\n> to unsubscribe me click here",
            "",
        ] {
            check(text, false);
        }
    }
}
