//! A message as its recipient has it: headers, texts, and the answers that people and machines would write to it.

use ampout::demo::smtp_receiver::ReceivedMessage;
use anyhow::Context;
use mail_parser::{HeaderName, Message, MessageParser};

/// A received message, parsed.
#[derive(Debug, Clone)]
pub struct Letter {
    message: Message<'static>,
    /// The recipient.
    pub to: String,
    /// The Message-ID, without brackets.
    pub message_id: String,
}

impl Letter {
    /// Parses what the receiver took.
    pub fn of(received: &ReceivedMessage) -> anyhow::Result<Self> {
        let message = MessageParser::default().parse(&received.raw).context("no message")?.into_owned();
        let to = received.to.first().context("no recipient")?.clone();
        let message_id = received.message_id.clone().context("no Message-ID")?;
        Ok(Self { message, to, message_id: message_id.trim_matches(['<', '>']).to_owned() })
    }

    /// A header as it was written, trimmed; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let name = HeaderName::parse(name.to_owned()).unwrap_or(HeaderName::Other(name.to_owned().into()));
        self.message.header_raw(name).unwrap_or_default().trim()
    }

    /// The subject, decoded.
    pub fn subject(&self) -> &str {
        self.message.subject().unwrap_or_default()
    }

    /// The HTML body, decoded.
    pub fn html(&self) -> String {
        self.message.body_html(0).unwrap_or_default().into_owned()
    }

    /// The text body, decoded.
    pub fn text(&self) -> String {
        self.message.body_text(0).unwrap_or_default().into_owned()
    }

    /// The link of one-click unsubscription.
    pub fn unsubscribe_link(&self) -> &str {
        self.header("List-Unsubscribe").trim_matches(['<', '>'])
    }

    /// The address of the open pixel.
    pub fn pixel(&self) -> anyhow::Result<String> {
        let html = self.html();
        let images = html.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        images.filter(|url| url.ends_with(".gif")).last().map(str::to_owned).context("there is no pixel")
    }

    /// The recipient's own answer.
    pub fn answer(&self, words: &str) -> String {
        self.answer_with("", "Re: A question", words)
    }

    /// What the recipient's mail server says while its owner is away.
    pub fn absence(&self) -> String {
        self.answer_with("Auto-Submitted: auto-replied\r\n", "Automatic reply: A question", "I am out of the office.")
    }

    /// A delivery status notification of a relay that gives the message back (RFC 3464).
    pub fn undeliverable(&self) -> String {
        let (to, id) = (&self.to, &self.message_id);
        format!(
            "From: Mail Delivery System <mailer-daemon@relay.test>\r\nTo: <{}>\r\nMessage-ID: <dsn.{id}>\r\n\
             Subject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.test\r\n\r\n\
             Final-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 no such mailbox\r\n\r\n\
             --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{id}>\r\nTo: <{to}>\r\n\r\n--b--\r\n",
            self.sender(),
        )
    }

    /// Any answer in the same thread: more headers, a subject, a text.
    pub fn answer_with(&self, headers: &str, subject: &str, words: &str) -> String {
        let (to, id, sender) = (&self.to, &self.message_id, self.sender());
        format!(
            "From: <{to}>\r\nTo: <{sender}>\r\nSubject: {subject}\r\nMessage-ID: <answer.{id}>\r\n\
             In-Reply-To: <{id}>\r\nReferences: <{id}>\r\n{headers}MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{words}\r\n"
        )
    }

    fn sender(&self) -> &str {
        let from = self.message.from().and_then(|from| from.first());
        from.and_then(|from| from.address()).unwrap_or_default()
    }
}
