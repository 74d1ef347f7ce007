//! Requests to be let go, only where they are clear: the machine-made ones of one-click unsubscribing, and short replies
//! that ask for nothing else. A polite decline is another matter and left to a script.

use ampout_plugin::text::fold;
use ampout_plugin::{Classification, Message};

use crate::own_words;

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

/// A request that a mail program made for its user (RFC 2369 `mailto:`, as Apple Mail sends it).
pub(crate) fn find_made_by_a_machine(message: &Message) -> Option<Classification> {
    let by_apple = message.header("x-apple-unsubscribe").is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if by_apple {
        return Some(Classification::unsubscribe_request().because("X-Apple-Unsubscribe"));
    }
    // The subject alone, as a List-Unsubscribe `mailto:` sets it; a reply would have a prefix.
    let subject = fold(&message.subject);
    let words = own_words::of_reply(&message.text).join(" ").split_whitespace().count();
    let asks = matches!(
        subject.trim_matches(['.', '!', '"', ' ']),
        "unsubscribe" | "unsubscribe me" | "opt out" | "opt-out" | "unsubscribe request"
    );
    (asks && words <= MOST_WORDS)
        .then(|| Classification::unsubscribe_request().because("the subject asks to unsubscribe"))
}

/// A person's clear request.
pub(crate) fn find(message: &Message) -> Option<Classification> {
    let lines = own_words::of_reply(&message.text);
    let text = lines.join(" ");
    if text.split_whitespace().count() > MOST_WORDS || NEGATIONS.iter().any(|negation| text.contains(negation)) {
        return None;
    }
    // A question about unsubscribing is about our product, not about the asker.
    let is_question = text.contains('?');
    let first_lines_ask = lines.iter().take(3).any(|line| LINES.contains(&bare(line)));
    let phrase_asks = !is_question && PHRASES.iter().any(|phrase| text.contains(phrase));
    (first_lines_ask || phrase_asks)
        .then(|| Classification::unsubscribe_request().because("a short reply that asks to be let go"))
}

fn bare(line: &str) -> &str {
    line.trim_matches(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use ampout_plugin::Verdict;

    use super::*;

    #[track_caller]
    fn check(text: &str, asks: bool) {
        let message = Message { subject: "Re: Quick question".to_owned(), text: text.to_owned(), ..Message::default() };
        let found = find(&message).map(|classification| classification.verdict);
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
