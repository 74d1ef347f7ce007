//! Requests to be let go, only where they are clear: the machine-made ones of one-click unsubscribing, and replies
//! that ask for nothing else. A polite decline is another matter and left to a script.

use ampout_plugin::Classification;

use crate::mail::Mail;
use crate::opt_out;

/// A longer text below such a subject asks for more.
const MOST_WORDS: usize = 40;

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
    // A person who answers through a CRM writes such headers, too.
    let answers_us = mail.headers.in_reply_to && !mail.headers.is_list_post;
    if (mail.headers.has_list_unsubscribe || mail.headers.is_bulk) && !answers_us {
        return None;
    }
    opt_out::is_asked(mail).then(|| Classification::unsubscribe_request().because("a reply that asks to be let go"))
}

#[cfg(test)]
mod tests {
    use ampout_plugin::{Header, Message, Verdict};

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
    fn an_answer_through_a_crm_is_heard_and_a_newsletter_is_not() {
        let check = |names: &[&str], asks: bool| {
            let header = |name: &&str| Header { name: (*name).to_owned(), value: "<x@acme.example>".to_owned() };
            let headers = names.iter().map(header).collect();
            let message =
                Message { headers, text: "Please remove me from your list.".to_owned(), ..Message::default() };
            assert_eq!(find(&Mail::new(&message)).is_some(), asks, "with {names:?}");
        };
        check(&["List-Unsubscribe", "In-Reply-To"], true);
        check(&["List-Unsubscribe"], false);
        check(&["List-Unsubscribe", "In-Reply-To", "List-Id"], false);
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
