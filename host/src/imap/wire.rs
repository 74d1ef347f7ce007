//! The bytes of a connection, plain or encrypted, with a limit on how many may be read, and looked through as they come.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::screen::{Screen, Unacceptable};
use crate::tls::TlsStream;

/// A connection. The library buffers up to half a gigabyte of an answer, so the limit stands below it.
pub(super) struct Wire {
    stream: Stream,
    may_read: u64,
    screen: Screen,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), may_read: 0, screen: Screen::new() }
    }

    pub(super) fn encrypted(stream: TlsStream) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), may_read: 0, screen: Screen::new() }
    }

    /// Allows `bytes` to be read from now on, and a buffer's worth more; of them `literals` in one response.
    pub(super) fn allow(&mut self, bytes: u64, literals: u64) {
        self.may_read = bytes;
        self.screen.allow_literals(literals);
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("may_read", &self.may_read).finish_non_exhaustive()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.may_read == 0 {
            return Poll::Ready(Err(io::Error::other(Unacceptable::TooLong)));
        }
        let before = buf.filled().len();
        let polled = match &mut wire.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let read = buf.filled().get(before..).unwrap_or_default();
        let looked = wire.screen.look_through(read, wire.may_read);
        wire.may_read = wire.may_read.saturating_sub(u64::try_from(read.len()).unwrap_or(u64::MAX));
        if let Err(unacceptable) = looked {
            // Where the next answer begins is not known any more.
            wire.may_read = 0;
            return Poll::Ready(Err(io::Error::other(unacceptable)));
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
