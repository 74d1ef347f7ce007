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

const TEXTS: &[&str] = &[
    "please add yourself to my boxbe guest list",
    "your server requires confirmation",
    "click the link below to prove that you are human",
    "to have your message delivered, please confirm",
    "please click the link below to confirm that you sent",
    "click on the link below to verify your address",
    "this message is protected by spamarrest",
    "i'm protecting myself from receiving junk mail",
    "i'm now using spam arrest",
    "just this once, click the link below so i can receive your",
    "you only have to do this once",
    "your message will be held until you confirm",
    "i have set up an email filter that requires",
    "complete the following captcha",
];

const IN_TEXTS: &[(u32, &[&str])] = &[(1, TEXTS)];
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
    let asks = mail.sender() == SenderKind::Anybody
        && !subjects::is_plain_reply(mail)
        && PHRASES.marks_in(&mail.reply_words().text) != 0;
    asks.then(|| "the words of a challenge".to_owned())
}
