//! One connection to the SMTP receiver: commands in, replies out, gathered while more pipelined input waits.

use std::borrow::Cow;
use std::io;
use std::slice::Iter;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use smtp_proto::request::receiver::{BdatReceiver, DataReceiver, DummyDataReceiver, LineReceiver, RequestReceiver};
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, Error, MailFrom, RcptTo, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Action, Moment, ReceivedMessage, ReceiverTls, Reply, Shared};
use crate::demo::stream::ServerStream;
use crate::secrets::ExposeSecret;

/// RFC 5321 §4.5.3.2.7: how long a server waits for the next command.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// RFC 5321 §4.5.3.1.8 asks for at least 100.
const MAX_RECIPIENTS: usize = 1_000;
const MAX_BAD_COMMANDS: usize = 50;
const READ_BYTES: usize = 64 << 10;

pub(super) async fn serve_connection(tcp: TcpStream, shared: &Shared) {
    let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    // A test measures our peer, so our own replies must not wait for Nagle's algorithm. That it can't be set harms nothing.
    let _best_effort = tcp.set_nodelay(true);
    let mut stream = ServerStream::Plain(tcp);
    if shared.options.tls == ReceiverTls::Implicit {
        match timeout(IDLE_LIMIT, stream.encrypt(shared.certificates.server())).await {
            Ok(Ok(encrypted)) => stream = encrypted,
            _ => return,
        }
    }
    // The peer that goes away in the middle is a case under test, not an error of ours.
    let _gone = Session::new(shared, number).run(stream).await;
}

/// What to do after a command was handled.
enum Next {
    /// The next command.
    Command,
    /// A message by DATA.
    Data,
    /// A chunk by BDAT.
    Chunk { size: usize, is_last: bool },
    /// A line of an AUTH exchange.
    AuthLine(AuthStep),
    /// A TLS handshake.
    Encrypt,
    /// Silence until the peer hangs up.
    Hang,
    /// The end. What was answered before is written first.
    Close,
}

/// What a line of an AUTH exchange holds.
enum AuthStep {
    Plain,
    LoginUser,
    LoginPassword { username: String },
}

/// How the input is read at present.
enum Reading {
    Command(RequestReceiver),
    Data(DataReceiver),
    /// Data over the size limit, read and thrown away.
    TooMuchData(DummyDataReceiver),
    Chunk(BdatReceiver),
    /// A chunk that is not wanted, with the reply to give after it.
    UnwantedChunk(DummyDataReceiver, Reply),
    AuthLine(LineReceiver<AuthStep>),
}

struct Session<'a> {
    shared: &'a Shared,
    number: u64,
    output: Vec<u8>,
    greeted: bool,
    encrypted: bool,
    user: Option<String>,
    bad_commands: usize,
    transaction: Option<Transaction>,
}

#[derive(Default)]
struct Transaction {
    from: String,
    envelope_id: Option<String>,
    to: Vec<String>,
    raw: Vec<u8>,
    chunked: bool,
}

impl<'a> Session<'a> {
    fn new(shared: &'a Shared, number: u64) -> Self {
        Self {
            shared,
            number,
            output: Vec::new(),
            greeted: false,
            encrypted: false,
            user: None,
            bad_commands: 0,
            transaction: None,
        }
    }

    async fn run(mut self, mut stream: ServerStream) -> io::Result<()> {
        self.encrypted = stream.is_encrypted();
        match self.decided(&Moment::Connected) {
            None => self.say(220, None, "localhost ESMTP ampout demo receiver"),
            Some(Next::Hang) => return self.hang(stream).await,
            Some(_) => return self.finish(stream).await,
        }
        let mut reading = Reading::Command(RequestReceiver::default());
        let mut chunk = vec![0; READ_BYTES];
        loop {
            stream.write_all(&self.output).await?;
            stream.flush().await?;
            self.output.clear();
            let length = timeout(IDLE_LIMIT, stream.read(&mut chunk)).await??;
            if length == 0 {
                return Ok(());
            }
            let mut input = chunk[..length].iter();
            while !input.as_slice().is_empty() {
                let Some(next) = self.take(&mut reading, &mut input) else { continue };
                reading = match next {
                    Next::Command => Reading::Command(RequestReceiver::default()),
                    Next::Data => Reading::Data(DataReceiver::new()),
                    Next::Chunk { size, is_last } => {
                        let reading = self.begin_chunk(size, is_last);
                        if size > 0 {
                            reading
                        } else {
                            match self.end_chunk(reading) {
                                Next::Command => Reading::Command(RequestReceiver::default()),
                                Next::Hang => return self.hang(stream).await,
                                _ => return self.finish(stream).await,
                            }
                        }
                    }
                    Next::AuthLine(step) => Reading::AuthLine(LineReceiver::new(step)),
                    Next::Encrypt => {
                        // RFC 3207 §5: what came in plain text behind STARTTLS must not be taken for encrypted commands.
                        if !input.as_slice().is_empty() {
                            return Ok(());
                        }
                        stream.write_all(&self.output).await?;
                        stream.flush().await?;
                        stream = timeout(IDLE_LIMIT, stream.encrypt(self.shared.certificates.server())).await??;
                        self = Self::new(self.shared, self.number);
                        self.encrypted = true;
                        Reading::Command(RequestReceiver::default())
                    }
                    Next::Hang => return self.hang(stream).await,
                    Next::Close => return self.finish(stream).await,
                };
            }
        }
    }

    /// Takes from the input what the present reading wants. `None` while it wants more.
    fn take(&mut self, reading: &mut Reading, input: &mut Iter<'_, u8>) -> Option<Next> {
        match reading {
            Reading::Command(receiver) => match receiver.ingest(input) {
                Ok(request) => Some(self.command(request)),
                Err(Error::NeedsMoreData { .. }) => {
                    *input = [].iter();
                    None
                }
                Err(error) => Some(self.bad_command(&error)),
            },
            Reading::Data(receiver) => {
                let transaction = self.transaction.get_or_insert_default();
                let is_complete = receiver.ingest(input, &mut transaction.raw);
                let is_too_much = transaction.raw.len() > self.shared.options.max_message_bytes;
                match (is_complete, is_too_much) {
                    (true, false) => Some(self.end_message()),
                    (true, true) => {
                        self.transaction = None;
                        self.say_reply(&too_big());
                        Some(Next::Command)
                    }
                    (false, true) => {
                        transaction.raw = Vec::new();
                        *reading = Reading::TooMuchData(DummyDataReceiver::new_data(receiver));
                        None
                    }
                    (false, false) => None,
                }
            }
            Reading::TooMuchData(receiver) => receiver.ingest(input).then(|| {
                self.transaction = None;
                self.say_reply(&too_big());
                Next::Command
            }),
            Reading::Chunk(receiver) => {
                let transaction = self.transaction.get_or_insert_default();
                if !receiver.ingest(input, &mut transaction.raw) {
                    return None;
                }
                let is_last = receiver.is_last;
                Some(self.chunk_arrived(is_last))
            }
            Reading::UnwantedChunk(receiver, reply) => receiver.ingest(input).then(|| {
                self.say_reply(reply);
                Next::Command
            }),
            Reading::AuthLine(receiver) => {
                if !receiver.ingest(input) {
                    return None;
                }
                let line = std::mem::take(&mut receiver.buf);
                let step = std::mem::replace(&mut receiver.state, AuthStep::Plain);
                Some(self.auth_line(step, &line))
            }
        }
    }

    fn command(&mut self, request: Request<Cow<'_, str>>) -> Next {
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

    fn auth_line(&mut self, step: AuthStep, line: &[u8]) -> Next {
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

    /// A chunk is read whether it is wanted or not: its bytes are on their way (RFC 3030 §2).
    fn begin_chunk(&mut self, size: usize, is_last: bool) -> Reading {
        let limit = self.shared.options.max_message_bytes;
        match &mut self.transaction {
            Some(transaction) if transaction.to.is_empty() => {
                Reading::UnwantedChunk(DummyDataReceiver::new_bdat(size), Reply::new(503, "5.5.1", "no recipient"))
            }
            Some(transaction) if transaction.raw.len().saturating_add(size) > limit => {
                self.transaction = None;
                Reading::UnwantedChunk(DummyDataReceiver::new_bdat(size), too_big())
            }
            Some(transaction) => {
                transaction.chunked = true;
                Reading::Chunk(BdatReceiver::new(size, is_last))
            }
            None => Reading::UnwantedChunk(DummyDataReceiver::new_bdat(size), Reply::new(503, "5.5.1", "no recipient")),
        }
    }

    /// For a chunk of no bytes: there is nothing to read, so its end is now.
    fn end_chunk(&mut self, reading: Reading) -> Next {
        match reading {
            Reading::Chunk(receiver) => self.chunk_arrived(receiver.is_last),
            Reading::UnwantedChunk(_, reply) => {
                self.say_reply(&reply);
                Next::Command
            }
            _ => Next::Command,
        }
    }

    fn chunk_arrived(&mut self, is_last: bool) -> Next {
        if is_last { self.end_message() } else { self.answer(250, "2.0.0", "chunk ok") }
    }

    fn end_message(&mut self) -> Next {
        let transaction = self.transaction.take().unwrap_or_default();
        let moment = Moment::Message { from: &transaction.from, to: &transaction.to, raw: &transaction.raw };
        let accept_and_close = match self.shared.decide(&moment) {
            None => false,
            Some(Action::AcceptAndClose) => true,
            Some(action) => return self.obey(action),
        };
        self.shared.keep(ReceivedMessage {
            message_id: message_id(&transaction.raw),
            from: transaction.from,
            to: transaction.to,
            envelope_id: transaction.envelope_id,
            raw: transaction.raw,
            user: self.user.clone(),
            encrypted: self.encrypted,
            connection: self.number,
            chunked: transaction.chunked,
        });
        if accept_and_close {
            return Next::Close;
        }
        let text = format!("accepted as {}", *self.shared.accepted.borrow());
        self.answer(250, "2.0.0", &text)
    }

    fn bad_command(&mut self, error: &Error) -> Next {
        self.bad_commands += 1;
        let (code, enhanced, text) = match error {
            Error::UnknownCommand => (500, "5.5.2", "unknown command"),
            Error::InvalidSenderAddress => (553, "5.1.7", "bad sender address"),
            Error::InvalidRecipientAddress => (553, "5.1.3", "bad recipient address"),
            Error::UnsupportedParameter { .. } => (555, "5.5.4", "unknown parameter"),
            _ => (501, "5.5.2", "syntax error"),
        };
        let too_many = self.bad_commands > MAX_BAD_COMMANDS || matches!(error, Error::ResponseTooLong);
        if too_many {
            self.say(421, Some("4.7.0"), "too many errors");
            return Next::Close;
        }
        self.answer(code, enhanced, text)
    }

    /// Asks the rule; `None` means: as usual.
    fn decided(&mut self, moment: &Moment<'_>) -> Option<Next> {
        let action = self.shared.decide(moment)?;
        Some(self.obey(action))
    }

    fn obey(&mut self, action: Action) -> Next {
        match action {
            Action::Refuse(reply) => {
                self.say_reply(&reply);
                if reply.code == 421 { Next::Close } else { Next::Command }
            }
            Action::Hang => Next::Hang,
            Action::Close | Action::AcceptAndClose => Next::Close,
        }
    }

    fn answer(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        self.say(code, Some(enhanced), text);
        Next::Command
    }

    fn say_reply(&mut self, reply: &Reply) {
        self.say(reply.code, Some(&reply.enhanced), &reply.text);
    }

    fn say(&mut self, code: u16, enhanced: Option<&str>, text: &str) {
        let text = one_line(text);
        let line = match enhanced {
            Some(enhanced) if self.shared.options.enhanced_status_codes => {
                format!("{code} {} {text}\r\n", one_line(enhanced))
            }
            _ => format!("{code} {text}\r\n"),
        };
        self.output.extend_from_slice(line.as_bytes());
    }

    async fn hang(self, mut stream: ServerStream) -> io::Result<()> {
        stream.write_all(&self.output).await?;
        stream.flush().await?;
        wait_for_hang_up(&mut stream).await
    }

    async fn finish(self, mut stream: ServerStream) -> io::Result<()> {
        stream.write_all(&self.output).await?;
        stream.flush().await?;
        stream.shutdown().await
    }
}

async fn wait_for_hang_up(stream: &mut ServerStream) -> io::Result<()> {
    let mut thrown_away = vec![0; 4 << 10];
    while timeout(IDLE_LIMIT, stream.read(&mut thrown_away)).await?? > 0 {}
    Ok(())
}

fn too_big() -> Reply {
    Reply::new(552, "5.3.4", "the message is too big")
}

/// Keeps what a peer or a rule gave from making a second line of ours.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(400).collect()
}

/// The value of the Message-ID header, without brackets.
fn message_id(raw: &[u8]) -> Option<String> {
    let headers = String::from_utf8_lossy(raw.get(..raw.len().min(64 << 10))?);
    let mut lines = headers.lines().take_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("message-id") {
            let folded = lines.next_if(|next| next.starts_with([' ', '\t'])).unwrap_or_default();
            let value = format!("{}{}", value.trim(), folded.trim());
            return Some(value.trim_start_matches('<').trim_end_matches('>').to_owned());
        }
    }
    None
}
