//! Challenge-response systems: the recipient's filter asks the sender to prove that it is a person. Known by the marks
//! that each product leaves.

use ampout_plugin::text::fold;
use ampout_plugin::{Classification, Message};

/// A header that only such a system writes.
const HEADERS: &[&str] = &[
    "X-Bluebottle-Request",
    "X-Boxtrapper",
    "X-Spamarrest-noauth",
    "X-AskVersion",
    "X-Choicemail-Registration-Request",
    "X-Challenge-Response",
];

const SUBJECTS: &[&str] = &[
    "[qurb #",
    "unverified email to ",
    "please verify your email address",
    "your email requires verification verify:",
    "your message is awaiting verification",
];

const SENDERS: &[&str] =
    &["confirm-", "spamblocker-challenge@", "spamhippo@", "devnull-quarantine@", "noreply@boxbe.com"];

const TEXTS: &[&str] = &[
    "please add yourself to my boxbe guest list",
    "your server requires confirmation",
    "click the link below to prove that you are human",
    "to have your message delivered, please confirm",
];

/// A challenge, if the message is one.
pub(crate) fn find(message: &Message) -> Option<Classification> {
    mark(message).map(|mark| Classification::challenge().because(mark))
}

fn mark(message: &Message) -> Option<String> {
    if let Some(header) = HEADERS.iter().find(|header| message.has_header(header)) {
        return Some((*header).to_owned());
    }
    let contains = |header: &str, mark: &str| {
        message.header(header).is_some_and(|value| value.to_ascii_lowercase().contains(mark))
    };
    if contains("x-delivery-agent", "tmda") || contains("message-id", "-tmda-confirm") {
        return Some("TMDA".to_owned());
    }
    if contains("content-type", "multipartboundary_mailinblack") {
        return Some("MailInBlack".to_owned());
    }
    let subject = fold(&message.subject);
    if let Some(opener) = SUBJECTS.iter().find(|opener| subject.starts_with(**opener)) {
        return Some(format!("subject: {}", opener.trim()));
    }
    let senders = [message.sender.as_deref(), message.return_path.as_deref()];
    let is_known = |sender: &&str| match *sender {
        "confirm-" => senders.iter().flatten().any(|from| from.starts_with(*sender) && from.contains("spamguard")),
        _ => senders.iter().flatten().any(|from| from.to_ascii_lowercase().starts_with(*sender)),
    };
    if let Some(sender) = SENDERS.iter().find(|sender| is_known(sender)) {
        return Some(format!("sender: {sender}"));
    }
    let text = fold(&message.text);
    TEXTS.iter().find(|phrase| text.contains(**phrase)).map(|phrase| format!("text: {phrase}"))
}
