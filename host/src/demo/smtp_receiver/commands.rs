//! What each command of the SMTP receiver answers, and what it makes of the transaction under way.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, MailFrom, RcptTo, Request};

use super::session::{AuthStep, Next, Session, Transaction, one_line, too_big};
use super::{Moment, ReceiverTls};
use crate::secrets::ExposeSecret;

/// RFC 5321 §4.5.3.1.8 asks for at least 100.
const MAX_RECIPIENTS: usize = 1_000;

impl Session<'_> {
    pub(super) fn command(&mut self, request: Request<Cow<'_, str>>) -> Next {
        let options = &self.shared.options;
        match request {
            Request::Ehlo { host } => self.ehlo(&host),
            Request::Helo { .. } => {
                self.greeted = true;
                self.transaction = None;
                self.say(250, None, "localhost");
                Next::Command
            }
            Request::StartTls if options.tls == ReceiverTls::StarttlsRequired && !self.encrypted => {
                self.say(220, Some("2.0.0"), "go ahead");
                Next::Encrypt
            }
            Request::Noop { .. } => self.answer(250, "2.0.0", "ok"),
            Request::Quit => {
                self.say(221, Some("2.0.0"), "bye");
                Next::Close
            }
            Request::Rset => {
                self.transaction = None;
                self.answer(250, "2.0.0", "ok")
            }
            Request::Bdat { chunk_size, is_last } if options.chunking => Next::Chunk { size: chunk_size, is_last },
            _ if options.tls == ReceiverTls::StarttlsRequired && !self.encrypted => {
                self.answer(530, "5.7.0", "begin with STARTTLS")
            }
            Request::Auth { mechanism, initial_response } if options.login.is_some() => {
                self.auth(mechanism, &initial_response)
            }
            Request::Mail { from } => self.mail(&from),
            Request::Rcpt { to } => self.recipient(&to),
            Request::Data => self.data(),
            Request::Vrfy { .. } => self.answer(252, "2.0.0", "send some mail, it may be taken"),
            other => {
                let text = format!("{} is not implemented", other.name());
                self.answer(502, "5.5.1", &text)
            }
        }
    }

    fn ehlo(&mut self, host: &str) -> Next {
        let options = &self.shared.options;
        let mut lines = vec![format!("localhost greets {}", one_line(host))];
        let mut offer = |offered: bool, line: &str| {
            if offered {
                lines.push(line.to_owned());
            }
        };
        offer(options.pipelining, "PIPELINING");
        offer(options.size, &format!("SIZE {}", options.max_message_bytes));
        offer(options.eight_bit_mime, "8BITMIME");
        offer(options.enhanced_status_codes, "ENHANCEDSTATUSCODES");
        offer(options.chunking, "CHUNKING");
        offer(options.dsn, "DSN");
        let starttls = options.tls == ReceiverTls::StarttlsRequired && !self.encrypted;
        offer(starttls, "STARTTLS");
        offer(options.login.is_some() && !starttls, "AUTH PLAIN LOGIN");
        let last = lines.len() - 1;
        for (index, line) in lines.iter().enumerate() {
            let dash = if index < last { '-' } else { ' ' };
            self.output.extend_from_slice(format!("250{dash}{line}\r\n").as_bytes());
        }
        self.greeted = true;
        self.transaction = None;
        Next::Command
    }

    fn auth(&mut self, mechanism: u64, initial_response: &str) -> Next {
        if self.user.is_some() {
            return self.answer(503, "5.5.1", "already authenticated");
        }
        match (mechanism, initial_response) {
            (AUTH_PLAIN, "") => self.challenge("", AuthStep::Plain),
            (AUTH_PLAIN, response) => self.auth_line(AuthStep::Plain, response.as_bytes()),
            (AUTH_LOGIN, "") => self.challenge("VXNlcm5hbWU6", AuthStep::LoginUser),
            (AUTH_LOGIN, response) => self.auth_line(AuthStep::LoginUser, response.as_bytes()),
            _ => self.answer(504, "5.5.4", "AUTH PLAIN or AUTH LOGIN"),
        }
    }

    fn challenge(&mut self, text: &str, step: AuthStep) -> Next {
        self.say(334, None, text);
        Next::AuthLine(step)
    }

    pub(super) fn auth_line(&mut self, step: AuthStep, line: &[u8]) -> Next {
        let Some(text) = BASE64.decode(line.trim_ascii()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return self.answer(501, "5.5.2", "the response is not base64");
        };
        match step {
            AuthStep::Plain => match text.split('\0').collect::<Vec<_>>()[..] {
                [_, username, password] => self.log_in(username, password),
                _ => self.answer(501, "5.5.2", "the response is not identity, user, password"),
            },
            AuthStep::LoginUser => self.challenge("UGFzc3dvcmQ6", AuthStep::LoginPassword { username: text }),
            AuthStep::LoginPassword { username } => self.log_in(&username, &text),
        }
    }

    fn log_in(&mut self, username: &str, password: &str) -> Next {
        let known = self.shared.options.login.as_ref();
        if known.is_none_or(|known| known.username != username || known.password.expose_secret() != password) {
            return self.answer(535, "5.7.8", "authentication failed");
        }
        if let Some(next) = self.decided(&Moment::Authenticated { username }) {
            return next;
        }
        self.user = Some(username.to_owned());
        self.answer(235, "2.7.0", "welcome")
    }

    fn mail(&mut self, from: &MailFrom<Cow<'_, str>>) -> Next {
        self.shared.transactions.fetch_add(1, Ordering::Relaxed);
        if !self.greeted {
            return self.answer(503, "5.5.1", "say EHLO first");
        }
        if self.shared.options.login.is_some() && self.user.is_none() {
            return self.answer(530, "5.7.0", "authentication is required");
        }
        if self.transaction.is_some() {
            return self.answer(503, "5.5.1", "a message is under way");
        }
        if from.size > self.shared.options.max_message_bytes {
            self.say_reply(&too_big());
            return Next::Command;
        }
        if let Some(next) = self.decided(&Moment::MailFrom { address: &from.address }) {
            return next;
        }
        self.transaction = Some(Transaction {
            from: from.address.to_string(),
            envelope_id: from.env_id.as_ref().map(ToString::to_string),
            ..Transaction::default()
        });
        self.answer(250, "2.1.0", "sender ok")
    }

    fn recipient(&mut self, to: &RcptTo<Cow<'_, str>>) -> Next {
        let Some(transaction) = &self.transaction else { return self.answer(503, "5.5.1", "say MAIL first") };
        if transaction.to.len() >= MAX_RECIPIENTS {
            return self.answer(452, "4.5.3", "too many recipients");
        }
        if let Some(next) = self.decided(&Moment::Recipient { address: &to.address }) {
            return next;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.to.push(to.address.to_string());
        }
        self.answer(250, "2.1.5", "recipient ok")
    }

    fn data(&mut self) -> Next {
        match &self.transaction {
            Some(transaction) if transaction.chunked => self.answer(503, "5.5.1", "DATA and BDAT do not mix"),
            Some(transaction) if !transaction.to.is_empty() => {
                self.say(354, None, "end with a line of one dot");
                Next::Data
            }
            _ => self.answer(503, "5.5.1", "no recipient"),
        }
    }
}
