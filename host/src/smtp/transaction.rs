//! One message over one session: MAIL, RCPT, DATA or BDAT, in as few round trips as the server allows (RFC 2920, 3030),
//! and an outcome that never claims to know more than it does.

use super::connection::Connection;
use super::error::{LostError, Unsuitable};
use super::wire::{RawReply, WriteFailed};
use crate::domain::EmailAddress;
use crate::domain::smtp_reply::{Reply, Stage};

/// Up to this size a message goes out before its recipient is known to be taken; a longer one waits for that.
const MAX_ONE_WRITE_BYTES: usize = 64 * 1024;
/// A server that cuts a message short may have said why just before.
const LAST_WORDS_LIMIT: std::time::Duration = std::time::Duration::from_secs(1);

/// From whom and to whom, as the servers see it. The addresses' type leaves no room for brackets, blanks or line breaks,
/// so no command can be slipped in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where bounces go.
    pub from: EmailAddress,
    /// The one recipient.
    pub to: EmailAddress,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// The server has taken the message.
    Accepted(Reply),
    /// The server said no; it does not have the message.
    Refused {
        /// To which command.
        stage: Stage,
        /// What it said.
        reply: Reply,
    },
    /// The server was told nothing: it could not take the message by what it offers. No server has refused anything, so
    /// this is nobody's bounce.
    Unsuitable {
        /// What it would have to offer.
        why: Unsuitable,
    },
    /// The connection broke, and the server certainly does not have the message.
    LostBeforeData {
        /// How it broke.
        error: LostError,
    },
    /// The connection broke when the server may have had the whole message: in doubt.
    LostAfterData {
        /// How it broke.
        error: LostError,
    },
}

/// Makes one transaction. The connection's book-keeping is its own business.
pub(super) async fn transact(connection: &mut Connection, envelope: &Envelope, message: &[u8]) -> TransactionOutcome {
    let offered = &connection.capabilities;
    let (pipelining, chunking) = (offered.pipelining, offered.chunking);
    let commands = match Commands::new(connection, envelope, message) {
        Ok(commands) => commands,
        Err(why) => return TransactionOutcome::Unsuitable { why },
    };
    // Behind RSET it would not be clear what a server that refuses RSET made of the rest.
    let in_one_write = connection.is_surely_alive() && !connection.needs_reset && message.len() <= MAX_ONE_WRITE_BYTES;
    let mut dialogue = Dialogue { connection, commands };
    let outcome = match (pipelining, chunking) {
        (true, true) if in_one_write => dialogue.all_in_one_write(message).await,
        (true, true) => dialogue.pipelined_then_chunk(message).await,
        (true, false) => dialogue.pipelined_data(message).await,
        (false, _) => dialogue.in_lockstep(message).await,
    };
    outcome.unwrap_or_else(|end| end)
}

/// The commands of one transaction, each with its line end.
struct Commands {
    /// Present when the transaction before was refused.
    reset: Option<&'static str>,
    mail: String,
    rcpt: String,
}

struct Dialogue<'a> {
    connection: &'a mut Connection,
    commands: Commands,
}

/// What ends a transaction early.
type End = TransactionOutcome;

impl Commands {
    fn new(connection: &Connection, envelope: &Envelope, message: &[u8]) -> Result<Self, Unsuitable> {
        let offered = &connection.capabilities;
        let of_sender = (!envelope.from.local().is_ascii()).then_some(Unsuitable::Sender);
        let of_recipient = (!envelope.to.local().is_ascii()).then_some(Unsuitable::Recipient);
        let needs_utf8 = of_sender.or(of_recipient);
        if let Some(why) = needs_utf8.filter(|_| !offered.smtputf8) {
            return Err(why);
        }
        let size = if offered.size { format!(" SIZE={}", message.len()) } else { String::new() };
        let utf8 = if needs_utf8.is_some() { " SMTPUTF8" } else { "" };
        Ok(Self {
            reset: connection.needs_reset.then_some("RSET\r\n"),
            mail: format!("MAIL FROM:<{}>{size}{utf8}\r\n", envelope.from),
            rcpt: format!("RCPT TO:<{}>\r\n", envelope.to),
        })
    }

    /// All of them and `last`, as one piece.
    fn joined(&self, last: &str) -> Vec<u8> {
        [self.reset.unwrap_or_default(), &self.mail, &self.rcpt, last].concat().into_bytes()
    }
}

impl Dialogue<'_> {
    /// No PIPELINING: each command waits for the reply to the one before.
    async fn in_lockstep(&mut self, message: &[u8]) -> Result<TransactionOutcome, End> {
        if let Some(reset) = self.commands.reset {
            self.write_command(reset.as_bytes()).await?;
            self.read_reset().await?;
        }
        let (mail, rcpt) = (self.commands.mail.clone(), self.commands.rcpt.clone());
        for (stage, command) in [(Stage::Mail, mail), (Stage::Rcpt, rcpt)] {
            self.write_command(command.as_bytes()).await?;
            let reply = self.read(stage).await.map_err(before)?;
            if !reply.is_positive() {
                return Err(refused(stage, reply));
            }
        }
        if self.connection.capabilities.chunking {
            return self.chunk(message).await;
        }
        self.write_command(b"DATA\r\n").await?;
        let reply = self.read(Stage::Data).await.map_err(before)?;
        if reply.code != 354 {
            return Err(refused(Stage::Data, reply));
        }
        self.body(message).await
    }

    /// MAIL, RCPT and DATA in one write; the message once DATA is agreed to. Two round trips.
    async fn pipelined_data(&mut self, message: &[u8]) -> Result<TransactionOutcome, End> {
        self.write_command(&self.commands.joined("DATA\r\n")).await?;
        self.read_reset().await?;
        let mail = self.read(Stage::Mail).await.map_err(before)?;
        self.end_if_leaving(Stage::Mail, &mail)?;
        // After a refusal its own reply is what counts, whatever becomes of the connection on the way to the others.
        let rcpt = self.read(Stage::Rcpt).await.map_err(|error| refused_or(Stage::Mail, &mail, before(error)))?;
        if mail.is_positive() {
            self.end_if_leaving(Stage::Rcpt, &rcpt)?;
        }
        let (stage, decisive) = if mail.is_positive() { (Stage::Rcpt, &rcpt) } else { (Stage::Mail, &mail) };
        let data = self.read(Stage::Data).await.map_err(|error| refused_or(stage, decisive, before(error)))?;
        if decisive.is_positive() && data.code == 354 {
            return self.body(message).await;
        }
        if decisive.is_positive() {
            return Err(refused(Stage::Data, data));
        }
        if data.code == 354 {
            self.leave_data(&rcpt).await;
        }
        Err(refused(stage, decisive.clone()))
    }

    /// The server wants a message although it has refused the sender or the recipient. RFC 2920 §3.1: without a valid
    /// recipient a lone dot ends that, and goes to nobody. With one, which is only possible when MAIL was refused and
    /// RCPT was not, a dot would deliver an empty message, so the connection is given up instead.
    async fn leave_data(&mut self, rcpt: &RawReply) {
        if rcpt.is_positive() {
            self.connection.wire.spoil();
            return;
        }
        let limits = self.connection.limits;
        if self.connection.wire.write(b".\r\n", "the end of DATA", limits.write).await.is_ok() {
            // A failed read spoils the wire; the refusal stands either way.
            let _ = self.connection.wire.read_reply("the end of DATA", limits.message).await;
        }
    }

    /// MAIL, RCPT and the message as one chunk, in one write: one round trip. Once written the message is the server's
    /// or in doubt, so this is for connections that are surely alive.
    async fn all_in_one_write(&mut self, message: &[u8]) -> Result<TransactionOutcome, End> {
        let body = with_crlf(message);
        let mut bytes = self.commands.joined(&bdat(body.len()));
        bytes.extend_from_slice(&body);
        self.hand_over(&bytes).await?;
        let mail = self.read(Stage::Mail).await.map_err(after)?;
        self.end_if_leaving(Stage::Mail, &mail)?;
        let lost = |stage, decisive: &RawReply| {
            let decisive = decisive.clone();
            move |error| refused_or(stage, &decisive, after(error))
        };
        let rcpt = self.read(Stage::Rcpt).await.map_err(lost(Stage::Mail, &mail))?;
        if mail.is_positive() {
            self.end_if_leaving(Stage::Rcpt, &rcpt)?;
        }
        let (stage, decisive) = if mail.is_positive() { (Stage::Rcpt, &rcpt) } else { (Stage::Mail, &mail) };
        let end = self.read(Stage::Message).await.map_err(lost(stage, decisive))?;
        match (decisive.is_positive(), rcpt.is_positive(), end.is_positive()) {
            // A server that refuses MAIL, takes RCPT and takes the message contradicts itself, and has the message.
            (true, _, true) | (false, true, true) => Ok(TransactionOutcome::Accepted(end.into_reply())),
            (true, _, false) => Err(refused(Stage::Message, end)),
            (false, ..) => Err(refused(stage, decisive.clone())),
        }
    }

    /// MAIL and RCPT in one write, the chunk in the next: for a connection that may be dead, and for a long message.
    async fn pipelined_then_chunk(&mut self, message: &[u8]) -> Result<TransactionOutcome, End> {
        self.write_command(&self.commands.joined("")).await?;
        self.read_reset().await?;
        let mail = self.read(Stage::Mail).await.map_err(before)?;
        self.end_if_leaving(Stage::Mail, &mail)?;
        let rcpt = self.read(Stage::Rcpt).await.map_err(|error| refused_or(Stage::Mail, &mail, before(error)))?;
        if !mail.is_positive() {
            return Err(refused(Stage::Mail, mail));
        }
        if !rcpt.is_positive() {
            return Err(refused(Stage::Rcpt, rcpt));
        }
        self.chunk(message).await
    }

    /// The message as one last chunk, command and bytes in one write.
    async fn chunk(&mut self, message: &[u8]) -> Result<TransactionOutcome, End> {
        let body = with_crlf(message);
        let mut bytes = bdat(body.len()).into_bytes();
        bytes.extend_from_slice(&body);
        self.hand_over(&bytes).await?;
        self.read_verdict().await
    }

    /// The message after DATA, with its dot in the same write.
    async fn body(&mut self, message: &[u8]) -> Result<TransactionOutcome, End> {
        self.hand_over(&dot_stuffed(message)).await?;
        self.read_verdict().await
    }

    async fn read_verdict(&mut self) -> Result<TransactionOutcome, End> {
        let end = self.read(Stage::Message).await.map_err(after)?;
        if end.is_positive() {
            return Ok(TransactionOutcome::Accepted(end.into_reply()));
        }
        Err(refused(Stage::Message, end))
    }

    /// Writes bytes that end with the message. When the write fails before the last of them, the server can't take what
    /// it has for the whole (RFC 5321 §4.1.1.4), and may have said why it stopped listening.
    async fn hand_over(&mut self, bytes: &[u8]) -> Result<(), End> {
        let step = "the message";
        let written = self.connection.wire.write(bytes, step, self.connection.limits.write).await;
        let Err(WriteFailed { error, handed_over }) = written else { return Ok(()) };
        if handed_over {
            return Err(after(error));
        }
        match self.connection.wire.read_reply(step, LAST_WORDS_LIMIT).await {
            Ok(reply) if reply.code >= 400 => Err(refused(Stage::Message, reply)),
            _ => Err(before(error)),
        }
    }

    /// Writes commands only: whatever happens, the server has no message.
    async fn write_command(&mut self, bytes: &[u8]) -> Result<(), End> {
        let limit = self.connection.limits.command;
        self.connection.wire.write(bytes, "a command", limit).await.map_err(|failed| before(failed.error))
    }

    /// The reply to RSET, if one was sent. A server that refuses it is in an unknown state.
    async fn read_reset(&mut self) -> Result<(), End> {
        if self.commands.reset.is_none() {
            return Ok(());
        }
        let step = "RSET";
        let reply = self.connection.wire.read_reply(step, self.connection.limits.command).await.map_err(before)?;
        if reply.is_positive() {
            return Ok(());
        }
        self.connection.wire.spoil();
        Err(before(LostError::Protocol { step, why: "it refuses RSET" }))
    }

    async fn read(&mut self, stage: Stage) -> Result<RawReply, LostError> {
        let limits = self.connection.limits;
        let (step, limit) = match stage {
            Stage::Mail => ("MAIL", limits.command),
            Stage::Rcpt => ("RCPT", limits.command),
            Stage::Data => ("DATA", limits.command),
            Stage::Message => ("the message", limits.message),
        };
        self.connection.wire.read_reply(step, limit).await
    }

    /// RFC 5321 §3.8: after 421 the server closes and answers nothing more.
    fn end_if_leaving(&mut self, stage: Stage, reply: &RawReply) -> Result<(), End> {
        if reply.code != 421 {
            return Ok(());
        }
        self.connection.wire.spoil();
        Err(refused(stage, reply.clone()))
    }
}

fn before(error: LostError) -> End {
    TransactionOutcome::LostBeforeData { error }
}

fn after(error: LostError) -> End {
    TransactionOutcome::LostAfterData { error }
}

fn refused(stage: Stage, reply: RawReply) -> End {
    TransactionOutcome::Refused { stage, reply: reply.into_reply() }
}

/// A refusal that was read outlives the connection it was read from.
fn refused_or(stage: Stage, reply: &RawReply, otherwise: End) -> End {
    if reply.is_positive() { otherwise } else { refused(stage, reply.clone()) }
}

fn bdat(length: usize) -> String {
    format!("BDAT {length} LAST\r\n")
}

/// The message with CRLF at the end of each line, the last included. A bare CR or LF means a line end to one server and
/// nothing to the next, which is how messages are smuggled (CVE-2023-51764).
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32 + 2);
    for line in lines(message) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The same, with dots doubled at the beginning of lines (RFC 5321 §4.5.2) and the closing dot.
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32 + 5);
    for line in lines(message) {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// The lines of a message, whatever ends them: CRLF, LF or CR.
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix(b"\r\n").unwrap_or_else(|| tail.get(1..).unwrap_or_default());
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, chunk: &str, data: &str) {
        assert_eq!(String::from_utf8(with_crlf(message.as_bytes())).unwrap(), chunk);
        assert_eq!(String::from_utf8(dot_stuffed(message.as_bytes())).unwrap(), data);
    }

    #[test]
    fn line_ends_are_made_equal_and_dots_doubled() {
        check("", "", ".\r\n");
        check("a\r\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n.\r\n");
        check("a\nb", "a\r\nb\r\n", "a\r\nb\r\n.\r\n");
        check("a\r\rb\n\n", "a\r\n\r\nb\r\n\r\n", "a\r\n\r\nb\r\n\r\n.\r\n");
        check(".\r\n..\r\n.x", ".\r\n..\r\n.x\r\n", "..\r\n...\r\n..x\r\n.\r\n");
        check("a\n.\nQUIT\n", "a\r\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n.\r\n");
        check("a\r.\rQUIT", "a\r\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n.\r\n");
    }
}
