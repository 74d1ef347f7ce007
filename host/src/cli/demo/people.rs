//! The thirty recipients of the demo, and what they and their machines write back.

use serde_json::{Value, json};

use super::world::{ADA, MAIL_DOMAINS};
use crate::demo::smtp_receiver::ReceivedMessage;
use crate::domain::Timestamp;

const FIRST_NAMES: [&str; 30] = [
    "Alan",
    "Barbara",
    "Claude",
    "Dorothy",
    "Edsger",
    "Frances",
    "George",
    "Hedy",
    "Ida",
    "John",
    "Katherine",
    "Lynn",
    "Margaret",
    "Niklaus",
    "Olga",
    "Peter",
    "Radia",
    "Sophie",
    "Tim",
    "Ursula",
    "Vint",
    "Whitfield",
    "Xia",
    "Yukihiro",
    "Zuse",
    "Annie",
    "Bjarne",
    "Cynthia",
    "Donald",
    "Evelyn",
];
const WITHOUT_MX: [usize; 3] = [4, 13, 22];
const GONE: [usize; 2] = [7, 18];

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A person is interested.
    Interested,
    /// A person is away, says their machine.
    Away,
    /// A ticket system has taken the message for a ticket, and says nothing that marks it as a machine.
    Ticket,
    /// Another server gave the message back.
    Undeliverable,
}

/// The contacts to import.
pub(super) fn contacts() -> Vec<Value> {
    let contact = |(n, name): (usize, &&str)| {
        let domain = if WITHOUT_MX.contains(&n) { "nowhere.example" } else { MAIL_DOMAINS[n % MAIL_DOMAINS.len()] };
        let local = if GONE.contains(&n) { format!("gone.{}", name.to_lowercase()) } else { name.to_lowercase() };
        json!({ "email": format!("{local}@{domain}"), "first_name": name, "company": domain.split('.').next() })
    };
    FIRST_NAMES.iter().enumerate().map(contact).collect()
}

impl Answer {
    /// The answer of a message's recipient, as it arrives in the sender's mailbox.
    pub(super) fn write(self, received: &ReceivedMessage, now: Timestamp) -> String {
        let recipient = received.to.first().map_or("", String::as_str);
        let message_id = received.message_id.as_deref().unwrap_or_default().trim_matches(['<', '>']);
        let (sender, subject, more, body) = match self {
            Self::Interested => {
                (recipient, "Re: A question", "", "That sounds useful. Can we talk on Thursday?\r\n".to_owned())
            }
            Self::Away => (
                recipient,
                "Automatic reply: A question",
                "Auto-Submitted: auto-replied\r\n",
                "I am out of the office and will be back on 2030-01-15.\r\n".to_owned(),
            ),
            Self::Ticket => (
                recipient,
                "Re: A question [Ticket 4711]",
                "",
                "Your request was received and has the number 4711. An agent will look at it.\r\n".to_owned(),
            ),
            Self::Undeliverable => return undeliverable(recipient, message_id, now),
        };
        format!(
            "From: <{sender}>\r\nTo: <{ADA}>\r\nSubject: {subject}\r\nDate: {now}\r\n\
             Message-ID: <answer.{message_id}>\r\nIn-Reply-To: <{message_id}>\r\nReferences: <{message_id}>\r\n{more}\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}"
        )
    }
}

/// A delivery status notification (RFC 3464).
fn undeliverable(recipient: &str, message_id: &str, now: Timestamp) -> String {
    format!(
        "Return-Path: <>\r\nFrom: Mail Delivery System <mailer-daemon@relay.example>\r\nTo: <{ADA}>\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nDate: {now}\r\nMessage-ID: <dsn.{message_id}>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such mailbox\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{message_id}>\r\nTo: <{recipient}>\r\n\r\n--b--\r\n"
    )
}
