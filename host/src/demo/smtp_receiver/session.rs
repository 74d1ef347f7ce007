//! One connection to the SMTP receiver: bytes in, replies out, gathered while more pipelined input waits. What a command
//! means is the business of `commands`.

use std::io;
use std::slice::Iter;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smtp_proto::Error;
use smtp_proto::request::receiver::{BdatReceiver, DataReceiver, DummyDataReceiver, LineReceiver, RequestReceiver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Action, Moment, ReceivedMessage, ReceiverTls, Reply, Shared};
use crate::demo::stream::ServerStream;

/// RFC 5321 §4.5.3.2.7: how long a server waits for the next command.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
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
pub(super) enum Next {
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
    /// The next command, once what was answered has been held back for this time.
    Pause(Duration),
    /// Silence until the peer hangs up.
    Hang,
    /// The end. What was answered before is written first.
    Close,
}

/// What a line of an AUTH exchange holds.
pub(super) enum AuthStep {
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

pub(super) struct Session<'a> {
    pub(super) shared: &'a Shared,
    number: u64,
    pub(super) output: Vec<u8>,
    pub(super) greeted: bool,
    pub(super) encrypted: bool,
    pub(super) user: Option<String>,
    bad_commands: usize,
    pub(super) transaction: Option<Transaction>,
}

#[derive(Default)]
pub(super) struct Transaction {
    pub(super) from: String,
    pub(super) envelope_id: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) raw: Vec<u8>,
    pub(super) chunked: bool,
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
                                Next::Command | Next::Pause(_) => Reading::Command(RequestReceiver::default()),
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
                    Next::Pause(pause) => {
                        tokio::time::sleep(pause).await;
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
        let action = self.shared.decide(&moment);
        if let Some(action @ (Action::Refuse(_) | Action::Hang | Action::Close)) = action {
            return self.obey(action);
        }
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
        if action == Some(Action::AcceptAndClose) {
            return Next::Close;
        }
        let text = format!("accepted as {}", *self.shared.accepted.borrow());
        self.say(250, Some("2.0.0"), &text);
        match action {
            Some(Action::AnswerAndClose) => Next::Close,
            Some(Action::AnswerAfter(pause)) => Next::Pause(pause),
            _ => Next::Command,
        }
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
    pub(super) fn decided(&mut self, moment: &Moment<'_>) -> Option<Next> {
        let action = self.shared.decide(moment).filter(|action| !matches!(action, Action::AnswerAfter(_)))?;
        Some(self.obey(action))
    }

    fn obey(&mut self, action: Action) -> Next {
        match action {
            Action::Refuse(reply) => {
                self.say_reply(&reply);
                if reply.code == 421 { Next::Close } else { Next::Command }
            }
            Action::Hang => Next::Hang,
            Action::Close | Action::AcceptAndClose | Action::AnswerAndClose => Next::Close,
            Action::AnswerAfter(pause) => Next::Pause(pause),
        }
    }

    pub(super) fn answer(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        self.say(code, Some(enhanced), text);
        Next::Command
    }

    pub(super) fn say_reply(&mut self, reply: &Reply) {
        self.say(reply.code, Some(&reply.enhanced), &reply.text);
    }

    pub(super) fn say(&mut self, code: u16, enhanced: Option<&str>, text: &str) {
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

pub(super) fn too_big() -> Reply {
    Reply::new(552, "5.3.4", "the message is too big")
}

/// Keeps what a peer or a rule gave from making a second line of ours.
pub(super) fn one_line(text: &str) -> String {
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
