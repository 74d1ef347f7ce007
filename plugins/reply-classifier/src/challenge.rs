//! Challenge-response systems: the recipient's filter asks the sender to prove that it is a person. Known by the marks
//! that each product leaves.

use ampout_plugin::Classification;
use ampout_plugin::phrases::{Phrases, count};

use crate::headers::OF_MAIL_IN_BLACK;
use crate::mail::Mail;
use crate::senders::SenderKind;
use crate::subjects;

const SUBJECTS: &[&str] = &[
    "[qurb #",
    "unverified email to ",
    "please verify your email address",
    "your email requires verification verify:",
    "your message is awaiting verification",
    "verification required for your message",
    "confirm your message to ",
    "please confirm your message",
    "sender verification required",
    "action required: confirm your message",
    "votre message est en attente : authentif",
    "votre message est en attente: authentif",
    "authentification requise : votre message",
];

const SENDERS: &[&str] = &[
    "confirm-",
    "spamblocker-challenge@",
    "spamhippo@",
    "devnull-quarantine@",
    "noreply@boxbe.com",
    "boxbe-notifications@boxbe.com",
    "spamarrest@",
    "no-reply@spamarrest.com",
    "challenge@",
    "noreply@mailinblack.com",
    "noreply@bitbounce.com",
];

/// What names a product: nobody else writes so, under whatever subject.
const PRODUCTS: &[&str] = &[
    "please add yourself to my boxbe guest list",
    "add yourself to my guest list so your other messages",
    "this message is protected by spamarrest",
    "i'm now using spam arrest",
    "mailinblack protege ma messagerie",
    "ma messagerie est protegee par mailinblack",
    "boite mail est protegee par mailinblack",
    "mailinblack protects my mailbox",
    "my mailbox is protected by mailinblack",
];

const TEXTS: &[&str] = &[
    "cliquez sur le lien ci-dessous pour vous authentifier",
    "cliquer sur le lien ci-dessous pour vous authentifier",
    "votre message me sera alors delivre",
    "pour que votre message me soit remis, merci de",
    "your server requires confirmation",
    "click the link below to prove that you are human",
    "to have your message delivered, please confirm",
    "please click the link below to confirm that you sent",
    "click on the link below to verify your address",
    "i'm protecting myself from receiving junk mail",
    "just this once, click the link below so i can receive your",
    "you only have to do this once",
    "your message will be held until you confirm",
    "i have set up an email filter that requires",
    "complete the following captcha",
];

const IN_TEXTS: &[(u32, &[&str])] = &[(OF_A_CHALLENGE, TEXTS), (OF_A_PRODUCT, PRODUCTS)];
const OF_A_CHALLENGE: u32 = 1;
const OF_A_PRODUCT: u32 = 1 << 1;
static PHRASES: Phrases<{ count(IN_TEXTS) }> = Phrases::new(IN_TEXTS);

/// A challenge, if the message is one.
pub(crate) fn find(mail: &Mail<'_>) -> Option<Classification> {
    mark(mail).map(|mark| Classification::challenge().because(mark))
}

fn mark(mail: &Mail<'_>) -> Option<String> {
    if let Some(product) = mail.headers.challenge {
        return Some(product.to_owned());
    }
    if mail.headers.are_of(OF_MAIL_IN_BLACK) {
        return Some("MailInBlack".to_owned());
    }
    if let Some(opener) = SUBJECTS.iter().find(|opener| mail.subject.starts_with(**opener)) {
        return Some(format!("subject: {}", opener.trim()));
    }
    let senders = [mail.message.sender.as_deref(), mail.message.return_path.as_deref()];
    let begins = |from: &str, start: &str| from.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start));
    let is_known = |sender: &&str| match *sender {
        "confirm-" => senders.iter().flatten().any(|from| begins(from, sender) && from.contains("spamguard")),
        _ => senders.iter().flatten().any(|from| begins(from, sender)),
    };
    if let Some(sender) = SENDERS.iter().find(|sender| is_known(sender)) {
        return Some(format!("sender: {sender}"));
    }
    // A mail system asks nothing. A person may answer a challenge, or ask what one is.
    if mail.sender() != SenderKind::Anybody {
        return None;
    }
    let words = &mail.reply_words().text;
    let marks = PHRASES.marks_in(words);
    let asks = marks & OF_A_PRODUCT != 0 && !words.contains('?');
    (asks || (marks != 0 && !subjects::is_plain_reply(mail))).then(|| "the words of a challenge".to_owned())
}

#[cfg(test)]
mod tests {
    use ampout_plugin::Message;
    use ampout_plugin::text::fold;

    use super::*;

    #[track_caller]
    fn check(subject: &str, text: &str, is_challenge: bool) {
        let message = Message { subject: subject.to_owned(), text: text.to_owned(), ..Message::default() };
        assert_eq!(find(&Mail::new(&message)).is_some(), is_challenge, "of {subject:?} {text:?}");
    }

    #[test]
    fn the_words_are_folded_as_texts_are() {
        let strange: Vec<_> =
            PHRASES.all().chain(SUBJECTS.iter().copied()).filter(|it| fold(it) != it.trim()).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }

    #[test]
    fn a_product_is_known_by_its_words_under_any_subject() {
        check(
            "Re: Quick question",
            "Please add yourself to my Boxbe Guest List so your other messages won't wait.",
            true,
        );
        check("Re: Question", "Mailinblack protège ma messagerie. Cliquez sur le lien ci-dessous.", true);
        check("Votre message est en attente : authentifiez-vous", "Bonjour", true);
    }

    #[test]
    fn who_asks_about_a_challenge_is_a_person() {
        check("Re: Quick question", "You only have to do this once, so yes.", false);
        check(
            "Re: Quick question",
            "I am asked to \"please add yourself to my Boxbe guest list\" - is that you?",
            false,
        );
        check("Votre message est en attente de réponse", "Bonjour, qui s'en occupe ?", false);
    }
}
