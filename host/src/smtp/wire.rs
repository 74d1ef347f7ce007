//! Bytes to and from a server: whole replies in, whole writes out, all of it bounded in length and time. It knows the
//! shape of a reply (RFC 5321 §4.2) and no command.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::error::{ConnectError, LostError};
use crate::tls::{TlsClient, TlsStream};

/// RFC 5321 §4.5.3.1.5 allows 512 octets a line; servers send more.
const MAX_LINE_BYTES: usize = 4096;
/// A whole reply, all lines.
const MAX_REPLY_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 4096;
/// A message may take as many times as long as one of its pieces: a server that takes a few bytes now and then would hold a
/// connection for hours.
const WHOLE_MESSAGE: u32 = 10;

/// A connection, and what was read from it ahead of its use.
pub(super) struct Wire {
    transport: Transport,
    unread: BytesMut,
    /// How much of `unread` is known to be whole lines of an unfinished reply.
    scanned: usize,
    /// Something failed: what is read or written from now on can't be matched to anything.
    spoiled: bool,
}

pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// A reply as it came: the code of its last line and the text of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawReply {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

/// A write that failed, and whether all bytes had been handed over by then: if so, the server may have them.
pub(super) struct WriteFailed {
    pub(super) error: LostError,
    pub(super) handed_over: bool,
}

impl Wire {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, unread: BytesMut::with_capacity(READ_BYTES), scanned: 0, spoiled: false }
    }

    /// The next reply, read to its last line. `limit` is for the whole reply, so that a server which drips can't hold on.
    pub(super) async fn read_reply(&mut self, step: &'static str, limit: Duration) -> Result<RawReply, LostError> {
        let read = timeout(limit, self.read_reply_unbounded(step)).await;
        let read = read.unwrap_or(Err(LostError::TimedOut { step, after: limit }));
        self.spoiled |= read.is_err();
        read
    }

    async fn read_reply_unbounded(&mut self, step: &'static str) -> Result<RawReply, LostError> {
        loop {
            let taken = take_reply(&mut self.unread, &mut self.scanned);
            if let Some(reply) = taken.map_err(|why| LostError::Protocol { step, why })? {
                return Ok(reply);
            }
            self.unread.reserve(READ_BYTES);
            let read = match &mut self.transport {
                Transport::Plain(stream) => stream.read_buf(&mut self.unread).await,
                Transport::Tls(stream) => stream.read_buf(&mut self.unread).await,
            };
            match read {
                Ok(0) => return Err(LostError::Closed { step }),
                Ok(_) => {}
                Err(error) => return Err(LostError::Broken { step, reason: error.to_string() }),
            }
        }
    }

    /// Writes all of `bytes`; `limit` is for each piece that the system takes, and all of them may take [`WHOLE_MESSAGE`] times it.
    pub(super) async fn write(&mut self, bytes: &[u8], step: &'static str, limit: Duration) -> Result<(), WriteFailed> {
        let outcome = self.write_all(bytes, step, limit).await;
        self.spoiled |= outcome.is_err();
        outcome
    }

    /// Whether a read or a write has failed, or the dialogue was given up.
    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Gives the dialogue up: the connection is closed rather than used again.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    async fn write_all(&mut self, bytes: &[u8], step: &'static str, limit: Duration) -> Result<(), WriteFailed> {
        let mut written = 0;
        let whole = limit * WHOLE_MESSAGE;
        let end = Instant::now() + whole;
        while written < bytes.len() {
            let left = end.saturating_duration_since(Instant::now());
            let (wait, after) = if left < limit { (left, whole) } else { (limit, limit) };
            let piece = match &mut self.transport {
                Transport::Plain(stream) => timeout(wait, stream.write(&bytes[written..])).await,
                Transport::Tls(stream) => timeout(wait, stream.write(&bytes[written..])).await,
            };
            match settle(piece, step, after) {
                Ok(0) => return Err(WriteFailed { error: LostError::Closed { step }, handed_over: false }),
                Ok(length) => written += length,
                Err(error) => return Err(WriteFailed { error, handed_over: false }),
            }
        }
        let flushed = match &mut self.transport {
            Transport::Plain(stream) => timeout(limit, stream.flush()).await,
            Transport::Tls(stream) => timeout(limit, stream.flush()).await,
        };
        settle(flushed, step, limit).map_err(|error| WriteFailed { error, handed_over: true })
    }

    /// Turns a plain connection into a TLS one. Nothing may have been read ahead: what a stranger slips in behind the
    /// server's "go ahead" would otherwise pass for the server's own words (CVE-2011-0411).
    pub(super) async fn start_tls(self, host: &str, tls: &TlsClient, limit: Duration) -> Result<Self, ConnectError> {
        let step = "STARTTLS";
        if !self.unread.is_empty() {
            return Err(LostError::Protocol { step, why: "it went on in plain text after agreeing to TLS" }.into());
        }
        match self.transport {
            Transport::Plain(stream) => Self::over_tls(host, tls, stream, limit).await,
            Transport::Tls(_) => Err(LostError::Protocol { step, why: "TLS was on already" }.into()),
        }
    }

    /// A TLS connection over `stream`.
    pub(super) async fn over_tls(
        host: &str,
        tls: &TlsClient,
        stream: TcpStream,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let wrapped = timeout(limit, tls.wrap(host, stream)).await;
        let wrapped = wrapped.map_err(|_| LostError::TimedOut { step: "the TLS handshake", after: limit })??;
        Ok(Self::new(Transport::Tls(Box::new(wrapped))))
    }

    /// Whether the connection is silent and open, as far as can be told without asking. A server that is done with a
    /// kept connection has closed it or said 421, and either can be read.
    pub(super) fn is_quiet(&self) -> bool {
        let tcp = match &self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.get_ref().0,
        };
        let nothing_to_read = tcp.try_read(&mut [0; 1]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        self.unread.is_empty() && nothing_to_read
    }

    /// The TLS version, such as `TLS 1.3`; none without TLS.
    pub(super) fn tls_version(&self) -> Option<&'static str> {
        let Transport::Tls(stream) = &self.transport else { return None };
        match stream.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => Some("TLS 1.2"),
            Some(rustls::ProtocolVersion::TLSv1_3) => Some("TLS 1.3"),
            _ => Some("TLS"),
        }
    }
}

fn settle<T>(
    outcome: Result<std::io::Result<T>, tokio::time::error::Elapsed>,
    step: &'static str,
    after: Duration,
) -> Result<T, LostError> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(LostError::Broken { step, reason: error.to_string() }),
        Err(_) => Err(LostError::TimedOut { step, after }),
    }
}

/// Takes one whole reply off the front of `unread`, if there is one.
fn take_reply(unread: &mut BytesMut, scanned: &mut usize) -> Result<Option<RawReply>, &'static str> {
    loop {
        let Some(length) = unread[*scanned..].iter().position(|&byte| byte == b'\n') else {
            let too_long = unread.len() - *scanned > MAX_LINE_BYTES || unread.len() > MAX_REPLY_BYTES;
            return if too_long { Err("its reply is too long") } else { Ok(None) };
        };
        let line = &unread[*scanned..*scanned + length];
        if length > MAX_LINE_BYTES || *scanned + length > MAX_REPLY_BYTES {
            return Err("its reply is too long");
        }
        let (code, more) = read_line_head(line)?;
        *scanned += length + 1;
        if !more {
            let reply = unread.split_to(*scanned);
            *scanned = 0;
            return Ok(Some(RawReply { code, lines: read_texts(&reply) }));
        }
    }
}

/// The code of a line, and whether another follows.
fn read_line_head(line: &[u8]) -> Result<(u16, bool), &'static str> {
    let not_a_reply = "its reply does not begin with a code";
    let (digits, rest) = line.split_at_checked(3).ok_or(not_a_reply)?;
    let code = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(not_a_reply)?;
    match (code, rest.first()) {
        (200..=599, Some(b'-')) => Ok((code, true)),
        (200..=599, Some(b' ' | b'\r') | None) => Ok((code, false)),
        _ => Err(not_a_reply),
    }
}

/// The lines without their codes; what can't be printed becomes a blank.
fn read_texts(reply: &[u8]) -> Vec<String> {
    let lines = reply.strip_suffix(b"\n").unwrap_or(reply).split(|&byte| byte == b'\n');
    lines
        .map(|line| {
            let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
            let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            printable.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    /// Feeds `input` byte by byte, as a network may, and prints what comes out.
    #[track_caller]
    fn check(input: &[u8], expected: &str) {
        let (mut unread, mut scanned, mut out) = (BytesMut::new(), 0, Vec::new());
        for &byte in input {
            unread.extend_from_slice(&[byte]);
            match take_reply(&mut unread, &mut scanned) {
                Ok(Some(reply)) => out.push(format!("{} {}", reply.code, reply.lines.join("|"))),
                Ok(None) => {}
                Err(why) => {
                    out.push(why.to_owned());
                    break;
                }
            }
        }
        assert_eq!(out.join("\n"), expected);
    }

    #[test]
    fn replies_are_framed_however_they_arrive() {
        check(b"250 ok\r\n", "250 ok");
        check(b"250\r\n", "250 ");
        check(b"250-a\r\n250-b\r\n250 c\r\n354 go\r\n", "250 a|b|c\n354 go");
        check(b"250-a\n250 b\n", "250 a|b");
        check(b"550 5.1.1 J\xc3\xb6rg \x1b[31m\xff?\r\n", "550 5.1.1 J\u{f6}rg  [31m\u{fffd}?");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let not_a_reply = "its reply does not begin with a code";
        check(b"HTTP/1.1 400 Bad Request\r\n", not_a_reply);
        check(b"\r\n", not_a_reply);
        check(b"25\r\n", not_a_reply);
        check(b"2500 ok\r\n", not_a_reply);
        check(b"999 ok\r\n", not_a_reply);
        check(b"+50 ok\r\n", not_a_reply);
    }

    #[tokio::test]
    async fn a_server_that_takes_a_message_drop_by_drop_does_not_hold_on() {
        let (listening, sending) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
        listening.set_recv_buffer_size(8192).unwrap();
        sending.set_send_buffer_size(8192).unwrap();
        listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listening.listen(1).unwrap();
        let stream = sending.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let dripping = tokio::spawn(async move {
            while matches!(peer.read(&mut [0; 4096]).await, Ok(1..)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let limit = Duration::from_millis(300);
        let written = Wire::new(Transport::Plain(stream)).write(&vec![b'x'; 8 << 20], "the message", limit).await;
        let WriteFailed { error, handed_over } = written.unwrap_err();
        assert!(matches!(error, LostError::TimedOut { after, .. } if after == limit * WHOLE_MESSAGE), "{error}");
        assert!(!handed_over);
        dripping.abort();
    }

    #[test]
    fn a_reply_without_end_is_cut_off() {
        check(&[b'2'; MAX_LINE_BYTES + 2], "its reply is too long");
        check(&b"250-more\r\n".repeat(MAX_REPLY_BYTES / 10 + 2), "its reply is too long");
    }
}
